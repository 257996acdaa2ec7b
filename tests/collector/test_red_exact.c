/* A million spans through span_metrics: calls and errors are those of all of them, whatever is
 * sampled, by however many workers, and durations lie in the buckets that they belong to, so that
 * quantiles are off by a bucket at most; a kill in the middle is a reset, and no more. */
#include "base/random.h"
#include "scenario.h"

#include <math.h>
#include <opentelemetry/proto/metrics/v1/metrics.pb-c.h>

enum {
#if SIM_IS_SLOW || defined(__SANITIZE_ADDRESS__)
    SPANS = 20000,
#else
    SPANS = 1000000,
#endif
    SERVICES = 16,
    NAMES = 12,
    KINDS = 2, /* a server, a client */
    SERIES = SERVICES * NAMES * KINDS * 2,
    LONGEST_MS = 1000,
    BATCH = 80,
    TRACE = 8,
};

/* What was sent: how many spans of each duration, by series. */
struct truth {
    uint32_t ms[SERIES][LONGEST_MS + 1];
    uint64_t spans;
};

typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint number_point;
typedef Opentelemetry__Proto__Metrics__V1__ExponentialHistogramDataPoint histogram_point;
typedef Opentelemetry__Proto__Common__V1__KeyValue attribute;

static struct truth truth;
static struct rng rng;
static char names[NAMES][16], services[SERVICES][16];

/* ---- what is sent ---- */

static unsigned series_of(unsigned service, unsigned name, unsigned kind, bool error)
{
    return ((service * NAMES + name) * KINDS + kind) * 2 + error;
}

static struct test_span draw_span(uint64_t number)
{
    unsigned service = (unsigned)rng_below(&rng, SERVICES), name = (unsigned)rng_below(&rng, NAMES);
    unsigned kind = (unsigned)rng_below(&rng, KINDS);
    bool error = rng_below(&rng, 20) == 0;
    uint64_t ms = 1 + rng_below(&rng, rng_below(&rng, 10) ? 100 : LONGEST_MS);

    truth.ms[series_of(service, name, kind, error)][ms]++;
    truth.spans++;
    return (struct test_span){.trace_high = mix(number / TRACE + 1),
                              .trace_low = mix(number / TRACE + 1000000000),
                              .id = number + 1,
                              .service = services[service],
                              .name = names[name],
                              .start_ms = now_ms,
                              .duration_ms = ms,
                              .kind = kind == 0 ? 2 : 3,
                              .error = error};
}

static void send(struct sim *s, uint64_t first, uint64_t count)
{
    struct test_span spans[BATCH];
    int fd = sim_connect(s);

    for (uint64_t i = first; i < first + count; i += BATCH) {
        for (int n = 0; n < BATCH; n++)
            spans[n] = draw_span(i + (uint64_t)n);
        post(s, fd, spans, BATCH);
        if (i / BATCH % 8 == 0)
            sim_run(s, NS_PER_MS);
    }
    sim_run(s, 3 * NS_PER_S);
}

/* ---- what leaves ---- */

/* The last body of all. */
static struct buf last;
static uint64_t kept;

static uint64_t serve(void *arg, const struct http_request *request, struct http_answer *answer)
{
    struct scan_result result;

    (void)arg;
    answer->status = 200;
    if (strstr(request->url, "/v1/metrics")) {
        buf_clear(&last);
        buf_append(&last, request->body.data, request->body.len);
    } else if (scan_traces(request->body, NULL, 0, &result) != ERR_PARSE) {
        kept += result.spans;
    }
    return NS_PER_MS;
}

static const char *text_of(attribute **attributes, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(attributes[i]->key, key) == 0)
            return attributes[i]->value->string_value;
    return "";
}

