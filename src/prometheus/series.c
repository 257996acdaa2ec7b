#include "prometheus/series.h"

#include "prometheus/put.h"

#include <snappy-c.h>
#include <stdlib.h>

enum {
    LABELS_LARGE = 16 << 20, /* bytes; then what is here is written */
    ITEMS_LARGE = 1 << 18,
    ROOM = 256 << 20,
    REQUEST_ROOM = 64 << 20,
    SLOTS_FIRST = 1024,
    TIMESERIES = 1, /* of WriteRequest */
};

static void init_forced(struct buf *b, size_t max, struct memory *memory)
{
    buf_init(b, max, memory);
    b->forced = true;
}

void series_init(struct series_table *t, struct memory *memory)
{
    *t = (struct series_table){.key = hash_key_random()};
    init_forced(&t->labels, ROOM, memory);
    init_forced(&t->payloads, ROOM, memory);
    init_forced(&t->list, ROOM, memory);
    init_forced(&t->items, ROOM, memory);
    init_forced(&t->slots, ROOM, memory);
}

void series_fini(struct series_table *t)
{
    buf_fini(&t->labels);
    buf_fini(&t->payloads);
    buf_fini(&t->list);
    buf_fini(&t->items);
    buf_fini(&t->slots);
}

void series_clear(struct series_table *t)
{
    buf_clear(&t->labels);
    buf_clear(&t->payloads);
    buf_clear(&t->list);
    buf_clear(&t->items);
    if (t->slots.len)
        memset(t->slots.data, 0, t->slots.len);
    t->count = t->item_count = 0;
}

bool series_is_large(const struct series_table *t)
{
    return t->labels.len + t->payloads.len > LABELS_LARGE || t->item_count > ITEMS_LARGE;
}

static struct series *series_at(const struct series_table *t, uint32_t i)
{
    return (struct series *)(void *)t->list.data + i;
}

static struct series_item *item_at(const struct series_table *t, uint32_t i)
{
    return (struct series_item *)(void *)t->items.data + i;
}

/* ---- finding ---- */

static uint32_t *slots_of(const struct series_table *t)
{
    return (uint32_t *)(void *)t->slots.data;
}

static size_t slot_count(const struct series_table *t)
{
    return t->slots.len / sizeof(uint32_t);
}

static void place(struct series_table *t, uint32_t series)
{
    size_t mask = slot_count(t) - 1, at = series_at(t, series)->hash & mask;

    while (slots_of(t)[at])
        at = (at + 1) & mask;
    slots_of(t)[at] = series + 1;
}

static bool grow_slots(struct series_table *t)
{
    size_t want = slot_count(t) ? 2 * slot_count(t) : SLOTS_FIRST;

    buf_clear(&t->slots);
    if (!buf_reserve(&t->slots, want * sizeof(uint32_t)))
        return false;
    t->slots.len = want * sizeof(uint32_t);
    memset(t->slots.data, 0, t->slots.len);
    for (uint32_t i = 0; i < t->count; i++)
        place(t, i);
    return true;
}

/* The series with these labels, or the free slot. */
static uint32_t find(const struct series_table *t, uint64_t hash, struct slice labels)
{
    size_t mask = slot_count(t) - 1;

    for (size_t at = hash & mask; slots_of(t)[at]; at = (at + 1) & mask) {
        uint32_t i = slots_of(t)[at] - 1;
        const struct series *s = series_at(t, i);

        if (s->hash == hash &&
            slice_equal(slice_make(t->labels.data + s->labels_at, s->labels_len), labels))
            return i;
    }
    return SERIES_NONE;
}

