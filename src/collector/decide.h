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

/* Decides a taken trace and hands its record on. False: the journal or memory has no room now; the
 * trace was put back. */
bool decider_decide(struct decider *d, struct trace *trace, uint64_t now_ns);

/* Room for `count` late spans; false over the memory limit. */
bool decider_reserve_late(struct decider *d, size_t count);
/* A late span of a kept trace: queued, in reserved room, until decider_step hands it on. */
void decider_add_late(struct decider *d, const struct scan_span *s, frame_id frame,
                      const struct trace_decision *decision);

/* Hands on late spans and releases what is committed. True: something is left to do. */
bool decider_step(struct decider *d, uint64_t now_ns);

/* References of decided traces whose commit is awaited: their memory is not free yet. */
uint64_t decider_releasing(const struct decider *d);

/* Late spans that wait here. */
uint64_t decider_pending(const struct decider *d);
