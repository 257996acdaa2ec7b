/* ring.h: a bounded queue between one writing and one reading thread.
 *
 * Items are copied in and out. What was written before ring_push is visible after ring_pop
 * (release, acquire). Nothing blocks or allocates after ring_init. A struct that holds one is
 * aligned to 64 bytes: on the heap it comes from aligned_alloc, not malloc.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    _Alignas(64) _Atomic uint32_t head; /* next to read; the reader's */
    uint32_t cached_tail;
    _Alignas(64) _Atomic uint32_t tail; /* next to write; the writer's */
    uint32_t cached_head;
    _Alignas(64) uint32_t mask;
    uint32_t item_size;
    uint8_t *items;
};

/* capacity: a power of two. Start-up only: ends without memory. */
void ring_init(struct ring *r, uint32_t capacity, uint32_t item_size);
void ring_fini(struct ring *r);

/* False: full, nothing was written. Writer only. */
bool ring_push(struct ring *r, const void *item);
/* How many more fit now (more may fit later). Writer only. */
uint32_t ring_space(struct ring *r);
/* Copies the oldest item without taking it. False: empty. Reader only. */
bool ring_peek(struct ring *r, void *item);
/* False: empty. Reader only. */
bool ring_pop(struct ring *r, void *item);
/* Items in it; exact only while both threads stand still, as at a rendezvous. */
uint32_t ring_count(const struct ring *r);
/* Calls fn for each item from the oldest, without taking it; both threads must stand still. */
void ring_each(const struct ring *r, void (*fn)(void *arg, const void *item), void *arg);
