/* Metrics are read as protobuf-c reads them, however their messages are cut up. */
#include "check.h"
#include "message.h"
#include "metric_sample.h"
#include "otlp/metric_view.h"

#include <stdlib.h>

/* The metric called `name`. */
static bool find(struct slice body, const char *name, struct metric_walk *walk,
                 struct metric_view *metric)
{
    metric_walk_init(walk, body);
    while (metric_walk_next(walk, metric))
        if (slice_is(metric->name, name))
            return true;
    return false;
}

/* Its first point. */
static bool find_point(struct slice body, const char *name, struct metric_view *metric,
                       struct slice *point, struct metric_point *fields)
{
    struct metric_points points;
    struct metric_walk walk;

    if (!find(body, name, &walk, metric))
        return false;
    points = metric_points_of(metric);
    if (!metric_points_next(&points, point))
        return false;
    metric_point_read(metric->type, *point, fields);
    return true;
}

static bool attr_is(struct metric_attrs attrs, const char *name, const char *text)
{
    struct slice key;
    struct value v;

    while (metric_attrs_next(&attrs, &key, &v))
        if (slice_is(key, name))
            return v.type == VALUE_STRING && slice_is(v.bytes, text);
    return false;
}

static void a_walk_meets_all_metrics_in_order(void)
{
    static const char *const names[] = {"temp",      "calls",   "latency", "sizes",
                                        "quantiles", "nothing", "other"};
    static const enum metric_type types[] = {METRIC_GAUGE,       METRIC_SUM,     METRIC_HISTOGRAM,
                                             METRIC_EXPONENTIAL, METRIC_SUMMARY, METRIC_EMPTY,
                                             METRIC_GAUGE};
    struct metric_walk walk;
    struct metric_view m;
    struct buf body;
    size_t n = 0;

    metric_body(metric_sample, &body);
    metric_walk_init(&walk, buf_slice(&body));
    for (; metric_walk_next(&walk, &m) && n < 7; n++) {
        CHECK(slice_is(m.name, names[n]) && m.type == types[n]);
        CHECK(attr_is(metric_resource_attrs(walk.resource), "service.name", "shop") == (n < 6));
    }
    CHECK(n == 7 && !metric_walk_next(&walk, &m));
    CHECK(find(buf_slice(&body), "calls", &walk, &m));
    CHECK(m.is_monotonic && m.temporality == TEMPORALITY_CUMULATIVE && slice_is(m.unit, "{call}"));
    CHECK(find(buf_slice(&body), "latency", &walk, &m) && m.temporality == TEMPORALITY_DELTA);
    buf_fini(&body);
}

static void points_of_gauges_and_sums_have_a_number_or_none(void)
{
    struct metric_exemplar e;
    struct metric_points points;
    struct metric_point p;
    struct metric_view m;
    struct slice point;
    struct buf body;
    size_t at = 0;

    metric_body(metric_sample, &body);
    CHECK(find_point(buf_slice(&body), "temp", &m, &point, &p));
    CHECK(p.value.type == NUMBER_DOUBLE && p.value.number == 21.5);
    CHECK(p.time_ns == UINT64_C(1700000000500000000) && p.start_ns == 0 && p.flags == 0);
    CHECK(attr_is(metric_point_attrs(m.type, point), "room", "a"));
    points = metric_points_of(&m);
    CHECK(metric_points_next(&points, &point) && metric_points_next(&points, &point));
    metric_point_read(m.type, point, &p);
    CHECK(p.value.type == NUMBER_NONE && p.flags == METRIC_NO_VALUE);
    CHECK(!metric_points_next(&points, &point));
    CHECK(find_point(buf_slice(&body), "calls", &m, &point, &p));
    CHECK(p.value.type == NUMBER_INT && p.value.integer == -7);
    CHECK(metric_exemplar_next(m.type, point, &at, &e) && e.value.number == 3);
    CHECK(e.trace_id.len == 16 && e.span_id.len == 8 && e.time_ns == p.time_ns);
    CHECK(attr_is(metric_exemplar_attrs(e.message), "u", "v"));
    CHECK(!metric_exemplar_next(m.type, point, &at, &e));
    buf_fini(&body);
}

