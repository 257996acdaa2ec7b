/* traces.h: traces for the tests of policies, as bytes that the real scanner has accepted. */
#pragma once

#include "base/buf.h"
#include "otlp/scan.h"
#include "otlp/wire.h"
#include "policy/policy.h"

#include <assert.h>
#include <stdio.h>

enum { MAX_SPANS = 64 };

struct test_attr {
    const char *key;
    const char *text;       /* a string, or */
    const int64_t *integer; /* an integer */
};

struct test_span {
    uint64_t id, parent_id;
    const char *name;
    int kind, status;
    uint64_t start_ms, end_ms; /* after the base; end 0: the start is 0 too */
    const char *trace_state;
    const char *service;
    struct test_attr attrs[12];
    bool inner; /* with an event and a link, each with an attribute */
};

struct test_trace {
    struct buf body;
    struct scan_span scanned[MAX_SPANS];
    struct span_view views[MAX_SPANS];
    struct policy_trace trace;
};

#define TEST_BASE_NS UINT64_C(1700000000000000000)

static inline void put_attr(struct buf *out, uint32_t number, const struct test_attr *a)
{
    struct buf kv, value;

    buf_init(&kv, 1 << 20, NULL);
    buf_init(&value, 1 << 20, NULL);
    if (a->integer)
        wire_put_uint(&value, 3, (uint64_t)*a->integer);
    else
        wire_put_bytes(&value, 1, slice_str(a->text));
    wire_put_bytes(&kv, 1, slice_str(a->key));
    wire_put_bytes(&kv, 2, buf_slice(&value));
    wire_put_bytes(out, number, buf_slice(&kv));
    buf_fini(&value);
    buf_fini(&kv);
}

static inline void put_id(struct buf *out, uint32_t number, uint64_t id)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(id >> (56 - 8 * i));
    wire_put_bytes(out, number, slice_make(bytes, 8));
}

static inline void put_inner(struct buf *out)
{
    static const struct test_attr attr = {"inner", "yes", NULL};
    static const uint8_t id[16] = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
    struct buf event, link;

    buf_init(&event, 1024, NULL);
    buf_init(&link, 1024, NULL);
    wire_put_fixed64(&event, 1, TEST_BASE_NS);
    wire_put_bytes(&event, 2, slice_str("exception"));
    put_attr(&event, 3, &attr);
    wire_put_bytes(&link, 1, slice_make(id, 16));
    wire_put_bytes(&link, 2, slice_make(id, 8));
    put_attr(&link, 4, &attr);
    wire_put_bytes(out, 11, buf_slice(&event));
    wire_put_bytes(out, 13, buf_slice(&link));
    buf_fini(&event);
    buf_fini(&link);
}

static inline void put_span(struct buf *out, const uint8_t trace_id[16], const struct test_span *s)
{
    struct buf status;

    wire_put_bytes(out, 1, slice_make(trace_id, 16));
    put_id(out, 2, s->id);
    if (s->trace_state)
        wire_put_bytes(out, 3, slice_str(s->trace_state));
    if (s->parent_id)
        put_id(out, 4, s->parent_id);
    wire_put_bytes(out, 5, slice_str(s->name ? s->name : "work"));
    wire_put_uint(out, 6, (uint64_t)s->kind);
    if (s->end_ms) {
        wire_put_fixed64(out, 7, TEST_BASE_NS + s->start_ms * 1000000);
        wire_put_fixed64(out, 8, TEST_BASE_NS + s->end_ms * 1000000);
    }
    for (size_t i = 0; i < 12 && s->attrs[i].key; i++)
        put_attr(out, 9, &s->attrs[i]);
    if (s->inner)
        put_inner(out);
    if (s->status) {
        buf_init(&status, 64, NULL);
        wire_put_uint(&status, 3, (uint64_t)s->status);
        wire_put_bytes(out, 15, buf_slice(&status));
        buf_fini(&status);
    }
}

/* One ResourceSpans for each span. */
static inline void put_resource_spans(struct buf *body, const uint8_t trace_id[16],
                                      const struct test_span *s)
{
    struct buf span, scope, resource, all;

    buf_init(&span, 1 << 20, NULL);
    buf_init(&scope, 1 << 20, NULL);
    buf_init(&resource, 1 << 20, NULL);
    buf_init(&all, 1 << 20, NULL);
    put_span(&span, trace_id, s);
    wire_put_bytes(&scope, 2, buf_slice(&span));
    if (s->service)
        put_attr(&resource, 1, &(struct test_attr){"service.name", s->service, NULL});
    wire_put_bytes(&all, 1, buf_slice(&resource));
    wire_put_bytes(&all, 2, buf_slice(&scope));
    wire_put_bytes(body, 1, buf_slice(&all));
    buf_fini(&all);
    buf_fini(&resource);
    buf_fini(&scope);
    buf_fini(&span);
}

/* Encodes and scans `count` spans. The caller frees it with trace_fini. */
static inline void trace_init(struct test_trace *t, const uint8_t trace_id[16],
                              const struct test_span *spans, uint32_t count)
{
    struct scan_result result;

    memset(t, 0, sizeof(*t));
    buf_init(&t->body, 1 << 24, NULL);
    for (uint32_t i = 0; i < count; i++)
        put_resource_spans(&t->body, trace_id, &spans[i]);
    assert(count <= MAX_SPANS);
    if (scan_traces(buf_slice(&t->body), t->scanned, MAX_SPANS, &result) || result.spans != count) {
        printf("the test's trace is refused: %s %s\n", result.error ? result.error : "",
               result.reject_reason ? result.reject_reason : "");
        assert(false);
    }
    memcpy(t->trace.id, trace_id, 16);
    t->trace.trigger = "wait";
    t->trace.decided_unix_ns = TEST_BASE_NS + 10000000000;
    t->trace.count = count;
    t->trace.only_root = POLICY_ROOT_UNKNOWN;
    t->trace.span = policy_span_in_array;
    t->trace.span_arg = t->views;
    for (uint32_t i = 0; i < count; i++) {
        const struct scan_span *s = &t->scanned[i];

        t->views[i] = span_view_at(buf_slice(&t->body), s->offset, s->len, s->resource_offset,
                                   s->scope_offset);
        scan_sum(&t->trace.sums, s);
    }
}

static inline void trace_fini(struct test_trace *t)
{
    buf_fini(&t->body);
}

static const uint8_t test_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
