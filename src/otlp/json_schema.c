#include "otlp/json_schema.h"

#define FIELD(number, name, kind)                                                                  \
    {                                                                                              \
        name, sizeof(name) - 1, number, kind, false, false, NULL                                   \
    }
#define LIST(number, name, kind)                                                                   \
    {                                                                                              \
        name, sizeof(name) - 1, number, kind, true, false, NULL                                    \
    }
#define CHILD(number, name, child)                                                                 \
    {                                                                                              \
        name, sizeof(name) - 1, number, JSON_MESSAGE, false, false, &(child)                       \
    }
#define CHILDREN(number, name, child)                                                              \
    {                                                                                              \
        name, sizeof(name) - 1, number, JSON_MESSAGE, true, false, &(child)                        \
    }
#define EITHER(number, name, kind)                                                                 \
    {                                                                                              \
        name, sizeof(name) - 1, number, kind, false, true, NULL                                    \
    }
#define EITHER_CHILD(number, name, child)                                                          \
    {                                                                                              \
        name, sizeof(name) - 1, number, JSON_MESSAGE, false, true, &(child)                        \
    }
#define MESSAGE(fields)                                                                            \
    {                                                                                              \
        fields, sizeof(fields) / sizeof((fields)[0])                                               \
    }

/* clang-format off */
static const struct json_message array_value, kvlist, entity_ref, resource, scope, event, link,
    status, resource_spans, scope_spans, resource_metrics, scope_metrics, metric, gauge, sum,
    histogram, exponential, summary, number_point, histogram_point, exponential_point, buckets,
    summary_point, quantile, exemplar, resource_logs, scope_logs, log_record;

static const struct json_field any_value_fields[] = {
    FIELD(1, "stringValue", JSON_STRING),
    FIELD(2, "boolValue", JSON_BOOL),
    FIELD(3, "intValue", JSON_INT64),
    FIELD(4, "doubleValue", JSON_DOUBLE),
    CHILD(5, "arrayValue", array_value),
    CHILD(6, "kvlistValue", kvlist),
    FIELD(7, "bytesValue", JSON_BYTES),
    FIELD(8, "stringValueStrindex", JSON_INT32),
};

static const struct json_field array_value_fields[] = {
    CHILDREN(1, "values", json_any_value),
};

static const struct json_field kvlist_fields[] = {
    CHILDREN(1, "values", json_key_value),
};

static const struct json_field key_value_fields[] = {
    FIELD(1, "key", JSON_STRING),
    CHILD(2, "value", json_any_value),
    FIELD(3, "keyStrindex", JSON_INT32),
};

static const struct json_field entity_ref_fields[] = {
    FIELD(1, "schemaUrl", JSON_STRING),
    FIELD(2, "type", JSON_STRING),
    LIST(3, "idKeys", JSON_STRING),
    LIST(4, "descriptionKeys", JSON_STRING),
};

static const struct json_field resource_fields[] = {
    CHILDREN(1, "attributes", json_key_value),
    FIELD(2, "droppedAttributesCount", JSON_UINT32),
    CHILDREN(3, "entityRefs", entity_ref),
};

static const struct json_field scope_fields[] = {
    FIELD(1, "name", JSON_STRING),
    FIELD(2, "version", JSON_STRING),
    CHILDREN(3, "attributes", json_key_value),
    FIELD(4, "droppedAttributesCount", JSON_UINT32),
};

static const struct json_field event_fields[] = {
    FIELD(1, "timeUnixNano", JSON_FIXED64),
    FIELD(2, "name", JSON_STRING),
    CHILDREN(3, "attributes", json_key_value),
    FIELD(4, "droppedAttributesCount", JSON_UINT32),
};

static const struct json_field link_fields[] = {
    FIELD(1, "traceId", JSON_ID),
    FIELD(2, "spanId", JSON_ID),
    FIELD(3, "traceState", JSON_STRING),
    CHILDREN(4, "attributes", json_key_value),
    FIELD(5, "droppedAttributesCount", JSON_UINT32),
    FIELD(6, "flags", JSON_FIXED32),
};

static const struct json_field status_fields[] = {
    FIELD(2, "message", JSON_STRING),
    FIELD(3, "code", JSON_STATUS_CODE),
};

static const struct json_field span_fields[] = {
    FIELD(1, "traceId", JSON_ID),
    FIELD(2, "spanId", JSON_ID),
    FIELD(3, "traceState", JSON_STRING),
    FIELD(4, "parentSpanId", JSON_ID),
    FIELD(16, "flags", JSON_FIXED32),
    FIELD(5, "name", JSON_STRING),
    FIELD(6, "kind", JSON_SPAN_KIND),
    FIELD(7, "startTimeUnixNano", JSON_FIXED64),
    FIELD(8, "endTimeUnixNano", JSON_FIXED64),
    CHILDREN(9, "attributes", json_key_value),
    FIELD(10, "droppedAttributesCount", JSON_UINT32),
    CHILDREN(11, "events", event),
    FIELD(12, "droppedEventsCount", JSON_UINT32),
    CHILDREN(13, "links", link),
    FIELD(14, "droppedLinksCount", JSON_UINT32),
    CHILD(15, "status", status),
};

