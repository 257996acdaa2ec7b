/* Any bytes as a body of metrics: all of it is read, nothing outside of it, and each byte by as
 * many walks as there are. What the scan accepts has no more points than the scan counted. */
#include "otlp/metric_view.h"
#include "otlp/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice whole;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void inside(struct slice part)
{
    must(part.len == 0 ||
         (part.data >= whole.data && part.data + part.len <= whole.data + whole.len));
}

static size_t read_attrs(struct metric_attrs attrs)
{
    struct slice key;
    struct value v;
    size_t n = 0;

    for (; metric_attrs_next(&attrs, &key, &v); n++) {
        inside(key);
        if (v.type == VALUE_STRING || v.type >= VALUE_ARRAY)
            inside(v.bytes);
    }
    return n;
}

static size_t read_counts(struct metric_numbers counts)
{
    uint64_t count;
    size_t n = 0;

    while (metric_counts_next(&counts, &count))
        n++;
    return n;
}

static void read_repeated(enum metric_type type, struct slice point)
{
    struct metric_numbers bounds = metric_bounds(point);
    struct metric_exemplar exemplar;
    struct metric_quantile quantile;
    int32_t offset;
    size_t at = 0, n = 0;
    double bound;

    while (metric_bounds_next(&bounds, &bound))
        n++;
    n += read_counts(metric_bucket_counts(point));
    n += read_counts(metric_exponential_counts(point, false, &offset));
    n += read_counts(metric_exponential_counts(point, true, &offset));
    while (metric_quantile_next(point, &at, &quantile))
        n++;
    for (at = 0; metric_exemplar_next(type, point, &at, &exemplar); n++) {
        inside(exemplar.trace_id);
        inside(exemplar.span_id);
        n += read_attrs(metric_exemplar_attrs(exemplar.message));
    }
    must(n <= 8 * point.len);
}

static size_t read_points(const struct metric_view *metric)
{
    struct metric_points points = metric_points_of(metric);
    struct metric_point fields;
    struct slice point;
    size_t n = 0;

    for (; metric_points_next(&points, &point); n++) {
        inside(point);
        metric_point_read(metric->type, point, &fields);
        read_attrs(metric_point_attrs(metric->type, point));
        read_repeated(metric->type, point);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct metric_walk walk;
    struct metric_view metric;
    struct scan_result r;
    struct slice name, version;
    size_t points = 0;

    whole = slice_make(data, size);
    metric_walk_init(&walk, whole);
    while (metric_walk_next(&walk, &metric)) {
        inside(metric.name);
        inside(metric.description);
        inside(metric.unit);
        must(metric.type == METRIC_EMPTY || metric.data_at < metric.metric.len);
        read_attrs(metric_resource_attrs(walk.resource));
        read_attrs(metric_scope_attrs(walk.scope));
        view_scope(walk.scope, &name, &version);
        inside(name);
        points += read_points(&metric);
    }
    if (scan_items(OTLP_METRICS, whole, NULL, 0, &r) == ERR_OK)
        must(points <= r.items + r.rejected);
    return 0;
}
