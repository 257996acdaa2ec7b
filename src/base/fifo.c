#include "base/fifo.h"

#include <assert.h>
#include <string.h>

static void *allocate(const struct fifo *f, size_t items, bool forced)
{
    size_t bytes = items * f->item_size;

    return forced ? counted_realloc_forced(f->memory, NULL, bytes)
                  : counted_alloc(f->memory, bytes);
}

static bool init(struct fifo *f, struct memory *memory, size_t item_size, size_t first, bool forced)
{
    *f = (struct fifo){.memory = memory, .item_size = item_size, .capacity = first};
    f->items = allocate(f, first, forced);
    return f->items != NULL;
}

bool fifo_init(struct fifo *f, struct memory *memory, size_t item_size, size_t first)
{
    return init(f, memory, item_size, first, false);
}

bool fifo_init_forced(struct fifo *f, struct memory *memory, size_t item_size, size_t first)
{
    return init(f, memory, item_size, first, true);
}

void fifo_fini(struct fifo *f)
{
    counted_free(f->memory, f->items);
    *f = (struct fifo){0};
}

/* Moves what is there to the front of `to`. */
static void move_to(struct fifo *f, uint8_t *to)
{
    size_t len = fifo_len(f);

    memmove(to, f->items + f->head * f->item_size, len * f->item_size);
    f->head = 0;
    f->tail = len;
}

static bool make_room(struct fifo *f, size_t more, bool forced)
{
    size_t len = fifo_len(f), grown = f->capacity;
    uint8_t *space;

    if (f->capacity - f->tail >= more)
        return true;
    if (f->capacity - len >= more && f->head >= len) {
        move_to(f, f->items);
        return true;
    }
    while (grown - len < more)
        grown *= 2;
    space = allocate(f, grown, forced);
    if (!space)
        return false;
    move_to(f, space);
    counted_free(f->memory, f->items);
    f->items = space;
    f->capacity = grown;
    return true;
}

bool fifo_room(struct fifo *f, size_t more)
{
    return make_room(f, more, false);
}

bool fifo_force(struct fifo *f, size_t more)
{
    return make_room(f, more, true);
}

void *fifo_push(struct fifo *f)
{
    assert(f->items && f->tail < f->capacity);
    return f->items + f->tail++ * f->item_size;
}

void *fifo_at(const struct fifo *f, size_t i)
{
    assert(i < fifo_len(f));
    return f->items + (f->head + i) * f->item_size;
}

void fifo_drop(struct fifo *f, size_t n)
{
    assert(n <= fifo_len(f));
    f->head += n;
    if (f->head == f->tail)
        f->head = f->tail = 0;
}
