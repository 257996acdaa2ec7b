/* fifo.h: a queue of items of one size in one array, counted in the memory limiter.
 *
 * Room is made first, so that pushing cannot fail. One thread.
 */
#pragma once

#include "base/memory.h"

struct fifo {
    struct memory *memory;
    uint8_t *items;
    size_t item_size;
    size_t head, tail, capacity; /* items[head] .. items[tail - 1] are in it */
};

/* `first`: items that it has room for at once, > 0. False over the limit; nothing to free. */
bool fifo_init(struct fifo *f, struct memory *memory, size_t item_size, size_t first);
/* The same whatever the limit. False: the kernel has no memory. */
bool fifo_init_forced(struct fifo *f, struct memory *memory, size_t item_size, size_t first);
void fifo_fini(struct fifo *f); /* also after {0} */

/* Room for `more` items behind the last. False over the limit; nothing changed. */
bool fifo_room(struct fifo *f, size_t more);
/* The same whatever the limit. False: the kernel has no memory. */
bool fifo_force(struct fifo *f, size_t more);
/* A new last item, its bytes undefined; there is room. */
void *fifo_push(struct fifo *f);
/* The item at i < fifo_len, from the oldest. Borrowed until the next call that adds or drops. */
void *fifo_at(const struct fifo *f, size_t i);
/* Takes the oldest n <= fifo_len out. */
void fifo_drop(struct fifo *f, size_t n);

static inline size_t fifo_len(const struct fifo *f)
{
    return f->tail - f->head;
}