static const struct json_field scope_spans_fields[] = {
    CHILD(1, "scope", scope),
    CHILDREN(2, "spans", json_span),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field resource_spans_fields[] = {
    CHILD(1, "resource", resource),
    CHILDREN(2, "scopeSpans", scope_spans),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field traces_data_fields[] = {
    CHILDREN(1, "resourceSpans", resource_spans),
};

static const struct json_field exemplar_fields[] = {
    CHILDREN(7, "filteredAttributes", json_key_value),
    FIELD(2, "timeUnixNano", JSON_FIXED64),
    EITHER(3, "asDouble", JSON_DOUBLE),
    EITHER(6, "asInt", JSON_SFIXED64),
    FIELD(4, "spanId", JSON_ID),
    FIELD(5, "traceId", JSON_ID),
};

static const struct json_field number_point_fields[] = {
    CHILDREN(7, "attributes", json_key_value),
    FIELD(2, "startTimeUnixNano", JSON_FIXED64),
    FIELD(3, "timeUnixNano", JSON_FIXED64),
    EITHER(4, "asDouble", JSON_DOUBLE),
    EITHER(6, "asInt", JSON_SFIXED64),
    CHILDREN(5, "exemplars", exemplar),
    FIELD(8, "flags", JSON_UINT32),
};

static const struct json_field histogram_point_fields[] = {
    CHILDREN(9, "attributes", json_key_value),
    FIELD(2, "startTimeUnixNano", JSON_FIXED64),
    FIELD(3, "timeUnixNano", JSON_FIXED64),
    FIELD(4, "count", JSON_FIXED64),
    FIELD(5, "sum", JSON_DOUBLE),
    LIST(6, "bucketCounts", JSON_FIXED64),
    LIST(7, "explicitBounds", JSON_DOUBLE),
    CHILDREN(8, "exemplars", exemplar),
    FIELD(10, "flags", JSON_UINT32),
    FIELD(11, "min", JSON_DOUBLE),
    FIELD(12, "max", JSON_DOUBLE),
};

static const struct json_field buckets_fields[] = {
    FIELD(1, "offset", JSON_SINT32),
    LIST(2, "bucketCounts", JSON_UINT64),
};

static const struct json_field exponential_point_fields[] = {
    CHILDREN(1, "attributes", json_key_value),
    FIELD(2, "startTimeUnixNano", JSON_FIXED64),
    FIELD(3, "timeUnixNano", JSON_FIXED64),
    FIELD(4, "count", JSON_FIXED64),
    FIELD(5, "sum", JSON_DOUBLE),
    FIELD(6, "scale", JSON_SINT32),
    FIELD(7, "zeroCount", JSON_FIXED64),
    CHILD(8, "positive", buckets),
    CHILD(9, "negative", buckets),
    FIELD(10, "flags", JSON_UINT32),
    CHILDREN(11, "exemplars", exemplar),
    FIELD(12, "min", JSON_DOUBLE),
    FIELD(13, "max", JSON_DOUBLE),
    FIELD(14, "zeroThreshold", JSON_DOUBLE),
};

static const struct json_field quantile_fields[] = {
    FIELD(1, "quantile", JSON_DOUBLE),
    FIELD(2, "value", JSON_DOUBLE),
};

static const struct json_field summary_point_fields[] = {
    CHILDREN(7, "attributes", json_key_value),
    FIELD(2, "startTimeUnixNano", JSON_FIXED64),
    FIELD(3, "timeUnixNano", JSON_FIXED64),
    FIELD(4, "count", JSON_FIXED64),
    FIELD(5, "sum", JSON_DOUBLE),
    CHILDREN(6, "quantileValues", quantile),
    FIELD(8, "flags", JSON_UINT32),
};

static const struct json_field gauge_fields[] = {
    CHILDREN(1, "dataPoints", number_point),
};

static const struct json_field sum_fields[] = {
    CHILDREN(1, "dataPoints", number_point),
    FIELD(2, "aggregationTemporality", JSON_TEMPORALITY),
    FIELD(3, "isMonotonic", JSON_BOOL),
};

static const struct json_field histogram_fields[] = {
    CHILDREN(1, "dataPoints", histogram_point),
    FIELD(2, "aggregationTemporality", JSON_TEMPORALITY),
};

static const struct json_field exponential_fields[] = {
    CHILDREN(1, "dataPoints", exponential_point),
    FIELD(2, "aggregationTemporality", JSON_TEMPORALITY),
};

static const struct json_field summary_fields[] = {
    CHILDREN(1, "dataPoints", summary_point),
};

static const struct json_field metric_fields[] = {
    FIELD(1, "name", JSON_STRING),
    FIELD(2, "description", JSON_STRING),
    FIELD(3, "unit", JSON_STRING),
    EITHER_CHILD(5, "gauge", gauge),
    EITHER_CHILD(7, "sum", sum),
    EITHER_CHILD(9, "histogram", histogram),
    EITHER_CHILD(10, "exponentialHistogram", exponential),
    EITHER_CHILD(11, "summary", summary),
    CHILDREN(12, "metadata", json_key_value),
};

static const struct json_field scope_metrics_fields[] = {
    CHILD(1, "scope", scope),
    CHILDREN(2, "metrics", metric),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field resource_metrics_fields[] = {
    CHILD(1, "resource", resource),
    CHILDREN(2, "scopeMetrics", scope_metrics),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field metrics_data_fields[] = {
    CHILDREN(1, "resourceMetrics", resource_metrics),
};

static const struct json_field log_record_fields[] = {
    FIELD(1, "timeUnixNano", JSON_FIXED64),
    FIELD(11, "observedTimeUnixNano", JSON_FIXED64),
    FIELD(2, "severityNumber", JSON_SEVERITY),
    FIELD(3, "severityText", JSON_STRING),
    CHILD(5, "body", json_any_value),
    CHILDREN(6, "attributes", json_key_value),
    FIELD(7, "droppedAttributesCount", JSON_UINT32),
    FIELD(8, "flags", JSON_FIXED32),
    FIELD(9, "traceId", JSON_ID),
    FIELD(10, "spanId", JSON_ID),
    FIELD(12, "eventName", JSON_STRING),
};

static const struct json_field scope_logs_fields[] = {
    CHILD(1, "scope", scope),
    CHILDREN(2, "logRecords", log_record),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field resource_logs_fields[] = {
    CHILD(1, "resource", resource),
    CHILDREN(2, "scopeLogs", scope_logs),
    FIELD(3, "schemaUrl", JSON_STRING),
};

static const struct json_field logs_data_fields[] = {
    CHILDREN(1, "resourceLogs", resource_logs),
};

const struct json_message json_any_value = MESSAGE(any_value_fields);
const struct json_message json_key_value = MESSAGE(key_value_fields);
const struct json_message json_span = MESSAGE(span_fields);
static const struct json_message traces_data = MESSAGE(traces_data_fields);
static const struct json_message array_value = MESSAGE(array_value_fields);
static const struct json_message kvlist = MESSAGE(kvlist_fields);
static const struct json_message entity_ref = MESSAGE(entity_ref_fields);
static const struct json_message resource = MESSAGE(resource_fields);
static const struct json_message scope = MESSAGE(scope_fields);
static const struct json_message event = MESSAGE(event_fields);
static const struct json_message link = MESSAGE(link_fields);
static const struct json_message status = MESSAGE(status_fields);
static const struct json_message scope_spans = MESSAGE(scope_spans_fields);
static const struct json_message resource_spans = MESSAGE(resource_spans_fields);
static const struct json_message exemplar = MESSAGE(exemplar_fields);
static const struct json_message number_point = MESSAGE(number_point_fields);
static const struct json_message histogram_point = MESSAGE(histogram_point_fields);
static const struct json_message buckets = MESSAGE(buckets_fields);
static const struct json_message exponential_point = MESSAGE(exponential_point_fields);
static const struct json_message quantile = MESSAGE(quantile_fields);
static const struct json_message summary_point = MESSAGE(summary_point_fields);
static const struct json_message gauge = MESSAGE(gauge_fields);
static const struct json_message sum = MESSAGE(sum_fields);
static const struct json_message histogram = MESSAGE(histogram_fields);
static const struct json_message exponential = MESSAGE(exponential_fields);
static const struct json_message summary = MESSAGE(summary_fields);
static const struct json_message metric = MESSAGE(metric_fields);
static const struct json_message scope_metrics = MESSAGE(scope_metrics_fields);
static const struct json_message resource_metrics = MESSAGE(resource_metrics_fields);
static const struct json_message metrics_data = MESSAGE(metrics_data_fields);
static const struct json_message log_record = MESSAGE(log_record_fields);
static const struct json_message scope_logs = MESSAGE(scope_logs_fields);
static const struct json_message resource_logs = MESSAGE(resource_logs_fields);
static const struct json_message logs_data = MESSAGE(logs_data_fields);
/* clang-format on */

const struct json_message *json_body(enum otlp_signal signal)
{
    static const struct json_message *const bodies[OTLP_SIGNALS] = {
        [OTLP_TRACES] = &traces_data, [OTLP_METRICS] = &metrics_data, [OTLP_LOGS] = &logs_data};

    return bodies[signal];
}
