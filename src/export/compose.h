/* compose.h: turns kept spans into one TracesData body: slices of what came in, with splices.
 *
 * Data path: policies -> [compose] -> outbox. Spans of one ResourceSpans (and ScopeSpans) of one
 * body leave in one ResourceSpans (ScopeSpans), in order of arrival; everything that is not spliced
 * leaves byte for byte as it came, unknown fields included. Pure function; the worker calls it.
 */
#pragma once

#include "base/buf.h"
#include "otlp/splice.h"

struct compose_edits {
    struct splice resource; /* of resource attributes */
    /* sampling.{policy,reason,probability} on the entry span; policy NULL: none */
    const char *policy;
    const char *reason;
    double probability; /* < 0: left out */
    size_t entry;       /* index of the entry span; SIZE_MAX: none (late spans) */
    /* tracestate ot=th: */
    enum { TH_LEAVE, TH_SET, TH_ERASE } th; /* set: the larger of the span's own and ours */
    bool th_always;                         /* also where no ot member came in */
    bool no_trace_state;                    /* no span came with one: nobody looks for it */
    uint64_t threshold;                     /* < 2^56 */
    /* R of the trace: a th of the span's own that is above its R (the member's rv, else this) was
     * not what kept it; then th is erased. Not looked at without has_randomness. */
    uint64_t randomness;
    bool has_randomness;
};

/* Nothing is spliced: spans leave as they came. */
extern const struct compose_edits compose_as_it_is;

/* One span to compose: its view, and which body it lies in (spans of equal body and offsets share
 * their ResourceSpans). */
struct compose_span {
    struct span_view view;
    const uint8_t *body;
};

/* Appends a whole body of any signal (it was scanned), its resources edited as edits->resource
 * says; nothing else changes. ERR_FULL at out's bound (nothing is left behind). */
enum err compose_body(struct slice body, const struct compose_edits *edits,
                      struct buf *out) MUST_CHECK;

/* Appends the TracesData of `spans` to `out`. ERR_FULL at out's bound (nothing is left behind). */
enum err compose_traces(const struct compose_span *spans, size_t count,
                        const struct compose_edits *edits, struct buf *out) MUST_CHECK;
