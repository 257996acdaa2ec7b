#include "trace/decided.h"

#include "base/pages.h"

#include <assert.h>
#include <stdlib.h>

enum {
    COUNTED_STEP = 64 << 10,
    ENTRIES_AHEAD = 32, /* what will be forgotten is fetched so many decisions before */
};

/* A decision shared by the traces that got it. */
struct shared {
    struct trace_decision decision;
    uint32_t users;
};

static size_t entries_bytes(const struct decided *d)
{
    return d->capacity * sizeof(*d->entries);
}

static size_t buckets_bytes(const struct decided *d)
{
    return ((size_t)d->mask + 1) * sizeof(*d->buckets);
}

/* Counts the entries in steps as they are first used. All buckets are counted from the start: a
 * thousand decisions touch every page of them, and under pressure that would be a jump over the
 * limit. */
static void count_memory(struct decided *d)
{
    size_t used = d->count * sizeof(*d->entries);
    size_t want = (used + COUNTED_STEP - 1) / COUNTED_STEP * COUNTED_STEP;

    if (want <= d->counted)
        return;
    memory_add(d->memory, want - d->counted);
    d->counted = want;
}

static uint32_t mask_of(size_t capacity)
{
    uint32_t mask = 511;

    while (mask + 1 < capacity / 2)
        mask = mask * 2 + 1;
    return mask;
}

size_t trace_limits_index_bytes(size_t decision_cache)
{
    return ((size_t)mask_of(decision_cache) + 1) * sizeof(struct decided_bucket);
}

void decided_init(struct decided *d, size_t capacity, struct memory *memory)
{
    assert(capacity <= (size_t)1 << 30);
    *d = (struct decided){.memory = memory, .capacity = (uint32_t)capacity};
    d->mask = mask_of(capacity);
    if (capacity > 0) {
        d->wrap = UINT32_MAX / d->capacity * d->capacity;
        d->entries = pages_map(entries_bytes(d));
    }
    d->buckets = pages_new_forced(memory, buckets_bytes(d));
    if (!d->buckets)
        err_no_memory("decided traces");
    pages_touch(d->buckets, buckets_bytes(d)); /* the first decisions would, all over them */
    slabs_init(&d->decisions, sizeof(struct shared), memory, true);
}

void decided_fini(struct decided *d)
{
    slabs_fini(&d->decisions);
    pages_unmap(d->entries, entries_bytes(d));
    pages_free(d->memory, d->buckets, buckets_bytes(d));
    memory_release(d->memory, d->counted);
    *d = (struct decided){0};
}

static bool is_same(const struct trace_decision *a, const struct trace_decision *b)
{
    return a->keep == b->keep && a->label == b->label && a->config_version == b->config_version &&
           a->threshold == b->threshold && a->probability == b->probability &&
           a->exporters == b->exporters;
}

static uint32_t *recent_of(struct decided *d, const struct trace_decision *decision)
{
    uint64_t h = (decision->label + 1) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ decision->threshold ^ decision->config_version) * UINT64_C(0xff51afd7ed558ccd);
    return &d->recent[(h >> 32) % DECIDED_RECENT];
}

/* Two of the same may be held when their place in `recent` was taken in between: harmless. */
static uint32_t share(struct decided *d, const struct trace_decision *decision)
{
    uint32_t *recent = recent_of(d, decision);
    struct shared *shared;

    if (*recent) {
        shared = slabs_at(&d->decisions, *recent);
        if (is_same(&shared->decision, decision)) {
            shared->users++;
            return *recent;
        }
    }
    *recent = slabs_new(&d->decisions);
    if (*recent) {
        shared = slabs_at(&d->decisions, *recent);
        *shared = (struct shared){*decision, 1};
    }
    return *recent;
}

static void unshare(struct decided *d, uint32_t item)
{
    struct shared *shared = slabs_at(&d->decisions, item);
    uint32_t *recent = recent_of(d, &shared->decision);

    if (--shared->users > 0)
        return;
    if (*recent == item)
        *recent = 0;
    slabs_free(&d->decisions, item);
}

/* How many decisions ago this one was made; 0: now, the next one. */
static uint32_t age_of(const struct decided *d, uint32_t number)
{
    return d->next >= number ? d->next - number : d->next + (d->wrap - number);
}

/* Where the oldest is, the next one will be. */
static void forget_oldest(struct decided *d)
{
    const struct decided_entry *entry = &d->entries[d->next % d->capacity];

    prefetch(entry + ENTRIES_AHEAD);
    unshare(d, entry->decision);
    d->count--;
    d->dropped++;
}

void decided_add(struct decided *d, uint64_t hash, const struct trace_decision *decision)
{
    uint32_t item = d->capacity ? share(d, decision) : 0;
    struct decided_bucket *bucket = &d->buckets[hash & d->mask];

    if (!item) { /* none is wanted, or the kernel has no memory */
        d->dropped++;
        return;
    }
    if (d->count == d->capacity)
        forget_oldest(d);
    /* One that is not alive ends the chain, as a number that is not before it does. */
    if (bucket->filter == 0 || age_of(d, bucket->newest) > d->count)
        *bucket = (struct decided_bucket){.newest = d->next};
    d->entries[d->next % d->capacity] = (struct decided_entry){hash, item, bucket->newest};
    *bucket = (struct decided_bucket){d->next, bucket->filter | decided_filter_bit(hash)};
    d->next = d->next + 1 == d->wrap ? 0 : d->next + 1;
    d->count++;
    count_memory(d);
}

const struct trace_decision *decided_find(const struct decided *d, uint64_t hash)
{
    const struct decided_bucket *bucket = &d->buckets[hash & d->mask];
    uint32_t number = bucket->newest, age, younger = 0;

    if (!(bucket->filter & decided_filter_bit(hash)))
        return NULL;
    while ((age = age_of(d, number)) > younger && age <= d->count) {
        const struct decided_entry *entry = &d->entries[number % d->capacity];

        if (entry->hash == hash)
            return &((const struct shared *)slabs_at(&d->decisions, entry->decision))->decision;
        number = entry->before;
        younger = age;
    }
    return NULL;
}

size_t decided_bytes(const struct decided *d)
{
    return d->counted + buckets_bytes(d) + slabs_bytes(&d->decisions);
}
