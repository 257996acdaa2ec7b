/* Scenarios: span_metrics say what came in, whatever is sampled, dropped, refused or killed. */
#include "base/random.h"
#include "otlp/write.h"
#include "scenario.h"

#include <opentelemetry/proto/metrics/v1/metrics.pb-c.h>

enum { SERVICES = 3, NAMES = 5, TRACES = 300, BATCH = 40 };

#define METRICS_TO(exporter, more, sampling)                                                       \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  span_metrics = { metrics_flush_interval = '3s', " more " },\n" sampling                     \
    "  exporters = { exporter 'otlp/a' { endpoint = 'http://h:1', compression = 'none'," exporter  \
    "    protocol = 'http/protobuf', batch = { timeout = '10ms' } } } }\n"
#define METRICS(more, sampling) METRICS_TO("", more, sampling)

/* Of a hundred traces some twenty come in, and of these the slow ones are kept. */
#define NEARLY_NOTHING                                                                             \
    "  head_sampling = { sampling_percentage = 20 },\n"                                            \
    "  processors = { received = { processor 'drop_at_door' { when = match { name = 'op 1' } } } " \
    "},\n"                                                                                         \
    "  tail_sampling = { decision_wait = '1s',"                                                    \
    "    policies = { policy 'latency' { threshold_ms = 990 } } },\n"
#define ONLY_SLOW                                                                                  \
    "  tail_sampling = { decision_wait = '1s',"                                                    \
    "    policies = { policy 'latency' { threshold_ms = 900 } } },\n"

static const char *const services[SERVICES] = {"shop", "cart", "user"};

/* What was sent, by service, name and error. */
struct truth {
    uint64_t calls[SERVICES][NAMES][2], total, ms;
};

/* The backend, and what it was given. */
struct world {
    struct sim sim;
    struct truth truth;
    struct rng rng;
    struct buf spans, page;
    uint64_t bodies;
    struct truth last; /* as the last body says; of deltas, the sum */
    bool is_delta;
};

static struct world w;

/* ---- what leaves ---- */

typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint number_point;

static const char *attribute(const number_point *p, const char *key)
{
    for (size_t i = 0; i < p->n_attributes; i++)
        if (strcmp(p->attributes[i]->key, key) == 0)
            return p->attributes[i]->value->string_value;
    return "";
}

static void take_point(const number_point *p)
{
    int service = 0, name;
    bool error = strcmp(attribute(p, "status.code"), "STATUS_CODE_ERROR") == 0;
    uint64_t *calls;

    while (service < SERVICES - 1 && strcmp(services[service], attribute(p, "service.name")) != 0)
        service++;
    CHECK(sscanf(attribute(p, "span.name"), "op %d", &name) == 1 && name >= 0 && name < NAMES);
    CHECK(strcmp(attribute(p, "span.kind"), "SPAN_KIND_SERVER") == 0);
    calls = &w.last.calls[service][name][error];
    *calls = (w.is_delta ? *calls : 0) + (uint64_t)p->as_int;
}

static void take_metrics(struct slice body)
{
    Opentelemetry__Proto__Metrics__V1__MetricsData *data =
        opentelemetry__proto__metrics__v1__metrics_data__unpack(NULL, body.len, body.data);

    CHECK(data != NULL);
    for (size_t r = 0; data && r < data->n_resource_metrics; r++) {
        const Opentelemetry__Proto__Metrics__V1__Metric *calls =
            data->resource_metrics[r]->scope_metrics[0]->metrics[0];

        CHECK(strcmp(calls->name, "traces.span.metrics.calls") == 0);
        for (size_t i = 0; i < calls->sum->n_data_points; i++)
            take_point(calls->sum->data_points[i]);
    }
    if (data)
        opentelemetry__proto__metrics__v1__metrics_data__free_unpacked(data, NULL);
    w.bodies++;
}

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    (void)arg;
    answer->status = 200;
    if (strstr(request->url, "/v1/metrics"))
        take_metrics(request->body);
    else
        buf_append(&w.spans, request->body.data, request->body.len);
    return NS_PER_MS;
}

/* ---- what comes in ---- */

static void begin(const char *config, unsigned cpus)
{
    memset(&w, 0, sizeof(w));
    rng_seed(&w.rng, 5);
    buf_init(&w.spans, 64 << 20, NULL);
    buf_init(&w.page, 8 << 20, NULL);
    sim_init(&w.sim, &(struct sim_options){.config = config, .cpus = cpus, .serve = serve});
}

