/* scan_rules.h: the .proto files under proto/ as tables, for validation. Private to the room. */
#pragma once

#include <stdint.h>

/* How a known field is encoded, and so how it is validated. */
enum kind {
    UNKNOWN,
    VARINT,
    FIXED64,
    FIXED32,
    BYTES,
    TRACE_ID, /* bytes that are none or of its length, for an item that is good */
    SPAN_ID,  /* the same */
    STRING,
    MESSAGE,
    VARINTS,  /* repeated: packed, or one by one */
    FIXED64S, /* the same */
    AROUND,   /* a message around items */
    ITEM,     /* a message that is counted: a span, a data point, a log record */
};

enum message {
    TRACES_DATA,
    ANY_VALUE,
    ARRAY_VALUE,
    KEY_VALUE_LIST,
    KEY_VALUE,
    SCOPE,
    ENTITY_REF,
    RESOURCE,
    RESOURCE_SPANS,
    SCOPE_SPANS,
    SPAN,
    EVENT,
    LINK,
    STATUS,
    METRICS_DATA,
    RESOURCE_METRICS,
    SCOPE_METRICS,
    METRIC,
    GAUGE,
    SUM,
    HISTOGRAM,
    EXPONENTIAL,
    SUMMARY,
    NUMBER_POINT,
    HISTOGRAM_POINT,
    EXPONENTIAL_POINT,
    BUCKETS,
    SUMMARY_POINT,
    QUANTILE,
    EXEMPLAR,
    LOGS_DATA,
    RESOURCE_LOGS,
    SCOPE_LOGS,
    LOG_RECORD,
    MESSAGE_COUNT
};

enum { MAX_FIELDS = 17 }; /* field numbers of known fields are below */

struct rule {
    uint8_t kind;  /* enum kind */
    uint8_t child; /* of MESSAGE, AROUND, ITEM: enum message */
};

/* By message, then by field number. */
extern const struct rule scan_rules[MESSAGE_COUNT][MAX_FIELDS];
