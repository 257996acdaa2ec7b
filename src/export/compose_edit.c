#include "export/compose_parts.h"

#include <string.h>

/* Field numbers of trace.proto and common.proto. */
enum {
    SCOPE_SPANS_SPANS = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_ATTRIBUTES = 9,
    KEY_VALUE_KEY = 1,
    KEY_VALUE_VALUE = 2,
};

static void put_value(struct buf *out, const struct value *v)
{
    uint64_t bits;

    switch (v->type) {
    case VALUE_ABSENT:
        break;
    case VALUE_STRING:
        wire_put_bytes(out, 1, v->bytes);
        break;
    case VALUE_BOOL:
        wire_put_uint(out, 2, v->boolean);
        break;
    case VALUE_INT:
        wire_put_uint(out, 3, (uint64_t)v->integer);
        break;
    case VALUE_DOUBLE:
        memcpy(&bits, &v->number, sizeof(bits));
        wire_put_fixed64(out, 4, bits);
        break;
    case VALUE_ARRAY:
        wire_put_bytes(out, 5, v->bytes);
        break;
    case VALUE_KVLIST:
        wire_put_bytes(out, 6, v->bytes);
        break;
    case VALUE_BYTES:
        wire_put_bytes(out, 7, v->bytes);
        break;
    }
}

void compose_put_attr(struct buf *out, uint32_t number, struct slice key, const struct value *value)
{
    struct open_field pair = field_begin(out, number, key.len + 16), any;

    wire_put_bytes(out, KEY_VALUE_KEY, key);
    any = field_begin(out, KEY_VALUE_VALUE, 16);
    put_value(out, value);
    field_end(out, any);
    field_end(out, pair);
}

/* ---- spans ---- */

static bool is_sampling_key(struct slice key)
{
    if (key.len < strlen("sampling.") || memcmp(key.data, "sampling.", strlen("sampling.")) != 0)
        return false;
    return slice_is(key, "sampling.policy") || slice_is(key, "sampling.reason") ||
           slice_is(key, "sampling.probability");
}

static void put_sampling(struct buf *out, const struct compose_edits *edits)
{
    struct value text = {.type = VALUE_STRING, .bytes = slice_str(edits->policy)};
    struct value number = {.type = VALUE_DOUBLE, .number = edits->probability};

    compose_put_attr(out, SPAN_ATTRIBUTES, slice_str("sampling.policy"), &text);
    if (edits->reason) {
        text.bytes = slice_str(edits->reason);
        compose_put_attr(out, SPAN_ATTRIBUTES, slice_str("sampling.reason"), &text);
    }
    if (edits->probability >= 0)
        compose_put_attr(out, SPAN_ATTRIBUTES, slice_str("sampling.probability"), &number);
}

/* The last trace_state of a span, which is the one that counts. */
struct trace_state {
    const uint8_t *at; /* of its field; NULL: none */
    struct slice text;
};

static struct trace_state find_trace_state(struct slice span)
{
    struct trace_state found = {0};
    struct wire w = wire_of(span);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number == SPAN_TRACE_STATE && f.type == WIRE_LEN)
            found = (struct trace_state){start, f.bytes};
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

void compose_edited_span(struct slice span, bool is_entry, const struct compose_edits *edits,
                         struct buf *out)
{
    struct trace_state ts = {0};
    struct open_field field = field_begin(out, SCOPE_SPANS_SPANS, span.len + (is_entry ? 96 : 16));

    if (edits->th != TH_LEAVE && !edits->no_trace_state)
        ts = find_trace_state(span);
    if (ts.at || is_entry)
        put_span_fields(span, is_entry, ts.at, edits, out);
    else
        buf_append(out, span.data, span.len);
    if (!ts.at && edits->th == TH_SET && edits->th_always)
        put_trace_state(out, ts.text, edits);
    if (is_entry)
        put_sampling(out, edits);
    field_end(out, field);
}