static void end(void)
{
    sim_fini(&w.sim);
    buf_fini(&w.spans);
    buf_fini(&w.page);
}

static struct test_span draw_span(uint64_t trace)
{
    static char names[NAMES][8];
    int service = (int)rng_below(&w.rng, SERVICES), name = (int)rng_below(&w.rng, NAMES);
    struct test_span s = {.trace_high = mix(trace),
                          .trace_low = mix(trace + 1000000),
                          .id = 1 + rng_below(&w.rng, UINT32_MAX),
                          .service = services[service],
                          .start_ms = now_ms,
                          .duration_ms = rng_below(&w.rng, 1000),
                          .error = rng_below(&w.rng, 10) == 0};

    snprintf(names[name], sizeof(names[name]), "op %d", name);
    s.name = names[name];
    w.truth.calls[service][name][s.error]++;
    w.truth.total++;
    w.truth.ms += s.duration_ms;
    return s;
}

static void send_requests(unsigned count)
{
    struct test_span spans[BATCH];
    int fd = sim_connect(&w.sim);

    for (unsigned i = 0; i < count; i++) {
        for (int s = 0; s < BATCH; s++)
            spans[s] = draw_span(rng_below(&w.rng, TRACES));
        post(&w.sim, fd, spans, BATCH);
    }
}

/* ---- what is said ---- */

static const char *page(void)
{
    buf_clear(&w.page);
    CHECK(collector_write_span_metrics(w.sim.collector, true, &w.page) == 200);
    buf_byte(&w.page, 0);
    return (const char *)w.page.data;
}

static void check_line(int service, int name, bool error)
{
    char line[256];

    snprintf(line, sizeof(line),
             "\ntraces_span_metrics_calls_total{service_name=\"%s\",span_name=\"op %d\","
             "span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_%s\"} %d\n",
             services[service], name, error ? "ERROR" : "UNSET",
             (int)w.truth.calls[service][name][error]);
    CHECK(strstr((const char *)w.page.data, line) != NULL);
}

/* The sum of all samples of `name`. */
static uint64_t sum_of(const char *name)
{
    const char *at = page();
    uint64_t sum = 0;

    while ((at = strstr(at, name)) != NULL) {
        at = strstr(at, "} ") + 2;
        sum += strtoull(at, NULL, 10);
    }
    return sum;
}

static void check_page(void)
{
    page();
    for (int s = 0; s < SERVICES; s++)
        for (int n = 0; n < NAMES; n++) {
            check_line(s, n, false);
            check_line(s, n, true);
        }
    CHECK(sum_of("\ntraces_span_metrics_calls_total{") == w.truth.total);
    CHECK(sum_of("\ntraces_span_metrics_duration_milliseconds_count{") == w.truth.total);
    CHECK(sum_of("\ntraces_span_metrics_duration_milliseconds_sum{") == w.truth.ms);
    CHECK(sum_of(",le=\"+Inf\"") == w.truth.total);
    CHECK(sim_ledger(&w.sim)->sum.received - sim_ledger(&w.sim)->sum.rejected == w.truth.total);
}

static size_t kept_spans(void)
{
    struct scan_result result;

    CHECK(scan_traces(buf_slice(&w.spans), NULL, 0, &result) != ERR_PARSE);
    return result.spans;
}

/* ---- the tests ---- */

static void all_is_counted_though_nearly_nothing_is_kept(void)
{
    for (unsigned cpus = 1; cpus <= 3; cpus++) {
        begin(METRICS("", NEARLY_NOTHING), cpus);
        send_requests(50);
        check_page();
        sim_run(&w.sim, 10 * NS_PER_S);
        check_page();
        CHECK(kept_spans() > 0 && kept_spans() < w.truth.total / 10);
        balanced(&w.sim);
        end();
    }
}

static void what_leaves_as_otlp_is_what_came_in(void)
{
    for (int is_delta = 0; is_delta < 2; is_delta++) {
        begin(is_delta ? METRICS("aggregation_temporality = 'delta'", NEARLY_NOTHING)
                       : METRICS("histogram = { exponential = {} }", NEARLY_NOTHING),
              2);
        w.is_delta = is_delta;
        for (int i = 0; i < 4; i++) {
            send_requests(10);
            sim_run(&w.sim, 3 * NS_PER_S);
        }
        sim_run(&w.sim, 3 * NS_PER_S);
        CHECK(w.bodies >= 4);
        CHECK(memcmp(w.last.calls, w.truth.calls, sizeof(w.last.calls)) == 0);
        send_requests(3);
        sim_stop(&w.sim); /* what came last leaves before the end */
        CHECK(memcmp(w.last.calls, w.truth.calls, sizeof(w.last.calls)) == 0);
        balanced(&w.sim);
        end();
    }
}

