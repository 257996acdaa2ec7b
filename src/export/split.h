/* split.h: cuts one body between spans, metrics or log records into bodies of a bounded size.
 *
 * Each piece repeats the fields of the resource and the scope around what it holds; every span,
 * metric and log record leaves once, in order, as it came. A metric is not cut: with all its data
 * points it may be larger than a piece. Pure functions.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"
#include "otlp/signal.h"

struct split_position {
    size_t resource, scope, span; /* offsets in the body */
};

struct split_limits {
    size_t max_bytes;   /* of a piece; a single span, metric or record may be larger */
    uint32_t max_items; /* spans, data points, log records */
};

/* Appends the piece that begins at *at to `out` (NULL: only moves on) and sets *at behind it.
 * Returns how many items it has; 0: nothing is left. The first *at is all zeros. Check buf_ok. */
uint32_t split_next(enum otlp_signal signal, struct slice body, struct split_position *at,
                    const struct split_limits *limits, struct buf *out);
