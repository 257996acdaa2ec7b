#include "otlp/value_text.h"

#include "base/encode.h"
#include "base/number_text.h"
#include "otlp/scan.h"

#include <math.h>

static void put_double(struct buf *out, double number, bool json)
{
    const char *quote = json && !isfinite(number) ? "\"" : "";
    char text[NUMBER_TEXT];

    buf_printf(out, "%s%.*s%s", quote, (int)number_text(text, number), text, quote);
}

static void put_quoted(struct buf *out, struct slice text)
{
    static const char short_names[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                       ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};

    buf_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c < sizeof(short_names) && short_names[c])
            buf_printf(out, "\\%c", short_names[c]);
        else if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_byte(out, c);
    }
    buf_byte(out, '"');
}

static void put_json(struct buf *out, const struct value *v, int depth);

static void put_list(struct buf *out, struct slice array, int depth)
{
    struct value element;
    size_t at = 0;

    buf_byte(out, '[');
    for (bool first = true; view_array_next(array, &at, &element); first = false) {
        if (!first)
            buf_byte(out, ',');
        put_json(out, &element, depth);
    }
    buf_byte(out, ']');
}

static void put_map(struct buf *out, struct slice kvlist, int depth)
{
    struct slice key;
    struct value v;
    size_t at = 0;

    buf_byte(out, '{');
    for (bool first = true; view_kvlist_next(kvlist, &at, &key, &v); first = false) {
        if (!first)
            buf_byte(out, ',');
        put_quoted(out, key);
        buf_byte(out, ':');
        put_json(out, &v, depth);
    }
    buf_byte(out, '}');
}

static void put_scalar(struct buf *out, const struct value *v, bool json)
{
    if (v->type == VALUE_BOOL)
        buf_str(out, v->boolean ? "true" : "false");
    else if (v->type == VALUE_INT)
        buf_printf(out, "%lld", (long long)v->integer);
    else if (v->type == VALUE_DOUBLE)
        put_double(out, v->number, json);
    else if (v->type == VALUE_BYTES)
        encode_base64(out, v->bytes);
    else if (v->type == VALUE_STRING)
        buf_append(out, v->bytes.data, v->bytes.len);
    else
        buf_str(out, "null");
}

static void put_json(struct buf *out, const struct value *v, int depth)
{
    bool nested = v->type == VALUE_ARRAY || v->type == VALUE_KVLIST;

    if (nested && depth == SCAN_MAX_DEPTH) {
        buf_str(out, "null");
    } else if (v->type == VALUE_ARRAY) {
        put_list(out, v->bytes, depth + 1);
    } else if (v->type == VALUE_KVLIST) {
        put_map(out, v->bytes, depth + 1);
    } else if (v->type == VALUE_STRING) {
        put_quoted(out, v->bytes);
    } else {
        bool quote = v->type == VALUE_BYTES;

        if (quote)
            buf_byte(out, '"');
        put_scalar(out, v, true);
        if (quote)
            buf_byte(out, '"');
    }
}

void value_text(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_ARRAY || v->type == VALUE_KVLIST)
        put_json(out, v, 0);
    else if (v->type != VALUE_ABSENT)
        put_scalar(out, v, false);
}
