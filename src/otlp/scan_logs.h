/* scan_logs.h: which records of a body of logs carry a trace id, and the body without others.
 *
 * Data path: receive -> scan_items -> [scan_logs] -> trace table, for logs that follow their
 * traces. Pure functions of bytes, any thread. Every read is bounded by the body, whatever was
 * validated before; what is damaged ends the walk of its message.
 */
#pragma once

#include "otlp/scan.h"

/* Writes where each record of `body` is to `records`, in order (at most `capacity`; NULL with 0
 * counts only): its trace id (zeros: it has none that is 16 bytes, or zeros), its place
 * (SCAN_PLAIN_SCOPE as of spans), SCAN_LOG. Returns how many there are. */
size_t scan_logs(struct slice body, struct scan_span *records, size_t capacity);

/* The record has a trace id. */
bool scan_log_is_traced(const struct scan_span *record);

/* Appends `body` with those of its records for which keeps[i], in the order of scan_logs, is true,
 * and nothing around those of which none is left. ERR_FULL at out's bound: then it is as long as it
 * was. */
enum err scan_keep_logs(struct slice body, const bool *keeps, size_t count,
                        struct buf *out) MUST_CHECK;
