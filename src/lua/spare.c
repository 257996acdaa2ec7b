#include "lua/spare.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t class_of(size_t size)
{
    return size <= SPARE_FINE ? (size + 15) / 16
                              : SPARE_FINE / 16 + (size - SPARE_FINE + 127) / 128;
}

/* What the blocks of a class hold. */
static size_t room_of(size_t class)
{
    return class <= SPARE_FINE / 16 ? class * 16 : SPARE_FINE + (class - SPARE_FINE / 16) * 128;
}

static void *take(struct spare *s, size_t class)
{
    void *p = s->first[class];

    if (!p)
        return malloc(room_of(class));
    memcpy(&s->first[class], p, sizeof(p));
    s->bytes -= room_of(class);
    return p;
}

static void give(struct spare *s, void *p, size_t class)
{
    size_t room = room_of(class);

    if (room > s->max - s->bytes) {
        free(p);
        return;
    }
    memcpy(p, &s->first[class], sizeof(p));
    s->first[class] = p;
    s->bytes += room;
}

void spare_drain(struct spare *s)
{
    for (size_t class = 0; class < SPARE_CLASSES; class ++)
        while (s->first[class])
            free(take(s, class));
}

/* Between two sizes that are small; `old` is 0 where there is nothing yet. */
static void *resize_small(struct spare *s, void *p, size_t old, size_t size)
{
    size_t from = class_of(old), class = class_of(size);
    void *to;

    if (p && from == class)
        return p;
    to = take(s, class);
    if (!p || !to)
        return to;
    memcpy(to, p, old < size ? old : size);
    give(s, p, from);
    return to;
}

/* Lua says 0 for the size of what is not there. */
void *spare_resize(struct spare *s, void *p, size_t old, size_t size)
{
    bool was_small = old <= SPARE_LARGEST, is_small = size <= SPARE_LARGEST;

    if (size == 0) {
        if (p && was_small)
            give(s, p, class_of(old));
        else
            free(p);
        return NULL;
    }
    if (was_small && is_small)
        return resize_small(s, p, old, size);
    return realloc(p, is_small ? room_of(class_of(size)) : size);
}
