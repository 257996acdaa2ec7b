#include "otlp/splice.h"
#include "otlp/texts.h"
#include "otlp/wire.h"
#include "otlp/write.h"

/* Exemplars keep what they have: their attributes are those that a view filtered out. */
static enum part part_to_cut(enum part of, const struct wire_field *f)
{
    enum part is = part_of_field(of, f);

    switch (is) {
    case PART_NAME:
        return PART_STRING;
    case PART_BODY:
        return PART_ANY;
    case PART_EXEMPLAR:
        return PART_OTHER;
    default:
        return is;
    }
}

static size_t count_long(enum part of, struct slice message, size_t max, int depth)
{
    struct wire w = wire_of(message);
    struct wire_field f;
    size_t n = 0;

    if (message.len <= max || depth > 2 * SCAN_MAX_DEPTH)
        return 0;
    while (wire_next(&w, &f)) {
        enum part is = part_to_cut(of, &f);

        if (is == PART_STRING)
            n += f.bytes.len > max;
        else if (is != PART_OTHER)
            n += count_long(is, f.bytes, max, depth + 1);
    }
    return n;
}

/* Before the byte that does not fit, and before the character that it is in the middle of. */
static struct slice cut_text(struct slice text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && (text.data[max] & 0xc0) == 0x80)
        max--;
    return slice_make(text.data, max);
}

static void put_cut(enum part of, struct slice message, size_t max, int depth, struct buf *out)
{
    struct wire w = wire_of(message);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        enum part is = part_to_cut(of, &f);
        size_t begin;

        if (is == PART_STRING && f.bytes.len > max) {
            wire_put_bytes(out, f.number, cut_text(f.bytes, max));
        } else if (is > PART_STRING && count_long(is, f.bytes, max, depth + 1) > 0) {
            begin = otlp_write_begin(out, f.number);
            put_cut(is, f.bytes, max, depth + 1, out);
            otlp_write_end(out, begin);
        } else {
            buf_append(out, start, (size_t)(w.at - start));
        }
    }
}

size_t splice_too_long(enum attr_owner of, struct slice message, size_t max)
{
    return count_long(part_of_owner(of), message, max, 0);
}

void splice_truncate(enum attr_owner of, struct slice message, size_t max, struct buf *out)
{
    put_cut(part_of_owner(of), message, max, 0, out);
}
