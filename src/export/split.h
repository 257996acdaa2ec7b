/* split.h: cuts one TracesData body between spans into bodies of a bounded size.
 *
 * Each piece repeats the fields of the ResourceSpans and ScopeSpans around its spans; every span
 * leaves once, in order, as it came. Pure functions.
 */
#pragma once

#include "base/buf.h"
#include "export/exporter.h"

struct split_limits {
    size_t max_bytes; /* of a piece; a single span may be larger */
    uint32_t max_spans;
};

/* Appends the piece that begins at *at to `out` (NULL: only moves on) and sets *at behind it.
 * Returns how many spans it has; 0: nothing is left. The first *at is all zeros. Check buf_ok. */
uint32_t split_next(struct slice body, struct split_position *at, const struct split_limits *limits,
                    struct buf *out);
