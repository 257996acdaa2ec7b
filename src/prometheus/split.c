/* Cuts a refused request in two, so that what is good in it is taken without what is not. */
#include "otlp/wire.h"
#include "otlp/write.h"
#include "prometheus/prometheus.h"

#include <snappy-c.h>
#include <stdlib.h>

enum { TIMESERIES = 1, LABELS = 1, SAMPLES = 2, EXEMPLARS = 3, HISTOGRAMS = 4, ROOM = 64 << 20 };

/* Which part of the request is written. */
struct cut {
    bool by_time;
    int64_t ms;    /* by time: items before it are the first part's */
    size_t series; /* else: series before it */
};

static bool inflate_request(struct slice compressed, struct buf *plain)
{
    const char *data = (const char *)compressed.data;
    size_t len;
    uint8_t *at;

    buf_init(plain, ROOM, NULL);
    if (snappy_uncompressed_length(data, compressed.len, &len) != SNAPPY_OK || len > ROOM)
        return false;
    at = buf_reserve(plain, len + 1);
    if (!at || snappy_uncompress(data, compressed.len, (char *)at, &len) != SNAPPY_OK)
        return false;
    plain->len = len;
    return true;
}

static bool deflate_request(const struct buf *plain, struct buf *out)
{
    size_t len = snappy_max_compressed_length(plain->len);
    uint8_t *at = buf_reserve(out, len);

    if (!at ||
        snappy_compress((const char *)plain->data, plain->len, (char *)at, &len) != SNAPPY_OK)
        return false;
    out->len += len;
    return true;
}

static bool next_series(struct wire *w, struct slice *series)
{
    struct wire_field field;

    while (wire_next(w, &field))
        if (field.number == TIMESERIES && field.type == WIRE_LEN) {
            *series = field.bytes;
            return true;
        }
    return false;
}

static bool is_item(const struct wire_field *field)
{
    return field->type == WIRE_LEN &&
           (field->number == SAMPLES || field->number == EXEMPLARS || field->number == HISTOGRAMS);
}

static int64_t time_of(const struct wire_field *item)
{
    const uint32_t number = item->number == SAMPLES ? 2 : item->number == EXEMPLARS ? 3 : 15;
    struct wire w = wire_of(item->bytes);
    struct wire_field field;
    int64_t ms = 0;

    while (wire_next(&w, &field))
        if (field.number == number && field.type == WIRE_VARINT)
            ms = (int64_t)field.value;
    return ms;
}

/* The times of all samples; returns how many series there are. */
static size_t list_times(struct slice plain, struct buf *times)
{
    struct wire w = wire_of(plain), inner;
    struct wire_field field;
    struct slice series;
    size_t n = 0;

    for (; next_series(&w, &series); n++) {
        inner = wire_of(series);
        while (wire_next(&inner, &field)) {
            int64_t ms;

            if (!is_item(&field) || field.number == EXEMPLARS)
                continue;
            ms = time_of(&field);
            buf_append(times, &ms, sizeof(ms));
        }
    }
    return n;
}

static int by_time(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool find_cut(struct slice plain, struct cut *cut)
{
    struct buf times;
    size_t series, n;
    int64_t *list;
    bool found = false;

    buf_init(&times, ROOM, NULL);
    series = list_times(plain, &times);
    n = times.len / sizeof(int64_t);
    list = (int64_t *)(void *)times.data;
    if (n && buf_ok(&times)) {
        qsort(list, n, sizeof(*list), by_time);
        cut->by_time = list[0] != list[n - 1];
        cut->ms = list[n / 2] > list[0] ? list[n / 2] : list[n / 2] + 1;
        cut->series = series / 2;
        found = cut->by_time || series > 1;
    }
    buf_fini(&times);
    return found;
}

/* The series with its items of this part, unless there are none. */
static void put_series(struct buf *out, struct slice series, const struct cut *cut, bool is_first)
{
    struct wire w = wire_of(series);
    struct wire_field field;
    size_t before = out->len, start = otlp_write_begin(out, TIMESERIES);
    bool any = false;

    while (wire_next(&w, &field)) {
        bool item = is_item(&field);

        if (field.type != WIRE_LEN ||
            (item && cut->by_time && (time_of(&field) < cut->ms) != is_first))
            continue;
        wire_put_bytes(out, field.number, field.bytes);
        any |= item;
    }
    if (any)
        otlp_write_end(out, start);
    else
        out->len = before;
}

static bool put_part(struct slice plain, const struct cut *cut, bool is_first, struct buf *out)
{
    struct wire w = wire_of(plain);
    struct slice series;
    struct buf part;
    bool good;

    buf_init(&part, ROOM, NULL);
    for (size_t i = 0; next_series(&w, &series); i++)
        if (cut->by_time || (i < cut->series) == is_first)
            put_series(&part, series, cut, is_first);
    good = buf_ok(&part) && part.len && deflate_request(&part, out);
    buf_fini(&part);
    return good;
}

bool prom_request_split(struct slice compressed, struct buf *first, struct buf *second)
{
    struct cut cut;
    struct buf plain;
    bool good;

    good = inflate_request(compressed, &plain) && find_cut(buf_slice(&plain), &cut) &&
           put_part(buf_slice(&plain), &cut, true, first) &&
           put_part(buf_slice(&plain), &cut, false, second);
    buf_fini(&plain);
    return good;
}
