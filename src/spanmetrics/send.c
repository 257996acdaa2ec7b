/* What has been counted as OTLP metrics: ExportMetricsServiceRequest,
 * opentelemetry/proto/metrics/v1. A resource for each service, as the collector's connector has it.
 */
#include "otlp/write.h"
#include "spanmetrics/parts.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SERIES_PER_BODY = 500,
    /* Field numbers. */
    RESOURCE_METRICS = 1,
    METRIC_SUM = 7,
    METRIC_HISTOGRAM = 9,
    METRIC_EXPONENTIAL = 10,
    POINT_START = 2, /* of points of all kinds, as the two below */
    POINT_TIME = 3,
    NUMBER_ATTRIBUTES = 7,
    HISTOGRAM_ATTRIBUTES = 9,
    EXPONENTIAL_ATTRIBUTES = 1,
    HISTOGRAM_EXEMPLAR = 8,
    EXPONENTIAL_EXEMPLAR = 11,
    DELTA = 1,
    CUMULATIVE = 2,
};

/* A run of series of one service. */
struct run {
    const struct spanmetrics *m;
    struct buf *out;
    const uint32_t *series;
    size_t count;
    unsigned side;  /* of the durations that are written */
    size_t *points; /* data points written */
};

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void put_double(struct buf *b, uint32_t number, double value)
{
    wire_put_fixed64(b, number, bits_of(value));
}

/* An element of a packed list. */
static void put_le(struct buf *b, uint64_t value)
{
    value = htole64(value);
    buf_append(b, &value, sizeof(value));
}

/* Where the attributes of a data point go. */
struct attributes {
    struct buf *out;
    uint32_t field;
};

static void put_attribute(void *arg, const char *name, struct slice text, bool is_boolean)
{
    const struct attributes *a = arg;

    if (is_boolean)
        otlp_write_attr_bool(a->out, a->field, name, slice_is(text, "true"));
    else
        otlp_write_attr_str(a->out, a->field, name, text);
}

static void put_attributes(const struct spanmetrics *m, struct buf *out, uint32_t field, uint32_t i)
{
    each_label(m, i, put_attribute, &(struct attributes){out, field});
}

static void put_times(const struct run *r)
{
    const struct spanmetrics *m = r->m;

    wire_put_fixed64(r->out, POINT_START, m->options.delta ? m->sent_unix_ns : m->start_unix_ns);
    wire_put_fixed64(r->out, POINT_TIME, m->now_unix_ns);
}

static void put_temporality(const struct run *r)
{
    wire_put_uint(r->out, 2, r->m->options.delta ? DELTA : CUMULATIVE);
}

static const struct series *series_of(const struct run *r, size_t i)
{
    return sent_store(r->m)->series[r->series[i]];
}

static const struct durations *side_of(const struct run *r, size_t i)
{
    return durations_of(r->m, series_of(r, i), r->side);
}

/* ---- counters ---- */

static uint64_t calls_of(const struct series *s)
{
    return s->calls;
}

static uint64_t failed_of(const struct series *s)
{
    return s->failed;
}

static void put_sum(const struct run *r, uint64_t (*count)(const struct series *))
{
    size_t sum = otlp_write_begin(r->out, METRIC_SUM), point;

    for (size_t i = 0; i < r->count; i++) {
        if (count(series_of(r, i)) == 0)
            continue;
        point = otlp_write_begin(r->out, 1);
        put_times(r);
        wire_put_fixed64(r->out, 6, count(series_of(r, i))); /* as_int */
        put_attributes(r->m, r->out, NUMBER_ATTRIBUTES, r->series[i]);
        otlp_write_end(r->out, point);
        ++*r->points;
    }
    put_temporality(r);
    wire_put_uint(r->out, 3, 1); /* is_monotonic */
    otlp_write_end(r->out, sum);
}

static void put_calls(const struct run *r)
{
    put_sum(r, calls_of);
}

