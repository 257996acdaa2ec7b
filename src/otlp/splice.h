/* splice.h: edits of a message by splicing: what is not edited is copied byte for byte, unknown
 * fields included.
 *
 * Data path: policies -> [splice: processors, composer] -> outbox. Pure functions that append to a
 * buffer: check buf_ok at the end. Any thread.
 */
#pragma once

#include "base/buf.h"
#include "otlp/view.h"

enum splice_action {
    SPLICE_UPSERT, /* set in any case */
    SPLICE_INSERT, /* where it is not there */
    SPLICE_UPDATE, /* where it is there */
    SPLICE_DELETE,
};

/* One edit of an attribute. */
struct splice_edit {
    enum splice_action action;
    struct slice key;
    struct value value; /* not for delete */
};

/* Edits, applied in order: a later one sees what an earlier one made. Borrowed. */
struct splice {
    const struct splice_edit *edits;
    size_t count;
};

/* Field numbers of trace.proto. */
enum {
    SPLICE_SPAN_PARENT_ID = 4,
    SPLICE_SPAN_NAME = 5,
    SPLICE_SPAN_ATTRIBUTES = 9,
    SPLICE_SPAN_EVENTS = 11,
    SPLICE_SPAN_LINKS = 13,
    SPLICE_SPAN_STATUS = 15,
};
/* Of logs.proto and metrics.proto. */
enum {
    SPLICE_LOG_SEVERITY = 2,
    SPLICE_LOG_SEVERITY_TEXT = 3,
    SPLICE_LOG_BODY = 5,
    SPLICE_METRIC_NAME = 1,
    SPLICE_METRIC_DESCRIPTION = 2,
    SPLICE_METRIC_UNIT = 3,
};

/* Appends a ResourceSpans (of any signal) without its ScopeSpans, the attributes of its Resource
 * edited. Where it has several Resource messages, which merge, new attributes go to the last. */
void splice_resource(struct slice resource_spans, const struct splice *s, struct buf *out);
/* Appends a Span, an Event, a Link, a LogRecord, a Metric or a data point with its attributes
 * edited. */
void splice_attrs(enum attr_owner owner, struct slice message, const struct splice *s,
                  struct buf *out);

/* Appends `message` with field `number`, a length-delimited one, as `content` (NULL: without it).
 * It stays where its first occurrence was, else it comes last. */
void splice_field(struct slice message, uint32_t number, const struct slice *content,
                  struct buf *out);
/* Appends `message` with field `number`, a varint, as `value`; 0: without it. */
void splice_number(struct slice message, uint32_t number, uint64_t value, struct buf *out);
/* Appends `message` with the field of that number whose content is `old`, a slice of it, replaced
 * by `content`. */
void splice_inner(struct slice message, uint32_t number, struct slice old, struct slice content,
                  struct buf *out);

/* Appends a Span without its attributes, events, links and the message of its status; it is called
 * `name`. */
void splice_strip(struct slice span, struct slice name, struct buf *out);

/* Appends a LogRecord with its times, severity, flags and ids alone; its body is `body`. */
void splice_strip_log(struct slice record, struct slice body, struct buf *out);

/* ---- truncate.c ---- */

/* How many strings of a Span (names, messages, values of attributes at any depth, those of its
 * events and links; not keys), of a LogRecord (its body too) or a data point are longer than `max`
 * bytes. */
size_t splice_too_long(enum attr_owner of, struct slice message, size_t max);
/* Appends the message with each of them cut to at most `max` bytes, between two characters. */
void splice_truncate(enum attr_owner of, struct slice message, size_t max, struct buf *out);
