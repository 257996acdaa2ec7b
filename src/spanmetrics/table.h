/* table.h: numbers for keys, which are bytes: 1 and up, in the order in which they come. Private to
 * the room.
 *
 * All threads share a table. Keys are only ever added, so that finding one takes no lock.
 */
#pragma once

#include "base/hash.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>

struct key {
    uint64_t hash;
    uint32_t number; /* 1 ... max */
    uint32_t len;
    uint8_t bytes[];
};

struct key_table {
    struct memory *memory;
    size_t max;
    pthread_mutex_t lock;         /* of whoever adds a key */
    _Atomic(struct key *) *slots; /* by hash; read without the lock */
    size_t slot_mask;
    _Atomic(struct key *) *keys; /* by number */
    _Atomic uint32_t count;      /* the highest number */
};

/* Start-up only: ends without memory. */
void key_table_init(struct key_table *t, struct memory *memory, size_t max);
void key_table_fini(struct key_table *t);

/* The key with these bytes, whose hash it is, or NULL. */
const struct key *key_table_find(const struct key_table *t, uint64_t hash, const uint8_t *bytes,
                                 size_t len);
/* The number of a key that was not found a moment ago; 0: there is no room for it, or no memory. */
uint32_t key_table_add(struct key_table *t, uint64_t hash, const uint8_t *bytes, size_t len);

static inline uint32_t key_table_count(const struct key_table *t)
{
    return atomic_load_explicit(&t->count, memory_order_acquire);
}
/* The key with that number, which is at most the count. */
static inline const struct key *key_table_key(const struct key_table *t, uint32_t number)
{
    return atomic_load_explicit(&t->keys[number], memory_order_acquire);
}

/* Counted memory of zeros; ends without. */
void *start_alloc(struct memory *memory, size_t size);
