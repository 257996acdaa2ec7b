#include "trace/decided.h"

#include "base/pages.h"

#include <assert.h>

enum { COUNTED_STEP = 64 << 10 };

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

/* Counts the entries in steps as they are first used, and all buckets from the start: a thousand
 * decisions touch every page of them, and under pressure that would be a jump over the limit. */
static void count_memory(struct decided *d)
{
    size_t used = buckets_bytes(d) + d->count * sizeof(*d->entries);
    size_t want = (used + COUNTED_STEP - 1) / COUNTED_STEP * COUNTED_STEP;

    if (want <= d->counted)
        return;
    memory_add(d->memory, want - d->counted);
    d->counted = want;
}

void decided_init(struct decided *d, size_t capacity, struct memory *memory)
{
    assert(capacity > 0 && capacity <= (size_t)1 << 30);
    *d = (struct decided){.memory = memory, .capacity = (uint32_t)capacity, .mask = 63};
    while (d->mask + 1 < d->capacity)
        d->mask = d->mask * 2 + 1;
    d->entries = pages_map(entries_bytes(d));
    d->buckets = pages_map(buckets_bytes(d));
    slabs_init(&d->decisions, sizeof(struct shared), memory, true);
    count_memory(d);
}

void decided_fini(struct decided *d)
{
    slabs_fini(&d->decisions);
    pages_unmap(d->entries, entries_bytes(d));
    pages_unmap(d->buckets, buckets_bytes(d));
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

static void forget_oldest(struct decided *d)
{
    struct decided_entry *entry = &d->entries[d->oldest];
    uint32_t *link = &d->buckets[entry->hash & d->mask];

    while (*link != d->oldest + 1)
        link = &d->entries[*link - 1].next;
    *link = entry->next;
    unshare(d, entry->decision);
    d->oldest = d->oldest + 1 == d->capacity ? 0 : d->oldest + 1;
    d->count--;
    d->dropped++;
}

void decided_add(struct decided *d, uint64_t hash, const struct trace_decision *decision)
{
    uint32_t item = share(d, decision), at;
    uint32_t *bucket = &d->buckets[hash & d->mask];

    if (!item) { /* the kernel has no memory */
        d->dropped++;
        return;
    }
    if (d->count == d->capacity)
        forget_oldest(d);
    at = (uint32_t)(((uint64_t)d->oldest + d->count) % d->capacity);
    d->entries[at] = (struct decided_entry){hash, item, *bucket};
    *bucket = at + 1;
    d->count++;
    count_memory(d);
}

const struct trace_decision *decided_find(const struct decided *d, uint64_t hash)
{
    for (uint32_t at = d->buckets[hash & d->mask]; at; at = d->entries[at - 1].next) {
        const struct decided_entry *entry = &d->entries[at - 1];

        if (entry->hash == hash)
            return &((const struct shared *)slabs_at(&d->decisions, entry->decision))->decision;
    }
    return NULL;
}

size_t decided_bytes(const struct decided *d)
{
    return d->counted + slabs_bytes(&d->decisions);
}
