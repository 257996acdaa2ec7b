/* Spans to series: which one, how many, and what becomes of too many. */
#include "base/random.h"
#include "otlp/write.h"
#include "spanmetrics/scene.h"

#include <opentelemetry/proto/metrics/v1/metrics.pb-c.h>
#include <pthread.h>
#include <stdlib.h>

enum { SPANS_MAX = 4096, KINDS = 6, STATUSES = 3 };

static struct scan_span scanned[SPANS_MAX];
static uint32_t series[SPANS_MAX];
static uint64_t next_id = 1;

static struct spanmetrics_options options(size_t max_series)
{
    return (struct spanmetrics_options){
        .prefix = "traces.span.metrics",
        .shape = {.unit_ns = 1e6, .buckets = 160},
        .max_series = max_series,
    };
}

/* ---- bodies ---- */

/* Returns where it begins, for otlp_write_end. */
static size_t begin_span(const char *name, int kind, int status, uint64_t duration_ns)
{
    uint8_t trace_id[16] = {1}, span_id[8];
    uint64_t id = next_id++;
    size_t start = otlp_write_begin(&body, 2);

    for (int i = 0; i < 8; i++)
        span_id[i] = (uint8_t)(id >> (56 - 8 * i));
    memcpy(trace_id + 8, span_id, 8);
    otlp_write_span_fields(&body, &(struct span_fields){.trace_id = slice_make(trace_id, 16),
                                                        .span_id = slice_make(span_id, 8),
                                                        .name = slice_str(name),
                                                        .kind = kind,
                                                        .status = status,
                                                        .start_ns = START_NS,
                                                        .end_ns = START_NS + duration_ns});
    return start;
}

static void put_span(const char *name, int kind, int status, uint64_t duration_ns)
{
    size_t start = begin_span(name, kind, status, duration_ns);

    otlp_write_attr_str(&body, ATTRS_SPAN, "http.route", slice_str("/cart/{id}"));
    otlp_write_attr_int(&body, ATTRS_SPAN, "http.response.status_code", 200 + status);
    otlp_write_end(&body, start);
}

static size_t resource_at, scope_at;

static void begin_service(const char *service)
{
    size_t resource;

    resource_at = otlp_write_begin(&body, 1);
    resource = otlp_write_begin(&body, 1);
    if (service)
        otlp_write_attr_str(&body, ATTRS_RESOURCE, "service.name", slice_str(service));
    otlp_write_attr_str(&body, ATTRS_RESOURCE, "zone", slice_str("eu \"1\""));
    otlp_write_end(&body, resource);
    scope_at = otlp_write_begin(&body, 2);
}

static void end_service(void)
{
    otlp_write_end(&body, scope_at);
    otlp_write_end(&body, resource_at);
}

/* Counts the body with a recorder, and begins another one. */
static void count_body(struct spanmetrics *m, unsigned recorder)
{
    struct spanmetrics_recorder *r = spanmetrics_recorder(m, recorder);
    struct scan_result result;

    CHECK(scan_traces(buf_slice(&body), scanned, SPANS_MAX, &result) == ERR_OK);
    spanmetrics_find(r, buf_slice(&body), scanned, result.spans, series);
    spanmetrics_count(r, scanned, result.spans, series);
    buf_clear(&body);
}

static void gather(struct spanmetrics *m, unsigned recorders)
{
    for (unsigned i = 0; i < recorders; i++)
        spanmetrics_hand_over(spanmetrics_recorder(m, i));
    spanmetrics_gather(m, START_NS + 1000000000);
}

static const char *page_of(const struct spanmetrics *m, bool openmetrics)
{
    buf_clear(&page);
    spanmetrics_write_page((const struct spanmetrics *const[]){m}, 1, openmetrics, &page);
    buf_byte(&page, 0);
    return (const char *)page.data;
}

static bool says(const struct spanmetrics *m, const char *line)
{
    const char *found = strstr(page_of(m, true), line);

    if (!found)
        printf("  not there: %s\n%s\n", line, (const char *)page.data);
    return found && (found == (const char *)page.data || found[-1] == '\n') &&
           found[strlen(line)] == '\n';
}

static void one_span(struct spanmetrics *m, const char *name, uint64_t duration_ns)
{
    begin_service("shop");
    put_span(name, 2, 0, duration_ns);
    end_service();
    count_body(m, 0);
}

