/* decide.h: from a due trace to its commit record: views, policies, where, compose.
 *
 * Belongs to one worker. References of a decided trace are released when the journal has
 * committed its record.
 */
#pragma once

#include "collector/worker.h"

struct decider;

/* ERR_CONFIG with a sentence. Owned by the caller. */
enum err decider_new(struct worker *w, struct decider **out, struct err_info *info) MUST_CHECK;
void decider_free(struct decider *d);

enum decide_result {
    DECIDE_DONE,
    DECIDE_NO_ROOM,  /* in the journal or memory, now: the trace was put back */
    DECIDE_NOT_HERE, /* its bodies are on disk and asked for: the trace was set aside */
};
/* Decides a taken trace and hands its record on. */
enum decide_result decider_decide(struct decider *d, struct trace *trace, uint64_t now_ns);

/* Room for `count` late spans; false over the memory limit. */
bool decider_reserve_late(struct decider *d, size_t count);
/* The same whatever the limit. False: the kernel has no memory. */
bool decider_force_late(struct decider *d, size_t count);
/* A late span, or log record: queued, in reserved room, until decider_step hands it on as its trace
 * was; or, of a dropped trace and without files to say so in, over at once. */
void decider_add_late(struct decider *d, const struct scan_span *s, frame_id frame,
                      const struct trace_decision *decision);

/* All spans of `frame` were added: those of each trace stand together now, so that one record says
 * of all of them that they are done. */
void decider_group_late(struct decider *d, frame_id frame);

/* Hands on late spans and releases what is committed, for half a millisecond. True: something is
 * left to do. */
bool decider_step(struct decider *d);

/* References of decided traces that are to be handed on, or whose commit is awaited: their memory
 * is not free yet. */
uint64_t decider_releasing(const struct decider *d);

/* Says how resources are stamped. Borrowed from the decider. */
void decider_edit_resource(const struct decider *d, struct compose_edits *e);
/* The label of what no policy judged. */
uint16_t decider_label_none(const struct decider *d);

/* Late spans that wait here, and log records of decided traces. */
uint64_t decider_pending(const struct decider *d);
/* The log records among them. */
uint64_t decider_pending_logs(const struct decider *d);