static void put_failed(const struct run *r)
{
    put_sum(r, failed_of);
}

static bool has_failed(const struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (series_of(r, i)->failed > 0)
            return true;
    return false;
}

/* ---- durations ---- */

static void put_exemplar(const struct run *r, uint32_t field, const struct exemplar *e)
{
    uint8_t id[8];
    size_t start;

    if (e->span_id == 0)
        return;
    for (int i = 0; i < 8; i++)
        id[i] = (uint8_t)(e->span_id >> (56 - 8 * i));
    start = otlp_write_begin(r->out, field);
    wire_put_fixed64(r->out, 2, e->unix_ns);
    put_double(r->out, 3, (double)e->duration_ns / r->m->options.shape.unit_ns);
    wire_put_bytes(r->out, 4, slice_make(id, 8));
    wire_put_bytes(r->out, 5, slice_make(e->trace_id, 16));
    otlp_write_end(r->out, start);
}

static void put_explicit(const struct run *r, size_t i)
{
    const struct histogram_shape *shape = &r->m->options.shape;
    const struct durations *d = side_of(r, i);
    double unit_ns = shape->unit_ns;
    size_t list;

    put_times(r);
    wire_put_fixed64(r->out, 4, d->count);
    put_double(r->out, 5, durations_sum(r->m, d));
    list = otlp_write_begin(r->out, 6);
    for (unsigned b = 0; b < shape->buckets; b++)
        put_le(r->out, d->histogram.counts[b]);
    otlp_write_end(r->out, list);
    list = otlp_write_begin(r->out, 7);
    for (unsigned b = 0; b + 1 < shape->buckets; b++)
        put_le(r->out, bits_of((double)shape->bounds_ns[b] / unit_ns));
    otlp_write_end(r->out, list);
    put_exemplar(r, HISTOGRAM_EXEMPLAR, &series_of(r, i)->exemplar);
    put_attributes(r->m, r->out, HISTOGRAM_ATTRIBUTES, r->series[i]);
    put_double(r->out, 11, (double)d->min_ns / unit_ns);
    put_double(r->out, 12, (double)d->max_ns / unit_ns);
}

static void put_buckets(const struct run *r, const struct histogram *h)
{
    int32_t low, high;
    size_t buckets, list;

    if (!histogram_range(h, &r->m->options.shape, &low, &high))
        return;
    buckets = otlp_write_begin(r->out, 8);
    wire_put_uint(r->out, 1, low < 0 ? ~((uint64_t)low << 1) : (uint64_t)low << 1); /* zigzag */
    list = otlp_write_begin(r->out, 2);
    for (int32_t i = low; i <= high; i++)
        wire_put_varint(r->out, h->counts[i - h->start]);
    otlp_write_end(r->out, list);
    otlp_write_end(r->out, buckets);
}

static void put_exponential(const struct run *r, size_t i)
{
    const struct durations *d = side_of(r, i);
    double unit_ns = r->m->options.shape.unit_ns;

    put_attributes(r->m, r->out, EXPONENTIAL_ATTRIBUTES, r->series[i]);
    put_times(r);
    wire_put_fixed64(r->out, 4, d->count);
    put_double(r->out, 5, durations_sum(r->m, d));
    wire_put_uint(r->out, 6, (uint64_t)d->histogram.scale << 1); /* zigzag: it is never negative */
    wire_put_fixed64(r->out, 7, d->histogram.zero);
    put_buckets(r, &d->histogram);
    put_exemplar(r, EXPONENTIAL_EXEMPLAR, &series_of(r, i)->exemplar);
    put_double(r->out, 12, (double)d->min_ns / unit_ns);
    put_double(r->out, 13, (double)d->max_ns / unit_ns);
}