/* ---- OTLP, read by protobuf-c ---- */

typedef Opentelemetry__Proto__Metrics__V1__MetricsData metrics_data;
typedef Opentelemetry__Proto__Metrics__V1__Metric metric_data;

static metrics_data *decode(const struct buf *from)
{
    metrics_data *data =
        opentelemetry__proto__metrics__v1__metrics_data__unpack(NULL, from->len, from->data);

    CHECK(data != NULL);
    if (!data)
        abort();
    return data;
}

static void free_data(metrics_data *data)
{
    opentelemetry__proto__metrics__v1__metrics_data__free_unpacked(data, NULL);
}

/* All that leaves, in one body. */
static size_t write_all(const struct spanmetrics *m)
{
    size_t at = 0, points, all = 0;

    buf_clear(&body);
    while ((points = spanmetrics_write_otlp(m, &at, &body)) > 0)
        all += points;
    return all;
}

static const char *attribute(Opentelemetry__Proto__Common__V1__KeyValue **list, size_t count,
                             const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i]->key, key) == 0)
            return list[i]->value->string_value;
    return NULL;
}

/* ---- the tests ---- */

/* Draws from few names, so that every series has many; three workers; the truth is counted beside.
 */
static void counts_are_exact_with_any_number_of_workers(void)
{
    static const char *const services[] = {"shop", "cart", NULL};
    static uint64_t truth[3][8][KINDS][STATUSES];
    struct spanmetrics_options o = options(1000);
    struct spanmetrics *m = make(&o, 3);
    struct spanmetrics_stats stats;
    struct rng rng;
    char line[256];

    rng_seed(&rng, 11);
    for (int request = 0; request < 300; request++) {
        for (int resource = 0; resource < 3; resource++) {
            begin_service(services[resource]);
            for (int i = 0; i < 10; i++) {
                int name = (int)rng_below(&rng, 8), kind = (int)rng_below(&rng, KINDS);
                int status = (int)rng_below(&rng, STATUSES);

                snprintf(line, sizeof(line), "op %d", name);
                put_span(line, kind, status, rng_below(&rng, 1000000000));
                truth[resource][name][kind][status]++;
            }
            end_service();
        }
        count_body(m, (unsigned)rng_below(&rng, 3));
        if (request % 70 == 0)
            gather(m, 3);
    }
    gather(m, 3);
    spanmetrics_stats(m, &stats);
    CHECK(stats.calls == 9000 && stats.overflow == 0 && stats.series == 3UL * 8 * KINDS * STATUSES);
    for (int resource = 0; resource < 3; resource++)
        for (int name = 0; name < 8; name++) {
            snprintf(line, sizeof(line),
                     "traces_span_metrics_calls_total{service_name=\"%s\",span_name=\"op "
                     "%d\",span_kind=\"SPAN_KIND_CLIENT\",status_code=\"STATUS_CODE_ERROR\"} %d",
                     services[resource] ? services[resource] : "unknown_service", name,
                     (int)truth[resource][name][3][2]);
            CHECK(says(m, line));
        }
    end(m);
}

static void dimensions_come_from_the_span_or_its_resource(void)
{
    static const char *const dimensions[] = {"http.response.status_code", "zone", "nowhere", NULL};
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m;

    o.dimensions = dimensions;
    o.name_attribute = "http.route";
    m = make(&o, 1);
    begin_service("a\\b\n");
    put_span("GET", 2, 1, 3000000);
    end_service();
    count_body(m, 0);
    gather(m, 1);
    CHECK(says(m, "traces_span_metrics_calls_total{service_name=\"a\\\\b\\n\",span_name="
                  "\"/cart/{id}\",span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_OK\","
                  "http_response_status_code=\"201\",zone=\"eu \\\"1\\\"\"} 1"));
    end(m);
}

/* `text` NULL: the attribute is a list. */
static void put_span_with(const char *name, const char *text)
{
    size_t start = begin_span("GET", 2, 0, 1000), attribute, value;

    if (text) {
        otlp_write_attr_str(&body, ATTRS_SPAN, name, slice_str(text));
    } else {
        attribute = otlp_write_begin(&body, ATTRS_SPAN);
        wire_put_bytes(&body, 1, slice_str(name));
        value = otlp_write_begin(&body, 2);
        otlp_write_end(&body, otlp_write_begin(&body, 5)); /* array_value */
        otlp_write_end(&body, value);
        otlp_write_end(&body, attribute);
    }
    otlp_write_end(&body, start);
}

