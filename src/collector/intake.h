/* intake.h: how spans get from a request's body into the tables of their owners.
 *
 * Data path: receive -> [stage, scan, journal, inboxes] -> table. A part of the worker (worker.h):
 * all of it runs on the worker's thread, and its state are the fields of struct worker. Room for
 * every span of a request is reserved before the body becomes a frame, so what is answered with
 * success is in a table or in an inbox.
 */
#pragma once

#include "collector/worker.h"

/* The scratch of the scan. False over the memory limit. */
bool intake_init(struct worker *w) MUST_CHECK;
void intake_fini(struct worker *w);

/* Scans a body into w->spans, which grow. ERR_FULL: over the memory limit (not if `forced`);
 * ERR_PARSE as scan_traces. */
enum err intake_scan(struct worker *w, struct slice body, bool forced,
                     struct scan_result *result) MUST_CHECK;
/* Copies the first `count` scanned spans to `to`, sorted by owner: that of o has starts[o] up to
 * starts[o + 1]. Several workers only. */
void intake_sort(struct worker *w, size_t count, uint32_t starts[MAX_WORKERS + 1],
                 struct scan_span *to);

/* Finds all records of a body of logs (scan_logs) in w->spans. ERR_FULL as above. */
enum err intake_find_logs(struct worker *w, struct slice body, bool forced,
                          size_t *count) MUST_CHECK;
/* Commits a body that fits where it was staged as a frame, and gives the first `count` of w->spans,
 * which lie in it, to their owners. ERR_FULL: there is no room somewhere, also for an answer after
 * a frame; nothing was done. */
enum err intake_take(struct worker *w, struct slice body, size_t count, enum signal_kind signal,
                     uint64_t now_ns) MUST_CHECK;

/* Where receive puts bodies; borrows `w`. */
struct receive_sink intake_sink(struct worker *w);

/* Answers a body that the scan refused. Returns ERR_OK. */
enum err intake_refuse_malformed(struct receive_request *request, const struct scan_result *result);
/* The same of one that processors made so long that it does not fit where it was staged. */
enum err intake_refuse_grown(struct receive_request *request);

/* Takes what other workers sent, for half a millisecond; this never sends or waits. True: something
 * was left, for want of memory or of time. */
bool intake_drain(struct worker *w, uint64_t now_ns);
