/* trace.h: holds references to spans until their trace can be decided, and remembers decisions.
 *
 * Data path: journal -> [trace table] -> policies. One table belongs to one worker; nothing here
 * locks, blocks, logs or reads a clock: time comes in as an argument. It knows references, not
 * bytes: a span costs 33 bytes, a trace 128 and its slots (10 to 21, more for a while as they
 * grow).
 *
 * Log records may wait here beside the spans of their trace (SCAN_LOG). They hold up nothing and
 * decide nothing: sums, root and `complete` are of spans alone.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/memory.h"
#include "otlp/scan.h"

enum trace_trigger {
    TRIGGER_WAIT,
    TRIGGER_ROOT,
    TRIGGER_PRESSURE,
    TRIGGER_TOO_LARGE,
    TRIGGER_SHUTDOWN,
};
const char *trace_trigger_name(enum trace_trigger t); /* "wait", "root", ... */

/* The worker that a trace belongs to. All workers use one key. Takes the high half of the hash, so
 * that the table, which takes the low half, is filled evenly. */
static inline unsigned trace_owner(struct hash_key key, const uint8_t id[16], unsigned workers)
{
    return (unsigned)((hash_bytes(key, id, 16) >> 32) * workers >> 32);
}

struct trace_limits {
    uint64_t decision_wait_ns;   /* from the first span; > 0 */
    uint64_t wait_after_root_ns; /* from the root, never later than the first; NEVER_NS: off */
    size_t num_traces;           /* 0: bounded by memory alone */
    size_t max_spans; /* of one trace, and as many log records; > 0: one with more is due at once */
    size_t max_bytes; /* of one trace, log records included; > 0 */
    size_t decision_cache; /* decisions remembered by this table; 0 .. 2^30 */
    struct memory *memory;
};

/* What a table takes at its start to find so many decisions by; each takes 16 bytes when it comes.
 */
size_t trace_limits_index_bytes(size_t decision_cache);

/* Where a span lies: 20 bytes of reference, and 12 from which `complete` and `entry` come. */
struct span_ref {
    uint32_t frame;
    uint32_t offset, len;
    uint32_t resource_offset, scope_offset;
    uint32_t id_hash;     /* of its own id; not 0; 0: a log record */
    uint32_t parent_hash; /* of its parent's id, by the same hash; 0: a root */
    uint32_t start;       /* from the trace's base, in units of 2^10 ns, saturated; 0: unknown */
};

/* A trace taken out for its decision. Borrowed from the table until trace_table_decided or
 * trace_table_put_back; nothing may be added to it in between. */
struct trace {
    uint8_t id[16];
    uint64_t first_ns; /* now_ns of its first span or log record */
    struct scan_sums sums;
    uint32_t spans;     /* 0: only logs came */
    uint32_t logs;      /* log records */
    uint32_t log_bytes; /* of them; saturated */
    enum trace_trigger trigger;
    bool has_root; /* a span without a parent came */
    bool complete; /* the root is here and so is every parent */
    uint8_t state; /* the table's own, as are the rest */
    uint32_t number;
    uint32_t first_chunk, last_chunk;
    struct {
        uint32_t before, after;
    } links[2];
    uint64_t root_ns; /* now_ns of its first root */
    uint64_t base_ns; /* what span_ref.start counts from */
    uint64_t hash;
};

/* References of both kinds. */
static inline uint32_t trace_ref_count(const struct trace *trace)
{
    return trace->spans + trace->logs;
}

/* What is remembered of a decision, for spans that come after it. */
struct trace_decision {
    bool keep;
    uint16_t label;
    uint32_t config_version;
    uint64_t threshold; /* T for late spans; UINT64_MAX: none is written */
    double probability;
    uint64_t exporters; /* bit mask: where its spans go */
};

struct trace_table;

/* Start-up only: ends without memory. `limits` is copied. */
struct trace_table *trace_table_new(const struct trace_limits *limits, struct hash_key key);
void trace_table_free(struct trace_table *t);
/* From now on these hold, also for what waits; decision_cache and memory stay as they were. */
void trace_table_set_limits(struct trace_table *t, const struct trace_limits *limits);
uint64_t trace_table_wait_ns(const struct trace_table *t); /* decision_wait */

enum trace_add { TRACE_ADDED, TRACE_LATE, TRACE_NO_MEMORY };

/* Room for the next `spans` additions, whatever traces they are of: the limiter does not refuse
 * them. False over the limit; nothing is changed. */
bool trace_table_reserve(struct trace_table *t, size_t spans) MUST_CHECK;

/* The same whatever the limiter says, for spans that were acknowledged before. False: the kernel
 * has no memory. */
bool trace_table_force(struct trace_table *t, size_t spans) MUST_CHECK;

