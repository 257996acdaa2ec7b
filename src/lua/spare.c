#include "lua/spare.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t class_of(size_t size)
{
    return (size + SPARE_STEP - 1) / SPARE_STEP;
}

static void *take(struct spare *s, size_t size)
{
    size_t class = class_of(size);
    void *p = s->first[class];

    if (!p)
        return malloc(class * SPARE_STEP);
    memcpy(&s->first[class], p, sizeof(p));
    s->bytes -= class * SPARE_STEP;
    return p;
}

static void give(struct spare *s, void *p, size_t size)
{
    size_t class = class_of(size);

    if (class * SPARE_STEP > s->max - s->bytes) {
        free(p);
        return;
    }
    memcpy(p, &s->first[class], sizeof(p));
    s->first[class] = p;
    s->bytes += class * SPARE_STEP;
}

void spare_drain(struct spare *s)
{
    for (size_t class = 0; class < SPARE_CLASSES; class ++)
        while (s->first[class])
            free(take(s, class * SPARE_STEP));
}

/* Of two different classes. */
static void *move(struct spare *s, void *p, size_t old, size_t size)
{
    void *to = take(s, size);

    if (!to)
        return NULL;
    memcpy(to, p, old < size ? old : size);
    give(s, p, old);
    return to;
}

static void *resize_small(struct spare *s, void *p, size_t old, size_t size)
{
    if (!p)
        return take(s, size);
    if (class_of(old) == class_of(size))
        return p;
    return move(s, p, old, size);
}

/* Lua says 0 for the size of what is not there. */
void *spare_resize(struct spare *s, void *p, size_t old, size_t size)
{
    bool was_small = old <= SPARE_LARGEST, is_small = size <= SPARE_LARGEST;

    if (size == 0) {
        if (p && was_small)
            give(s, p, old);
        else
            free(p);
        return NULL;
    }
    if (is_small && (was_small || !p))
        return resize_small(s, p, old, size);
    return realloc(p, is_small ? class_of(size) * SPARE_STEP : size);
}