static void put_durations(const struct run *r)
{
    bool explicit = r->m->options.shape.explicit;
    size_t metric = otlp_write_begin(r->out, explicit ? METRIC_HISTOGRAM : METRIC_EXPONENTIAL);

    for (size_t i = 0; i < r->count; i++) {
        size_t point;

        if (side_of(r, i)->count == 0)
            continue;
        point = otlp_write_begin(r->out, 1);
        if (explicit)
            put_explicit(r, i);
        else
            put_exponential(r, i);
        otlp_write_end(r->out, point);
        ++*r->points;
    }
    put_temporality(r);
    otlp_write_end(r->out, metric);
}

/* Only one side of a request may be known. */
static bool has_durations(const struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (side_of(r, i)->count > 0)
            return true;
    return false;
}

/* ---- the request ---- */

static void put_metric(const struct run *r, const char *name, const char *unit,
                       void (*put_data)(const struct run *))
{
    size_t metric = otlp_write_begin(r->out, 2);
    char full[160];

    wire_put_bytes(
        r->out, 1,
        slice_make(full, (size_t)snprintf(full, sizeof(full), "%.120s%s", r->m->prefix, name)));
    if (unit)
        wire_put_bytes(r->out, 3, slice_str(unit));
    put_data(r);
    otlp_write_end(r->out, metric);
}

static void put_metrics(struct run *r)
{
    const struct family *family = r->m->family;
    const char *unit = r->m->options.shape.unit_ns == 1e9 ? "s" : "ms";

    put_metric(r, family->calls.otlp, NULL, put_calls);
    if (family->failed.otlp && has_failed(r))
        put_metric(r, family->failed.otlp, NULL, put_failed);
    for (r->side = 0; r->side < family->sides; r->side++)
        if (has_durations(r))
            put_metric(r, family->durations[r->side].otlp, unit, put_durations);
}

static struct slice service_of(const struct spanmetrics *m, uint32_t i)
{
    if (i == OVERFLOW_SERIES || !m->family->service)
        return slice_make(NULL, 0);
    return m->family->service(key_of(m, i));
}

static void put_run(struct run *r)
{
    struct slice service = service_of(r->m, r->series[0]);
    size_t resource_metrics = otlp_write_begin(r->out, RESOURCE_METRICS), part, scope;

    part = otlp_write_begin(r->out, 1);
    if (service.data)
        otlp_write_attr_str(r->out, ATTRS_RESOURCE, "service.name", service);
    otlp_write_end(r->out, part);
    part = otlp_write_begin(r->out, 2);
    scope = otlp_write_begin(r->out, 1);
    wire_put_bytes(r->out, 1, slice_str(r->m->family->scope));
    otlp_write_end(r->out, scope);
    put_metrics(r);
    otlp_write_end(r->out, part);
    otlp_write_end(r->out, resource_metrics);
}

static const struct spanmetrics *sorting; /* main's */

static int by_service(const void *a, const void *b)
{
    struct slice x = service_of(sorting, *(const uint32_t *)a);
    struct slice y = service_of(sorting, *(const uint32_t *)b);
    size_t len = x.len < y.len ? x.len : y.len;
    int order = len ? memcmp(x.data, y.data, len) : 0;

    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* The next series with something to say from *at on. */
static size_t next_series(const struct spanmetrics *m, size_t *at, uint32_t *series)
{
    uint32_t last = key_table_count(&m->keys);
    size_t count = 0;

    for (; *at <= last && count < SERIES_PER_BODY; ++*at) {
        const struct series *s = sent_store(m)->series[*at];

        if (s && s->calls > 0)
            series[count++] = (uint32_t)*at;
    }
    sorting = m;
    qsort(series, count, sizeof(*series), by_service);
    return count;
}

size_t spanmetrics_write_otlp(const struct spanmetrics *m, size_t *at, struct buf *out)
{
    uint32_t series[SERIES_PER_BODY];
    size_t count = next_series(m, at, series), points = 0;

    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && by_service(&series[i], &series[end]) == 0;)
            end++;
        put_run(&(struct run){
            .m = m, .out = out, .series = series + i, .count = end - i, .points = &points});
    }
    return buf_ok(out) ? points : 0;
}
