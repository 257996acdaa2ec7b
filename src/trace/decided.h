/* decided.h: remembers the last decisions in 16 bytes each, first in, first out.
 *
 * The trace table's own. Ids are compared by 64 bits of their keyed hash. Equal decisions are held
 * once. Memory is taken as decisions come; it is bounded by the capacity, so the limiter counts it
 * but does not refuse it. One thread.
 *
 * Decisions have numbers that go up. A bucket names its newest one, each entry the one before it in
 * the bucket; a number out of the last `count` ends the chain. So forgetting the oldest touches
 * nothing but its entry, and for an id that was never decided, which most are, the filter answers
 * from one cache line.
 */
#pragma once

#include "base/prefetch.h"
#include "trace/slabs.h"
#include "trace/trace.h"

enum { DECIDED_RECENT = 256 };

struct decided_entry {
    uint64_t hash;
    uint32_t decision; /* item of `decisions` */
    uint32_t before;   /* number of the one before it in the bucket */
};

struct decided_bucket {
    uint32_t newest; /* its number */
    uint32_t filter; /* a bit of each hash since the bucket last had none alive; 0: there is none */
};

struct decided {
    struct memory *memory;
    struct decided_entry *entries; /* a ring, by number modulo capacity */
    struct decided_bucket *buckets;
    uint32_t capacity, mask; /* of buckets: half as many as entries, or more */
    uint32_t next;           /* number of the next decision */
    uint32_t wrap;           /* numbers go up to here: a multiple of the capacity */
    uint32_t count;
    size_t counted;   /* bytes of entries counted so far */
    uint64_t dropped; /* since the start */
    struct slabs decisions;
    uint32_t recent[DECIDED_RECENT]; /* where equal decisions are looked for */
};

static inline uint32_t decided_filter_bit(uint64_t hash)
{
    return UINT32_C(1) << (hash >> 32 & 31); /* the top ones name the worker */
}

/* capacity: 0 .. 2^30. Start-up only: ends without memory. */
void decided_init(struct decided *d, size_t capacity, struct memory *memory);
void decided_fini(struct decided *d);

/* Forgets the oldest if it is full. */
void decided_add(struct decided *d, uint64_t hash, const struct trace_decision *decision);
/* NULL: not remembered. Borrowed until the next decided_add. */
const struct trace_decision *decided_find(const struct decided *d, uint64_t hash);

/* Asks the processor for the bucket of a hash. */
static inline void decided_prefetch(const struct decided *d, uint64_t hash)
{
    prefetch(&d->buckets[hash & d->mask]);
}

/* Asks for the entry that decided_find looks at, once the bucket is there. */
static inline void decided_prefetch_entry(const struct decided *d, uint64_t hash)
{
    const struct decided_bucket *bucket = &d->buckets[hash & d->mask];

    if (bucket->filter & decided_filter_bit(hash))
        prefetch(&d->entries[bucket->newest % d->capacity]);
}

size_t decided_bytes(const struct decided *d);
