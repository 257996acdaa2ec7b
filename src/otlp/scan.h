/* scan.h: one pass over an OTLP protobuf body that validates all of it and says where each span is.
 *
 * Data path: receive -> [scan] -> journal -> trace table; metrics and logs go on to the outbox.
 * Pure functions of bytes: no allocation, no state, any thread. The processor is asked for as many
 * bytes behind the body, where the next one is staged; they need not be there. The body is an
 * ExportTraceServiceRequest (= TracesData), an ExportMetricsServiceRequest or an
 * ExportLogsServiceRequest: opentelemetry/proto/collector. Offsets are from the start of the body,
 * which is at most INT32_MAX bytes.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "otlp/signal.h"

#include <stdbool.h>

enum { SCAN_MAX_DEPTH = 64 }; /* nesting of AnyValue; deeper is an error of structure */

enum scan_flags {
    SCAN_ERROR = 1,       /* status.code == STATUS_CODE_ERROR */
    SCAN_ROOT = 2,        /* no parent_span_id (absent, empty, or eight zero bytes) */
    SCAN_TRACE_STATE = 4, /* trace_state is not empty */
    SCAN_OK = 8,          /* status.code == STATUS_CODE_OK */
    SCAN_LOG = 16, /* no span: a log record, of scan_logs; has a trace id and its place alone */
};

/* In scope_offset: behind its first span the ScopeSpans holds nothing but spans, so that whoever
 * wants its other fields need not step over them all. */
#define SCAN_PLAIN_SCOPE (UINT32_C(1) << 31)

/* Where a span lies, and what the trace table needs of it. Numbers are host order; ids are the
 * big-endian value of their bytes, so that they compare as their hex does. */
struct scan_span {
    uint8_t trace_id[16];
    uint64_t span_id;   /* not 0 */
    uint64_t parent_id; /* 0: a root */
    uint64_t start_ns;  /* Unix time as sent; 0: absent */
    uint64_t end_ns;
    uint32_t offset; /* of the Span message (its first field, after tag and length) */
    uint32_t len;
    uint32_t
        resource_offset; /* of the ResourceSpans field: its tag, so that its length is read there */
    uint32_t scope_offset; /* of the ScopeSpans field: its tag */
    uint32_t flags;        /* scan_flags */
};

/* What the spans of a trace come to together. Zero at first. */
struct scan_sums {
    uint64_t start_ns, end_ns; /* earliest start, latest end: Unix, of spans that have both; 0: none
                                  has */
    uint64_t bytes;            /* of the Span messages */
    uint32_t errors;
    bool has_trace_state; /* a span came with one */
};

static inline void scan_sum(struct scan_sums *sums, const struct scan_span *s)
{
    sums->bytes += s->len;
    sums->errors += (s->flags & SCAN_ERROR) != 0;
    sums->has_trace_state |= (s->flags & SCAN_TRACE_STATE) != 0;
    if (s->start_ns == 0 || s->end_ns == 0)
        return;
    if (sums->start_ns == 0 || s->start_ns < sums->start_ns)
        sums->start_ns = s->start_ns;
    if (s->end_ns > sums->end_ns)
        sums->end_ns = s->end_ns;
}

/* From the earliest start to the latest end. */
static inline uint64_t scan_duration_ns(const struct scan_sums *sums)
{
    return sums->end_ns > sums->start_ns ? sums->end_ns - sums->start_ns : 0;
}

struct scan_result {
    union {
        size_t spans; /* valid ones; more than the array's capacity: scan again with that many */
        size_t items; /* the same of any signal: spans, data points, log records */
    };
    size_t rejected; /* of spans: a wrong trace or span id; of all: an id of a wrong length in it,
                        or invalid UTF-8 in the item, its metric, its scope or its resource */
    size_t cuts;     /* of scan_items: more than the capacity: scan again with that many */
    const char *reject_reason; /* of the first rejected one, static text; NULL if none */
    const char *error;         /* of ERR_PARSE: static text */
    size_t error_offset;       /* of ERR_PARSE: where in the body */
};

/* Validates `body` wholly (every length, wire type, varint, id size, UTF-8, depth) and writes its
 * valid spans in order to `spans` (at most `capacity`; NULL with 0 counts only).
 * ERR_PARSE: an error of structure, the whole request is refused; nothing written is of use.
 * ERR_FULL: `capacity` was too small, result->spans says what is needed. Unknown fields are kept
 * where they are and validated as to their extent. */
enum err scan_traces(struct slice body, struct scan_span *spans, size_t capacity,
                     struct scan_result *result) MUST_CHECK;

/* A field, its tag included, that a body has to lose: a rejected item, or a message around items of
 * which none is left. */
struct scan_cut {
    uint32_t offset, len;
};

/* The same validation for a body of any signal, for those who pass it on: counts its items, and
 * writes what has to be cut out (at most `capacity`, in order, none in another; NULL with 0 counts
 * only). ERR_PARSE as above. ERR_FULL: `capacity` was too small, result->cuts says what is needed.
 * Ids in logs and exemplars may be absent or zeros; of a metric with data of two kinds the last
 * counts. */
enum err scan_items(enum otlp_signal signal, struct slice body, struct scan_cut *cuts,
                    size_t capacity, struct scan_result *result) MUST_CHECK;

/* The data points of one Metric, as scan_items counts them; it was scanned. */
size_t scan_points(struct slice metric);

/* Appends `body` without its cuts (scan_items) to `out`; the lengths around them are made right.
 * ERR_FULL at out's bound: then it is as long as it was. */
enum err scan_cut_out(struct slice body, const struct scan_cut *cuts, size_t count,
                      struct buf *out) MUST_CHECK;
