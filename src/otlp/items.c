#include "otlp/items.h"

#include "otlp/view_parts.h"

/* ---- logs ---- */

enum { SEVERITIES = 6, PER_SEVERITY = 4 };

static const char *const severities[SEVERITIES] = {"trace", "debug", "info",
                                                   "warn",  "error", "fatal"};

const char *items_severity_name(int32_t severity)
{
    if (severity < 1 || severity > SEVERITIES * PER_SEVERITY)
        return NULL;
    return severities[(severity - 1) / PER_SEVERITY];
}

int32_t items_severity(struct slice name)
{
    for (int i = 0; i < SEVERITIES; i++)
        if (slice_equal(name, slice_str(severities[i])))
            return i * PER_SEVERITY + 1;
    return 0;
}

static void read_log_bytes(const struct wire_field *field, struct log_fields *fields)
{
    switch (field->number) {
    case 3:
        fields->severity_text = field->bytes;
        break;
    case 5:
        view_any(field->bytes, &fields->body);
        break;
    case 9:
        fields->trace_id = field->bytes;
        break;
    case 10:
        fields->span_id = field->bytes;
        break;
    case 12:
        fields->event_name = field->bytes;
        break;
    default:
        break;
    }
}

static void read_log_number(const struct wire_field *field, struct log_fields *fields)
{
    switch (TAG(field->number, field->type)) {
    case TAG(1, WIRE_I64):
        fields->time_ns = field->value;
        break;
    case TAG(2, WIRE_VARINT):
        fields->severity = (int32_t)field->value;
        break;
    case TAG(8, WIRE_I32):
        fields->flags = (uint32_t)field->value;
        break;
    case TAG(11, WIRE_I64):
        fields->observed_ns = field->value;
        break;
    default:
        break;
    }
}

void items_log(struct slice record, struct log_fields *fields)
{
    struct wire w = wire_of(record);
    struct wire_field field;

    *fields = (struct log_fields){.time_ns = 0};
    while (read_field(&w, &field)) {
        if (field.type == WIRE_LEN)
            read_log_bytes(&field, fields);
        else
            read_log_number(&field, fields);
    }
}

/* ---- metrics ---- */

const char *items_metric_type(enum metric_type type)
{
    switch (type) {
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_SUM:
        return "sum";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_EXPONENTIAL:
        return "exponential_histogram";
    case METRIC_SUMMARY:
        return "summary";
    default:
        return NULL;
    }
}

enum attr_owner items_point_owner(enum metric_type type)
{
    if (type == METRIC_HISTOGRAM)
        return OWNER_HISTOGRAM_POINT;
    return type == METRIC_EXPONENTIAL ? OWNER_EXPONENTIAL_POINT : OWNER_POINT;
}
