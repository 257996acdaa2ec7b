/* How fields and enums are called in JSON, and how a kind lies on the wire. */
#include "otlp/json_schema.h"

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
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
    NULL,
};
static const char *const status_codes[] = {
    "STATUS_CODE_UNSET",
    "STATUS_CODE_OK",
    "STATUS_CODE_ERROR",
    NULL,
};
static const char *const temporalities[] = {
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
    NULL,
};
static const char *const severities[] = {
    "SEVERITY_NUMBER_UNSPECIFIED", "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",      "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",      "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",      "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",      "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",       "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",       "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",       "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",       "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",      "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",      "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",      "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",      NULL,
};

/* By number, NULL behind the last. */
static const char *const *const enum_names[JSON_KIND_COUNT] = {
    [JSON_SPAN_KIND] = span_kinds,
    [JSON_STATUS_CODE] = status_codes,
    [JSON_TEMPORALITY] = temporalities,
    [JSON_SEVERITY] = severities,
};

bool json_enum_find(enum json_kind kind, struct slice name, int32_t *number)
{
    const char *const *names = enum_names[kind];

    for (int32_t i = 0; names[i]; i++) {
        if (slice_is(name, names[i])) {
            *number = i;
            return true;
        }
    }
    return false;
}

enum wire_type json_wire_type(enum json_kind kind)
{
    switch (kind) {
    case JSON_STRING:
    case JSON_ID:
    case JSON_BYTES:
    case JSON_MESSAGE:
        return WIRE_LEN;
    case JSON_FIXED32:
        return WIRE_I32;
    case JSON_FIXED64:
    case JSON_SFIXED64:
    case JSON_DOUBLE:
        return WIRE_I64;
    default:
        return WIRE_VARINT;
    }
}

bool json_is_packed(const struct json_field *field)
{
    return field->repeated && json_wire_type((enum json_kind)field->kind) != WIRE_LEN;
}