/* SERIES: it is none that was sent. */
static unsigned series_at(attribute **attributes, size_t count)
{
    unsigned service, name, kind;
    const char *kind_name = text_of(attributes, count, "span.kind");

    if (sscanf(text_of(attributes, count, "service.name"), "s%u", &service) != 1 ||
        sscanf(text_of(attributes, count, "span.name"), "op %u", &name) != 1 ||
        service >= SERVICES || name >= NAMES)
        return SERIES;
    kind = strcmp(kind_name, "SPAN_KIND_CLIENT") == 0;
    return series_of(service, name, kind,
                     strcmp(text_of(attributes, count, "status.code"), "STATUS_CODE_ERROR") == 0);
}

static uint64_t calls_of(unsigned series)
{
    uint64_t calls = 0;

    for (int ms = 0; ms <= LONGEST_MS; ms++)
        calls += truth.ms[series][ms];
    return calls;
}

/* The rank-th shortest duration, from 1 on. */
static double duration_of(unsigned series, uint64_t rank)
{
    int ms = 0;

    for (uint64_t n = truth.ms[series][0]; n < rank; n += truth.ms[series][++ms])
        continue;
    return ms;
}

/* The bucket that the rank-th value is in must hold it. Returns its width. */
static double check_rank(const histogram_point *p, unsigned series, uint64_t rank)
{
    double base = exp2(exp2(-p->scale)), true_ms = duration_of(series, rank), low, high;
    uint64_t n = 0;
    size_t i = 0;

    while (i < p->positive->n_bucket_counts && n + p->positive->bucket_counts[i] < rank)
        n += p->positive->bucket_counts[i++];
    low = pow(base, (double)p->positive->offset + (double)i);
    high = low * base;
    CHECK(true_ms > low * (1 - 1e-9) && true_ms <= high * (1 + 1e-9));
    return base - 1;
}

static double check_durations(const histogram_point *p, unsigned series)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 1};
    uint64_t calls = calls_of(series), sum = 0;
    double width = 0;

    for (int ms = 0; ms <= LONGEST_MS; ms++)
        sum += (uint64_t)ms * truth.ms[series][ms];
    CHECK(p->count == calls && p->zero_count == 0 && fabs(p->sum - (double)sum) < 1e-3);
    for (int i = 0; i < 4; i++)
        width = fmax(width, check_rank(p, series, (uint64_t)ceil(quantiles[i] * (double)calls)));
    return width;
}

/* Returns the widest bucket, of 1. */
static double check_metrics(uint64_t since_ns)
{
    Opentelemetry__Proto__Metrics__V1__MetricsData *data =
        opentelemetry__proto__metrics__v1__metrics_data__unpack(NULL, last.len, last.data);
    bool seen[SERIES + 1] = {false};
    uint64_t all = 0, points = 0;
    double width = 0;

    for (size_t r = 0; data && r < data->n_resource_metrics; r++) {
        Opentelemetry__Proto__Metrics__V1__Metric **metrics =
            data->resource_metrics[r]->scope_metrics[0]->metrics;

        for (size_t i = 0; i < metrics[0]->sum->n_data_points; i++, points++) {
            const number_point *p = metrics[0]->sum->data_points[i];
            unsigned series = series_at(p->attributes, p->n_attributes);

            CHECK(series < SERIES && !seen[series]);
            if (series == SERIES)
                continue;
            seen[series] = true;
            CHECK((uint64_t)p->as_int == calls_of(series));
            CHECK(p->start_time_unix_nano >= since_ns);
            all += (uint64_t)p->as_int;
            width = fmax(
                width, check_durations(metrics[1]->exponential_histogram->data_points[i], series));
        }
    }
    CHECK(data != NULL && all == truth.spans);
    for (unsigned i = 0; i < SERIES; i++)
        CHECK(seen[i] == (calls_of(i) > 0));
    if (data)
        opentelemetry__proto__metrics__v1__metrics_data__free_unpacked(data, NULL);
    return width;
}

/* ---- */