/* Adds one span of frame `frame`. TRACE_LATE: its trace is decided, *late says how; the caller acts
 * on it and owns the reference. TRACE_NO_MEMORY: nothing stored. now_ns never goes back. */
enum trace_add trace_table_add(struct trace_table *t, const struct scan_span *s, uint32_t frame,
                               uint64_t now_ns, struct trace_decision *late);

/* Spans of one frame. */
struct trace_spans {
    const struct scan_span *spans;
    size_t count;
    uint32_t frame;
    uint64_t now_ns;
};

/* Adds in->spans[from], and so on up to the first that is not simply added; returns its index
 * (in->count: all were) and why in *result: as trace_table_add for that one. Go on behind it, with
 * the same spans; `from` is 0 at first. With many traces waiting this costs half of
 * trace_table_add one by one. */
size_t trace_table_add_all(struct trace_table *t, const struct trace_spans *in, size_t from,
                           enum trace_add *result, struct trace_decision *late);

/* Takes the trace that has been due longest, or NULL. Before them come traces that were put back,
 * those over max_spans or max_bytes (trigger too_large), and the oldest while more than num_traces
 * wait (pressure). O(1), but for `complete`, which is O(spans). */
struct trace *trace_table_take_due(struct trace_table *t, uint64_t now_ns);
/* Takes the oldest waiting trace whatever its deadline, or NULL if none waits. One that is due for
 * another reason already comes first and keeps its trigger. */
struct trace *trace_table_take_oldest(struct trace_table *t, enum trace_trigger trigger);
/* Puts a taken trace back, due at once: its decision could not be handed on. */
void trace_table_put_back(struct trace_table *t, struct trace *trace);
/* Sets a taken trace aside: its decision needs what is not here. It is not due until
 * trace_table_resume; spans are added to it meanwhile. */
void trace_table_set_aside(struct trace_table *t, struct trace *trace);
/* Makes the `most` that were set aside first due at once, as they were; returns how many. */
size_t trace_table_resume(struct trace_table *t, size_t most);
size_t trace_table_aside(const struct trace_table *t);

/* A look at where the spans of waiting traces lie, that changes it. */
struct trace_sweep {
    uint64_t until_ns;   /* traces whose first span came after this are not looked at, */
    uint64_t not_due_ns; /* nor those that are due before this: they are decided soon */
    /* For each span. False: enough for now: this trace comes first when it goes on. The references
     * stay where they are until something is added, taken or decided. */
    bool (*ref)(void *arg, struct span_ref *ref);
    void *arg;
};
/* The next sweep begins with the oldest trace. */
void trace_table_begin_sweep(struct trace_table *t);
/* Looks at the next traces, at most `most`, oldest first. True: there are more. */
bool trace_table_sweep(struct trace_table *t, const struct trace_sweep *s, size_t most);

/* Copies the references of a taken trace into `refs` (room for trace_ref_count): first
 * those of spans, then those of log records. */
void trace_refs(const struct trace_table *t, const struct trace *trace, struct span_ref *refs);
/* Remembers the decision and forgets the spans; the caller has copied the references. */
void trace_table_decided(struct trace_table *t, struct trace *trace,
                         const struct trace_decision *decision);

/* Forgets a taken trace, and remembers nothing: the next of its spans begins it anew. */
void trace_table_forget(struct trace_table *t, struct trace *trace);

/* Remembers a decision of before the start. */
void trace_table_remember(struct trace_table *t, const uint8_t id[16],
                          const struct trace_decision *decision);
/* How a trace was decided, if that is remembered; NULL if not. Borrowed until the next decision. */
const struct trace_decision *trace_table_remembered(const struct trace_table *t,
                                                    const uint8_t id[16]);
/* No trace that waits for its time is due before due_ns; what is due for another reason is. Later
 * additions are not older than due_ns less either wait. */
void trace_table_postpone(struct trace_table *t, uint64_t due_ns);

/* When trace_table_take_due next gives one; 0: now; NEVER_NS: nothing waits, or only what was
 * set aside. */
uint64_t trace_table_next_due_ns(const struct trace_table *t);

struct trace_stats {
    uint64_t traces, spans; /* waiting, taken ones included; counted from the data */
    uint64_t logs;          /* log records that wait with them */
    uint64_t bytes;         /* of Span messages waiting */
    uint64_t remembered;    /* decisions */
    uint64_t forgotten;     /* decisions dropped from the cache since the start */
    uint64_t memory;        /* bytes held, as counted in struct memory */
};
/* For a rendezvous. Counts the data: up to 100,000 traces each time; where there are more, the
 * others as they were counted when spans came and went, and then the next ones, so that nobody
 * waits for a walk through all. */
void trace_table_stats(struct trace_table *t, struct trace_stats *s);
