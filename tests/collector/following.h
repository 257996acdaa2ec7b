/* following.h: what scenarios of log records that follow their traces share: collectors with that
 * setting, those who send to them, and backends that tell signals apart.
 */
#pragma once

#include "otlp/scan_logs.h"
#include "otlp/write.h"
#include "reloading.h"

#include <endian.h>

/* Takes what comes, by signal. */
struct places {
    bool is_down;
    struct buf body[2][OTLP_SIGNALS]; /* by port: 1, 2 */
};

#define EXPORTER(name, port, more)                                                                 \
    "exporter 'otlp/" name "' { endpoint = 'http://h:" port "', compression = 'none', "            \
    "protocol = 'http/protobuf', batch = { timeout = '10ms' }, "                                   \
    "retry = { initial_interval = '100ms', max_interval = '100ms' }, " more " }"
#define FOLLOWING(more, exporters)                                                                 \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  logs = { follow_traces = true }, " more "\n"                                                \
    "  tail_sampling = { decision_wait = '10s', policies = { policy 'status_code' { "              \
    "status_codes = { 'ERROR' } } } },\n  exporters = { " exporters " } }\n"

static inline uint64_t serve(void *arg, const struct http_request *request,
                             struct http_answer *answer)
{
    const char *name = strrchr(request->url, '/') + 1;
    int port = request->url[strlen("http://h:")] - '0';
    struct places *p = arg;
    enum otlp_signal signal;

    if (port < 1 || port > 2 || !otlp_signal_find(name, strlen(name), &signal))
        abort();
    answer->status = p->is_down ? 503 : 200;
    if (!p->is_down)
        buf_append(&p->body[port - 1][signal], request->body.data, request->body.len);
    return NS_PER_MS;
}

static inline void start_sim(struct sim *s, struct places *p, const struct sim_options *options)
{
    struct sim_options o = *options;

    *p = (struct places){.is_down = false};
    for (int i = 0; i < 2 * OTLP_SIGNALS; i++)
        buf_init(&p->body[i / OTLP_SIGNALS][i % OTLP_SIGNALS], 64 << 20, NULL);
    o.serve = serve;
    o.serve_arg = p;
    sim_init(s, &o);
}

static inline void end_sim(struct sim *s, struct places *p)
{
    balanced(s);
    sim_fini(s);
    for (int i = 0; i < 2 * OTLP_SIGNALS; i++)
        buf_fini(&p->body[i / OTLP_SIGNALS][i % OTLP_SIGNALS]);
}

static inline size_t given(const struct places *p, int port, enum otlp_signal signal)
{
    struct scan_result r;

    CHECK(scan_items(signal, buf_slice(&p->body[port - 1][signal]), NULL, 0, &r) == ERR_OK);
    CHECK(r.rejected == 0);
    return r.items;
}

/* Records of that trace that the backend was given. */
static inline size_t logs_of(const struct places *p, uint64_t trace)
{
    static struct scan_span records[4096];
    size_t count = scan_logs(buf_slice(&p->body[0][OTLP_LOGS]), records, 4096), found = 0;

    CHECK(count <= 4096);
    for (size_t i = 0; i < count; i++)
        found +=
            view_id(slice_make(records[i].trace_id, 8)) == trace && scan_log_is_traced(&records[i]);
    return found;
}

static inline bool has_text(const struct places *p, enum otlp_signal signal, const char *text)
{
    const struct buf *b = &p->body[0][signal];

    return b->len > 0 && memmem(b->data, b->len, text, strlen(text)) != NULL;
}

/* ---- senders ---- */

/* trace 0: it has no trace id. */
struct test_log {
    uint64_t trace;
    const char *text;
};

static inline void put_log(struct buf *b, const struct test_log *log)
{
    uint64_t id[2] = {htobe64(log->trace), htobe64(mix(log->trace))};
    size_t record = otlp_write_begin(b, 2);

    wire_put_bytes(b, 3, slice_str(log->text));
    otlp_write_attr_str(b, 6, "password", slice_str("hunter2"));
    if (log->trace)
        wire_put_bytes(b, 9, slice_make((const uint8_t *)id, sizeof(id)));
    otlp_write_end(b, record);
}

static inline int post_logs(struct sim *s, const struct test_log *logs, size_t count)
{
    size_t resource, scope;
    struct buf body;
    int status;

    buf_init(&body, 64 << 20, NULL);
    resource = otlp_write_begin(&body, 1);
    scope = otlp_write_begin(&body, 2);
    for (size_t i = 0; i < count; i++)
        put_log(&body, &logs[i]);
    otlp_write_end(&body, scope);
    otlp_write_end(&body, resource);
    status = sim_post_to(s, sim_connect(s), "/v1/logs", buf_slice(&body));
    buf_fini(&body);
    return status;
}

static inline void post_log(struct sim *s, uint64_t trace, const char *text)
{
    CHECK(post_logs(s, &(struct test_log){trace, text}, 1) == 200);
}

/* Traces with an error are kept. */
static inline void post_span(struct sim *s, uint64_t trace, bool error)
{
    const struct test_span span = {.trace_high = trace,
                                   .trace_low = mix(trace),
                                   .id = 1,
                                   .start_ms = now_ms,
                                   .duration_ms = 5,
                                   .error = error};

    post(s, sim_connect(s), &span, 1);
}

static inline const struct passed_counts *counts(struct sim *s)
{
    return &sim_ledger(s)->sum.passed[OTLP_LOGS];
}

static inline uint64_t pending(struct sim *s)
{
    return sim_ledger(s)->passed[OTLP_LOGS].pending;
}

static inline uint64_t kept_traces(struct sim *s)
{
    return ledger_sum(sim_ledger(s)->sum.kept_traces, sim_ledger(s)->labels);
}

/* Kills it and starts it again with `workers`. */
static inline void restart(struct sim *s, unsigned workers)
{
    sim_kill(s);
    s->host.cpus = workers;
    s->host.seed = s->host.seed * 2 + 1;
    sim_start(s);
    balanced(s);
}
