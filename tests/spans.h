/* spans.h: OTLP bodies for scenarios, from small descriptions. */
#pragma once

#include "base/buf.h"

struct test_span {
    uint64_t trace_high, trace_low; /* the id's two halves, big-endian on the wire */
    uint64_t id, parent;            /* parent 0: a root */
    const char *service;            /* NULL: "shop" */
    const char *name;               /* NULL: "op" */
    uint64_t start_ms, duration_ms; /* Unix time */
    int kind;                       /* 0: SERVER (2) */
    bool error;
    const char *trace_state; /* NULL: none */
};

/* Appends one ResourceSpans for each span, in order. */
void spans_put(struct buf *b, const struct test_span *spans, size_t count);
