#include "otlp/wire.h"
#include "otlp/write.h"
#include "prometheus/name.h"
#include "prometheus/points.h"

enum { EXEMPLAR_RUNES = 128 };

static size_t runes(struct slice text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += (text.data[i] & 0xc0) != 0x80;
    return n;
}

static void put_label(struct buf *out, struct slice name, struct slice value)
{
    size_t start = otlp_write_begin(out, 1);

    wire_put_bytes(out, 1, name);
    wire_put_bytes(out, 2, value);
    otlp_write_end(out, start);
}

/* An id in hex, unless it is none. Returns its runes. */
static size_t put_id(struct buf *out, const char *name, struct slice id, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[32];
    bool is_set = false;

    for (size_t i = 0; id.len == len && i < len; i++) {
        text[2 * i] = (uint8_t)digits[id.data[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[id.data[i] & 15];
        is_set |= id.data[i] != 0;
    }
    if (!is_set)
        return 0;
    put_label(out, slice_str(name), slice_make(text, 2 * len));
    return strlen(name) + 2 * len;
}

/* The attributes as labels, or none where all together would be too long. */
static void put_attrs(struct prom_writer *w, const struct metric_exemplar *e, size_t used,
                      struct buf *out)
{
    struct metric_attrs attrs = metric_exemplar_attrs(e->message);
    size_t start = out->len;
    struct slice key;
    struct value v;

    while (metric_attrs_next(&attrs, &key, &v)) {
        size_t name_len;

        buf_clear(&w->exemplar);
        if (!name_label(&w->exemplar, key))
            continue;
        name_len = w->exemplar.len;
        value_text(&w->exemplar, &v);
        used += runes(buf_slice(&w->exemplar));
        if (used > EXEMPLAR_RUNES) {
            out->len = start;
            return;
        }
        put_label(out, slice_make(w->exemplar.data, name_len),
                  slice_make(w->exemplar.data + name_len, w->exemplar.len - name_len));
    }
}

void exemplar_add(struct prom_writer *w, uint32_t series, const struct metric_exemplar *e)
{
    struct buf *out = &w->series.payloads;
    int64_t ms = (int64_t)(e->time_ns / NS_PER_MILLISECOND);
    double value = number_as_double(&e->value);
    size_t at = out->len, used;
    uint64_t bits;

    used = put_id(out, "trace_id", e->trace_id, 16) + put_id(out, "span_id", e->span_id, 8);
    put_attrs(w, e, used, out);
    memcpy(&bits, &value, sizeof bits);
    wire_put_fixed64(out, 2, bits);
    wire_put_uint(out, 3, (uint64_t)ms);
    series_add_payload(&w->series, series, ms, ITEM_EXEMPLAR, at);
}