/* To Prometheus an empty label is none: two series of these would be one that came twice. */
static void an_empty_dimension_and_a_list_are_as_if_absent(void)
{
    static const char *const dimensions[] = {"tenant", "zone", NULL};
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m;

    o.dimensions = dimensions;
    m = make(&o, 1);
    begin_service("shop");
    put_span_with("other", "x");
    put_span_with("tenant", "");
    put_span_with("tenant", NULL);
    put_span_with("zone", "");
    put_span_with("zone", NULL);
    end_service();
    count_body(m, 0);
    gather(m, 1);
    CHECK(says(m, "traces_span_metrics_calls_total{service_name=\"shop\",span_name=\"GET\","
                  "span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_UNSET\","
                  "zone=\"eu \\\"1\\\"\"} 5"));
    end(m);
}

static void spans_of_series_beyond_the_bound_are_counted_in_one(void)
{
    struct spanmetrics_options o = options(20);
    struct spanmetrics *m = make(&o, 2);
    struct spanmetrics_stats stats;
    size_t used;
    char name[32];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "early %d", i);
        one_span(m, name, 1000);
    }
    gather(m, 2);
    used = memory_used(&memory);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "late %d", i);
        one_span(m, name, 1000);
        one_span(m, "early 3", 1000);
    }
    gather(m, 2);
    spanmetrics_stats(m, &stats);
    CHECK(stats.series == 20 && stats.overflow == 1000 && stats.calls == 2020);
    CHECK(memory_used(&memory) == used);
    CHECK(says(m, "traces_span_metrics_calls_total{otel_metric_overflow=\"true\"} 1000"));
    CHECK(says(m, "traces_span_metrics_calls_total{service_name=\"shop\",span_name=\"early 3\","
                  "span_kind=\"SPAN_KIND_SERVER\",status_code=\"STATUS_CODE_UNSET\"} 1001"));
    end(m);
}

static void where_memory_is_short_spans_are_counted_in_the_overflow_series(void)
{
    struct spanmetrics_options o = options(1000);
    struct spanmetrics *m = make(&o, 1);
    struct spanmetrics_stats stats;
    char name[32];

    one_span(m, "first", 1000);
    memory_set_limits(&memory, memory_used(&memory) + 8000, 1000);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "op %d", i);
        one_span(m, name, 1000);
    }
    gather(m, 1);
    spanmetrics_stats(m, &stats);
    CHECK(stats.calls == 101 && stats.overflow > 50 && stats.overflow < 101);
    end(m);
}

static void a_long_name_is_cut_between_two_characters(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    char name[600], cut[600];

    for (int i = 0; i < 298; i++)
        memcpy(name + 1 + (size_t)2 * (size_t)i, "\xc3\xa9", 2);
    name[0] = 'x';
    name[597] = '\0';
    /* 250 bytes would end within an e with an accent. */
    memcpy(cut, name, 249);
    cut[249] = '\0';
    begin_service("shop");
    put_span(name, 2, 0, 1);
    put_span(cut, 2, 0, 1);
    end_service();
    count_body(m, 0);
    gather(m, 1);
    CHECK(strstr(page_of(m, true), cut) != NULL);
    CHECK(strstr(page_of(m, true), "STATUS_CODE_UNSET\"} 2\n") != NULL);
    end(m);
}

static void a_name_behind_the_attributes_is_found(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    uint8_t id[16] = {7};
    size_t span;

    begin_service("shop");
    span = otlp_write_begin(&body, 2);
    otlp_write_attr_str(&body, ATTRS_SPAN, "a", slice_str("b"));
    wire_put_fixed64(&body, 8, START_NS + 5000000);
    wire_put_fixed64(&body, 7, START_NS);
    wire_put_uint(&body, 6, 3);
    wire_put_bytes(&body, 5, slice_str("backwards"));
    wire_put_bytes(&body, 2, slice_make(id, 8));
    wire_put_bytes(&body, 1, slice_make(id, 16));
    otlp_write_end(&body, span);
    end_service();
    count_body(m, 0);
    gather(m, 1);
    CHECK(says(m, "traces_span_metrics_calls_total{service_name=\"shop\",span_name=\"backwards\","
                  "span_kind=\"SPAN_KIND_CLIENT\",status_code=\"STATUS_CODE_UNSET\"} 1"));
    end(m);
}