static void points_of_histograms_have_buckets(void)
{
    struct metric_numbers bounds, counts;
    struct metric_point p;
    struct metric_view m;
    struct slice point;
    struct buf body;
    uint64_t count;
    double bound;

    metric_body(metric_sample, &body);
    CHECK(find_point(buf_slice(&body), "latency", &m, &point, &p));
    CHECK(p.count == 6 && p.has_sum && p.sum == 7.5 && p.has_min && p.min == 0.25 && p.max == 4);
    CHECK(attr_is(metric_point_attrs(m.type, point), "h", "x"));
    bounds = metric_bounds(point);
    CHECK(metric_bounds_next(&bounds, &bound) && bound == 0.5);
    CHECK(metric_bounds_next(&bounds, &bound) && bound == 2 &&
          !metric_bounds_next(&bounds, &bound));
    counts = metric_bucket_counts(point);
    for (uint64_t i = 1; i <= 3; i++)
        CHECK(metric_counts_next(&counts, &count) && count == i);
    CHECK(!metric_counts_next(&counts, &count));
    buf_fini(&body);
}

static void points_of_exponential_histograms_have_signed_offsets(void)
{
    struct metric_numbers counts;
    struct metric_point p;
    struct metric_view m;
    struct slice point;
    struct buf body;
    int32_t offset;
    uint64_t count;

    metric_body(metric_sample, &body);
    CHECK(find_point(buf_slice(&body), "sizes", &m, &point, &p));
    CHECK(p.count == 9 && p.scale == -1 && p.zero_count == 2 && p.zero_threshold == 0.001);
    CHECK(!p.has_min && attr_is(metric_point_attrs(m.type, point), "e", "y"));
    counts = metric_exponential_counts(point, false, &offset);
    CHECK(offset == -3 && metric_counts_next(&counts, &count) && count == 1);
    CHECK(metric_counts_next(&counts, &count) && count == 0);
    CHECK(metric_counts_next(&counts, &count) && count == 4 &&
          !metric_counts_next(&counts, &count));
    counts = metric_exponential_counts(point, true, &offset);
    CHECK(offset == 2 && metric_counts_next(&counts, &count) && count == 2);
    buf_fini(&body);
}

static void points_of_summaries_have_quantiles(void)
{
    struct metric_quantile q;
    struct metric_point p;
    struct metric_view m;
    struct slice point;
    struct buf body;
    size_t at = 0;

    metric_body(metric_sample, &body);
    CHECK(find_point(buf_slice(&body), "quantiles", &m, &point, &p));
    CHECK(p.count == 4 && p.has_sum && p.sum == 8);
    CHECK(attr_is(metric_point_attrs(m.type, point), "q", "z"));
    CHECK(metric_quantile_next(point, &at, &q) && q.quantile == 0.5 && q.value == 1.5);
    CHECK(metric_quantile_next(point, &at, &q) && q.quantile == 1 && q.value == 5);
    CHECK(!metric_quantile_next(point, &at, &q));
    buf_fini(&body);
}

/* ---- split messages ---- */

/* A body with one metric, whose resource comes in two parts. */
static struct message body_with(const struct message *metric)
{
    struct message scope = {.len = 0}, resource = {.len = 0}, part = {.len = 0}, body = {.len = 0};

    put_attribute(&part, 1, "a", "first");
    put_message(&resource, 1, &part);
    put_message(&scope, 2, metric);
    put_message(&resource, 2, &scope);
    part.len = 0;
    put_attribute(&part, 1, "b", "second");
    put_message(&resource, 1, &part);
    put_message(&body, 1, &resource);
    return body;
}

static struct message point_of(uint64_t integer)
{
    struct message point = {.len = 0};

    put_fixed64(&point, 6, integer);
    return point;
}

