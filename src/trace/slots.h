/* slots.h: open addressing: from 32 bits of a keyed hash to an item, growing in small steps.
 *
 * The trace table's own. While it grows there are two arrays, and every change moves a few slots
 * of the old one: no call ever rehashes the whole. Removal shifts back: no tombstones. One thread.
 */
#pragma once

#include "base/order.h"
#include "base/prefetch.h"

struct slot {
    uint32_t tag;
    uint32_t item; /* 0: empty; UINT32_MAX in the old array: moved or removed */
};

struct slots {
    struct memory *memory;
    bool forced;            /* never refused by the limiter */
    struct slot *now, *old; /* old: NULL unless it is being moved */
    uint32_t mask, old_mask;
    uint32_t count;
    uint32_t moved;     /* slots of `old` that are done */
    struct order order; /* of the next array, where it is of huge pages */
};

/* Start-up only: ends without memory. */
void slots_init(struct slots *s, struct memory *memory);
void slots_fini(struct slots *s);

/* The item with this tag for which `same` is true, or 0. */
typedef bool slots_same_fn(const void *arg, uint32_t item);
uint32_t slots_find(const struct slots *s, uint32_t tag, slots_same_fn *same, const void *arg);

/* Asks the processor for where the tag may be. */
static inline void slots_prefetch(const struct slots *s, uint32_t tag)
{
    prefetch(&s->now[tag & s->mask]);
    if (s->old)
        prefetch(&s->old[tag & s->old_mask]);
}

/* An item that has the tag, most likely the one looked for; 0: none in `now`. */
static inline uint32_t slots_guess(const struct slots *s, uint32_t tag)
{
    for (uint32_t i = tag & s->mask; s->now[i].item; i = (i + 1) & s->mask)
        if (s->now[i].tag == tag)
            return s->now[i].item;
    return 0;
}

/* Makes sure that one more fits. False: no memory, and nearly full. */
bool slots_make_room(struct slots *s);
/* The same for `more`. */
bool slots_reserve(struct slots *s, size_t more);
/* After slots_make_room. `item` is neither 0 nor UINT32_MAX. */
void slots_add(struct slots *s, uint32_t tag, uint32_t item);
void slots_remove(struct slots *s, uint32_t tag, uint32_t item);

size_t slots_bytes(const struct slots *s);
