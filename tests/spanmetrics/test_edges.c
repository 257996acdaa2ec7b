/* Traces to requests between services: which edge, how many, and what is no request. */
#include "base/random.h"
#include "otlp/write.h"
#include "spanmetrics/scene.h"

#include <inttypes.h>
#include <opentelemetry/proto/metrics/v1/metrics.pb-c.h>
#include <stdlib.h>

#define MS UINT64_C(1000000)

enum { SPANS_MAX = 512, INTERNAL = 1, SERVER, CLIENT, PRODUCER, CONSUMER, KINDS };

/* A span as the tests write it. */
struct span {
    uint64_t id, parent;
    const char *service;
    int kind;
    uint64_t ms;
    bool error;
    const char *key, *value; /* an attribute; NULL: none */
};

static struct scan_span scanned[SPANS_MAX];

static const char *const databases[] = {"db.name", "db.namespace", NULL};
static const char *const peers[] = {"peer.service", "db.system", NULL};
static const char *const dimensions[] = {"http.route", NULL};

static struct spanmetrics_options options(size_t max_series)
{
    return (struct spanmetrics_options){
        .edges = true,
        .databases = databases,
        .peers = peers,
        .prefix = "traces_service_graph",
        .shape = {.unit_ns = 1e9, .buckets = 3, .explicit = true, .bounds_ns = {10 * MS, 100 * MS}},
        .max_series = max_series,
    };
}

/* ---- traces ---- */

static void put_id(uint8_t bytes[8], uint64_t id)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(id >> (56 - 8 * i));
}

static void put_span(const struct span *s)
{
    uint8_t trace_id[16] = {1}, id[8], parent[8];
    size_t resource_spans = otlp_write_begin(&body, 1), part = otlp_write_begin(&body, 1), scope;

    put_id(id, s->id);
    put_id(parent, s->parent);
    otlp_write_attr_str(&body, ATTRS_RESOURCE, "service.name", slice_str(s->service));
    otlp_write_end(&body, part);
    scope = otlp_write_begin(&body, 2);
    part = otlp_write_begin(&body, 2);
    otlp_write_span_fields(&body,
                           &(struct span_fields){.trace_id = slice_make(trace_id, 16),
                                                 .span_id = slice_make(id, 8),
                                                 .parent_id = slice_make(parent, s->parent ? 8 : 0),
                                                 .name = slice_str("op"),
                                                 .kind = s->kind,
                                                 .status = s->error ? 2 : 0,
                                                 .start_ns = START_NS,
                                                 .end_ns = START_NS + s->ms * MS});
    otlp_write_attr_int(&body, ATTRS_SPAN, "thread.id", 3);
    if (s->key)
        otlp_write_attr_str(&body, ATTRS_SPAN, s->key, slice_str(s->value));
    otlp_write_end(&body, part);
    otlp_write_end(&body, scope);
    otlp_write_end(&body, resource_spans);
}

static struct span_view view_at(void *arg, uint32_t i)
{
    (void)arg;
    return span_view_of(buf_slice(&body), &scanned[i]);
}

static void count_trace(struct spanmetrics *m, unsigned recorder, const struct span *spans,
                        size_t count)
{
    struct scan_result result;

    buf_clear(&body);
    for (size_t i = 0; i < count; i++)
        put_span(&spans[i]);
    CHECK(scan_traces(buf_slice(&body), scanned, SPANS_MAX, &result) == ERR_OK);
    spanmetrics_count_edges(spanmetrics_recorder(m, recorder),
                            &(struct spanmetrics_trace){(uint32_t)result.spans, view_at, NULL});
}

static void gather(struct spanmetrics *m, unsigned recorders)
{
    for (unsigned i = 0; i < recorders; i++)
        spanmetrics_hand_over(spanmetrics_recorder(m, i));
    spanmetrics_gather(m, START_NS + 1000 * MS);
}

static const char *page_of(const struct spanmetrics *m)
{
    buf_clear(&page);
    spanmetrics_write_page((const struct spanmetrics *const[]){NULL, m}, 2, true, &page);
    buf_byte(&page, 0);
    return (const char *)page.data;
}

