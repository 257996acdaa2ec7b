/* oracle.h: what the views and the scan read, compared with what protobuf-c unpacks from the same
 * bytes.
 *
 * protobuf-c goes down its stack with nesting: only for bodies that the scan did not refuse.
 */
#pragma once

#include "otlp/scan.h"
#include "otlp/view.h"
#include "otlp/wire.h"

#include <opentelemetry/proto/trace/v1/trace.pb-c.h>
#include <stdio.h>
#include <string.h>

typedef Opentelemetry__Proto__Common__V1__AnyValue PbValue;
typedef Opentelemetry__Proto__Common__V1__KeyValue PbKeyValue;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans PbResourceSpans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans PbScopeSpans;
typedef Opentelemetry__Proto__Trace__V1__Span PbSpan;
typedef Opentelemetry__Proto__Trace__V1__Span__Event PbEvent;
typedef Opentelemetry__Proto__Trace__V1__Span__Link PbLink;

enum oracle_verdict {
    ORACLE_SAME,
    ORACLE_DIFFERENT, /* why says what */
    ORACLE_REFUSED,   /* protobuf-c does not unpack it */
};

struct oracle {
    const char *why;
    unsigned spans; /* compared */
};

#define SAME(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            o->why = #condition;                                                                   \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static bool oracle_value(struct oracle *o, const struct value *ours, const PbValue *theirs);

