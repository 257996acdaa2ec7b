#include "collector/source_set.h"

#include <stdlib.h>
#include <string.h>

bool source_set_init(struct source_set *s, size_t room, struct memory *memory)
{
    *s = (struct source_set){
        .numbers = counted_alloc(memory, (room + 1) * (sizeof(uint64_t) + sizeof(uint8_t)))};
    if (s->numbers)
        s->met = memset(s->numbers + room, 0, room);
    return s->numbers != NULL;
}

void source_set_fini(struct source_set *s, struct memory *memory)
{
    counted_free(memory, s->numbers);
    *s = (struct source_set){0};
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void source_set_sort(struct source_set *s)
{
    size_t kept = 0;

    if (s->count)
        qsort(s->numbers, s->count, sizeof(*s->numbers), by_number);
    for (size_t i = 0; i < s->count; i++)
        if (i == 0 || s->numbers[i] != s->numbers[kept - 1])
            s->numbers[kept++] = s->numbers[i];
    s->count = kept;
}

size_t source_set_find(const struct source_set *s, uint64_t source)
{
    const uint64_t *found =
        s->count ? bsearch(&source, s->numbers, s->count, sizeof(*s->numbers), by_number) : NULL;

    return found ? (size_t)(found - s->numbers) : SIZE_MAX;
}