uint32_t series_of_labels(struct series_table *t, size_t labels_at)
{
    struct slice labels = slice_make(t->labels.data + labels_at, t->labels.len - labels_at);
    uint64_t hash = hash_bytes(t->key, labels.data, labels.len);
    struct series s = {.hash = hash,
                       .labels_at = labels_at,
                       .labels_len = (uint32_t)labels.len,
                       .first = SERIES_NONE,
                       .last = SERIES_NONE,
                       .in_order = true};
    uint32_t found;

    if (!buf_ok(&t->labels) || (2 * (size_t)t->count >= slot_count(t) && !grow_slots(t)))
        return SERIES_NONE;
    found = find(t, hash, labels);
    if (found != SERIES_NONE) {
        t->labels.len = labels_at;
        return found;
    }
    buf_append(&t->list, &s, sizeof(s));
    if (!buf_ok(&t->list))
        return SERIES_NONE;
    place(t, t->count);
    return t->count++;
}

static void add_item(struct series_table *t, uint32_t series, const struct series_item *item)
{
    struct series *s;

    if (series == SERIES_NONE)
        return;
    buf_append(&t->items, item, sizeof(*item));
    if (!buf_ok(&t->items))
        return;
    s = series_at(t, series);
    if (s->last == SERIES_NONE) {
        s->first = t->item_count;
    } else {
        item_at(t, s->last)->next = t->item_count;
        if (item->kind == ITEM_EXEMPLAR || item_at(t, s->last)->kind != item->kind ||
            item_at(t, s->last)->ms >= item->ms)
            s->in_order = false;
    }
    s->last = t->item_count++;
}

void series_add_sample(struct series_table *t, uint32_t series, int64_t ms, double value)
{
    const struct series_item item = {
        .ms = ms, .next = SERIES_NONE, .value = value, .kind = ITEM_SAMPLE};

    add_item(t, series, &item);
}

void series_add_payload(struct series_table *t, uint32_t series, int64_t ms, enum item_kind kind,
                        size_t payload_at)
{
    const struct series_item item = {.ms = ms,
                                     .next = SERIES_NONE,
                                     .len = (uint32_t)(t->payloads.len - payload_at),
                                     .at = payload_at,
                                     .kind = (uint8_t)kind};

    if (buf_ok(&t->payloads))
        add_item(t, series, &item);
}

/* ---- in order of time ---- */

/* What comes first: samples, histograms, exemplars, each by time; of equal ones the one that came
 * last. */
static bool goes_before(const struct series_table *t, uint32_t a, uint32_t b)
{
    const struct series_item *x = item_at(t, a), *y = item_at(t, b);

    if (x->kind != y->kind)
        return x->kind < y->kind;
    if (x->ms != y->ms)
        return x->ms < y->ms;
    return a > b;
}

static uint32_t merge(struct series_table *t, uint32_t a, uint32_t b)
{
    uint32_t first = SERIES_NONE, *to = &first;

    while (a != SERIES_NONE && b != SERIES_NONE) {
        uint32_t *from = goes_before(t, b, a) ? &b : &a;

        *to = *from;
        to = &item_at(t, *from)->next;
        *from = *to;
    }
    *to = a != SERIES_NONE ? a : b;
    return first;
}

/* A merge sort of the list: runs of 1, 2, 4 ... wait at their power. */
static uint32_t sort_items(struct series_table *t, uint32_t first)
{
    uint32_t runs[32], all = SERIES_NONE;

    memset(runs, 0xff, sizeof(runs));
    while (first != SERIES_NONE) {
        uint32_t run = first, power = 0;

        first = item_at(t, first)->next;
        item_at(t, run)->next = SERIES_NONE;
        for (; runs[power] != SERIES_NONE; power++) {
            run = merge(t, runs[power], run);
            runs[power] = SERIES_NONE;
        }
        runs[power] = run;
    }
    for (int i = 0; i < 32; i++)
        all = merge(t, runs[i], all);
    return all;
}

/* Of samples with one time the first of the list stays. */
static void drop_duplicates(struct series_table *t, uint32_t first, struct prom_counts *counts)
{
    for (uint32_t i = first; i != SERIES_NONE; i = item_at(t, i)->next) {
        struct series_item *item = item_at(t, i);

        while (item->kind != ITEM_EXEMPLAR && item->next != SERIES_NONE &&
               item_at(t, item->next)->kind == item->kind &&
               item_at(t, item->next)->ms == item->ms) {
            item->next = item_at(t, item->next)->next;
            counts->duplicates++;
        }
    }
}