/* NaNs are compared too. */
static uint64_t oracle_bits(double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* protobuf-c's strings end at their first NUL. */
static bool oracle_text(struct slice ours, const char *theirs)
{
    size_t len = strlen(theirs);

    return ours.len >= len && (len == 0 || memcmp(ours.data, theirs, len) == 0) &&
           (ours.len == len || ours.data[len] == 0);
}

static bool oracle_bytes(struct slice ours, ProtobufCBinaryData theirs)
{
    return slice_equal(ours, slice_make(theirs.data, theirs.len));
}

static bool oracle_array(struct oracle *o, struct slice ours,
                         const Opentelemetry__Proto__Common__V1__ArrayValue *theirs)
{
    struct value value;
    size_t at = 0;

    for (size_t i = 0; i < theirs->n_values; i++) {
        SAME(view_array_next(ours, &at, &value));
        if (!oracle_value(o, &value, theirs->values[i]))
            return false;
    }
    SAME(!view_array_next(ours, &at, &value));
    return true;
}

static bool oracle_kvlist(struct oracle *o, struct slice ours,
                          const Opentelemetry__Proto__Common__V1__KeyValueList *theirs)
{
    struct slice key;
    struct value value;
    size_t at = 0;

    for (size_t i = 0; i < theirs->n_values; i++) {
        SAME(view_kvlist_next(ours, &at, &key, &value));
        SAME(oracle_text(key, theirs->values[i]->key));
        if (!oracle_value(o, &value, theirs->values[i]->value))
            return false;
    }
    SAME(!view_kvlist_next(ours, &at, &key, &value));
    return true;
}

static bool oracle_value(struct oracle *o, const struct value *ours, const PbValue *theirs)
{
    switch (theirs ? theirs->value_case : 0) {
    case 1:
        SAME(ours->type == VALUE_STRING && oracle_text(ours->bytes, theirs->string_value));
        return true;
    case 2:
        SAME(ours->type == VALUE_BOOL && ours->boolean == (theirs->bool_value != 0));
        return true;
    case 3:
        SAME(ours->type == VALUE_INT && ours->integer == theirs->int_value);
        return true;
    case 4:
        SAME(ours->type == VALUE_DOUBLE &&
             oracle_bits(ours->number) == oracle_bits(theirs->double_value));
        return true;
    case 5:
        SAME(ours->type == VALUE_ARRAY);
        return oracle_array(o, ours->bytes, theirs->array_value);
    case 6:
        SAME(ours->type == VALUE_KVLIST);
        return oracle_kvlist(o, ours->bytes, theirs->kvlist_value);
    case 7:
        SAME(ours->type == VALUE_BYTES && oracle_bytes(ours->bytes, theirs->bytes_value));
        return true;
    default:
        SAME(ours->type == VALUE_ABSENT);
        return true;
    }
}

/* A list of attributes by the walk, and each of them by its key. */
static bool oracle_attributes(struct oracle *o, enum attr_owner owner, struct slice message,
                              PbKeyValue **theirs, size_t count)
{
    struct slice key, first_key;
    struct value value, first;
    size_t at = 0, again = 0;

    for (size_t i = 0; i < count; i++) {
        SAME(view_owner_attr_next(owner, message, &at, &key, &value));
        SAME(oracle_text(key, theirs[i]->key));
        if (!oracle_value(o, &value, theirs[i]->value))
            return false;
        SAME(view_owner_attr(owner, message, key, &first));
        again = 0;
        do
            SAME(view_owner_attr_next(owner, message, &again, &first_key, &value));
        while (!slice_equal(key, first_key));
        SAME(first.type == value.type);
        SAME(first.type == VALUE_BOOL || first.integer == value.integer);
    }
    SAME(!view_owner_attr_next(owner, message, &at, &key, &value));
    return true;
}

enum { ORACLE_ATTRS = 64 };

/* What one pass notes of attributes gives the same values as the walk. */
static bool oracle_index(struct oracle *o, struct slice span, const PbSpan *theirs)
{
    struct view_attr_at attrs[ORACLE_ATTRS];
    struct span_fields fields, plain = {0};
    struct value value, noted;
    size_t count;
    bool all = view_span_index(span, &fields, attrs, ORACLE_ATTRS, &count);

    view_span_fields(span, &plain);
    SAME(fields.end_ns == plain.end_ns && fields.name.data == plain.name.data &&
         fields.status == plain.status);
    SAME(count == theirs->n_attributes && all == (count <= ORACLE_ATTRS));
    for (size_t i = 0; all && i < count; i++) {
        struct slice key = slice_str(theirs->attributes[i]->key);

        value = noted = (struct value){.type = VALUE_ABSENT}; /* keys with a zero are not found */
        SAME(view_owner_attr(OWNER_SPAN, span, key, &value) ==
             view_indexed_attr(span, attrs, count, key, &noted));
        SAME(value.type == noted.type);
        SAME(value.type == VALUE_ABSENT || value.type == VALUE_BOOL ||
             value.integer == noted.integer);
    }
    SAME(!all || !view_indexed_attr(span, attrs, count, slice_str("no such key"), &noted));
    return true;
}

static bool oracle_events(struct oracle *o, struct slice span, const PbSpan *theirs)
{
    struct slice event, name;
    uint64_t time_ns;
    size_t at = 0;

    for (size_t i = 0; i < theirs->n_events; i++) {
        const PbEvent *e = theirs->events[i];

        SAME(view_event_next(span, &at, &event));
        view_event(event, &time_ns, &name);
        SAME(time_ns == e->time_unix_nano && oracle_text(name, e->name));
        if (!oracle_attributes(o, OWNER_EVENT, event, e->attributes, e->n_attributes))
            return false;
    }
    SAME(!view_event_next(span, &at, &event));
    return true;
}

static bool oracle_links(struct oracle *o, struct slice span, const PbSpan *theirs)
{
    struct slice link, trace_id, span_id, trace_state;
    size_t at = 0;

    for (size_t i = 0; i < theirs->n_links; i++) {
        const PbLink *l = theirs->links[i];

        SAME(view_link_next(span, &at, &link));
        view_link(link, &trace_id, &span_id, &trace_state);
        SAME(oracle_bytes(trace_id, l->trace_id) && oracle_bytes(span_id, l->span_id));
        SAME(oracle_text(trace_state, l->trace_state));
        if (!oracle_attributes(o, OWNER_LINK, link, l->attributes, l->n_attributes))
            return false;
    }
    SAME(!view_link_next(span, &at, &link));
    return true;
}

static bool oracle_fields(struct oracle *o, const struct span_fields *f, const PbSpan *theirs)
{
    SAME(oracle_bytes(f->trace_id, theirs->trace_id) && oracle_bytes(f->span_id, theirs->span_id));
    SAME(oracle_bytes(f->parent_id, theirs->parent_span_id));
    SAME(oracle_text(f->name, theirs->name) && oracle_text(f->trace_state, theirs->trace_state));
    SAME(f->start_ns == theirs->start_time_unix_nano && f->end_ns == theirs->end_time_unix_nano);
    SAME(f->kind == (int32_t)theirs->kind && f->flags == theirs->flags);
    SAME(f->dropped_attributes == theirs->dropped_attributes_count);
    SAME(f->dropped_events == theirs->dropped_events_count);
    SAME(f->dropped_links == theirs->dropped_links_count);
    SAME(f->status == (theirs->status ? (int32_t)theirs->status->code : 0));
    SAME(oracle_text(f->status_message, theirs->status ? theirs->status->message : ""));
    return true;
}

static bool oracle_span(struct oracle *o, struct slice span, const PbSpan *theirs)
{
    struct span_fields fields;

    o->spans++;
    view_span_fields(span, &fields);
    return oracle_fields(o, &fields, theirs) &&
           oracle_attributes(o, OWNER_SPAN, span, theirs->attributes, theirs->n_attributes) &&
           oracle_index(o, span, theirs) && oracle_events(o, span, theirs) &&
           oracle_links(o, span, theirs);
}

/* What the scan says of a span that it accepted. */
static bool oracle_scanned(struct oracle *o, struct slice body, const struct scan_span *s,
                           const struct span_view *around, const PbSpan *theirs)
{
    struct span_view view =
        span_view_at(body, s->offset, s->len, s->resource_offset, s->scope_offset);

    SAME(view.span.data == around->span.data && view.span.len == around->span.len);
    SAME(view.resource.data == around->resource.data && view.resource.len == around->resource.len);
    SAME(view.scope.data == around->scope.data && view.scope.len == around->scope.len);
    SAME(theirs->trace_id.len == 16 && memcmp(s->trace_id, theirs->trace_id.data, 16) == 0);
    SAME(s->span_id != 0 && s->span_id == view_id(slice_make(theirs->span_id.data, 8)));
    SAME(s->parent_id ==
         view_id(slice_make(theirs->parent_span_id.data, theirs->parent_span_id.len)));
    SAME(s->start_ns == theirs->start_time_unix_nano && s->end_ns == theirs->end_time_unix_nano);
    SAME(!(s->flags & SCAN_ERROR) == !(theirs->status && theirs->status->code == 2));
    SAME(!(s->flags & SCAN_ROOT) == (s->parent_id != 0));
    return true;
}

/* The messages in field `number`, one after the other. */
static bool oracle_next(struct wire *w, uint32_t number, struct slice *message)
{
    struct wire_field field;

    while (wire_next(w, &field)) {
        if (field.number == number && field.type == WIRE_LEN) {
            *message = field.bytes;
            return true;
        }
    }
    return false;
}

struct oracle_scan {
    struct slice body;
    const struct scan_span *next, *end; /* those not met yet */
    unsigned unmet;                     /* spans that the scan did not accept */
};

static bool oracle_scope_spans(struct oracle *o, struct oracle_scan *scan, struct span_view view,
                               const PbScopeSpans *theirs)
{
    struct wire w = wire_of(view.scope);
    struct slice name, version;

    view_scope(view.scope, &name, &version);
    SAME(oracle_text(name, theirs->scope ? theirs->scope->name : ""));
    SAME(oracle_text(version, theirs->scope ? theirs->scope->version : ""));
    if (!oracle_attributes(o, OWNER_SCOPE, view.scope,
                           theirs->scope ? theirs->scope->attributes : NULL,
                           theirs->scope ? theirs->scope->n_attributes : 0))
        return false;
    for (size_t i = 0; i < theirs->n_spans; i++) {
        SAME(oracle_next(&w, 2, &view.span));
        if (!oracle_span(o, view.span, theirs->spans[i]))
            return false;
        if (scan->next < scan->end && scan->body.data + scan->next->offset == view.span.data &&
            scan->next->len == view.span.len) {
            if (!oracle_scanned(o, scan->body, scan->next++, &view, theirs->spans[i]))
                return false;
        } else {
            scan->unmet++;
        }
    }
    SAME(!oracle_next(&w, 2, &view.span));
    return true;
}

static bool oracle_resource_spans(struct oracle *o, struct oracle_scan *scan, struct span_view view,
                                  const PbResourceSpans *theirs)
{
    struct wire w = wire_of(view.resource);

    if (!oracle_attributes(o, OWNER_RESOURCE, view.resource,
                           theirs->resource ? theirs->resource->attributes : NULL,
                           theirs->resource ? theirs->resource->n_attributes : 0))
        return false;
    for (size_t i = 0; i < theirs->n_scope_spans; i++) {
        SAME(oracle_next(&w, 2, &view.scope));
        if (!oracle_scope_spans(o, scan, view, theirs->scope_spans[i]))
            return false;
    }
    SAME(!oracle_next(&w, 2, &view.scope));
    return true;
}

static bool oracle_body(struct oracle *o, struct oracle_scan *scan, size_t rejected,
                        const Opentelemetry__Proto__Trace__V1__TracesData *theirs)
{
    struct wire w = wire_of(scan->body);
    struct span_view view = {0};

    for (size_t i = 0; i < theirs->n_resource_spans; i++) {
        SAME(oracle_next(&w, 1, &view.resource));
        if (!oracle_resource_spans(o, scan, view, theirs->resource_spans[i]))
            return false;
    }
    SAME(!oracle_next(&w, 1, &view.resource));
    SAME(scan->next == scan->end && scan->unmet == rejected);
    return true;
}

/* Compares all that was scanned in `body`, which the scan did not refuse. */
static enum oracle_verdict oracle_compare(struct oracle *o, struct slice body,
                                          const struct scan_span *spans,
                                          const struct scan_result *result)
{
    struct oracle_scan scan = {body, spans, spans + result->spans, 0};
    Opentelemetry__Proto__Trace__V1__TracesData *theirs =
        opentelemetry__proto__trace__v1__traces_data__unpack(NULL, body.len, body.data);
    bool same;

    if (!theirs)
        return ORACLE_REFUSED;
    same = oracle_body(o, &scan, result->rejected, theirs);
    opentelemetry__proto__trace__v1__traces_data__free_unpacked(theirs, NULL);
    return same ? ORACLE_SAME : ORACLE_DIFFERENT;
}