/* A span of drawn fields: some are absent, some in another order. */
static void put_drawn_span(struct buf *b, struct rng *rng)
{
    static const uint8_t ids[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    char name[300];
    bool turned = rng_below(rng, 8) == 0;

    memset(name, 'n', sizeof(name));
    for (uint32_t i = 1; i <= 9; i++) {
        uint32_t field = turned ? 10 - i : i;

        if (rng_below(rng, 12) == 0)
            continue;
        if (field == 6)
            wire_put_uint(b, 6, rng_below(rng, 3) ? rng_below(rng, 6) : rng_next(rng));
        else if (field == 7 || field == 8)
            wire_put_fixed64(b, field, rng_next(rng));
        else if (field == 5)
            wire_put_bytes(b, 5, slice_make(name, rng_below(rng, rng_below(rng, 2) ? 20 : 300)));
        else if (field != 3 || rng_below(rng, 2))
            wire_put_bytes(b, field, slice_make(ids, field == 1 ? 16 : field == 9 ? 0 : 8));
    }
}

static void names_and_kinds_are_those_of_the_whole_span(void)
{
    struct span_fields fields;
    struct slice name;
    struct rng rng;
    struct buf b;
    int32_t kind;

    rng_seed(&rng, 3);
    buf_init(&b, 1 << 16, NULL);
    for (int i = 0; i < 20000; i++) {
        struct slice span;

        buf_clear(&b);
        put_drawn_span(&b, &rng);
        span =
            slice_make(b.data, i % 10 ? b.len : rng_below(&rng, b.len + 1)); /* some are cut off */
        view_span_fields(span, &fields);
        view_span_name(span, &name, &kind);
        if (span.len == b.len)
            CHECK(slice_equal(name, fields.name) && kind == fields.kind);
        else
            CHECK(name.len == 0 ||
                  (name.data >= span.data && name.data + name.len <= span.data + span.len));
    }
    buf_fini(&b);
}

#define SHOP_GET                                                                                   \
    "service_name=\"shop\",span_name=\"GET\",span_kind=\"SPAN_KIND_SERVER\","                      \
    "status_code=\"STATUS_CODE_UNSET\""

static void the_page_has_exponential_buckets_at_powers_of_two(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    one_span(m, "GET", 0);
    one_span(m, "GET", 3000000);
    one_span(m, "GET", 4000000);
    one_span(m, "GET", 4100000);
    one_span(m, "GET", 9000000);
    gather(m, 1);
    CHECK(says(m, "traces_span_metrics_duration_milliseconds_bucket{" SHOP_GET ",le=\"4\"} 3"));
    CHECK(says(m, "traces_span_metrics_duration_milliseconds_bucket{" SHOP_GET ",le=\"8\"} 4"));
    CHECK(says(m, "traces_span_metrics_duration_milliseconds_bucket{" SHOP_GET ",le=\"16\"} 5"));
    CHECK(says(m, "traces_span_metrics_duration_milliseconds_bucket{" SHOP_GET ",le=\"+Inf\"} 5"));
    CHECK(
        says(m, "traces_span_metrics_duration_milliseconds_sum{" SHOP_GET "} 20.100000000000001"));
    CHECK(says(m, "traces_span_metrics_duration_milliseconds_count{" SHOP_GET "} 5"));
    CHECK(says(m, "# TYPE traces_span_metrics_calls counter"));
    CHECK(says(m, "# TYPE traces_span_metrics_duration_milliseconds histogram"));
    CHECK(strstr(page_of(m, false), "# TYPE traces_span_metrics_calls_total counter\n") != NULL);
    CHECK(strstr(page_of(m, false), "EOF") == NULL);
    end(m);
}

static void a_page_that_would_be_too_long_has_no_buckets(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    struct buf small;

    one_span(m, "GET", 3000000);
    one_span(m, "GET", 3000000000);
    gather(m, 1);
    buf_init(&small, 1000, NULL);
    spanmetrics_write_page((const struct spanmetrics *const[]){m}, 1, true, &small);
    CHECK(buf_ok(&small) && small.len > 100);
    buf_byte(&small, 0);
    CHECK(strstr((const char *)small.data, "_bucket") == NULL);
    CHECK(strstr((const char *)small.data, "_milliseconds summary\n") != NULL);
    CHECK(strstr((const char *)small.data, "_milliseconds_sum{" SHOP_GET "} 3003\n") != NULL);
    buf_fini(&small);
    end(m);
}

static void a_page_that_would_be_too_long_without_buckets_too_has_no_durations(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    struct buf small;

    one_span(m, "GET", 3000000);
    gather(m, 1);
    buf_init(&small, 400, NULL);
    spanmetrics_write_page((const struct spanmetrics *const[]){m}, 1, true, &small);
    CHECK(buf_ok(&small));
    buf_byte(&small, 0);
    CHECK(strstr((const char *)small.data, "_calls_total{" SHOP_GET "} 1\n# EOF\n") != NULL);
    buf_fini(&small);
    end(m);
}

static struct spanmetrics *make_explicit(bool delta)
{
    struct spanmetrics_options o = options(2000);

    o.shape = (struct histogram_shape){
        .unit_ns = 1e9, .buckets = 3, .explicit = true, .bounds_ns = {2000000, 100000000}};
    o.delta = delta;
    return make(&o, 1);
}

static void an_exemplar_stands_at_the_bucket_of_its_duration(void)
{
    struct spanmetrics *m = make_explicit(false);
    struct scan_result result;
    struct span_view view;

    begin_service("shop");
    put_span("GET", 2, 0, 50000000);
    put_span("other", 2, 0, 50000000);
    end_service();
    CHECK(scan_traces(buf_slice(&body), scanned, SPANS_MAX, &result) == ERR_OK);
    spanmetrics_find(spanmetrics_recorder(m, 0), buf_slice(&body), scanned, 2, series);
    spanmetrics_count(spanmetrics_recorder(m, 0), scanned, 2, series);
    view = span_view_of(buf_slice(&body), &scanned[0]);
    spanmetrics_note_kept(spanmetrics_recorder(m, 0), &view, START_NS);
    gather(m, 1);
    page_of(m, true);
    CHECK(strstr((const char *)page.data, SHOP_GET ",le=\"0.1\"} 1 # {trace_id=\"0100") != NULL);
    CHECK(strstr((const char *)page.data, "\"} 0.050000000000000003 1700000000.000\n") != NULL);
    CHECK(strstr((const char *)page.data, SHOP_GET ",le=\"0.002\"} 0\n") != NULL);
    CHECK(strstr(page_of(m, false), "trace_id") == NULL);
    end(m);
}

static void otlp_says_what_was_counted(void)
{
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    metrics_data *data;
    metric_data *calls, *duration;
    Opentelemetry__Proto__Metrics__V1__ExponentialHistogramDataPoint *point;

    begin_service("zoo");
    put_span("GET", 3, 2, 250000); /* a quarter of a millisecond: a negative index */
    put_span("GET", 3, 2, 250000);
    end_service();
    count_body(m, 0);
    one_span(m, "GET", 7000000);
    gather(m, 1);
    CHECK(write_all(m) == 4);
    data = decode(&body);
    CHECK(data->n_resource_metrics == 2);
    CHECK(strcmp(attribute(data->resource_metrics[0]->resource->attributes, 1, "service.name"),
                 "shop") == 0);
    CHECK(data->resource_metrics[1]->scope_metrics[0]->n_metrics == 2);
    calls = data->resource_metrics[1]->scope_metrics[0]->metrics[0];
    duration = data->resource_metrics[1]->scope_metrics[0]->metrics[1];
    CHECK(strcmp(calls->name, "traces.span.metrics.calls") == 0 && calls->sum->is_monotonic);
    CHECK(calls->sum->aggregation_temporality == 2 && calls->sum->n_data_points == 1);
    CHECK(calls->sum->data_points[0]->as_int == 2);
    CHECK(calls->sum->data_points[0]->start_time_unix_nano == START_NS);
    CHECK(calls->sum->data_points[0]->time_unix_nano == START_NS + 1000000000);
    CHECK(strcmp(attribute(calls->sum->data_points[0]->attributes, 4, "status.code"),
                 "STATUS_CODE_ERROR") == 0);
    CHECK(strcmp(duration->name, "traces.span.metrics.duration") == 0);
    CHECK(strcmp(duration->unit, "ms") == 0);
    point = duration->exponential_histogram->data_points[0];
    CHECK(point->count == 2 && point->sum == 0.5 && point->min == 0.25 && point->max == 0.25);
    CHECK(point->scale == 20 && point->positive->offset == -2 * (1 << 20) - 1);
    CHECK(point->positive->n_bucket_counts == 1 && point->positive->bucket_counts[0] == 2);
    CHECK(strcmp(attribute(point->attributes, 4, "span.kind"), "SPAN_KIND_CLIENT") == 0);
    free_data(data);
    end(m);
}

/* As of senders that leave out when a span began: one lasts half a century. */
static void a_sum_of_very_long_spans_does_not_wrap(void)
{
    const uint64_t long_ns = UINT64_C(16) * 1000 * 1000 * 1000 * 1000 * 1000 * 1000;
    struct spanmetrics *m = make_explicit(false);
    metrics_data *data;

    for (int i = 0; i < 3; i++) {
        one_span(m, "GET", long_ns);
        one_span(m, "GET", long_ns);
        gather(m, 1);
    }
    CHECK(says(m, "traces_span_metrics_duration_seconds_sum{" SHOP_GET "} 96000000000"));
    CHECK(write_all(m) == 2);
    data = decode(&body);
    CHECK(data->resource_metrics[0]->scope_metrics[0]->metrics[1]->histogram->data_points[0]->sum ==
          96e9);
    free_data(data);
    end(m);
}

static void deltas_begin_where_the_last_ones_ended_and_the_page_goes_on(void)
{
    struct spanmetrics *m = make_explicit(true);
    metrics_data *data;
    Opentelemetry__Proto__Metrics__V1__HistogramDataPoint *point;

    one_span(m, "GET", 1000000);
    one_span(m, "GET", 2000000);
    gather(m, 1);
    CHECK(write_all(m) == 2);
    spanmetrics_sent(m);
    CHECK(write_all(m) == 0);
    one_span(m, "GET", 500000000);
    gather(m, 1);
    gather(m, 1);
    CHECK(write_all(m) == 2);
    data = decode(&body);
    CHECK(data->resource_metrics[0]->scope_metrics[0]->metrics[0]->sum->data_points[0]->as_int ==
          1);
    CHECK(data->resource_metrics[0]
              ->scope_metrics[0]
              ->metrics[1]
              ->histogram->aggregation_temporality == 1);
    point = data->resource_metrics[0]->scope_metrics[0]->metrics[1]->histogram->data_points[0];
    CHECK(point->start_time_unix_nano == START_NS + 1000000000);
    CHECK(point->count == 1 && point->n_bucket_counts == 3 && point->bucket_counts[2] == 1);
    CHECK(point->bucket_counts[0] == 0 && point->n_explicit_bounds == 2);
    CHECK(point->explicit_bounds[0] == 0.002 && point->explicit_bounds[1] == 0.1);
    CHECK(strstr(page_of(m, true), "} 3\n") != NULL);
    free_data(data);
    end(m);
}

/* Of the only series, whose deltas leave. */
static size_t exemplars_sent(struct spanmetrics *m)
{
    metrics_data *data;
    size_t count;

    CHECK(write_all(m) == 2);
    data = decode(&body);
    count = data->resource_metrics[0]
                ->scope_metrics[0]
                ->metrics[1]
                ->histogram->data_points[0]
                ->n_exemplars;
    free_data(data);
    spanmetrics_sent(m);
    buf_clear(&body);
    return count;
}

/* A trace is decided after its spans were counted, which may have left by then. */
static void an_exemplar_waits_for_the_next_delta_of_its_series(void)
{
    struct spanmetrics *m = make_explicit(true);
    struct scan_result result;
    struct span_view view;
    struct buf kept;

    begin_service("shop");
    put_span("GET", 2, 0, 50000000);
    end_service();
    kept = body;
    buf_init(&body, 64 << 20, NULL);
    one_span(m, "GET", 50000000);
    gather(m, 1);
    CHECK(exemplars_sent(m) == 0);
    CHECK(scan_traces(buf_slice(&kept), scanned, SPANS_MAX, &result) == ERR_OK);
    view = span_view_of(buf_slice(&kept), &scanned[0]);
    spanmetrics_note_kept(spanmetrics_recorder(m, 0), &view, START_NS);
    gather(m, 1);
    CHECK(write_all(m) == 0);
    spanmetrics_sent(m);
    one_span(m, "GET", 1000000);
    gather(m, 1);
    CHECK(exemplars_sent(m) == 1);
    one_span(m, "GET", 1000000);
    gather(m, 1);
    CHECK(exemplars_sent(m) == 0);
    buf_fini(&kept);
    end(m);
}

static void many_series_leave_in_several_bodies(void)
{
    struct spanmetrics *m = make_explicit(false);
    size_t at = 0, points, all = 0, bodies = 0;
    char name[32];

    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof(name), "op %d", i);
        one_span(m, name, 1000);
    }
    gather(m, 1);
    while ((points = spanmetrics_write_otlp(m, &at, &body)) > 0) {
        metrics_data *data = decode(&body);

        CHECK(data->resource_metrics[0]->scope_metrics[0]->metrics[0]->sum->n_data_points * 2 ==
              points);
        free_data(data);
        buf_clear(&body);
        all += points;
        bodies++;
    }
    CHECK(all == 2400 && bodies == 3);
    end(m);
}