static bool says(const struct spanmetrics *m, const char *line)
{
    const char *found = strstr(page_of(m), line);
    bool is_there = found && found[-1] == '\n' && found[strlen(line)] == '\n';

    if (!is_there)
        printf("  not there: %s\n%s\n", line, (const char *)page.data);
    return is_there;
}

static size_t lines_of(const struct spanmetrics *m, const char *name)
{
    size_t lines = 0;

    for (const char *at = page_of(m); (at = strstr(at, name)) != NULL; at++)
        lines++;
    return lines;
}

#define TOTAL  "traces_service_graph_request_total"
#define FAILED "traces_service_graph_request_failed_total"
#define SERVED "traces_service_graph_request_server_seconds"
#define CALLED "traces_service_graph_request_client_seconds"
#define EDGE(client, server, type, failed)                                                         \
    "{client=\"" client "\",server=\"" server "\",connection_type=\"" type "\",failed=\"" failed   \
    "\"}"

/* ---- the tests ---- */

static void a_client_and_its_child_at_a_server_are_a_request(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", SERVER, .ms = 90},
        {2, 1, "shop", INTERNAL, .ms = 80},
        {3, 2, "shop", CLIENT, .ms = 60},
        {4, 3, "cart", SERVER, .ms = 50},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    count_trace(m, 0, trace, 4);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "cart", "", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("user", "shop", "virtual_node", "false") " 1"));
    CHECK(lines_of(m, "\n" TOTAL "{") == 2 && lines_of(m, "\n" FAILED "{") == 0);
    CHECK(says(m, SERVED "_sum" EDGE("shop", "cart", "", "false") " 0.050000000000000003"));
    CHECK(says(m, CALLED "_sum" EDGE("shop", "cart", "", "false") " 0.059999999999999998"));
    CHECK(says(m, SERVED "_count" EDGE("user", "shop", "virtual_node", "false") " 1"));
    CHECK(lines_of(m, CALLED "_count{client=\"user\"") == 0); /* nobody measured it */
    CHECK(says(m, "# TYPE traces_service_graph_request counter"));
    CHECK(says(m, "# TYPE " SERVED " histogram"));
    end(m);
}

static void the_order_of_spans_does_not_matter(void)
{
    static const struct span trace[] = {
        {4, 3, "cart", SERVER, .ms = 50},
        {3, 1, "shop", CLIENT, .ms = 60},
        {1, 0, "shop", SERVER, .ms = 90},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    count_trace(m, 0, trace, 3);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "cart", "", "false") " 1"));
    CHECK(lines_of(m, "\n" TOTAL "{") == 2);
    end(m);
}

static void a_request_has_failed_if_either_side_says_so(void)
{
    static const struct span traces[][2] = {
        {{1, 0, "shop", CLIENT, 5, .error = true}, {2, 1, "cart", SERVER, .ms = 4}},
        {{1, 0, "shop", CLIENT, .ms = 5}, {2, 1, "cart", SERVER, 4, .error = true}},
        {{1, 0, "shop", CLIENT, .ms = 5}, {2, 1, "cart", SERVER, .ms = 4}},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    for (int i = 0; i < 3; i++)
        count_trace(m, 0, traces[i], 2);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "cart", "", "true") " 2"));
    CHECK(says(m, FAILED EDGE("shop", "cart", "", "true") " 2"));
    CHECK(says(m, TOTAL EDGE("shop", "cart", "", "false") " 1"));
    CHECK(lines_of(m, "\n" FAILED "{") == 1);
    end(m);
}

static void a_message_has_a_request_for_each_consumer(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", PRODUCER, .ms = 1},
        {2, 1, "mail", CONSUMER, .ms = 20},
        {3, 1, "stock", CONSUMER, .ms = 30},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    count_trace(m, 0, trace, 3);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "mail", "messaging_system", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("shop", "stock", "messaging_system", "false") " 1"));
    CHECK(lines_of(m, "\n" TOTAL "{") == 2);
    end(m);
}

