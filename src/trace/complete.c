#include "trace/complete.h"

#include "base/pages.h"

#include <string.h>

bool id_set_init(struct id_set *s, uint32_t ids, struct memory *memory)
{
    uint32_t slots = 16;

    while (slots < UINT64_C(2) * ids && slots < UINT32_C(1) << 31)
        slots *= 2;
    s->mask = slots - 1;
    s->memory = memory;
    s->counted = 0;
    s->slots = s->small;
    if (slots <= sizeof(s->small) / sizeof(s->small[0])) {
        memset(s->small, 0, slots * sizeof(s->small[0]));
        return true;
    }
    s->counted = slots * sizeof(uint32_t);
    s->slots = pages_new_forced(memory, s->counted);
    return s->slots != NULL;
}

void id_set_fini(struct id_set *s)
{
    if (s->slots != s->small)
        pages_free(s->memory, s->slots, s->counted);
}

static uint32_t place(const struct id_set *s, uint32_t hash)
{
    uint32_t i = hash & s->mask;

    while (s->slots[i] && s->slots[i] != hash)
        i = (i + 1) & s->mask;
    return i;
}

void id_set_add(struct id_set *s, uint32_t hash)
{
    s->slots[place(s, hash)] = hash;
}

bool id_set_has(const struct id_set *s, uint32_t hash)
{
    return s->slots[place(s, hash)] == hash;
}