/* A data member with one point and, if not 0, a temporality. */
static void put_data(struct message *metric, uint32_t member, uint64_t integer,
                     unsigned temporality)
{
    struct message point = point_of(integer), data = {.len = 0};

    put_message(&data, 1, &point);
    if (temporality)
        put_uint(&data, 2, temporality);
    put_message(metric, member, &data);
}

static void split_data_is_read_as_one_and_the_last_member_counts(void)
{
    struct message metric = {.len = 0}, body;
    struct metric_points points;
    struct metric_point p;
    struct metric_walk walk;
    struct metric_view m;
    struct slice point;

    put_data(&metric, METRIC_SUM, 1, 1);
    put_data(&metric, METRIC_GAUGE, 2, 0);
    put_data(&metric, METRIC_SUM, 3, 0);
    put_data(&metric, METRIC_SUM, 4, 2);
    body = body_with(&metric);
    metric_walk_init(&walk, bytes_of(&body));
    CHECK(metric_walk_next(&walk, &m) && m.type == METRIC_SUM && m.temporality == 2);
    CHECK(attr_is(metric_resource_attrs(walk.resource), "a", "first"));
    CHECK(attr_is(metric_resource_attrs(walk.resource), "b", "second"));
    points = metric_points_of(&m);
    for (int64_t i = 3; i <= 4; i++) {
        CHECK(metric_points_next(&points, &point));
        metric_point_read(m.type, point, &p);
        CHECK(p.value.integer == i);
    }
    CHECK(!metric_points_next(&points, &point));
}

static void numbers_come_packed_or_one_by_one(void)
{
    struct message point = {.len = 0}, packed = {.len = 0}, buckets = {.len = 0};
    struct metric_numbers counts;
    int32_t offset;
    uint64_t count;

    put_varint(&packed, 300);
    put_varint(&packed, 2);
    put_uint(&buckets, 2, 1);
    put_message(&buckets, 2, &packed);
    put_message(&point, 8, &buckets);
    buckets.len = 0;
    put_uint(&buckets, 1, 5); /* -3 */
    put_uint(&buckets, 2, 7);
    put_message(&point, 8, &buckets);
    counts = metric_exponential_counts(bytes_of(&point), false, &offset);
    CHECK(offset == -3);
    CHECK(metric_counts_next(&counts, &count) && count == 1);
    CHECK(metric_counts_next(&counts, &count) && count == 300);
    CHECK(metric_counts_next(&counts, &count) && count == 2);
    CHECK(metric_counts_next(&counts, &count) && count == 7);
    CHECK(!metric_counts_next(&counts, &count));
}

/* A million members of the data, half of them empty: a walk passes over each once. */
static void a_metric_cut_up_a_million_times_is_read_in_one_pass(void)
{
    struct metric_view m = {.type = METRIC_GAUGE};
    struct metric_points points;
    struct slice point;
    struct buf metric;
    size_t n = 0;

    buf_init(&metric, 16 << 20, NULL);
    for (int i = 0; i < 1000000; i++)
        buf_append(&metric, i % 2 ? "\x2a\x02\x0a\x00" : "\x2a\x00", i % 2 ? 4 : 2);
    m.metric = buf_slice(&metric);
    points = metric_points_of(&m);
    while (metric_points_next(&points, &point))
        n++;
    CHECK(n == 500000);
    buf_fini(&metric);
}

int main(void)
{
    RUN(a_walk_meets_all_metrics_in_order);
    RUN(points_of_gauges_and_sums_have_a_number_or_none);
    RUN(points_of_histograms_have_buckets);
    RUN(points_of_exponential_histograms_have_signed_offsets);
    RUN(points_of_summaries_have_quantiles);
    RUN(split_data_is_read_as_one_and_the_last_member_counts);
    RUN(numbers_come_packed_or_one_by_one);
    RUN(a_metric_cut_up_a_million_times_is_read_in_one_pass);
    return DONE();
}