#define RED(level, sampling)                                                                       \
    "return { receivers = { otlp = { grpc = false, http = '127.0.0.1:0' } },\n"                    \
    "  journal = { ack = '" level "' }, span_metrics = { histogram = { exponential = {} }, "       \
    "metrics_flush_interval = '1h' }, " sampling "  exporters = { exporter 'otlp/a' { "            \
    "endpoint = 'http://h:1', compression = 'none', protocol = 'http/protobuf', batch = { "        \
    "timeout = '10ms', max_bytes = '64MiB' } } } }\n"
#define HARDLY_ANY                                                                                 \
    "head_sampling = { sampling_percentage = 30 }, tail_sampling = { decision_wait = '1s', "       \
    "policies = { policy 'probabilistic' { sampling_percentage = 0.5 } } },\n"
#define ERRORS                                                                                     \
    "tail_sampling = { decision_wait = '500ms', policies = { policy 'status_code' { "              \
    "status_codes = { 'ERROR' } } } },\n"

static void begin(struct sim *s, const char *config, unsigned cpus)
{
    memset(&truth, 0, sizeof(truth));
    rng_seed(&rng, cpus);
    buf_init(&last, 256 << 20, NULL);
    kept = 0;
    sim_init(s, &(struct sim_options){.config = config, .cpus = cpus, .serve = serve});
}

/* What leaves at the end is all that came since `since_ns`. */
static void end(struct sim *s, uint64_t since_ns)
{
    double width;

    sim_stop(s);
    width = check_metrics(since_ns);
    CHECK(width > 0 && width < 0.1);
    printf("  %llu spans in %d series, quantiles within %.1f %%; %llu spans kept\n",
           (unsigned long long)truth.spans, SERIES, 100 * width, (unsigned long long)kept);
    balanced(s);
    sim_fini(s);
    buf_fini(&last);
}

static void all_is_counted_of_which_hardly_any_is_kept(void)
{
    for (unsigned cpus = 1; cpus <= 3; cpus += 2) {
        struct sim s;

        begin(&s, RED("memory", HARDLY_ANY), cpus);
        send(&s, 0, cpus == 1 ? SPANS : SPANS / 4);
        CHECK(kept < SPANS / 100);
        end(&s, 0);
    }
}

static void whatever_is_sampled(void)
{
    struct sim s;

    begin(&s, RED("memory", ERRORS), 2);
    send(&s, 0, SPANS / 4);
    CHECK(kept > SPANS / 40);
    end(&s, 0);
}

/* Before it all that was acknowledged is counted; behind it the totals begin anew, and say so. */
static void a_kill_is_a_reset(void)
{
    static const char family[] = "\ntraces_span_metrics_calls_total{";
    uint64_t calls = 0, since_ns;
    struct buf page;
    struct sim s;

    begin(&s, RED("written", HARDLY_ANY), 2);
    send(&s, 0, SPANS / 4);
    buf_init(&page, 256 << 20, NULL);
    CHECK(collector_write_span_metrics(s.collector, true, &page) == 200);
    buf_byte(&page, '\0');
    for (const char *at = (const char *)page.data; (at = strstr(at, family)) != NULL;) {
        at = strstr(at, "} ") + 2;
        calls += strtoull(at, NULL, 10);
    }
    buf_fini(&page);
    CHECK(calls == truth.spans);
    sim_kill(&s);
    since_ns = s.clock.unix_now;
    sim_start(&s);
    memset(&truth, 0, sizeof(truth));
    send(&s, SPANS, SPANS / 4);
    end(&s, since_ns);
}

/* ---- many operations ---- */

enum { OPERATIONS = SPANS / 10, MOST_SERIES = 10000, SERIES_BYTES = 2048 };

