/* scenario.h: what the scenarios share: posting, the ledger's check, and a backend that keeps what
 * it is given. */
#pragma once

#include "check.h"
#include "otlp/view.h"
#include "sim.h"
#include "spans.h"

#include <stdlib.h>

static const uint64_t now_ms = UINT64_C(1700000000000);

/* An OTLP exporter whose bodies the backend can read. */
#define OTLP(instance, port, more)                                                                 \
    "exporter 'otlp/" instance "' { endpoint = 'http://h:" port "', compression = 'none', "        \
    "protocol = 'http/protobuf', batch = { timeout = '10ms' }, " more " }"

/* A whole configuration around the body of tail_sampling and of exporters. */
#define CONFIG(tail, exporters)                                                                    \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  tail_sampling = { " tail " }, exporters = { " exporters " } }\n"

/* splitmix64: ids that are spread. */
static inline uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The only span of a trace. */
static inline struct test_span only_span(uint64_t trace, const char *name)
{
    return (struct test_span){.trace_high = trace,
                              .trace_low = mix(trace),
                              .id = 1,
                              .start_ms = now_ms,
                              .duration_ms = 1,
                              .name = name};
}

/* Posts spans in one request; the status. */
static inline int post_status(struct sim *s, int fd, const struct test_span *spans, size_t count)
{
    struct buf body;
    int status;

    buf_init(&body, 64 << 20, NULL);
    spans_put(&body, spans, count);
    status = sim_post(s, fd, buf_slice(&body));
    buf_fini(&body);
    return status;
}

static inline void post(struct sim *s, int fd, const struct test_span *spans, size_t count)
{
    CHECK(post_status(s, fd, spans, count) == 200);
}

static inline void balanced(struct sim *s)
{
    const struct ledger *l = sim_ledger(s);

    CHECK(l->unaccounted == 0);
    for (size_t i = 0; i < l->exporter_count; i++)
        CHECK(l->exporters[i].unaccounted == 0);
    for (int signal = OTLP_METRICS; signal < OTLP_SIGNALS; signal++) {
        CHECK(l->passed[signal].unaccounted == 0);
        for (size_t i = 0; i < l->exporter_count; i++)
            CHECK(l->passed[signal].exporters[i].unaccounted == 0);
    }
}

/* ---- the backend ---- */

enum { PORTS = 4 };

/* Listens on ports 1 to PORTS of http://h. */
struct backend {
    bool down[PORTS + 1];       /* connections are refused */
    uint64_t delay_ns;          /* until an answer */
    size_t requests[PORTS + 1]; /* that came, refused ones too */
    struct buf body[PORTS + 1]; /* of requests answered with 200, one behind the other: one body */
    struct scan_span *spans;    /* of the port that was last read */
    size_t count;
};

static inline void backend_init(struct backend *b)
{
    *b = (struct backend){0};
    for (int i = 0; i <= PORTS; i++)
        buf_init(&b->body[i], 256 << 20, NULL);
}

static inline void backend_fini(struct backend *b)
{
    for (int i = 0; i <= PORTS; i++)
        buf_fini(&b->body[i]);
    free(b->spans);
}

static inline uint64_t backend_serve(void *arg, const struct http_request *request,
                                     struct http_answer *answer)
{
    struct backend *b = arg;
    int port = request->url[strlen("http://h:")] - '0';

    if (port < 1 || port > PORTS)
        abort();
    b->requests[port]++;
    if (b->down[port]) {
        answer->err = ERR_IO;
        snprintf(answer->error, sizeof(answer->error), "connection refused");
        return b->delay_ns;
    }
    answer->status = 200;
    buf_append(&b->body[port], request->body.data, request->body.len);
    return b->delay_ns;
}

/* Finds the spans that `port` was given; returns how many. */
static inline size_t backend_read(struct backend *b, int port)
{
    struct slice body = buf_slice(&b->body[port]);
    struct scan_result result;

    free(b->spans);
    b->spans = NULL;
    b->count = 0;
    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE)
        abort();
    b->spans = calloc(result.spans + 1, sizeof(*b->spans));
    if (!b->spans || scan_traces(body, b->spans, result.spans, &result) != ERR_OK)
        abort();
    CHECK(result.rejected == 0);
    b->count = result.spans;
    return b->count;
}

static inline struct span_view backend_view(const struct backend *b, int port, size_t i)
{
    const struct scan_span *s = &b->spans[i];

    return span_view_at(buf_slice(&b->body[port]), s->offset, s->len, s->resource_offset,
                        s->scope_offset);
}

/* The only span of that trace (its upper half) with that id, of what backend_read found. */
static inline struct span_view backend_span(struct backend *b, int port, uint64_t trace_high,
                                            uint64_t id)
{
    struct span_view found = {0};
    int n = 0;

    for (size_t i = 0; i < b->count; i++)
        if (view_id(slice_make(b->spans[i].trace_id, 8)) == trace_high &&
            b->spans[i].span_id == id) {
            found = backend_view(b, port, i);
            n++;
        }
    CHECK(n == 1);
    return found;
}

static inline void sim_with_backend(struct sim *s, struct backend *b, const char *config)
{
    backend_init(b);
    sim_init(s, &(struct sim_options){.config = config, .serve = backend_serve, .serve_arg = b});
}
