/* follow.h: log records that follow their traces (logs.follow_traces): from a request's body to the
 * tables of their owners.
 *
 * Data path: receive -> [scan, cut, processors, split] -> journal, table; the rest -> outbox. A
 * part of the worker (worker.h): all of it runs on the worker's thread. Records with a trace id
 * become a frame and wait as spans do; what becomes of them then is the decider's. Those without
 * one pass, as pass.h has it. Processors on = "received" see all of them here; those on = "kept"
 * see what passes here, and what waits when its trace is kept. head_sampling drops a record by its
 * trace id.
 */
#pragma once

#include "otlp/scan.h"

struct worker;
struct receive_request;

/* Takes a staged body of logs and answers it, now or later. ERR_FULL: no room in a table, the
 * journal, among the answers or in memory; nothing was done. */
enum err follow_body(struct worker *w, struct slice body,
                     struct receive_request *request) MUST_CHECK;
