#include "base/ring.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void ring_init(struct ring *r, uint32_t capacity, uint32_t item_size)
{
    assert(capacity > 0 && (capacity & (capacity - 1)) == 0 && item_size > 0);
    memset(r, 0, sizeof(*r));
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    r->mask = capacity - 1;
    r->item_size = item_size;
    r->items = calloc(capacity, item_size);
    if (!r->items)
        err_no_memory("a ring");
}

void ring_fini(struct ring *r)
{
    free(r->items);
    r->items = NULL;
}

static uint8_t *item_at(const struct ring *r, uint32_t index)
{
    return r->items + (size_t)(index & r->mask) * r->item_size;
}

/* head and tail run freely through 2^32 and wrap; their difference is the count. */
bool ring_push(struct ring *r, const void *item)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (tail - r->cached_head > r->mask) {
        r->cached_head = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail - r->cached_head > r->mask)
            return false;
    }
    memcpy(item_at(r, tail), item, r->item_size);
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

uint32_t ring_space(struct ring *r)
{
    r->cached_head = atomic_load_explicit(&r->head, memory_order_acquire);
    return r->mask + 1 - (atomic_load_explicit(&r->tail, memory_order_relaxed) - r->cached_head);
}

bool ring_peek(struct ring *r, void *item)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head == r->cached_tail) {
        r->cached_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head == r->cached_tail)
            return false;
    }
    memcpy(item, item_at(r, head), r->item_size);
    return true;
}

bool ring_pop(struct ring *r, void *item)
{
    if (!ring_peek(r, item))
        return false;
    atomic_store_explicit(&r->head, atomic_load_explicit(&r->head, memory_order_relaxed) + 1,
                          memory_order_release);
    return true;
}

uint32_t ring_count(const struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

    return atomic_load_explicit(&r->tail, memory_order_acquire) - head;
}

void ring_each(const struct ring *r, void (*fn)(void *arg, const void *item), void *arg)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

    for (; head != tail; head++)
        fn(arg, item_at(r, head));
}
