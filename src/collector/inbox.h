/* inbox.h: how a span reaches the worker that owns its trace.
 *
 * Bounded rings between each pair of workers. An item is a run of spans (or of log records that
 * follow their traces) of one scanned request; the spans lie in a batch that the last owner to
 * finish frees. Draining an inbox never sends or waits, so there is no circle.
 */
#pragma once

#include "base/memory.h"
#include "base/ring.h"
#include "journal/journal.h"
#include "otlp/scan.h"

enum { INBOX_CAPACITY = 1024 }; /* items in each ring */

/* The spans of one request, sorted by owner. */
struct span_batch {
    _Atomic uint32_t owners; /* items that still point here */
    frame_id frame;
    size_t bytes; /* counted in memory */
    struct memory *memory;
    struct scan_span spans[];
};

struct inbox_item {
    struct span_batch *batch;
    uint32_t from, to; /* of batch->spans */
};

/* Not empty; all of a request is of one kind. */
static inline bool inbox_has_logs(const struct inbox_item *item)
{
    return item->batch->spans[item->from].flags & SCAN_LOG;
}

/* Room for `count` spans, counted; NULL over the limit. */
struct span_batch *span_batch_new(struct memory *memory, size_t count);
/* One owner is done; the last one frees. Any thread. */
void span_batch_done(struct span_batch *b);
