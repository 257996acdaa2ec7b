#include "spanmetrics/table.h"

#include "base/err.h"

#include <string.h>

void *start_alloc(struct memory *memory, size_t size)
{
    void *p = counted_realloc_forced(memory, NULL, size);

    if (!p)
        err_no_memory("span metrics");
    memset(p, 0, size);
    return p;
}

/* At most half full, so that who is not found is not found soon. */
void key_table_init(struct key_table *t, struct memory *memory, size_t max)
{
    size_t slots = 64;

    while (slots < 2 * max)
        slots *= 2;
    *t = (struct key_table){.memory = memory, .max = max, .slot_mask = slots - 1};
    t->slots = start_alloc(memory, slots * sizeof(*t->slots));
    t->keys = start_alloc(memory, (max + 1) * sizeof(*t->keys));
    pthread_mutex_init(&t->lock, NULL);
}

void key_table_fini(struct key_table *t)
{
    for (size_t i = 0; i <= t->max; i++)
        counted_free(t->memory, atomic_load(&t->keys[i]));
    counted_free(t->memory, t->keys);
    counted_free(t->memory, t->slots);
    pthread_mutex_destroy(&t->lock);
}

/* The key with these bytes, or NULL; *slot is where it would be. */
static struct key *probe(const struct key_table *t, uint64_t hash, const uint8_t *bytes, size_t len,
                         size_t *slot)
{
    struct key *key;

    for (*slot = hash & t->slot_mask;; *slot = (*slot + 1) & t->slot_mask) {
        key = atomic_load_explicit(&t->slots[*slot], memory_order_acquire);
        if (!key || (key->hash == hash && key->len == len && memcmp(key->bytes, bytes, len) == 0))
            return key;
    }
}

const struct key *key_table_find(const struct key_table *t, uint64_t hash, const uint8_t *bytes,
                                 size_t len)
{
    size_t slot;

    return probe(t, hash, bytes, len, &slot);
}

/* With the lock, of a key that is not there. */
static uint32_t add(struct key_table *t, uint64_t hash, const uint8_t *bytes, size_t len,
                    size_t slot)
{
    uint32_t count = atomic_load_explicit(&t->count, memory_order_relaxed);
    struct key *key = count < t->max ? counted_alloc(t->memory, sizeof(*key) + len) : NULL;

    if (!key)
        return 0;
    key->hash = hash;
    key->number = count + 1;
    key->len = (uint32_t)len;
    memcpy(key->bytes, bytes, len);
    atomic_store_explicit(&t->keys[key->number], key, memory_order_release);
    atomic_store_explicit(&t->slots[slot], key, memory_order_release);
    atomic_store_explicit(&t->count, key->number, memory_order_release);
    return key->number;
}

/* Once there is no room left, who is not found need not wait for the lock. */
uint32_t key_table_add(struct key_table *t, uint64_t hash, const uint8_t *bytes, size_t len)
{
    uint32_t number;
    struct key *key;
    size_t slot;

    if (key_table_count(t) >= t->max)
        return 0;
    pthread_mutex_lock(&t->lock);
    key = probe(t, hash, bytes, len, &slot);
    number = key ? key->number : add(t, hash, bytes, len, slot);
    pthread_mutex_unlock(&t->lock);
    return number;
}
