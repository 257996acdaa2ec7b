/* decider.h: the inside of a worker's decider, shared by decide.c (decisions), late.c (late spans),
 * logs.c (log records that follow their traces), refs.c (references and scratch), kept.c
 * (processors), audited.c (what is audited), evacuate.c (what moves), rescue.c, rescue_send.c and
 * details.c (what only files want). Others see decide.h.
 */
#pragma once

#include "base/fifo.h"
#include "collector/decide.h"

/* A late span that is to be handed on; or a log record of a decided trace, late or not. */
struct late_span {
    uint8_t trace_id[16];
    struct trace_decision decision;
    frame_id frame;
    uint32_t offset, len, resource_offset, scope_offset;
    bool is_log;
};

/* References to give back once decision `sequence` is committed. */
struct release {
    uint64_t sequence;
    frame_id frame;
    uint32_t count;
};

struct decider {
    struct worker *worker;
    struct fifo late;     /* struct late_span */
    size_t late_logs;     /* log records in it */
    struct fifo releases; /* struct release */
    uint64_t releasing;   /* references in them */
    size_t forced_bytes;  /* of payloads that no memory was left for, since the last were written */
    struct span_ref *refs; /* scratch, each with room for `capacity` spans */
    struct compose_span *kept;
    size_t capacity;
    struct processed processed; /* what the processors made of the trace that is decided */
    uint64_t unix_ns;           /* the time of day at unix_now_ns: many are decided in a step */
    uint64_t unix_now_ns;
    uint16_t label_none;
    uint16_t label_logs;                        /* of log records of which no span came */
    uint16_t label_processors, label_exporters; /* of kept traces that nobody gets */
    bool has_log_body;     /* the two below are of the record that is handed on */
    struct buf log_body;   /* its log records */
    struct slice log_left; /* what the processors left of it */
    uint32_t entry;        /* of the trace that is decided: its only root, or POLICY_ROOT_UNKNOWN */
    struct {
        uint64_t threshold, head;
        double probability;
    } drawn;           /* of the last draw that was audited */
    bool has_details;  /* there are files */
    uint64_t *sources; /* scratch, as refs; NULL without files */
    struct decision_details details;
};

/* ---- refs.c ---- */

/* Room for `spans` in refs and kept, whose content is lost when they grow. False over the memory
 * limit. */
bool decider_scratch(struct decider *d, size_t spans) MUST_CHECK;
void decider_free_scratch(struct decider *d);

/* The span of refs[i], where it lies: what policies look at. `decider` is a struct decider. */
struct span_view decider_span_at(void *decider, uint32_t i);

/* Fills kept with views of the first `count` refs. */
void decider_view(struct decider *d, size_t count);

/* Queues `count` references of one frame until decision `sequence` is committed; there is room in
 * releases. */
void decider_queue_release(struct decider *d, uint64_t sequence, frame_id frame, uint32_t count);

/* The same of the first `count` of `refs`. */
void decider_queue_releases(struct decider *d, uint64_t sequence, const struct span_ref *refs,
                            uint32_t count);

/* Gives back the references of what is committed: all, or a part that lasts until then, since much
 * of it comes at once when a disk goes on that stood still. True: there are others. */
bool decider_release_committed(struct decider *d, uint64_t until_ns);

/* ---- decide.c ---- */

/* What th is written: design, step 5 of the path of a span. */
void decider_edit_threshold(const struct decider *d, uint64_t threshold, bool has_trace_state,
                            struct compose_edits *e);

/* The exporters whose `where` holds, as a bit mask. */
uint64_t decider_exporters(const struct decider *d, const struct policy_trace *p);

/* What is spliced into a kept trace's spans. */
void decider_edits(const struct decider *d, const struct policy_trace *p,
                   const struct policy_verdict *v, struct compose_edits *e);

/* A little may pass the limiter now, for what is composed: deciding lets memory go. */
bool decider_may_pass(struct decider *d);

/* Composes the spans in kept, or what is in log_left (a keep), and hands the record on. Returns its
 * sequence; 0: no room, nothing was done. */
uint64_t decider_hand_on(struct decider *d, const struct decision_record *r,
                         const struct decision_details *details, const struct compose_edits *edits);

/* ---- kept.c ---- */

/* Runs the processors over the spans in kept: p describes what is left then, *entry is its entry.
 * False: no memory now. decider_end_processing when it is composed. */
bool decider_process(struct decider *d, struct policy_trace *p, uint32_t *entry, uint64_t now_ns);
/* Frees what the processors made. */
void decider_end_processing(struct decider *d);
/* Counts what they dropped; returns how many spans. */
uint32_t decider_count_filtered(struct decider *d);

/* ---- details.c ---- */

/* True: the bodies of the first `count` refs are in memory. False: they are asked for. */
bool decider_has_bodies(struct decider *d, size_t count);
/* Of the decision on the first `count` refs, borrowed until the next; NULL without files. */
const struct decision_details *decider_details(struct decider *d, size_t count, bool late);

/* ---- audited.c ---- */

/* Before the policies judge. */
void decider_audit_begin(struct decider *d, const struct policy_trace *p);
/* Counts a decision that stands; its references are still held. */
void decider_audit(struct decider *d, const struct policy_verdict *v,
                   const struct decision_record *r);

/* ---- logs.c ---- */

/* The log records of a trace that is decided so, and is in refs: queued, in room that there is, or
 * given back once decision `sequence` is committed. */
void decider_keep_logs(struct decider *d, const struct trace *trace,
                       const struct trace_decision *decision);
void decider_drop_logs(struct decider *d, const struct trace *trace, uint64_t sequence);
/* Ends the wait of log records of which no span came: they are kept, and nothing is remembered. */
void decider_end_logs_alone(struct decider *d, struct trace *trace);
/* Who gets log records of a trace that went to these exporters, as a bit mask. */
uint64_t decider_log_exporters(const struct decider *d, uint64_t of_trace);
/* Makes what leaves of the log records in kept ready, and sets it right in the record. False: no
 * memory now. decider_end_logs when it is handed on, or could not be. */
bool decider_process_logs(struct decider *d, struct decision_record *r) MUST_CHECK;
void decider_end_logs(struct decider *d, bool taken);
/* Counts those of a record that is handed on. */
void decider_count_logs(struct decider *d, const struct decision_record *r);

/* ---- late.c ---- */

/* Hands on late spans, run by run, until there is no room, or until then: processors in Lua may
 * look at each. */
void decider_hand_on_late(struct decider *d, uint64_t until_ns);
