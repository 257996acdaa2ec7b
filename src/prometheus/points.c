#include "prometheus/points.h"

#include "base/number_text.h"

#include <math.h>
#include <stdio.h>

#define STALE_BITS UINT64_C(0x7ff0000000000002)

enum { EXEMPLARS_MAX = 64 };

/* One point on its way. */
struct point {
    struct prom_writer *w;
    const struct metric_view *metric;
    struct slice bytes;
    struct metric_point p;
    int64_t ms;
    bool is_delta, is_stale;
    struct metric_exemplar exemplars[EXEMPLARS_MAX]; /* of more the first ones */
    size_t exemplar_count;
};

static double stale_nan(void)
{
    const uint64_t bits = STALE_BITS;
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- labels ---- */

/* Whether resource_to_telemetry_conversion leaves it out. */
static bool is_service(const struct prom_config *config, struct slice key)
{
    return config->no_service_labels &&
           (slice_is(key, "service.name") || slice_is(key, "service.namespace") ||
            slice_is(key, "service.instance.id"));
}

/* An attribute of the resource is stronger than one of the point with the same key. */
static bool resource_has(const struct point *x, struct slice resource, struct slice key)
{
    struct value v;

    return x->w->config.resource_as_labels && !is_service(&x->w->config, key) &&
           view_resource_attr(resource, key, &v);
}

static bool ready_labels(struct point *x, struct slice resource)
{
    struct prom_writer *w = x->w;
    struct metric_attrs attrs = metric_point_attrs(x->metric->type, x->bytes);
    struct slice key;
    struct value v;

    labels_reset(&w->labels, w->of_scope);
    if (w->labels.is_full)
        return false;
    while (!w->labels.is_full && metric_attrs_next(&attrs, &key, &v))
        if (!resource_has(x, resource, key))
            labels_add_attr(&w->labels, LABEL_ATTRIBUTE, "", key, &v);
    labels_finish(&w->labels, &w->list);
    return !w->labels.is_full;
}

/* The series of the metric's name with a suffix, and one more label. */
static uint32_t series_of(struct point *x, const char *suffix, const char *extra,
                          struct slice extra_value)
{
    struct prom_writer *w = x->w;
    size_t at = series_labels(&w->series)->len;
    struct slice name = buf_slice(&w->name);

    if (suffix[0]) {
        buf_clear(&w->suffixed);
        buf_append(&w->suffixed, w->name.data, w->name.len);
        buf_str(&w->suffixed, suffix);
        name = buf_slice(&w->suffixed);
    }
    labels_put(series_labels(&w->series), &w->list, name, extra, extra_value);
    return series_of_labels(&w->series, at);
}

static void add_value(struct point *x, uint32_t series, double value)
{
    series_add_sample(&x->w->series, series, x->ms, x->is_stale ? stale_nan() : value);
}

/* What a delta stream is known by. */
static struct slice identity(struct point *x)
{
    struct prom_writer *w = x->w;

    buf_clear(&w->identity);
    labels_put(&w->identity, &w->list, buf_slice(&w->name), NULL, (struct slice){0});
    return buf_slice(&w->identity);
}

/* ---- exemplars ---- */

static void add_exemplars(struct point *x, uint32_t series)
{
    for (size_t i = 0; series != SERIES_NONE && i < x->exemplar_count; i++)
        exemplar_add(x->w, series, &x->exemplars[i]);
}

/* ---- gauges and sums ---- */

static enum prom_reason add_number(struct point *x)
{
    double value = number_as_double(&x->p.value);
    enum prom_reason reason = PROM_REASONS;
    uint32_t series;

    if (x->p.value.type == NUMBER_NONE && !x->is_stale)
        return PROM_EMPTY;
    if (x->is_delta && !x->is_stale)
        reason =
            delta_number_add(x->w->state, &x->w->config, identity(x), &x->p, x->w->unix_ns, &value);
    if (reason != PROM_REASONS)
        return reason;
    series = series_of(x, "", NULL, (struct slice){0});
    add_value(x, series, value);
    if (x->metric->type == METRIC_SUM)
        add_exemplars(x, series);
    return PROM_REASONS;
}

/* ---- histograms ---- */

/* Of `le` and `quantile`. */
static size_t put_bound(char out[NUMBER_PLAIN], double bound)
{
    if (isfinite(bound))
        return number_plain(out, bound);
    return (size_t)snprintf(out, NUMBER_PLAIN, isnan(bound) ? "NaN" : bound > 0 ? "+Inf" : "-Inf");
}

static struct slice bound_text(struct prom_writer *w, double bound, char space[NUMBER_PLAIN])
{
    struct bound_text *kept;
    uint64_t bits;
    size_t len;

    memcpy(&bits, &bound, sizeof bits);
    kept = &w->bounds[(bits * UINT64_C(0x9e3779b97f4a7c15)) >> 58];
    if (kept->len && kept->bits == bits)
        return slice_make(kept->text, kept->len);
    len = put_bound(space, bound);
    if (len <= sizeof(kept->text)) {
        kept->bits = bits;
        kept->len = (uint16_t)len;
        memcpy(kept->text, space, len);
    }
    return slice_make(space, len);
}

static void add_sum_and_count(struct point *x, bool has_sum, double sum, uint64_t count)
{
    const struct slice none = {0};

    if (has_sum)
        add_value(x, series_of(x, "_sum", NULL, none), sum);
    add_value(x, series_of(x, "_count", NULL, none), (double)count);
}

/* Exemplars of one bucket: those over the bound before it, up to its own. */
static void add_bucket(struct point *x, double before, double bound, struct slice text,
                       uint64_t count)
{
    uint32_t series = series_of(x, "_bucket", "le", text);

    add_value(x, series, (double)count);
    for (size_t i = 0; series != SERIES_NONE && i < x->exemplar_count; i++) {
        double value = number_as_double(&x->exemplars[i].value);

        if (value <= bound && !(value <= before))
            exemplar_add(x->w, series, &x->exemplars[i]);
    }
}

static enum prom_reason add_histogram(struct point *x)
{
    struct metric_numbers bounds = metric_bounds(x->bytes), counts = metric_bucket_counts(x->bytes);
    const struct delta_histogram *sum = NULL;
    double bound, before = -INFINITY;
    char space[NUMBER_PLAIN];
    uint64_t count, up_to = 0;
    size_t n = 0;

    if (x->is_delta && !x->is_stale) {
        enum prom_reason reason = delta_histogram_add(x->w->state, &x->w->config, identity(x),
                                                      &x->p, x->bytes, x->w->unix_ns, &sum);

        if (reason != PROM_REASONS)
            return reason;
        add_sum_and_count(x, sum->has_sum, sum->sum, sum->count);
    } else {
        add_sum_and_count(x, x->p.has_sum || x->is_stale, x->p.sum, x->p.count);
    }
    while (metric_bounds_next(&bounds, &bound) && metric_counts_next(&counts, &count)) {
        up_to += sum ? sum->buckets[n] : count;
        add_bucket(x, before, bound, bound_text(x->w, bound, space), up_to);
        before = bound;
        n++;
    }
    if (n == 0 || before < INFINITY)
        add_bucket(x, before, INFINITY, slice_str("+Inf"), sum ? sum->count : x->p.count);
    return PROM_REASONS;
}

static bool has_too_many_buckets(struct slice point)
{
    struct metric_numbers counts = metric_bucket_counts(point);
    uint64_t count;
    size_t n = 0;

    while (n <= POINT_BUCKETS_MAX && metric_counts_next(&counts, &count))
        n++;
    return n > POINT_BUCKETS_MAX;
}

static void native_of_sum(const struct expo_sum *sum, struct native_histogram *h)
{
    *h = (struct native_histogram){
        .count = sum->count,
        .zero_count = sum->zero_count,
        .sum = sum->has_sum ? sum->sum : (double)NAN,
        .zero_threshold = sum->zero_threshold,
        .scale = sum->scale,
        .positive = {.dense = sum->positive.counts,
                     .dense_count = sum->positive.used,
                     .offset = sum->positive.offset},
        .negative = {.dense = sum->negative.counts,
                     .dense_count = sum->negative.used,
                     .offset = sum->negative.offset},
    };
}

static enum prom_reason add_exponential(struct point *x)
{
    struct buf *out = &x->w->series.payloads;
    const struct expo_sum *sum;
    struct native_histogram h;
    size_t at = out->len;
    uint32_t series;

    native_of_point(x->bytes, &x->p, &h);
    if (x->is_delta && !x->is_stale) {
        enum prom_reason reason = delta_exponential_add(x->w->state, &x->w->config, identity(x),
                                                        &x->p, x->bytes, x->w->unix_ns, &sum);

        if (reason != PROM_REASONS)
            return reason;
        native_of_sum(sum, &h);
    }
    h.ms = x->ms;
    if (!native_put(out, &h)) {
        out->len = at;
        return PROM_SCALE;
    }
    series = series_of(x, "", NULL, (struct slice){0});
    series_add_payload(&x->w->series, series, x->ms, ITEM_HISTOGRAM, at);
    add_exemplars(x, series);
    return PROM_REASONS;
}

static enum prom_reason add_summary(struct point *x)
{
    struct metric_quantile q;
    char space[NUMBER_PLAIN];
    size_t at = 0;

    add_sum_and_count(x, true, x->p.sum, x->p.count);
    while (metric_quantile_next(x->bytes, &at, &q))
        add_value(x, series_of(x, "", "quantile", bound_text(x->w, q.quantile, space)), q.value);
    return PROM_REASONS;
}

/* ---- any ---- */

static void find_exemplars(struct point *x)
{
    size_t at = 0;

    while (x->exemplar_count < EXEMPLARS_MAX &&
           metric_exemplar_next(x->metric->type, x->bytes, &at, &x->exemplars[x->exemplar_count]))
        x->exemplar_count++;
}

static bool has_temporality(enum metric_type type)
{
    return type == METRIC_SUM || type == METRIC_HISTOGRAM || type == METRIC_EXPONENTIAL;
}

enum prom_reason points_add(struct prom_writer *w, const struct metric_view *metric,
                            struct slice resource, struct slice point)
{
    struct point x;

    x.w = w;
    x.metric = metric;
    x.bytes = point;
    x.exemplar_count = 0;
    metric_point_read(metric->type, point, &x.p);
    if (x.p.time_ns == 0)
        x.p.time_ns = w->unix_ns;
    x.ms = (int64_t)(x.p.time_ns / NS_PER_MILLISECOND);
    x.is_stale = x.p.flags & METRIC_NO_VALUE;
    x.is_delta = has_temporality(metric->type) && metric->temporality == TEMPORALITY_DELTA;
    if (has_temporality(metric->type) && !x.is_delta &&
        metric->temporality != TEMPORALITY_CUMULATIVE)
        return PROM_TEMPORALITY;
    if (!ready_labels(&x, resource))
        return PROM_TOO_LARGE;
    find_exemplars(&x);
    w->latest_ns = x.p.time_ns > w->latest_ns ? x.p.time_ns : w->latest_ns;
    switch (metric->type) {
    case METRIC_HISTOGRAM:
        return has_too_many_buckets(point) ? PROM_TOO_LARGE : add_histogram(&x);
    case METRIC_EXPONENTIAL:
        return add_exponential(&x);
    case METRIC_SUMMARY:
        return add_summary(&x);
    default:
        return add_number(&x);
    }
}