/* ---- requests ---- */

static size_t sample_size(int64_t ms)
{
    return 9 + 1 + put_varint_size((uint64_t)ms);
}

static size_t item_size(const struct series_item *item)
{
    return put_bytes_size(item->kind == ITEM_SAMPLE ? sample_size(item->ms) : item->len);
}

static uint8_t *put_item(uint8_t *at, const struct series_table *t, const struct series_item *item)
{
    static const uint32_t fields[] = {[ITEM_SAMPLE] = 2, [ITEM_HISTOGRAM] = 4, [ITEM_EXEMPLAR] = 3};

    if (item->kind != ITEM_SAMPLE)
        return put_bytes(at, fields[item->kind],
                         slice_make(t->payloads.data + item->at, item->len));
    at = put_varint(put_tag(at, fields[ITEM_SAMPLE], WIRE_LEN), sample_size(item->ms));
    at = put_tag(put_double(at, 1, item->value), 2, WIRE_VARINT);
    return put_varint(at, (uint64_t)item->ms);
}

/* A TimeSeries of `len` bytes: labels, and items from `first` to before `end`. False: no memory. */
static bool put_series(struct series_table *t, const struct series *s, uint32_t first, uint32_t end,
                       size_t len, struct buf *out)
{
    uint8_t *at = buf_reserve(out, put_bytes_size(len)), *begin = at;

    if (!at)
        return false;
    at = put_varint(put_tag(at, TIMESERIES, WIRE_LEN), len);
    at = put_raw(at, t->labels.data + s->labels_at, s->labels_len);
    for (uint32_t i = first; i != end; i = item_at(t, i)->next)
        at = put_item(at, t, item_at(t, i));
    out->len += (size_t)(at - begin);
    return true;
}

void series_end_request(struct series_out *out)
{
    struct prom_request *r = &out->requests[out->count];
    size_t len = snappy_max_compressed_length(out->plain.len);
    uint8_t *at;

    if (out->plain.len == 0)
        return;
    buf_clear(&r->body);
    at = buf_reserve(&r->body, len);
    if (at && snappy_compress((const char *)out->plain.data, out->plain.len, (char *)at, &len) ==
                  SNAPPY_OK) {
        r->body.len = len;
        r->samples = out->samples;
        out->count++;
    } else {
        out->is_full = true;
    }
    buf_clear(&out->plain);
    out->samples = 0;
}

/* Makes room for `size` more bytes: in another request where this one would be too large. False:
 * there are too many. */
static bool has_room(struct series_out *out, size_t size)
{
    if (out->plain.len && out->plain.len + size > out->max_bytes)
        series_end_request(out);
    out->is_full |= out->count == PROM_REQUESTS_MAX;
    return !out->is_full;
}

void series_put_field(struct series_out *out, uint32_t number, struct slice message)
{
    if (has_room(out, put_bytes_size(message.len)))
        wire_put_bytes(&out->plain, number, message);
}

/* Writes items from `first` on that fit into one request. Returns the first that did not. */
static uint32_t write_part(struct series_table *t, const struct series *s, uint32_t first,
                           struct series_out *out)
{
    size_t len = s->labels_len;
    uint32_t end = first, samples = 0;

    for (; end != SERIES_NONE; end = item_at(t, end)->next) {
        size_t more = item_size(item_at(t, end));

        if (end != first && len + more > out->max_bytes)
            break;
        len += more;
        samples += item_at(t, end)->kind != ITEM_EXEMPLAR;
    }
    if (!has_room(out, put_bytes_size(len)) || !put_series(t, s, first, end, len, &out->plain))
        return SERIES_NONE;
    out->samples += samples;
    out->counts->samples += samples;
    return end;
}

void series_write(struct series_table *t, struct series_out *out)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct series *s = series_at(t, i);
        uint32_t at = s->first;

        if (!s->in_order) {
            at = sort_items(t, at);
            drop_duplicates(t, at, out->counts);
        }
        while (at != SERIES_NONE)
            at = write_part(t, s, at, out);
    }
    series_clear(t);
}