/* Each exemplar of the page is a trace that the backend has. */
static void check_exemplars(const char *config)
{
    struct scan_span *kept = calloc(50UL * BATCH, sizeof(*kept));
    struct scan_result result;
    unsigned exemplars = 0;

    begin(config, 2);
    send_requests(50);
    sim_run(&w.sim, 3 * NS_PER_S);
    CHECK(kept && scan_traces(buf_slice(&w.spans), kept, 50UL * BATCH, &result) == ERR_OK);
    for (const char *at = page(); (at = strstr(at, " # {trace_id=\"")) != NULL; exemplars++) {
        bool found = false;

        at += strlen(" # {trace_id=\"");
        for (size_t i = 0; i < result.spans; i++) {
            char id[33];

            for (int b = 0; b < 16; b++)
                snprintf(id + (size_t)2 * (size_t)b, 3, "%02x", kept[i].trace_id[b]);
            found = found || strncmp(at, id, 32) == 0;
        }
        CHECK(found);
    }
    CHECK(exemplars >= 5 && exemplars <= result.spans);
    free(kept);
    balanced(&w.sim);
    end();
}

static void exemplars_are_of_traces_that_are_kept(void)
{
    check_exemplars(METRICS("exemplars = { enabled = true }", NEARLY_NOTHING));
}

static void exemplars_are_of_traces_that_an_exporter_gets(void)
{
    check_exemplars(METRICS_TO(" where = match { name = 'op 2' },",
                               "exemplars = { enabled = true }", ONLY_SLOW));
}

static void nothing_is_sent_twice_as_a_delta(void)
{
    uint64_t bodies;

    begin(METRICS("aggregation_temporality = 'delta'", ONLY_SLOW), 1);
    send_requests(2);
    sim_run(&w.sim, 4 * NS_PER_S);
    bodies = w.bodies;
    CHECK(bodies == 1);
    sim_run(&w.sim, 20 * NS_PER_S);
    CHECK(w.bodies == bodies);
    end();
}

static void spans_that_come_back_from_the_journal_were_counted_before(void)
{
    uint64_t recovered;

    begin(METRICS("", ONLY_SLOW), 2);
    send_requests(5);
    CHECK(sum_of("\ntraces_span_metrics_calls_total{") == 5UL * BATCH);
    sim_run(&w.sim, NS_PER_S / 2);
    sim_kill(&w.sim);
    sim_start(&w.sim);
    recovered = sim_ledger(&w.sim)->sum.recovered;
    CHECK(recovered == 5UL * BATCH);
    CHECK(sum_of("\ntraces_span_metrics_calls_total{") == 0);
    memset(&w.truth, 0, sizeof(w.truth));
    send_requests(5);
    CHECK(sum_of("\ntraces_span_metrics_calls_total{") == 5UL * BATCH);
    sim_run(&w.sim, 5 * NS_PER_S);
    CHECK(sum_of("\ntraces_span_metrics_calls_total{") == 5UL * BATCH);
    CHECK(memcmp(w.last.calls, w.truth.calls, sizeof(w.last.calls)) == 0);
    balanced(&w.sim);
    end();
}

static void without_span_metrics_there_is_nothing_of_it(void)
{
    begin("return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n" ONLY_SLOW
          "  exporters = { exporter 'otlp/a' { endpoint = 'http://h:1' } } }\n",
          1);
    send_requests(2);
    sim_run(&w.sim, 100 * NS_PER_S);
    CHECK(w.bodies == 0 && collector_worker(w.sim.collector, 0)->recorder == NULL);
    end();
}

int main(void)
{
    RUN(all_is_counted_though_nearly_nothing_is_kept);
    RUN(what_leaves_as_otlp_is_what_came_in);
    RUN(exemplars_are_of_traces_that_are_kept);
    RUN(exemplars_are_of_traces_that_an_exporter_gets);
    RUN(nothing_is_sent_twice_as_a_delta);
    RUN(spans_that_come_back_from_the_journal_were_counted_before);
    RUN(without_span_metrics_there_is_nothing_of_it);
    return DONE();
}
