/* pass.h: metrics and logs: from a request's body to the outbox, without a wait or a decision.
 *
 * Data path: receive -> [scan, cut, stamp] -> journal (outbox) -> exporters. A part of the worker
 * (worker.h): all of it runs on the worker's thread. A body is one record of the outbox, answered
 * when that record has reached the level of journal.ack. What the scan rejects is cut out, so that
 * a strict backend takes the rest.
 */
#pragma once

#include "export/compose.h"
#include "otlp/scan.h"

struct processor_set;
struct worker;
struct receive_request;

struct pass {
    struct scan_cut *cuts; /* scratch of the scan */
    size_t cut_capacity;
};

void pass_fini(struct worker *w);

/* Hands a body that this program has made to the outbox, stamped as others are, if some exporter
 * takes it. False: there is no room now. */
bool pass_own(struct worker *w, enum otlp_signal signal, struct slice body,
              size_t items) MUST_CHECK;

/* Bits 1 << enum otlp_signal of what some exporter takes. */
unsigned pass_signals(const struct worker *w);

/* ---- the parts of it, for follow.h ---- */

/* scan_items, whose cuts go to w->pass. ERR_FULL: no memory. */
enum err pass_scan(struct worker *w, enum otlp_signal signal, struct slice body,
                   struct scan_result *result) MUST_CHECK;
/* Runs one list of processors over a body, after door_begin_items. *body becomes what they leave,
 * until processor_set_items_end. */
enum err pass_process(struct worker *w, struct processor_set *processors, enum otlp_signal signal,
                      struct slice *body) MUST_CHECK;
/* Initializes `payload` and makes it what leaves of a processed body. ERR_FULL: no memory.
 * ERR_PARSE: it would be longer than may be, and always will. */
enum err pass_stamp(struct worker *w, struct slice body, struct buf *payload) MUST_CHECK;
/* Hands a payload of so many items to the outbox; returns the number of its record, 0: no room. */
uint64_t pass_hand_on(struct worker *w, enum otlp_signal signal, size_t items, struct buf *payload);
/* Whatever was run of both lists is over. */
void pass_end_processors(struct worker *w, enum otlp_signal signal, bool taken);

/* ---- all of it ---- */

/* Takes a staged body of metrics or logs and answers it, now or later. ERR_FULL: no room in the
 * journal, among the answers or in memory; nothing was done. */
enum err pass_body(struct worker *w, enum otlp_signal signal, struct slice body,
                   struct receive_request *request) MUST_CHECK;
