/* view.h: reads the fields of a span where it lies; nothing is copied, decoded ahead or kept.
 *
 * Data path: journal -> [view] -> policies, composer, exporters. Every read is bounded by the
 * slices given, whatever the scan said before: a damaged body gives absent fields, never a read
 * outside. Singular fields that occur twice: the later scalar wins, submessages merge (all
 * occurrences are read). Any thread.
 */
#pragma once

#include "base/slice.h"
#include "otlp/scan.h"

/* One span and what stands around it, as messages (their first field, after tag and length). */
struct span_view {
    struct slice span;     /* Span */
    struct slice resource; /* ResourceSpans */
    struct slice scope;    /* ScopeSpans */
    bool plain_scope;      /* SCAN_PLAIN_SCOPE: nothing but spans behind its first span */
};

/* A view into `body` at the offsets that the scan gave (scope_offset with its flag); what lies
 * outside it gives empty slices. */
struct span_view span_view_at(struct slice body, uint32_t offset, uint32_t len,
                              uint32_t resource_offset, uint32_t scope_offset);

/* The ResourceSpans alone. */
struct slice view_resource_at(struct slice body, uint32_t resource_offset);

/* The view of a span that the scan of `body` found. */
static inline struct span_view span_view_of(struct slice body, const struct scan_span *s)
{
    return span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset);
}

/* A value of an attribute: AnyValue (common.proto). Slices are borrowed from the body. */
enum value_type {
    VALUE_ABSENT, /* no such attribute, or an AnyValue with nothing set */
    VALUE_STRING,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_DOUBLE,
    VALUE_ARRAY,  /* bytes: an ArrayValue message */
    VALUE_KVLIST, /* bytes: a KeyValueList message */
    VALUE_BYTES,
};

struct value {
    enum value_type type;
    union {
        struct slice bytes; /* string, bytes, array, kvlist */
        int64_t integer;
        double number;
        bool boolean;
    };
};

/* A list of attributes lies in a message under a field number. */
enum attr_field {
    ATTRS_RESOURCE = 1, /* in Resource */
    ATTRS_SCOPE = 3,    /* in InstrumentationScope */
    ATTRS_SPAN = 9,     /* in Span */
    ATTRS_EVENT = 3,    /* in Span.Event */
    ATTRS_LINK = 4,     /* in Span.Link */
    ATTRS_LOG = 6,      /* in LogRecord */
    ATTRS_METRIC = 12,  /* in Metric: its metadata */
    ATTRS_POINT = 7,    /* in NumberDataPoint, SummaryDataPoint */
    ATTRS_HISTOGRAM_POINT = 9,
    ATTRS_EXPONENTIAL_POINT = 1,
    ATTRS_EXEMPLAR = 7,
};

/* The first attribute called `key` in `message`; false if none. The value may be VALUE_ABSENT. */
bool view_attr(struct slice message, enum attr_field field, struct slice key, struct value *value);
/* The same over all Resource messages of a ResourceSpans, all InstrumentationScopes of a
 * ScopeSpans. */
bool view_resource_attr(struct slice resource_spans, struct slice key, struct value *value);
bool view_scope_attr(struct slice scope_spans, struct slice key, struct value *value);
/* The attribute service.name of a resource, in a few steps where it comes first, as nearly
 * everybody writes it. False: there is none, or it is no string. */
bool view_service(struct slice resource_spans, struct slice *service);
/* The same of the ResourceSpans whose tag is there. */
bool view_service_at(struct slice body, uint32_t resource_offset, struct slice *service);

/* Walks attributes in order: *at starts at 0. False at the end. */
bool view_attr_next(struct slice message, enum attr_field field, size_t *at, struct slice *key,
                    struct value *value);
bool view_resource_attr_next(struct slice resource_spans, size_t *at, struct slice *key,
                             struct value *value);
bool view_scope_attr_next(struct slice scope_spans, size_t *at, struct slice *key,
                          struct value *value);

/* The (last) key of a KeyValue; empty where there is none. */
struct slice view_key(struct slice key_value);
/* What an AnyValue holds; VALUE_ABSENT: nothing. */
void view_any(struct slice any_value, struct value *value);
/* Walks the elements of an array and the pairs of a kvlist. */
bool view_array_next(struct slice array, size_t *at, struct value *value);
bool view_kvlist_next(struct slice kvlist, size_t *at, struct slice *key, struct value *value);

/* The attributes of one owner as one source, for code that serves all of them. */
enum attr_owner {
    OWNER_SPAN,
    OWNER_RESOURCE,
    OWNER_SCOPE,
    OWNER_EVENT,
    OWNER_LINK,
    OWNER_LOG,
    OWNER_METRIC,
    OWNER_POINT, /* of a summary too */
    OWNER_HISTOGRAM_POINT,
    OWNER_EXPONENTIAL_POINT,
};
/* Where they lie in the owner's message. Not of a resource or a scope, which may be in pieces. */
enum attr_field view_owner_field(enum attr_owner owner);
/* `message`: Span, ResourceSpans, ScopeSpans, Event, Link, LogRecord, Metric or a data point. */
bool view_owner_attr(enum attr_owner owner, struct slice message, struct slice key,
                     struct value *value);
bool view_owner_attr_next(enum attr_owner owner, struct slice message, size_t *at,
                          struct slice *key, struct value *value);

/* The scalar fields of a Span, in one pass. Ids are slices into the span. */
struct span_fields {
    struct slice trace_id, span_id, parent_id, name, trace_state, status_message;
    uint64_t start_ns, end_ns;
    int32_t kind;   /* Span.SpanKind, unknown numbers as sent */
    int32_t status; /* Status.StatusCode, unknown numbers as sent */
    uint32_t flags;
    uint32_t dropped_attributes, dropped_events, dropped_links;
};
void view_span_fields(struct slice span, struct span_fields *fields);

/* Name and kind alone, in a few steps where the fields come in the order of their numbers, as
 * nearly everybody writes them: then what comes behind the times is not looked at. */
void view_span_name(struct slice span, struct slice *name, int32_t *kind);

/* Where an attribute of a span lies in it: its KeyValue. */
struct view_attr_at {
    uint32_t offset, len;
    uint32_t key_len; /* of a key that begins at the third byte; else VIEW_KEY_UNKNOWN */
};
enum { VIEW_KEY_UNKNOWN = UINT32_MAX };
/* view_span_fields, which also notes in attrs[max] where attributes are. *count: how many there
 * are. False: more than `max`; what was noted is not all. */
bool view_span_index(struct slice span, struct span_fields *fields, struct view_attr_at *attrs,
                     size_t max, size_t *count);
/* view_attr over what was noted of that span. */
bool view_indexed_attr(struct slice span, const struct view_attr_at *attrs, size_t count,
                       struct slice key, struct value *value);

/* Name and version of the scope. */
void view_scope(struct slice scope_spans, struct slice *name, struct slice *version);

/* Walks the events and links of a span: each is its message. */
bool view_event_next(struct slice span, size_t *at, struct slice *event);
bool view_link_next(struct slice span, size_t *at, struct slice *link);
void view_event(struct slice event, uint64_t *time_ns, struct slice *name);
void view_link(struct slice link, struct slice *trace_id, struct slice *span_id,
               struct slice *trace_state);

/* The big-endian number of an 8-byte id; 0 if the slice has another length. */
uint64_t view_id(struct slice id);
