/* metric_view.h: reads metrics and their data points where they lie; nothing is copied or kept.
 *
 *     metric_walk_init(&walk, body);
 *     while (metric_walk_next(&walk, &metric)) {
 *         struct metric_points points = metric_points_of(&metric);
 *         while (metric_points_next(&points, &at)) {
 *             metric_point_read(metric.type, at, &point);
 *             ...
 *
 * Data path: journal -> [metric_view] -> exporters of metrics. As view.h: every read is bounded by
 * the slices given, a damaged body gives absent fields or ends a walk, and never a read outside.
 * Singular scalars that occur twice: the later one wins; submessages merge, so that all
 * occurrences are read. Each walk passes over a byte once, however often a message is split.
 * Slices are borrowed from the body. Any thread.
 *
 * opentelemetry/proto/metrics/v1/metrics.proto has the fields.
 */
#pragma once

#include "otlp/view.h"
#include "otlp/wire.h"

/* ---- metrics ---- */

/* Which member of Metric.data is set: its field number. */
enum metric_type {
    METRIC_EMPTY = 0,
    METRIC_GAUGE = 5,
    METRIC_SUM = 7,
    METRIC_HISTOGRAM = 9,
    METRIC_EXPONENTIAL = 10,
    METRIC_SUMMARY = 11,
};

/* AggregationTemporality; unknown numbers as sent. */
enum metric_temporality { TEMPORALITY_UNSPECIFIED, TEMPORALITY_DELTA, TEMPORALITY_CUMULATIVE };

/* Of a MetricsData (the body of a request): all resources, scopes and metrics, in order. */
struct metric_walk {
    struct wire resources, scopes, metrics; /* what has not been passed */
    struct slice resource;                  /* the ResourceMetrics that the metric lies in */
    struct slice scope;                     /* its ScopeMetrics */
};

/* A Metric without its points. */
struct metric_view {
    struct slice metric; /* the message */
    struct slice name, description, unit;
    enum metric_type type; /* of two members the last that occurs counts, as in protobuf */
    int32_t temporality;   /* sums and histograms; else unspecified */
    bool is_monotonic;     /* sums */
    size_t data_at;        /* where the occurrences of that member begin in `metric` */
};

/* Reads a Metric message. */
void metric_view_read(struct slice message, struct metric_view *metric);

void metric_walk_init(struct metric_walk *walk, struct slice body);
/* Goes to the next metric; walk->resource and walk->scope are then those around it. False at the
 * end. */
bool metric_walk_next(struct metric_walk *walk, struct metric_view *metric);

/* ---- attributes ---- */

/* A position in the attributes of a resource, scope, data point or exemplar. */
struct metric_attrs {
    struct wire parts;   /* of a resource or scope: what is behind this occurrence of it */
    struct slice part;   /* the message with the attributes */
    size_t at;           /* in `part` */
    uint32_t part_field; /* 0: there is one part */
    enum attr_field field;
};

struct metric_attrs metric_resource_attrs(struct slice resource_metrics);
struct metric_attrs metric_scope_attrs(struct slice scope_metrics);
struct metric_attrs metric_point_attrs(enum metric_type type, struct slice point);
struct metric_attrs metric_exemplar_attrs(struct slice exemplar);
/* Sets the next key and value (VALUE_ABSENT where it has none). False at the end. */
bool metric_attrs_next(struct metric_attrs *attrs, struct slice *key, struct value *value);

/* ---- data points ---- */

/* A position in the data points of a metric. */
struct metric_points {
    struct wire members; /* of the metric: what is behind this occurrence of its data */
    struct wire points;  /* what is left of this occurrence */
    enum metric_type type;
};

struct metric_points metric_points_of(const struct metric_view *metric);
bool metric_points_next(struct metric_points *points, struct slice *point);

enum number_type { NUMBER_NONE, NUMBER_INT, NUMBER_DOUBLE };

struct metric_number {
    enum number_type type;
    union {
        int64_t integer;
        double number;
    };
};

/* The scalar fields of a data point of any type; those that its type does not have are zero. */
struct metric_point {
    uint64_t start_ns, time_ns; /* Unix; 0: unknown */
    uint32_t flags;             /* METRIC_NO_VALUE and those to come */
    struct metric_number value; /* gauges and sums */
    uint64_t count;             /* histograms and summaries, as all below */
    double sum, min, max;
    bool has_sum, has_min, has_max; /* of a summary always has_sum */
    int32_t scale;                  /* exponential histograms, as all below */
    uint64_t zero_count;
    double zero_threshold;
};
enum { METRIC_NO_VALUE = 1 }; /* FLAG_NO_RECORDED_VALUE: the series has ended */

void metric_point_read(enum metric_type type, struct slice point, struct metric_point *out);

/* ---- what repeats in a data point ---- */

/* A position in a repeated number, packed or not. */
struct metric_numbers {
    struct wire parts;  /* the messages (of buckets) that are left; at == end: there is one */
    struct wire fields; /* of the message that holds the numbers, or its part */
    struct wire packed; /* what is left of a packed run */
    uint32_t part_field, field;
    enum wire_type wire_type;
};

/* Of a histogram's point. */
struct metric_numbers metric_bounds(struct slice point);
struct metric_numbers metric_bucket_counts(struct slice point);
bool metric_bounds_next(struct metric_numbers *bounds, double *bound);
bool metric_counts_next(struct metric_numbers *counts, uint64_t *count);

/* Of an exponential histogram's point: count i is of the bucket *offset + i. They may be many
 * (a zero costs a byte): the caller bounds what it makes of them. Next by metric_counts_next. */
struct metric_numbers metric_exponential_counts(struct slice point, bool is_negative,
                                                int32_t *offset);

struct metric_quantile {
    double quantile, value;
};
/* Of a summary's point; *at begins at 0. */
bool metric_quantile_next(struct slice point, size_t *at, struct metric_quantile *quantile);

struct metric_exemplar {
    uint64_t time_ns;
    struct metric_number value;
    struct slice trace_id, span_id; /* as sent; 16 and 8 bytes where they are good */
    struct slice message;           /* for metric_exemplar_attrs */
};
/* *at begins at 0. Summaries have none. */
bool metric_exemplar_next(enum metric_type type, struct slice point, size_t *at,
                          struct metric_exemplar *exemplar);
