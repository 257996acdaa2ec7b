/* write.h: OTLP messages into a buffer: what makes traces itself (load, JSON, tests) writes here.
 *
 *     size_t span = otlp_write_begin(b, 2);
 *     otlp_write_span_fields(b, &fields);
 *     otlp_write_attr_str(b, ATTRS_SPAN, "http.request.method", slice_str("GET"));
 *     otlp_write_end(b, span);
 *
 * Nothing returns an error: check buf_ok at the end. Lengths are written in their shortest form.
 * One thread per buffer.
 */
#pragma once

#include "base/buf.h"
#include "otlp/view.h"
#include "otlp/wire.h"

/* Begins a message in field `number`; what is appended until otlp_write_end is in it. Returns where
 * it starts, for otlp_write_end. Messages nest. */
size_t otlp_write_begin(struct buf *b, uint32_t number);
/* Writes the length of the message that began at `start`. */
void otlp_write_end(struct buf *b, size_t start);

/* One attribute: a KeyValue in field `number` (enum attr_field says which, also 1 of a kvlist).
 * Borrowed text is copied. */
void otlp_write_attr_str(struct buf *b, uint32_t number, const char *key, struct slice text);
void otlp_write_attr_int(struct buf *b, uint32_t number, const char *key, int64_t integer);
void otlp_write_attr_double(struct buf *b, uint32_t number, const char *key, double number_value);
void otlp_write_attr_bool(struct buf *b, uint32_t number, const char *key, bool boolean);
void otlp_write_attr(struct buf *b, uint32_t number, struct slice key, const struct value *value);

/* The field of an AnyValue that `value` sets, without tag and length around it. */
void otlp_write_value(struct buf *b, const struct value *value);

/* The scalar fields and the Status of a Span that are not zero or empty. */
void otlp_write_span_fields(struct buf *b, const struct span_fields *fields);
