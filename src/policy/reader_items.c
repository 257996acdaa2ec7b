/* The fields of log records, metrics and data points as scripts and matchers name them. */
#include "otlp/items.h"
#include "policy/reader.h"

static const struct value absent = {.type = VALUE_ABSENT};

static struct value text_value(struct slice text)
{
    return text.len ? (struct value){.type = VALUE_STRING, .bytes = text} : absent;
}

static struct value name_value(const char *name)
{
    return name ? (struct value){.type = VALUE_STRING, .bytes = slice_str(name)} : absent;
}

static struct value number_value(double number)
{
    return (struct value){.type = VALUE_DOUBLE, .number = number};
}

static struct value time_value(uint64_t ns)
{
    return ns ? number_value((double)(ns / 1000000) + (double)(ns % 1000000) / 1e6) : absent;
}

/* ---- logs ---- */

static struct value log_field(struct reader *r, struct slice record, enum reader_field field)
{
    struct log_fields f;

    items_log(record, &f);
    switch (field) {
    case FIELD_LOG_SEVERITY:
        return name_value(items_severity_name(f.severity));
    case FIELD_LOG_SEVERITY_NUMBER:
        return f.severity ? number_value(f.severity) : absent;
    case FIELD_LOG_SEVERITY_TEXT:
        return text_value(f.severity_text);
    case FIELD_LOG_BODY:
        return f.body;
    case FIELD_LOG_EVENT_NAME:
        return text_value(f.event_name);
    case FIELD_LOG_TRACE_ID:
        return reader_hex(r, f.trace_id);
    case FIELD_LOG_SPAN_ID:
        return reader_hex(r, f.span_id);
    case FIELD_LOG_TIME_MS:
        return time_value(f.time_ns ? f.time_ns : f.observed_ns);
    default:
        return number_value((double)record.len);
    }
}

/* ---- metrics ---- */

static const char *temporality_name(int32_t temporality)
{
    return temporality == 1 ? "delta" : temporality == 2 ? "cumulative" : NULL;
}

static struct value metric_field(struct slice message, enum reader_field field)
{
    struct metric_view metric;

    metric_view_read(message, &metric);
    switch (field) {
    case FIELD_METRIC_NAME: /* "" is a name */
        return (struct value){.type = VALUE_STRING, .bytes = metric.name};
    case FIELD_METRIC_DESCRIPTION:
        return text_value(metric.description);
    case FIELD_METRIC_UNIT:
        return text_value(metric.unit);
    case FIELD_METRIC_TYPE:
        return name_value(items_metric_type(metric.type));
    case FIELD_METRIC_TEMPORALITY:
        return name_value(temporality_name(metric.temporality));
    default:
        return (struct value){.type = VALUE_BOOL, .boolean = metric.is_monotonic};
    }
}

static struct value recorded_value(const struct metric_number *n)
{
    if (n->type == NUMBER_INT)
        return (struct value){.type = VALUE_INT, .integer = n->integer};
    return n->type == NUMBER_DOUBLE ? number_value(n->number) : absent;
}

static struct value point_field(const struct reader *r, struct slice message,
                                enum reader_field field)
{
    struct metric_view metric;
    struct metric_point point;

    metric_view_read(r->trace->metric, &metric);
    metric_point_read(metric.type, message, &point);
    switch (field) {
    case FIELD_POINT_VALUE:
        return recorded_value(&point.value);
    case FIELD_POINT_COUNT:
        return metric.type > METRIC_SUM ? number_value((double)point.count) : absent;
    case FIELD_POINT_SUM:
        return point.has_sum ? number_value(point.sum) : absent;
    case FIELD_POINT_TIME_MS:
        return time_value(point.time_ns);
    default:
        return time_value(point.start_ns);
    }
}

struct value reader_item_field(struct reader *r, size_t item, enum reader_field field)
{
    enum attr_owner owner = r->trace->item;
    struct slice bytes = reader_view(r, item)->span;

    if (owner == OWNER_SPAN || owner == OWNER_RESOURCE)
        return absent;
    if (owner == OWNER_LOG)
        return field < FIELD_METRIC_NAME ? log_field(r, bytes, field) : absent;
    if (field < FIELD_METRIC_NAME)
        return absent;
    if (field < FIELD_POINT_VALUE)
        return metric_field(owner == OWNER_METRIC ? bytes : r->trace->metric, field);
    return owner == OWNER_METRIC ? absent : point_field(r, bytes, field);
}

bool reader_has_field(const struct reader *r, enum reader_field field)
{
    if (r->trace->item == OWNER_SPAN || field >= FIELD_HTTP_METHOD)
        return true;
    return field == FIELD_SERVICE || field == FIELD_SCOPE_NAME || field == FIELD_SCOPE_VERSION;
}
