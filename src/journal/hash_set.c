#include "journal/hash_set.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 4096 };

static size_t slot_of(const struct hash_set *s, uint64_t hash)
{
    size_t i = hash & s->mask;

    while (s->slots[i] && s->slots[i] != hash)
        i = (i + 1) & s->mask;
    return i;
}

static bool grow(struct hash_set *s)
{
    struct hash_set old = *s;
    size_t size = old.slots ? (old.mask + 1) * 2 : FIRST_SLOTS;
    uint64_t *slots = calloc(size, sizeof(*slots));

    if (!slots)
        return false;
    s->slots = slots;
    s->mask = size - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i])
            slots[slot_of(s, old.slots[i])] = old.slots[i];
    free(old.slots);
    return true;
}

bool hash_set_add(struct hash_set *s, uint64_t hash)
{
    size_t i;

    if ((!s->slots || s->count * 2 > s->mask) && !grow(s)) {
        s->failed = true;
        return true;
    }
    i = slot_of(s, hash);
    if (s->slots[i])
        return false;
    s->slots[i] = hash;
    s->count++;
    return true;
}

bool hash_set_has(const struct hash_set *s, uint64_t hash)
{
    return s->slots && s->slots[slot_of(s, hash)];
}

void hash_set_fini(struct hash_set *s)
{
    free(s->slots);
    *s = (struct hash_set){0};
}
