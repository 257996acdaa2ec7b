#include "trace/slabs.h"

#include "base/pages.h"
#include "base/prefetch.h"

#include <assert.h>

enum { FETCH_AHEAD = 8 };

void slabs_init(struct slabs *s, size_t item_size, struct memory *memory, bool forced)
{
    assert(item_size > 0 && item_size % sizeof(uint16_t) == 0 && item_size <= 4096);
    *s = (struct slabs){.memory = memory,
                        .item_size = item_size,
                        .forced = forced,
                        .slabs = pages_map(SLAB_MAX * sizeof(struct slab)),
                        .space = SLAB_MAX,
                        .empty = SLAB_MAX,
                        .absent = SLAB_MAX};
}

void slabs_fini(struct slabs *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        pages_free(s->memory, s->slabs[i].bytes, s->slabs[i].size);
    pages_unmap(s->slabs, SLAB_MAX * sizeof(struct slab));
    order_fini(s->memory, &s->order);
    *s = (struct slabs){0};
}

static void list_add(struct slabs *s, uint32_t i)
{
    struct slab *slab = &s->slabs[i];

    slab->before = SLAB_MAX;
    slab->after = s->space;
    slab->listed = true;
    if (s->space != SLAB_MAX)
        s->slabs[s->space].before = i;
    s->space = i;
}

static void list_remove(struct slabs *s, uint32_t i)
{
    struct slab *slab = &s->slabs[i];

    if (slab->before == SLAB_MAX)
        s->space = slab->after;
    else
        s->slabs[slab->before].after = slab->after;
    if (slab->after != SLAB_MAX)
        s->slabs[slab->after].before = slab->before;
    slab->listed = false;
}

static uint32_t pop(const struct slabs *s, uint32_t *stack)
{
    uint32_t i = *stack;

    *stack = s->slabs[i].after;
    return i;
}

static void push(struct slabs *s, uint32_t *stack, uint32_t i)
{
    s->slabs[i].after = *stack;
    *stack = i;
}

static size_t wanted_bytes(const struct slabs *s)
{
    size_t bytes = SLAB_MIN_BYTES;

    while (bytes < PAGES_HUGE && bytes * 8 <= s->held_bytes)
        bytes *= 2;
    return bytes;
}

/* A large slab only where there is room for it; a small one also under force. */
static uint8_t *new_pages(struct slabs *s, size_t *size)
{
    uint8_t *ready = NULL;

    *size = wanted_bytes(s);
    if (*size == PAGES_HUGE)
        ready = order_take(s->memory, &s->order, PAGES_HUGE);
    if (*size * 2 >= PAGES_HUGE)
        order_place(s->memory, &s->order, PAGES_HUGE);
    if (ready)
        return ready;
    if (*size > SLAB_MIN_BYTES && memory_has_intake_room(s->memory, *size)) {
        uint8_t *bytes = pages_new(s->memory, *size);

        if (bytes)
            return bytes;
    }
    *size = SLAB_MIN_BYTES;
    return s->forced ? pages_new_forced(s->memory, *size) : pages_new(s->memory, *size);
}

/* A slab of new pages; SLAB_MAX: no memory. */
static uint32_t grow(struct slabs *s)
{
    uint8_t *bytes;
    size_t size, items;
    uint32_t i;

    if (s->absent == SLAB_MAX && s->count == SLAB_MAX)
        return SLAB_MAX;
    bytes = new_pages(s, &size);
    if (!bytes)
        return SLAB_MAX;
    i = s->absent != SLAB_MAX ? pop(s, &s->absent) : s->count++;
    items = size / (s->item_size + sizeof(uint16_t));
    s->slabs[i] = (struct slab){.bytes = bytes,
                                .size = (uint32_t)size,
                                .items = (uint16_t)(items < SLAB_ITEMS ? items : SLAB_ITEMS),
                                .fresh = i == 0}; /* item 0 is never given out: 0 means none */
    s->held_bytes += size;
    return i;
}

static bool make_space(struct slabs *s)
{
    uint32_t i;

    if (s->empty != SLAB_MAX) {
        i = pop(s, &s->empty);
        s->empties--;
        s->empty_bytes -= s->slabs[i].size;
    } else {
        i = grow(s);
    }
    if (i == SLAB_MAX)
        return false;
    list_add(s, i);
    return true;
}

/* Freed items lie in a stack, so that the one after next is known before it is touched. */
static uint16_t *stack_of(const struct slabs *s, const struct slab *slab)
{
    return (uint16_t *)(void *)(slab->bytes + slab->items * s->item_size);
}

static uint16_t take_freed(const struct slabs *s, struct slab *slab)
{
    const uint16_t *stack = stack_of(s, slab);

    slab->free--;
    if (slab->free >= FETCH_AHEAD)
        prefetch_run(slab->bytes + stack[slab->free - FETCH_AHEAD] * s->item_size, s->item_size);
    return stack[slab->free];
}

uint32_t slabs_new(struct slabs *s)
{
    struct slab *slab;
    uint32_t i, at;

    if (s->space == SLAB_MAX && !make_space(s))
        return 0;
    i = s->space;
    slab = &s->slabs[i];
    at = slab->free > 0 ? take_freed(s, slab) : slab->fresh++;
    slab->used++;
    if (slab->free == 0 && slab->fresh == slab->items)
        list_remove(s, i);
    return i << SLAB_SHIFT | at;
}

/* Keeps one empty slab and a quarter of the used ones, so that a steady load meets no new pages. */
static void give_back(struct slabs *s)
{
    while (s->empties > 1) {
        uint32_t i = s->empty;
        struct slab *slab = &s->slabs[i];

        if (s->empty_bytes - slab->size < (s->held_bytes - s->empty_bytes) / 4)
            return;
        (void)pop(s, &s->empty);
        order_drop(s->memory, &s->order);
        pages_free(s->memory, slab->bytes, slab->size);
        slab->bytes = NULL;
        push(s, &s->absent, i);
        s->held_bytes -= slab->size;
        s->empty_bytes -= slab->size;
        s->empties--;
    }
}

void slabs_free(struct slabs *s, uint32_t item)
{
    uint32_t i = item >> SLAB_SHIFT;
    struct slab *slab = &s->slabs[i];
    uint16_t at = item & (SLAB_ITEMS - 1);

    stack_of(s, slab)[slab->free++] = at;
    if (!slab->listed)
        list_add(s, i);
    if (--slab->used > 0)
        return;
    list_remove(s, i);
    push(s, &s->empty, i);
    s->empties++;
    s->empty_bytes += slab->size;
    give_back(s);
}

void slabs_each(const struct slabs *s, uint32_t i, void (*fn)(void *arg, const void *item),
                void *arg)
{
    const struct slab *slab = &s->slabs[i];

    if (!slab->bytes || slab->used == 0)
        return;
    for (uint32_t at = i == 0; at < slab->fresh; at++)
        fn(arg, slab->bytes + at * s->item_size);
}

size_t slabs_bytes(const struct slabs *s)
{
    return s->held_bytes;
}
