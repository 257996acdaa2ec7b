/* table_impl.h: what the files of the trace table share. Nobody else includes it. */
#pragma once

#include "trace/decided.h"
#include "trace/slabs.h"
#include "trace/slots.h"
#include "trace/trace.h"

enum { CHUNK_REFS = 4 };

/* The references of a trace lie in chunks of four: one that ends early wastes little. */
struct chunk {
    struct span_ref refs[CHUNK_REFS];
    uint32_t next;
};

/* Lists of traces, oldest first. BY_FIRST holds every waiting trace, BY_ROOT those of them with a
 * root. The others use the links of BY_FIRST: READY has those that are due at once, ASIDE those
 * that were set aside. */
enum list_kind { BY_FIRST, BY_ROOT, READY, ASIDE, LIST_COUNT };

/* SET_ASIDE and those above it are due whatever comes. ROOTED: waiting, in BY_ROOT too. */
enum trace_state { FREE, WAITING, ROOTED, SET_ASIDE, DUE, TAKEN };

struct list {
    uint32_t first, last;
};

/* Hashes of the ids of the spans that are added next: of spans[first] up to `end`. */
enum { AHEAD_MAX = 96 }; /* most requests */
struct ahead {
    const struct scan_span *spans;
    size_t first, end;
    uint64_t hashes[AHEAD_MAX];
};

/* What waits in one slab of traces. */
struct slab_sum {
    uint64_t spans, logs, bytes;
};

struct trace_table {
    struct trace_limits limits;
    struct hash_key key;
    struct slabs traces, chunks;
    struct slab_sum *sums; /* by slab of traces */
    uint32_t counted;      /* slab that is counted next, by looking at each of its traces */
    size_t counted_max;    /* traces that are looked at for one call of trace_table_stats */
    struct slots slots;
    struct decided decided;
    struct list lists[LIST_COUNT];
    size_t waiting;     /* in BY_FIRST or READY */
    size_t aside;       /* in ASIDE */
    size_t reserved;    /* additions that the limiter has let pass */
    uint32_t sweep;     /* trace that trace_table_sweep looks at next; 0: none */
    struct trace *last; /* the one added to last: spans of a trace come in runs */
    struct ahead ahead;
};

/* NULL for 0. */
static inline struct trace *trace_at(const struct trace_table *t, uint32_t number)
{
    return number ? slabs_at(&t->traces, number) : NULL;
}

static inline struct trace *trace_list_first(const struct trace_table *t, enum list_kind kind)
{
    return trace_at(t, t->lists[kind].first);
}

void trace_list_append(struct trace_table *t, enum list_kind kind, struct trace *trace);
/* Takes a trace out of the lists it is in. */
void trace_unlist(struct trace_table *t, struct trace *trace);
/* Puts one that is in no list among those that are due at once. */
void trace_make_due(struct trace_table *t, struct trace *trace, enum trace_trigger trigger);
/* From the list that it is in; no other counts change. */
void trace_list_remove(struct trace_table *t, enum list_kind kind, struct trace *trace);
/* Forgets a trace that is in no list and has no references. */
void trace_remove(struct trace_table *t, struct trace *trace);
