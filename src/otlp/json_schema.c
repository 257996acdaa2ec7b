#include "otlp/json_schema.h"

#define FIELD(number, name, kind)                                                                  \
    {                                                                                              \
        name, sizeof(name) - 1, number, kind, false, NULL                                          \
    }
#define LIST(number, name, kind)                                                                   \
    {                                                                                              \
        name, sizeof(name) - 1, number, kind, true, NULL                                           \
    }
#define CHILD(number, name, child)                                                                 \
    {                                                                                              \
        name, sizeof(name) - 1, number, JSON_MESSAGE, false, &(child)                              \
    }
#define CHILDREN(number, name, child)                                                              \
    {                                                                                              \
        name, sizeof(name) - 1, number, JSON_MESSAGE, true, &(child)                               \
    }
#define MESSAGE(fields)                                                                            \
    {                                                                                              \
        fields, sizeof(fields) / sizeof((fields)[0])                                               \
    }

/* clang-format off */
static const struct json_message array_value, kvlist, entity_ref, resource, scope, event, link,
    status, resource_spans, scope_spans;

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

const struct json_message json_any_value = MESSAGE(any_value_fields);
const struct json_message json_key_value = MESSAGE(key_value_fields);
const struct json_message json_span = MESSAGE(span_fields);
const struct json_message json_traces_data = MESSAGE(traces_data_fields);
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
/* clang-format on */

/* Whether `name` is the snake_case of `camel`. */
static bool is_snake_of(const char *camel, struct slice name)
{
    size_t i = 0;

    for (; *camel; camel++) {
        bool upper = *camel >= 'A' && *camel <= 'Z';

        if (upper && (i == name.len || name.data[i++] != '_'))
            return false;
        if (i == name.len || name.data[i++] != (uint8_t)(upper ? *camel + 32 : *camel))
            return false;
    }
    return i == name.len;
}

static bool is_name_of(const struct json_field *field, struct slice name)
{
    if (name.len == field->name_len)
        return memcmp(name.data, field->name, name.len) == 0;
    return name.len > field->name_len && is_snake_of(field->name, name);
}

const struct json_field *json_field_find(const struct json_message *message, struct slice name,
                                         size_t *hint)
{
    for (size_t i = 0; i < message->count; i++) {
        size_t at = (*hint + i) % message->count;

        if (is_name_of(&message->fields[at], name)) {
            *hint = at + 1;
            return &message->fields[at];
        }
    }
    return NULL;
}

static const char *const span_kinds[] = {
    "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
};
static const char *const status_codes[] = {
    "STATUS_CODE_UNSET",
    "STATUS_CODE_OK",
    "STATUS_CODE_ERROR",
};

bool json_enum_find(enum json_kind kind, struct slice name, int32_t *number)
{
    bool is_kind = kind == JSON_SPAN_KIND;
    const char *const *names = is_kind ? span_kinds : status_codes;
    size_t count = is_kind ? sizeof span_kinds / sizeof span_kinds[0]
                           : sizeof status_codes / sizeof status_codes[0];

    for (size_t i = 0; i < count; i++) {
        if (slice_is(name, names[i])) {
            *number = (int32_t)i;
            return true;
        }
    }
    return false;
}
