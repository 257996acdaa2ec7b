/* ledger.h: what each worker counts, and the snapshot in which the ledgers balance.
 *
 * A worker counts in its own block without atomics; a snapshot is taken at a rendezvous
 * (rendezvous.h), when every thread stands still between two requests, decisions or batches.
 * Spans, since the start:
 *     received + recovered = rejected + filtered + pending + dropped + kept + lost
 * and for each exporter enqueued + recovered = queued + delivered + filtered + lost.
 * Metrics and logs have ledgers of their own in data points and log records, and the same for each
 * exporter. Nothing decides them, but for log records that follow their traces; of others what is
 * in brackets is 0:
 *     received (+ recovered) = rejected + filtered + kept (+ pending + dropped + lost)
 */
#pragma once

#include "base/loop.h"
#include "export/export.h"
#include "journal/journal.h"
#include "policy/labels.h"
#include "receive/receive.h"
#include "trace/trace.h"

enum { TRIGGER_COUNT = 5 };

/* Why acknowledged spans were lost. */
enum lost_reason {
    LOST_MEMORY,    /* the kernel has none */
    LOST_DAMAGED,   /* what the disk gave back is not what was written */
    LOST_DISK_FULL, /* given up to have room */
    LOST_COUNT
};
const char *lost_reason_name(enum lost_reason r); /* "memory", ... */

/* Data points or log records. */
struct passed_counts {
    uint64_t received; /* of scanned requests answered with success, rejected ones included */
    uint64_t rejected;
    uint64_t kept;                /* handed on to the outbox */
    uint64_t filtered[LABEL_MAX]; /* dropped by processors, by label of policy_shared.filters */
    /* Of log records that follow their traces, as of spans. */
    uint64_t recovered;
    uint64_t dropped;
    uint64_t lost[LOST_COUNT];
    uint64_t alone;   /* kept because no span of their trace came; processors may drop some still */
    uint64_t rescued; /* that were counted as dropped before */
};

/* What is short when traces are decided early under pressure; else num_traces is. */
enum early_cause { EARLY_DISK, EARLY_MEMORY, EARLY_COUNT };

/* One worker's block. */
struct worker_counts {
    /* Spans of requests that were taken, rejected ones included. A request that waited too long for
     * the disk is answered with a refusal, but what was taken stays in: it counts here. */
    uint64_t received;
    uint64_t recovered; /* spans that were read back at the start, damaged ones included */
    uint64_t rejected;
    uint64_t lost[LOST_COUNT];
    uint64_t late_kept, late_dropped;   /* spans */
    uint64_t rescued;                   /* spans that were counted as dropped before */
    uint64_t crossed;                   /* spans that took an inbox from another worker */
    uint64_t moved_spans, moved_bytes;  /* out of thin segments: copies */
    uint64_t decided[2][TRIGGER_COUNT]; /* traces: [complete][trigger] */
    uint64_t early[EARLY_COUNT];        /* traces that were taken early for want of it */
    uint64_t kept_traces[LABEL_MAX], dropped_traces[LABEL_MAX];
    uint64_t kept[LABEL_MAX], dropped[LABEL_MAX]; /* spans, by label */
    uint64_t filtered[LABEL_MAX];                 /* by label of policy_shared.filters */
    struct passed_counts passed[OTLP_SIGNALS];    /* of metrics and logs */
    /* How often it stood still to take what a reload made, how often for over a millisecond without
     * its waits for a CPU, and for how long at most. */
    uint64_t exchanges, slow_exchanges, longest_exchange_ns;
};

struct ledger_exporter {
    const char *name;
    uint64_t in_transit; /* decided, on the way to the outbox */
    struct export_stats stats;
    int64_t unaccounted;
};

/* Why exporters gave up items: how metrics call that, and where in struct export_stats it is
 * counted.
 */
struct export_loss {
    const char *name;
    size_t offset;
};
enum { EXPORT_LOSSES = 6 };
extern const struct export_loss export_losses[EXPORT_LOSSES];

/* The count at that offset. */
static inline uint64_t export_count_at(const struct export_stats *s, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)s + offset, sizeof(value));
    return value;
}

/* The ledger of what passes: of metrics, or of logs. Its counts are in ledger.sum.passed. */
struct ledger_passed {
    struct ledger_exporter exporters[EXPORTER_MAX];
    uint64_t pending; /* log records in tables, inboxes and late queues, counted there */
    int64_t unaccounted;
};

/* The sums over all threads at one moment. */
struct ledger {
    uint64_t taken_ns; /* now_ns */
    struct worker_counts sum;
    uint64_t new_traces; /* since the start: decided ones and those that wait */
    uint64_t pending;    /* references in tables, inboxes and late queues, counted there */
    struct trace_stats table;
    struct receive_stats receive;
    struct journal_stats journal;
    uint64_t memory_used, memory_peak;
    size_t labels, filters; /* how many there are */
    size_t exporter_count;
    struct loop_turns turns; /* of the workers: the longest, and all slow ones */
    struct ledger_exporter exporters[EXPORTER_MAX];
    struct ledger_passed passed[OTLP_SIGNALS]; /* of metrics and logs */
    int64_t unaccounted; /* received + recovered - (rejected + filtered + pending + dropped + kept +
                            lost) */
};

/* The sum of the first n counts: of all labels, or of all triggers. */
uint64_t ledger_sum(const uint64_t *counts, size_t n);
/* Adds one worker's block (only labels below `labels` are looked at). */
void ledger_add(struct ledger *l, const struct worker_counts *w);
/* Items of all signals that wait on the way to an exporter or in its queue, counted for each. */
uint64_t ledger_unsettled(const struct ledger *l);
/* Computes the differences from the sums. */
void ledger_balance(struct ledger *l);
