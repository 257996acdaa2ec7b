/* decided.h: remembers the last decisions in 16 bytes each, first in, first out.
 *
 * The trace table's own. Ids are compared by 64 bits of their keyed hash. Equal decisions are held
 * once. Memory is taken as decisions come; it is bounded by the capacity, so the limiter counts it
 * but does not refuse it. One thread.
 */
#pragma once

#include "trace/slabs.h"
#include "trace/trace.h"

enum { DECIDED_RECENT = 256 };

struct decided_entry {
    uint64_t hash;
    uint32_t decision; /* item of `decisions` */
    uint32_t next;     /* in its bucket: position + 1; 0: the last */
};

struct decided {
    struct memory *memory;
    struct decided_entry *entries; /* a ring */
    uint32_t *buckets;             /* position + 1 of the newest in the bucket; 0: none */
    uint32_t capacity, mask;
    uint32_t oldest, count;
    size_t counted;   /* bytes of entries and buckets counted so far */
    uint64_t dropped; /* since the start */
    struct slabs decisions;
    uint32_t recent[DECIDED_RECENT]; /* where equal decisions are looked for */
};

/* capacity: 1 .. 2^30. Start-up only: aborts without memory. */
void decided_init(struct decided *d, size_t capacity, struct memory *memory);
void decided_fini(struct decided *d);

/* Forgets the oldest if it is full. */
void decided_add(struct decided *d, uint64_t hash, const struct trace_decision *decision);
/* NULL: not remembered. Borrowed until the next decided_add. */
const struct trace_decision *decided_find(const struct decided *d, uint64_t hash);

/* Asks the processor for where the hash may be. */
static inline void decided_prefetch(const struct decided *d, uint64_t hash)
{
    __builtin_prefetch(&d->buckets[hash & d->mask]);
}

size_t decided_bytes(const struct decided *d);
