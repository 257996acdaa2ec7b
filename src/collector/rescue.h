/* rescue.h: a dropped trace that is sent after all, as long as the journal still has its spans.
 *
 * Main reads the frames from the files and hands them to worker 0, which composes them as it does
 * kept traces and commits a late record that keeps them: policy and reason are "rescue", "rescued".
 * Log records that followed it leave behind its spans, in a record of their own. What was decided
 * stays: spans and log records remain counted as dropped, and those that come later are dropped
 * too.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct collector;
struct rescue;
struct worker;

/* The control socket's command, on main: "TRACE_ID ORDINAL...": the trace, and which segments of
 * frames to look at (at most RESCUE_SEGMENTS of them). Says in `out` how many spans and log records
 * are on their way (two size_t, as RESCUE_ANSWER has them), or why none is. */
enum { RESCUE_SEGMENTS = 32 };
#define RESCUE_ANSWER "rescuing %zu spans, %zu log records\n"
enum err collector_rescue(struct collector *c, struct slice arguments, struct buf *out) MUST_CHECK;

/* Takes what main has handed over. True: there was no room, try again. Worker 0's alone. */
bool rescue_step(struct worker *w);
void rescue_free(struct rescue *r); /* NULL is allowed */
