/* audit.h: whether the traces that are kept stand for those that came.
 *
 * Data path: trace table -> policies -> [audit], beside the decision. For each operation that
 * traces begin with it counts the traces that were decided, and beside them what a backend would
 * count: of each kept trace as many as its th says that it stands for. Honest sampling makes the
 * two differ by chance alone; by how much is known from the probabilities (Horvitz and Thompson
 * 1952). What was dropped for certain is no chance: it is counted by the policy that did it.
 *
 * Workers count in recorders that they hand over as those of spanmetrics.h. At most max_operations
 * have a key; the traces of all others are counted together.
 */
#pragma once

#include "spanmetrics/spanmetrics.h"

enum {
    AUDIT_DROPS = 4,    /* policies that are named for an operation; others are summed up */
    AUDIT_NOTABLE = 5,  /* standard errors that chance hardly ever makes */
    AUDIT_WINDOW_S = 60 /* what is said is of this to twice this time */
};

struct audit_options {
    size_t max_operations;
    bool all_spans; /* a trace counts for each operation in it, not only for that of its entry */
};

/* What became of a trace. */
struct audit_fate {
    bool kept;          /* and on its way to an exporter */
    double probability; /* of that; 0 or 1: for certain; < 0: nobody knows, it counts as one */
    uint16_t label;     /* of who decided */
    bool goes_nowhere;  /* not kept only since no exporter gets it; `label` says why */
};

struct audit;
struct audit_recorder;

/* Start-up only: aborts without memory. All is counted in `memory`. */
struct audit *audit_new(const struct audit_options *options, struct memory *memory,
                        struct hash_key key, unsigned recorders, uint64_t now_ns);
void audit_free(struct audit *a); /* NULL is allowed */

/* ---- a worker's side ---- */

struct audit_recorder *audit_recorder(struct audit *a, unsigned i);
/* What people may see of a service or the name of an operation; borrowed until the next call. */
typedef struct slice audit_shown_fn(void *arg, struct slice text);
/* Operations are told apart by what `shown` leaves of their names; without it by all of them. */
void audit_show_by(struct audit_recorder *r, audit_shown_fn *shown, void *arg);
bool audit_wants_all_spans(const struct audit_recorder *r);
/* Counts a decided trace by the span that it begins with, of that service; an empty one is unknown.
 */
void audit_count(struct audit_recorder *r, struct slice service, struct slice entry,
                 const struct audit_fate *fate);
/* The same with options.all_spans. */
void audit_count_all(struct audit_recorder *r, const struct spanmetrics_trace *trace,
                     const struct audit_fate *fate);
/* Gives what was counted to the main thread; at a rendezvous. */
void audit_hand_over(struct audit_recorder *r);

/* ---- the main thread's side ---- */

/* Adds what the recorders have handed over. now_ns never goes back; at least each few seconds. */
void audit_gather(struct audit *a, uint64_t now_ns);

struct audit_drop {
    uint16_t label; /* of who dropped them for certain, or of why they go nowhere */
    uint64_t traces;
};

/* An operation within the window. */
struct audit_operation {
    uint32_t number;
    struct slice service, name; /* borrowed from the audit; data NULL: all others together */
    uint64_t decided, kept;     /* traces */
    uint64_t unknown;           /* of those kept: without a th */
    double counted;             /* what a backend makes of those kept */
    double standard_errors;     /* of counted - decided */
    double unexplained;         /* the same without what was dropped for certain, or goes nowhere */
    uint64_t dropped;           /* for certain, or goes nowhere */
    size_t drop_count;
    struct audit_drop drops[AUDIT_DROPS]; /* most first */
};
/* Those whose counts are the furthest off, worst first; returns how many. */
size_t audit_worst(const struct audit *a, struct audit_operation *out, size_t max);
size_t audit_operations(const struct audit *a); /* that have a key */