static void a_call_of_a_database_needs_no_span_of_it(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", CLIENT, 7, .key = "db.namespace", .value = "orders"},
        {2, 1, "orders-db", SERVER,
         .ms = 3}, /* one that has spans of its own is not counted twice */
        {3, 1, "shop", CLIENT, 8, true, "db.name", "users"},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    struct spanmetrics_stats stats;

    count_trace(m, 0, trace, 3);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "orders", "database", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("shop", "users", "database", "true") " 1"));
    CHECK(says(m,
               SERVED "_sum" EDGE("shop", "orders", "database", "false") " 0.0070000000000000001"));
    CHECK(says(m,
               CALLED "_sum" EDGE("shop", "orders", "database", "false") " 0.0070000000000000001"));
    CHECK(lines_of(m, "\n" TOTAL "{") == 2);
    spanmetrics_stats(m, &stats);
    CHECK(stats.unpaired == 1 && stats.calls == 2);
    end(m);
}

static void a_server_that_sends_no_spans_is_named_by_its_client(void)
{
    static const struct span traces[][1] = {
        {{1, 9, "shop", CLIENT, 5, .key = "peer.service", .value = "stripe"}},
        {{1, 9, "shop", CLIENT, 5, .key = "db.system", .value = "redis"}},
        {{1, 9, "shop", CLIENT, .ms = 5}},
        {{1, 9, "shop", PRODUCER, 5, .error = true}},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    for (int i = 0; i < 4; i++)
        count_trace(m, 0, traces[i], 1);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "stripe", "virtual_node", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("shop", "redis", "virtual_node", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("shop", "unknown", "virtual_node", "false") " 1"));
    CHECK(says(m, TOTAL EDGE("shop", "unknown", "virtual_node", "true") " 1"));
    CHECK(lines_of(m, SERVED "_count{") == 0 && lines_of(m, CALLED "_count{") == 4);
    end(m);
}

static void a_server_whose_parent_is_missing_is_no_request_and_counted(void)
{
    static const struct span trace[] = {
        {2, 1, "cart", SERVER, .ms = 5},   /* the parent is not here */
        {3, 2, "cart", INTERNAL, .ms = 5}, /* nor is this one a client */
        {4, 3, "stock", SERVER, .ms = 5},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    struct spanmetrics_stats stats;

    count_trace(m, 0, trace, 3);
    gather(m, 1);
    spanmetrics_stats(m, &stats);
    CHECK(stats.unpaired == 2 && stats.calls == 0 && stats.series == 0);
    end(m);
}

static void a_client_that_was_sent_twice_counts_once(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", CLIENT, .ms = 5},
        {1, 0, "shop", CLIENT, .ms = 5},
        {2, 1, "cart", SERVER, .ms = 4},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);

    count_trace(m, 0, trace, 3);
    gather(m, 1);
    CHECK(says(m, TOTAL EDGE("shop", "cart", "", "false") " 1"));
    CHECK(lines_of(m, "\n" TOTAL "{") == 1);
    end(m);
}

static void dimensions_are_those_of_either_side(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", CLIENT, 5, .key = "http.route", .value = "/buy"},
        {2, 1, "cart", SERVER, 4, .key = "http.route", .value = "/add"},
        {3, 1, "shop", CLIENT, 5, .key = "http.route", .value = "/pay"},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m;

    o.dimensions = dimensions;
    m = make(&o, 1);
    count_trace(m, 0, trace, 3);
    gather(m, 1);
    CHECK(says(m, TOTAL "{client=\"shop\",server=\"cart\",connection_type=\"\",failed=\"false\","
                        "client_http_route=\"/buy\",server_http_route=\"/add\"} 1"));
    CHECK(says(m, TOTAL "{client=\"shop\",server=\"unknown\",connection_type=\"virtual_node\","
                        "failed=\"false\",client_http_route=\"/pay\"} 1"));
    end(m);
}

