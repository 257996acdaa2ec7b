/* json_schema.h: the messages of OTLP as tables, for both directions of JSON. Private to the room.
 */
#pragma once

#include "base/slice.h"
#include "otlp/signal.h"
#include "otlp/wire.h"

enum json_kind {
    JSON_STRING,
    JSON_ID,       /* bytes, as hex */
    JSON_BYTES,    /* bytes, as base64 */
    JSON_BOOL,     /* true, false */
    JSON_INT32,    /* a number */
    JSON_UINT32,   /* a number */
    JSON_SINT32,   /* a number; zigzag on the wire */
    JSON_FIXED32,  /* a number; four bytes on the wire */
    JSON_INT64,    /* a decimal string */
    JSON_UINT64,   /* a decimal string */
    JSON_FIXED64,  /* unsigned, a decimal string; eight bytes on the wire */
    JSON_SFIXED64, /* signed, a decimal string; eight bytes on the wire */
    JSON_DOUBLE,
    JSON_MESSAGE,
    JSON_SPAN_KIND, /* from here on enums: numbers out; in also by name */
    JSON_STATUS_CODE,
    JSON_TEMPORALITY,
    JSON_SEVERITY,
    JSON_KIND_COUNT
};

struct json_message;

struct json_field {
    const char *name; /* lowerCamelCase */
    uint8_t name_len;
    uint8_t number;
    uint8_t kind; /* enum json_kind */
    bool repeated;
    bool either;                      /* a member of the message's oneof: the last one counts */
    const struct json_message *child; /* of JSON_MESSAGE */
};

struct json_message {
    const struct json_field *fields; /* in the order in which they are written */
    size_t count;
};

enum { JSON_MAX_FIELDS = 16 }; /* in one message */

/* The fields of json_any_value are a oneof, and lie at their number - 1. */
extern const struct json_message json_span, json_key_value, json_any_value;

/* The whole body: TracesData, MetricsData, LogsData. */
const struct json_message *json_body(enum otlp_signal signal);

/* How one value of a kind lies on the wire. */
enum wire_type json_wire_type(enum json_kind kind);
/* Repeated numbers are packed: in one field, one after the other. */
bool json_is_packed(const struct json_field *field);

/* The field of `message` called `name`, in lowerCamelCase or snake_case; NULL if it has none.
 * `hint` is the index to try first, and is moved on: keys mostly come in order. */
const struct json_field *json_field_find(const struct json_message *message, struct slice name,
                                         size_t *hint);

/* The number of an enum's value called `name`; false if it has none. */
bool json_enum_find(enum json_kind kind, struct slice name, int32_t *number);
