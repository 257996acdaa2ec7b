#include "export/compose_parts.h"

#include <endian.h>
#include <string.h>

/* Field numbers of trace.proto and common.proto. */
enum {
    SCOPE_SPANS_SPANS = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_ATTRIBUTES = 9,
    KEY_VALUE_KEY = 1,
    KEY_VALUE_VALUE = 2,
    ANY_STRING = 1,
    ANY_DOUBLE = 4,
};

/* Its value, of the type that `tag` names in an AnyValue: a string, or eight bytes. */
static void put_attribute(struct buf *out, struct slice key, uint8_t tag, struct slice value)
{
    bool has_len = (tag & 7) == WIRE_LEN;
    size_t any = 1 + (has_len ? wire_varint_size(value.len) : 0) + value.len;
    size_t pair = wire_bytes_size(KEY_VALUE_KEY, key.len) + wire_bytes_size(KEY_VALUE_VALUE, any);
    uint8_t *at = buf_reserve(out, wire_bytes_size(SPAN_ATTRIBUTES, pair));

    if (!at)
        return;
    *at++ = SPAN_ATTRIBUTES << 3 | WIRE_LEN;
    at = put_varint_at(at, pair);
    *at++ = KEY_VALUE_KEY << 3 | WIRE_LEN;
    at = put_slice_at(put_varint_at(at, key.len), key);
    *at++ = KEY_VALUE_VALUE << 3 | WIRE_LEN;
    at = put_varint_at(at, any);
    *at++ = tag;
    if (has_len)
        at = put_varint_at(at, value.len);
    at = put_slice_at(at, value);
    out->len = (size_t)(at - out->data);
}

static void put_text(struct buf *out, const char *key, const char *text)
{
    put_attribute(out, slice_str(key), ANY_STRING << 3 | WIRE_LEN, slice_str(text));
}

static void put_double(struct buf *out, const char *key, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    bits = htole64(bits);
    put_attribute(out, slice_str(key), ANY_DOUBLE << 3 | WIRE_I64,
                  slice_make((const uint8_t *)&bits, sizeof(bits)));
}

static bool is_sampling_key(struct slice key)
{
    if (key.len < strlen("sampling.") || memcmp(key.data, "sampling.", strlen("sampling.")) != 0)
        return false;
    return slice_is(key, "sampling.policy") || slice_is(key, "sampling.reason") ||
           slice_is(key, "sampling.probability");
}

static void put_sampling(struct buf *out, const struct compose_edits *edits)
{
    put_text(out, "sampling.policy", edits->policy);
    if (edits->reason)
        put_text(out, "sampling.reason", edits->reason);
    if (edits->probability >= 0)
        put_double(out, "sampling.probability", edits->probability);
}

/* The last trace_state field of a span, which is the one that counts; NULL: none. */
static const uint8_t *find_trace_state(struct slice span)
{
    const uint8_t *found = NULL;
    struct wire w = wire_of(span);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number == SPAN_TRACE_STATE && f.type == WIRE_LEN)
            found = start;
    return found;
}

/* Writes the trace_state field anew. False: it stays as it came, nothing was written. */
static bool put_trace_state(struct buf *out, struct slice text, const struct compose_edits *edits)
{
    size_t start = out->len;
    struct open_field field = field_begin(out, SPAN_TRACE_STATE, text.len + 8);
    bool changed = tracestate_edit(text, edits, out);

    if (!buf_ok(out))
        return true;
    if (!changed || out->len == field.start)
        out->len = start;
    else
        field_end(out, field);
    return changed;
}

/* Copies the span's fields but for those that the edits replace. */
static void put_span_fields(struct slice span, bool is_entry, const uint8_t *trace_state,
                            const struct compose_edits *edits, struct buf *out)
{
    struct wire w = wire_of(span);
    struct wire_field f;
    const uint8_t *run = w.at, *start = w.at;

    for (; wire_next(&w, &f); start = w.at) {
        bool replaced = is_entry && f.number == SPAN_ATTRIBUTES && f.type == WIRE_LEN &&
                        is_sampling_key(view_key(f.bytes));

        if (start != trace_state && !replaced)
            continue;
        copy_run(out, run, start);
        run = w.at;
        if (start == trace_state && !put_trace_state(out, f.bytes, edits))
            run = start;
    }
    copy_run(out, run, start);
}

void compose_edited_span(struct slice span, bool is_entry, struct slice trace_state,
                         const struct compose_edits *edits, struct buf *out)
{
    const uint8_t *own = NULL;
    struct open_field field = field_begin(out, SCOPE_SPANS_SPANS, span.len + (is_entry ? 96 : 16));

    if (edits->th != TH_LEAVE && !edits->no_trace_state)
        own = find_trace_state(span);
    if (own || is_entry)
        put_span_fields(span, is_entry, own, edits, out);
    else
        buf_append(out, span.data, span.len);
    if (!own)
        buf_append(out, trace_state.data, trace_state.len);
    if (is_entry)
        put_sampling(out, edits);
    field_end(out, field);
}