static void edges_beyond_the_bound_are_counted_in_one(void)
{
    struct spanmetrics_options o = options(5);
    struct spanmetrics *m = make(&o, 1);
    struct spanmetrics_stats stats;
    char service[32];

    for (int i = 0; i < 100; i++) {
        struct span trace[] = {{1, 0, "shop", CLIENT, .ms = 5},
                               {2, 1, service, SERVER, .ms = 4, .error = i % 2 == 0}};

        snprintf(service, sizeof(service), "cart %d", i);
        count_trace(m, 0, trace, 2);
    }
    gather(m, 1);
    spanmetrics_stats(m, &stats);
    CHECK(stats.series == 5 && stats.overflow == 95 && stats.calls == 100);
    CHECK(says(m, TOTAL "{otel_metric_overflow=\"true\"} 95"));
    CHECK(says(m, FAILED "{otel_metric_overflow=\"true\"} 47"));
    end(m);
}

/* ---- drawn traces ---- */

enum { SERVICES = 4 };
static const char *const services[SERVICES] = {"a", "b", "c", "d"};

/* What is counted of one trace, found the slow way. */
struct truth {
    uint64_t pairs[SERVICES][SERVICES][2], users[SERVICES][2], unknown[SERVICES][2], unpaired, all;
};

static bool is_client(const struct span *s)
{
    return s->kind == CLIENT || s->kind == PRODUCER;
}

static int service_of(const struct span *s)
{
    return s->service[0] - 'a';
}

static void add_server(struct truth *t, const struct span *spans, size_t count,
                       const struct span *s)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].id == s->parent && is_client(&spans[i])) {
            t->pairs[service_of(&spans[i])][service_of(s)][s->error || spans[i].error]++;
            t->all++;
            return;
        }
    t->users[service_of(s)][s->error] += s->parent == 0;
    t->all += s->parent == 0;
    t->unpaired += s->parent != 0;
}

static void add_client(struct truth *t, const struct span *spans, size_t count,
                       const struct span *s)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].parent == s->id && (spans[i].kind == SERVER || spans[i].kind == CONSUMER))
            return;
    t->unknown[service_of(s)][s->error]++;
    t->all++;
}

static size_t draw(struct rng *rng, struct span *spans, uint64_t trace)
{
    size_t count = 1 + rng_below(rng, rng_below(rng, 10) ? 12 : SPANS_MAX - 2);

    for (size_t i = 0; i < count; i++) {
        uint64_t parent = rng_below(rng, i + 2); /* of none, of one before, of one that is gone */

        spans[i] = (struct span){.id = (trace << 16) + i + 1,
                                 .parent = parent ? (trace << 16) + parent : 0,
                                 .service = services[rng_below(rng, SERVICES)],
                                 .kind = (int)rng_below(rng, KINDS),
                                 .ms = rng_below(rng, 300),
                                 .error = rng_below(rng, 5) == 0};
        if (parent == i + 1)
            spans[i].parent = UINT64_MAX - i;
    }
    for (size_t i = count; i > 1; i--) { /* in any order */
        size_t other = rng_below(rng, i);
        struct span s = spans[i - 1];

        spans[i - 1] = spans[other];
        spans[other] = s;
    }
    return count;
}

static uint64_t sum_of(const struct spanmetrics *m, const char *what, const char *failed)
{
    uint64_t sum = 0;

    for (const char *at = page_of(m); (at = strstr(at, what)) != NULL; at++) {
        const char *close = strstr(at, "} ");

        if (close && (!failed || (strstr(at, failed) && strstr(at, failed) < close)))
            sum += strtoull(close + 2, NULL, 10);
    }
    return sum;
}

static void check_truth(const struct spanmetrics *m, const struct truth *t)
{
    static const char *const failed[] = {"failed=\"false\"", "failed=\"true\""};
    char what[128];

    for (int a = 0; a < SERVICES; a++)
        for (int error = 0; error < 2; error++) {
            for (int b = 0; b < SERVICES; b++) {
                snprintf(what, sizeof(what), "\n" TOTAL "{client=\"%s\",server=\"%s\",",
                         services[a], services[b]);
                CHECK(sum_of(m, what, failed[error]) == t->pairs[a][b][error]);
            }
            snprintf(what, sizeof(what), "\n" TOTAL "{client=\"user\",server=\"%s\"", services[a]);
            CHECK(sum_of(m, what, failed[error]) == t->users[a][error]);
            snprintf(what, sizeof(what), "\n" TOTAL "{client=\"%s\",server=\"unknown\"",
                     services[a]);
            CHECK(sum_of(m, what, failed[error]) == t->unknown[a][error]);
        }
}

