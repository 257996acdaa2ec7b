/* rescue_parts.h: the inside of a rescue, shared by rescue.c (reading it, on main) and
 * rescue_send.c (committing it, on worker 0). Others see rescue.h.
 */
#pragma once

#include "otlp/scan.h"

/* A body that holds spans of the trace, or log records, read from a file. */
struct rescued_body {
    uint8_t *data; /* counted */
    size_t len;
    uint64_t source;
    bool is_logs;
};

/* A span, or a log record. */
struct rescued_item {
    struct scan_span span;
    uint32_t body;
    uint32_t place; /* in the frame that it came in */
    bool is_copy;   /* it was moved, and is here already */
};

struct rescued_list {
    struct rescued_item *items; /* counted */
    size_t count, capacity;
};

struct rescue {
    uint8_t trace_id[16];
    struct memory *memory;
    struct rescued_body *bodies;
    uint32_t body_count;
    struct rescued_list spans, logs;
    struct scan_sums sums;
    bool complete;
    uint32_t root;      /* a span without a parent; POLICY_ROOT_UNKNOWN: none */
    bool failed;        /* no memory */
    unsigned tries;     /* to commit it */
    bool spans_sent;    /* the log records are what is left to do */
    uint64_t exporters; /* of the spans that are sent */
};