/* CPU time of a span. */
static double send_operations(struct sim *s, unsigned operations, uint32_t *calls)
{
    struct test_span spans[BATCH];
    static char operation[BATCH][16];
    uint64_t began_ns = clock_thread_cpu_ns();
    int fd = sim_connect(s);

    for (uint64_t i = 0; i < SPANS / 4; i += BATCH) {
        for (int n = 0; n < BATCH; n++) {
            unsigned drawn = (unsigned)rng_below(&rng, operations);

            spans[n] = draw_span(i + (uint64_t)n);
            snprintf(operation[n], sizeof(operation[n]), "op %u", drawn);
            spans[n].service = "many";
            spans[n].name = operation[n];
            spans[n].kind = 2;
            spans[n].error = false;
            calls[drawn]++;
        }
        post(s, fd, spans, BATCH);
        if (i / BATCH % 8 == 0)
            sim_run(s, NS_PER_MS);
    }
    sim_run(s, 3 * NS_PER_S);
    return (double)(clock_thread_cpu_ns() - began_ns) / (SPANS / 4);
}

/* Samples of the page's calls: those with a name are right. Returns those of the overflow. */
static uint64_t check_operations(const char *page, const uint32_t *calls, unsigned *series)
{
    uint64_t overflow = 0, all = 0;

    for (const char *at = page; (at = strstr(at, "\ntraces_span_metrics_calls_total{")) != NULL;
         ++*series) {
        const char *name = strstr(at, "span_name=\"op "), *end = strstr(at, "} ");
        uint64_t value = strtoull(end + 2, NULL, 10);

        if (name && name < end)
            CHECK(value == calls[strtoul(name + 14, NULL, 10)]);
        else
            overflow += value;
        all += value;
        at = end;
    }
    CHECK(all == truth.spans);
    return overflow;
}

static void a_hundred_thousand_operations_take_what_ten_thousand_do(void)
{
    static const char config[] = RED("memory", HARDLY_ANY);
    static uint32_t calls[2][OPERATIONS];
    uint64_t peak[2], named = 0, overflow;
    unsigned series = 0;
    double ns[2];

    for (int i = 0; i < 2; i++) {
        struct buf page;
        struct sim s;

        begin(&s, config, 2);
        ns[i] = send_operations(&s, i ? OPERATIONS : OPERATIONS / 100, calls[i]);
        buf_init(&page, 256 << 20, NULL);
        CHECK(collector_write_span_metrics(s.collector, true, &page) == 200);
        buf_byte(&page, '\0');
        series = 0;
        overflow = check_operations((const char *)page.data, calls[i], &series);
        for (unsigned n = 0; n < OPERATIONS; n++)
            named += i ? calls[i][n] : 0;
        CHECK(i || overflow == 0);
        CHECK(!i || (series <= MOST_SERIES + 1 && named == truth.spans));
        CHECK(!i || OPERATIONS <= MOST_SERIES || (series == MOST_SERIES + 1 && overflow > 0));
        peak[i] = sim_ledger(&s)->memory_peak;
        buf_fini(&page);
        sim_stop(&s);
        sim_fini(&s);
        buf_fini(&last);
    }
    CHECK(peak[1] <= peak[0] + (uint64_t)3 * MOST_SERIES * SERIES_BYTES);
    printf("  %d operations: %u series, %.1f MiB (%d: %.1f MiB); %.0f ns a span (%.0f)\n",
           OPERATIONS, series, (double)peak[1] / (1 << 20), OPERATIONS / 100,
           (double)peak[0] / (1 << 20), ns[1], ns[0]);
}

int main(void)
{
    for (int i = 0; i < NAMES; i++)
        snprintf(names[i], sizeof(names[i]), "op %d", i);
    for (int i = 0; i < SERVICES; i++)
        snprintf(services[i], sizeof(services[i]), "s%d", i);
    RUN(all_is_counted_of_which_hardly_any_is_kept);
    RUN(whatever_is_sampled);
    RUN(a_kill_is_a_reset);
    RUN(a_hundred_thousand_operations_take_what_ten_thousand_do);
    return DONE();
}