static void edges_of_drawn_traces_are_those_found_the_slow_way(void)
{
    static struct span spans[SPANS_MAX];
    struct spanmetrics_options o = options(1000);
    struct spanmetrics *m = make(&o, 2);
    struct spanmetrics_stats stats;
    struct truth truth = {0};
    struct rng rng;

    rng_seed(&rng, 7);
    for (uint64_t trace = 1; trace <= 2000; trace++) {
        size_t count = draw(&rng, spans, trace);

        for (size_t i = 0; i < count; i++) {
            if (is_client(&spans[i]))
                add_client(&truth, spans, count, &spans[i]);
            else if (spans[i].kind == SERVER || spans[i].kind == CONSUMER)
                add_server(&truth, spans, count, &spans[i]);
        }
        count_trace(m, trace % 2, spans, count);
        if (trace % 500 == 0)
            gather(m, 2);
    }
    spanmetrics_stats(m, &stats);
    CHECK(truth.all > 10000 && stats.calls == truth.all && stats.unpaired == truth.unpaired);
    CHECK(stats.overflow == 0);
    check_truth(m, &truth);
    end(m);
}

static void otlp_has_the_names_of_the_connector(void)
{
    static const struct span trace[] = {
        {1, 0, "shop", CLIENT, .ms = 5},
        {2, 1, "cart", SERVER, 4, .error = true},
    };
    struct spanmetrics_options o = options(10);
    struct spanmetrics *m = make(&o, 1);
    Opentelemetry__Proto__Metrics__V1__MetricsData *data;
    Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope;
    size_t at = 0;

    count_trace(m, 0, trace, 2);
    gather(m, 1);
    buf_clear(&body);
    CHECK(spanmetrics_write_otlp(m, &at, &body) == 4);
    data = opentelemetry__proto__metrics__v1__metrics_data__unpack(NULL, body.len, body.data);
    CHECK(data != NULL && data->n_resource_metrics == 1);
    CHECK(data->resource_metrics[0]->resource->n_attributes == 0);
    scope = data->resource_metrics[0]->scope_metrics[0];
    CHECK(strcmp(scope->scope->name, "traces_service_graph") == 0 && scope->n_metrics == 4);
    CHECK(strcmp(scope->metrics[0]->name, TOTAL) == 0 && scope->metrics[0]->sum->is_monotonic);
    CHECK(strcmp(scope->metrics[1]->name, FAILED) == 0);
    CHECK(strcmp(scope->metrics[2]->name, "traces_service_graph_request_server") == 0);
    CHECK(strcmp(scope->metrics[3]->name, "traces_service_graph_request_client") == 0);
    CHECK(strcmp(scope->metrics[3]->unit, "s") == 0);
    CHECK(scope->metrics[3]->histogram->data_points[0]->sum == 0.005);
    CHECK(scope->metrics[0]->sum->data_points[0]->as_int == 1);
    CHECK(strcmp(scope->metrics[0]->sum->data_points[0]->attributes[3]->key, "failed") == 0);
    CHECK(scope->metrics[0]->sum->data_points[0]->attributes[3]->value->bool_value == 1);
    opentelemetry__proto__metrics__v1__metrics_data__free_unpacked(data, NULL);
    end(m);
}

int main(void)
{
    RUN(a_client_and_its_child_at_a_server_are_a_request);
    RUN(the_order_of_spans_does_not_matter);
    RUN(a_request_has_failed_if_either_side_says_so);
    RUN(a_message_has_a_request_for_each_consumer);
    RUN(a_call_of_a_database_needs_no_span_of_it);
    RUN(a_server_that_sends_no_spans_is_named_by_its_client);
    RUN(a_server_whose_parent_is_missing_is_no_request_and_counted);
    RUN(a_client_that_was_sent_twice_counts_once);
    RUN(dimensions_are_those_of_either_side);
    RUN(edges_beyond_the_bound_are_counted_in_one);
    RUN(edges_of_drawn_traces_are_those_found_the_slow_way);
    RUN(otlp_has_the_names_of_the_connector);
    return DONE();
}
