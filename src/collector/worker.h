/* worker.h: one worker: its connections, its share of the traces, its policies.
 *
 * Data path: receive -> [worker: stage, scan, journal, inboxes] -> table -> policies -> compose ->
 * journal. A worker's thread owns everything here; other threads reach it through its inbox rings,
 * the ring of accepted sockets and the few atomics in struct worker_shared.
 */
#pragma once

#include "collector/answers.h"
#include "collector/inbox.h"
#include "collector/ledger.h"
#include "collector/pass.h"
#include "collector/rules.h"
#include "collector/setup.h"
#include "config/config.h"
#include "export/compose.h"
#include "policy/policy.h"
#include "receive/receive.h"
#include "spanmetrics/audit.h"
#include "trace/trace.h"

enum { MAX_WORKERS = 256 }; /* an owner's number is a byte */

/* The life of the collector; every thread reads it at each step. */
enum phase {
    PHASE_RECOVERING, /* nothing listens but the admin listener; there are no threads */
    PHASE_RUNNING,
    PHASE_DRAINING, /* no new requests; open ones are answered */
    PHASE_DECIDING, /* what waits is decided (trigger shutdown); not if it is kept */
    PHASE_FLUSHING, /* exporters send what is queued, or only end what they have begun */
    PHASE_STOPPED,
};

/* What all workers of one collector share. Made before the threads, read-only but for the atomics.
 */
struct worker_shared {
    const struct config *config; /* of the start; what a reload may change is in rules */
    struct memory *memory;
    struct journal *journal;
    enum journal_ack ack;
    bool keeps;            /* at shutdown what waits is left for the next start */
    struct export *export; /* for export_is_refusing */
    struct policy_shared *policies;
    struct net *net;
    const struct clock *clock;
    struct hash_key key;             /* of owners and tables */
    unsigned count;                  /* workers */
    _Atomic int phase;               /* enum phase */
    _Atomic unsigned closed;         /* how often listeners were closed */
    _Atomic(struct rescue *) rescue; /* from main to worker 0: see rescue.h; NULL: none waits */
    struct loop *main_loop, *builder_loop;
    struct spanmetrics *span_metrics, *service_graph; /* NULL: off */
    struct audit *audit;                              /* NULL: off */
    bool gathers; /* at the next rendezvous workers hand over what they counted */
    _Atomic(struct span_metrics_body *) span_bodies; /* from main to worker 0; NULL: none wait */
    struct worker **workers;
};

/* What the door dropped of one body, by label of policy_shared.filters. */
struct door {
    uint32_t *tally;
    uint16_t *labels; /* of the tally: those that are not 0 */
    size_t label_count;
    uint16_t head_label; /* of head_sampling */
};

/* An accepted socket on its way to a worker. */
struct accepted {
    int fd;
    struct receive_port *port; /* a reference */
};

struct worker {
    struct worker_shared *shared;
    unsigned index;
    struct loop *loop;
    struct rules *rules;
    _Atomic(struct rules *) next_rules; /* from the builder; NULL: none */
    _Atomic(struct rules *) past_rules; /* back to the builder; NULL: none */
    struct receive *receive;
    struct receive_sink sink;
    struct journal_writer *journal;
    struct trace_table *table;
    struct answers answers;
    struct ring accepted; /* from main */
    struct ring *inboxes; /* [count], by sender; inboxes[index] stays empty */

    struct slice staged;     /* the body that receive is filling */
    struct scan_span *spans; /* scratch of the scan */
    uint8_t *owners;         /* of each of them, with several workers */
    uint32_t *series;        /* of each of them, with span_metrics */
    size_t span_capacity;
    struct spanmetrics_recorder *recorder; /* NULL: no span_metrics */
    struct spanmetrics_recorder *edges;    /* NULL: no service_graph */
    struct audit_recorder *audit;          /* NULL: no sampling_audit */

    struct door door;              /* door.h */
    size_t added;                  /* spans since the last step */
    struct decider *decider;       /* decide.h */
    struct evacuation *evacuation; /* evacuate.h */
    struct remembered *remembered; /* remembered.h; NULL: with files there is no need */
    struct pass pass;              /* metrics and logs */
    struct worker_counts counts;
    bool draining;   /* receive was told */
    unsigned closed; /* the last of shared->closed that it was told */

    _Atomic uint64_t open_bytes; /* for main: who gets the next connection */
    _Atomic uint64_t open_connections;
    _Atomic bool is_drained; /* receive is idle, after the phase asked for it */
    _Atomic bool is_decided; /* nothing waits, after the phase asked for it */

    struct worker_counts snapshot_counts; /* copied at a rendezvous */
    struct trace_stats snapshot_table;
    struct receive_stats snapshot_receive;
    uint64_t snapshot_pending, snapshot_pending_logs;
};

/* Takes `rules`, also when it fails. ERR_CONFIG with a sentence. */
enum err worker_new(struct worker_shared *shared, unsigned index, struct loop *loop,
                    struct rules *rules, struct worker **out, struct err_info *info) MUST_CHECK;
void worker_free(struct worker *w);

/* The worker's body: sockets handed over, inboxes, paused requests, decisions. */
uint64_t worker_step(struct worker *w, uint64_t now_ns);

/* Copies the counts and counts what is held, into the snapshot_ fields; at a rendezvous. */
void worker_snapshot(struct worker *w);
