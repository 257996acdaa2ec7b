#include "otlp/metric_view.h"

#include "otlp/read.h"

/* Field numbers that several functions read. */
enum {
    DATA_RESOURCES = 1,
    RESOURCE_RESOURCE = 1,
    RESOURCE_SCOPES = 2,
    SCOPE_SCOPE = 1,
    SCOPE_METRICS = 2,
    DATA_POINTS = 1,
};

/* The next LEN field called `number`; `w` is then behind it. */
static bool next_part(struct wire *w, uint32_t number, struct slice *part)
{
    struct wire_field field;

    while (read_field(w, &field)) {
        if (field.number == number && field.type == WIRE_LEN) {
            *part = field.bytes;
            return true;
        }
    }
    w->at = w->end; /* also where it is damaged */
    return false;
}

/* ---- metrics ---- */

void metric_walk_init(struct metric_walk *walk, struct slice body)
{
    *walk = (struct metric_walk){.resources = wire_of(body)};
}

static bool is_data(uint32_t number)
{
    return number == METRIC_GAUGE || number == METRIC_SUM || number == METRIC_HISTOGRAM ||
           number == METRIC_EXPONENTIAL || number == METRIC_SUMMARY;
}

/* Temporality and monotonicity of one occurrence of the data. */
static void read_data(struct slice data, struct metric_view *metric)
{
    struct wire w = wire_of(data);
    struct wire_field field;

    while (read_field(&w, &field)) {
        if (field.number == 2 && field.type == WIRE_VARINT)
            metric->temporality = (int32_t)field.value;
        else if (field.number == 3 && field.type == WIRE_VARINT && metric->type == METRIC_SUM)
            metric->is_monotonic = field.value != 0;
    }
}

static void take_data(struct slice data, enum metric_type type, size_t at,
                      struct metric_view *metric)
{
    if (metric->type != type) {
        metric->type = type;
        metric->data_at = at;
        metric->temporality = 0;
        metric->is_monotonic = false;
    }
    if (type == METRIC_SUM || type == METRIC_HISTOGRAM || type == METRIC_EXPONENTIAL)
        read_data(data, metric);
}

void metric_view_read(struct slice message, struct metric_view *metric)
{
    struct wire w = wire_of(message);
    struct wire_field field;
    size_t at = 0;

    *metric = (struct metric_view){.metric = message};
    for (; read_field(&w, &field); at = (size_t)(w.at - message.data)) {
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == 1)
            metric->name = field.bytes;
        else if (field.number == 2)
            metric->description = field.bytes;
        else if (field.number == 3)
            metric->unit = field.bytes;
        else if (is_data(field.number))
            take_data(field.bytes, (enum metric_type)field.number, at, metric);
    }
}

bool metric_walk_next(struct metric_walk *walk, struct metric_view *metric)
{
    struct slice message;

    while (!next_part(&walk->metrics, SCOPE_METRICS, &message)) {
        while (!next_part(&walk->scopes, RESOURCE_SCOPES, &walk->scope)) {
            if (!next_part(&walk->resources, DATA_RESOURCES, &walk->resource))
                return false;
            walk->scopes = wire_of(walk->resource);
        }
        walk->metrics = wire_of(walk->scope);
    }
    metric_view_read(message, metric);
    return true;
}

/* ---- attributes ---- */

static struct metric_attrs attrs_of_parts(struct slice message, uint32_t part_field,
                                          enum attr_field field)
{
    return (struct metric_attrs){
        .parts = wire_of(message), .part_field = part_field, .field = field};
}

struct metric_attrs metric_resource_attrs(struct slice resource_metrics)
{
    return attrs_of_parts(resource_metrics, RESOURCE_RESOURCE, ATTRS_RESOURCE);
}

struct metric_attrs metric_scope_attrs(struct slice scope_metrics)
{
    return attrs_of_parts(scope_metrics, SCOPE_SCOPE, ATTRS_SCOPE);
}

struct metric_attrs metric_point_attrs(enum metric_type type, struct slice point)
{
    const enum attr_field field = type == METRIC_HISTOGRAM     ? ATTRS_HISTOGRAM_POINT
                                  : type == METRIC_EXPONENTIAL ? ATTRS_EXPONENTIAL_POINT
                                                               : ATTRS_POINT;

    return (struct metric_attrs){.part = point, .field = field};
}

struct metric_attrs metric_exemplar_attrs(struct slice exemplar)
{
    return (struct metric_attrs){.part = exemplar, .field = ATTRS_EXEMPLAR};
}

bool metric_attrs_next(struct metric_attrs *attrs, struct slice *key, struct value *value)
{
    while (!view_attr_next(attrs->part, attrs->field, &attrs->at, key, value)) {
        if (!attrs->part_field || !next_part(&attrs->parts, attrs->part_field, &attrs->part))
            return false;
        attrs->at = 0;
    }
    return true;
}

/* ---- data points ---- */

struct metric_points metric_points_of(const struct metric_view *metric)
{
    struct metric_points points = {.type = metric->type};

    if (metric->type != METRIC_EMPTY)
        points.members = (struct wire){metric->metric.data + metric->data_at,
                                       metric->metric.data + metric->metric.len};
    return points;
}

bool metric_points_next(struct metric_points *points, struct slice *point)
{
    struct slice part;

    while (!next_part(&points->points, DATA_POINTS, point)) {
        if (!next_part(&points->members, points->type, &part))
            return false;
        points->points = wire_of(part);
    }
    return true;
}