/* ---- workers at the same time ---- */

struct thread_work {
    struct spanmetrics *m;
    unsigned recorder;
    struct slice body;
};

static void *count_many(void *arg)
{
    struct thread_work *t = arg;
    struct spanmetrics_recorder *r = spanmetrics_recorder(t->m, t->recorder);
    static _Thread_local struct scan_span spans[200];
    static _Thread_local uint32_t numbers[200];
    struct scan_result result;

    for (int i = 0; i < 50; i++) {
        if (scan_traces(t->body, spans, 200, &result) != ERR_OK)
            abort();
        spanmetrics_find(r, t->body, spans, result.spans, numbers);
        spanmetrics_count(r, spans, result.spans, numbers);
    }
    spanmetrics_hand_over(r);
    return NULL;
}

static void workers_that_meet_the_same_new_series_make_it_once(void)
{
    struct spanmetrics_options o = options(100);
    struct spanmetrics *m = make(&o, 2);
    struct thread_work work[2];
    struct spanmetrics_stats stats;
    pthread_t threads[2];
    char name[32];

    begin_service("shop");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "op %d", i % 150);
        put_span(name, 2, 0, 1000);
    }
    end_service();
    for (unsigned i = 0; i < 2; i++) {
        work[i] = (struct thread_work){m, i, buf_slice(&body)};
        CHECK(pthread_create(&threads[i], NULL, count_many, &work[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    spanmetrics_gather(m, START_NS);
    spanmetrics_stats(m, &stats);
    CHECK(stats.calls == 20000 && stats.series == 100);
    CHECK(stats.overflow >= 2UL * 50 * 50 && stats.overflow <= 2UL * 50 * 100);
    end(m);
}

int main(void)
{
    RUN(counts_are_exact_with_any_number_of_workers);
    RUN(dimensions_come_from_the_span_or_its_resource);
    RUN(an_empty_dimension_and_a_list_are_as_if_absent);
    RUN(spans_of_series_beyond_the_bound_are_counted_in_one);
    RUN(where_memory_is_short_spans_are_counted_in_the_overflow_series);
    RUN(a_long_name_is_cut_between_two_characters);
    RUN(a_name_behind_the_attributes_is_found);
    RUN(names_and_kinds_are_those_of_the_whole_span);
    RUN(the_page_has_exponential_buckets_at_powers_of_two);
    RUN(a_page_that_would_be_too_long_has_no_buckets);
    RUN(a_page_that_would_be_too_long_without_buckets_too_has_no_durations);
    RUN(an_exemplar_stands_at_the_bucket_of_its_duration);
    RUN(otlp_says_what_was_counted);
    RUN(a_sum_of_very_long_spans_does_not_wrap);
    RUN(deltas_begin_where_the_last_ones_ended_and_the_page_goes_on);
    RUN(an_exemplar_waits_for_the_next_delta_of_its_series);
    RUN(many_series_leave_in_several_bodies);
    RUN(workers_that_meet_the_same_new_series_make_it_once);
    return DONE();
}
