/* explanation_found.h: what of a trace lies in frames: its spans, and log records that follow it.
 *
 * The inside of explanation.h. What was moved lies there twice, and is counted once.
 */
#pragma once

#include "journal/reader.h"

/* A span or log record of the trace. Two that share both numbers are one that was moved. */
struct found {
    uint64_t id;   /* a span's own; of a log record the frame that it came in */
    uint32_t mark; /* of a span's bytes: what shares an id need not be the same; its place there */
    bool is_live;
};

struct found_list {
    struct found *items;
    size_t count, capacity;
    bool no_memory; /* or there are too many */
};

/* Adds those that the frame has. True: there were some. */
bool found_in(struct found_list *spans, struct found_list *logs, const struct reader_segment *s,
              const struct frame *f, const uint8_t trace_id[16]);
/* How many different ones are in live segments, and in free ones alone. */
void found_count(struct found_list *l, uint64_t *live, uint64_t *history);
void found_free(struct found_list *l);
