/* json.h: OTLP/JSON to OTLP protobuf and back
 * (opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
 *
 * Data path: receive -> [json in] -> scan; outbox -> [json out] -> file and Lua exporters. Hex
 * trace and span ids, 64-bit integers as strings (numbers are taken too), enums as numbers (names
 * are taken too), lowerCamelCase (snake_case is taken too), base64 bytes, unknown keys ignored.
 * Half a character, as JavaScript escapes what it cut within one (\ud83c), is read as U+FFFD. Any
 * thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "otlp/signal.h"

/* Appends the protobuf of the Export...ServiceRequest in `json` to `out`. Nesting is bounded as in
 * the scan. ERR_PARSE with a sentence (what, and at which byte or key) in info; ERR_FULL when `out`
 * or the scratch is at its bound: `out` is then as long as it was. `scratch_limit`: the most that
 * the parser may allocate, counted in out->memory. */
enum err json_to_body(enum otlp_signal signal, struct slice json, struct buf *out,
                      size_t scratch_limit, struct err_info *info) MUST_CHECK;

/* The parser's memory. */
struct json_scratch {
    size_t limit; /* as scratch_limit */
    size_t used;  /* after json_to_body_in: what it took, and what it was refused */
};
/* The same, and says how much memory it took. */
enum err json_to_body_in(enum otlp_signal signal, struct slice json, struct buf *out,
                         struct json_scratch *room, struct err_info *info) MUST_CHECK;

/* Appends one line (no newline) of OTLP/JSON for a valid body. ERR_FULL at out's bound; ERR_PARSE
 * for a body that the scan would refuse. Invalid UTF-8 is written as U+FFFD. */
enum err json_from_body(enum otlp_signal signal, struct slice body, struct buf *out) MUST_CHECK;

/* The same of traces. */
static inline enum err json_to_traces(struct slice json, struct buf *out, size_t scratch_limit,
                                      struct err_info *info)
{
    return json_to_body(OTLP_TRACES, json, out, scratch_limit, info);
}
static inline enum err json_from_traces(struct slice body, struct buf *out)
{
    return json_from_body(OTLP_TRACES, body, out);
}

/* Appends one Span message as JSON. It need not have been scanned: what is damaged is absent. */
enum err json_from_span(struct slice span, struct buf *out) MUST_CHECK;
/* Appends a value as OTLP has it: {"stringValue":"x"}. */
struct value;
void json_from_value(const struct value *value, struct buf *out);
/* Appends `text` as a JSON string with its quotes. */
void json_put_string(struct buf *out, struct slice text);
/* Appends the shortest text that reads back as the same double; NaN and infinities as strings. */
void json_put_number(struct buf *out, double number);
