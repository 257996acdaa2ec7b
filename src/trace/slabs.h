/* slabs.h: small items of one size, addressed by 32-bit numbers, in slabs of 64 KiB to 2 MiB.
 *
 * The trace table's own. Items fill the slab used last, so slabs of old traces empty together and
 * are given back, but for a reserve of a quarter. A new slab is at most a quarter of what is held,
 * so that few items take little; where many are held, slabs are huge pages. One thread.
 */
#pragma once

#include "base/order.h"

enum {
    SLAB_MIN_BYTES = 64 << 10,
    SLAB_SHIFT = 14, /* bits of an item's number that are its place in the slab */
    SLAB_ITEMS = 1 << SLAB_SHIFT,
    SLAB_MAX = 1 << 18,
};

struct slab {
    uint8_t *bytes;  /* NULL: not there */
    uint32_t size;   /* of bytes */
    uint16_t items;  /* that fit */
    uint16_t used;   /* items in use */
    uint16_t fresh;  /* items from here on were never used */
    uint16_t free;   /* items in its stack of freed ones, behind the items */
    bool listed;     /* partly used: in the list of slabs with space */
    uint32_t before; /* in that list */
    uint32_t after;  /* in that list, or in the stack of empty or of absent ones */
};

struct slabs {
    struct memory *memory;
    size_t item_size;
    bool forced; /* never refused by the limiter */
    struct slab *slabs;
    uint32_t count;  /* entries of `slabs` ever used */
    uint32_t space;  /* first slab with space, SLAB_MAX: none */
    uint32_t empty;  /* top of the stack of slabs without an item in use, SLAB_MAX: none */
    uint32_t absent; /* top of the stack of entries without bytes, SLAB_MAX: none */
    uint32_t empties;
    size_t held_bytes, empty_bytes;
    struct order order; /* of the next one, where they are huge pages */
};

/* item_size: even, up to 4 KiB. Start-up only: ends without memory. */
void slabs_init(struct slabs *s, size_t item_size, struct memory *memory, bool forced);
void slabs_fini(struct slabs *s);

/* A new item, its bytes undefined. 0: no memory. */
uint32_t slabs_new(struct slabs *s);
void slabs_free(struct slabs *s, uint32_t item);

static inline void *slabs_at(const struct slabs *s, uint32_t item)
{
    return s->slabs[item >> SLAB_SHIFT].bytes + (size_t)(item & (SLAB_ITEMS - 1)) * s->item_size;
}

/* Calls fn for every item ever used in slab i: free ones too, fn tells them apart. */
void slabs_each(const struct slabs *s, uint32_t i, void (*fn)(void *arg, const void *item),
                void *arg);

/* Bytes held. */
size_t slabs_bytes(const struct slabs *s);
