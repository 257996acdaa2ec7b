#include "prometheus/labels.h"

#include "prometheus/name.h"
#include "prometheus/put.h"

#include <stdlib.h>

enum { TEXT_MAX = 16 << 20, LABEL_FIELD = 1, LABEL_NAME = 1, LABEL_VALUE = 2 };

void labels_init(struct label_set *l, struct memory *memory)
{
    l->count = 0;
    l->is_full = false;
    buf_init(&l->text, TEXT_MAX, memory);
    l->text.forced = true;
}

void labels_fini(struct label_set *l)
{
    buf_fini(&l->text);
}

void labels_reset(struct label_set *l, struct label_mark mark)
{
    l->count = mark.count;
    l->text.len = mark.text;
    l->text.failed = false;
    l->is_full = mark.is_full;
}

static struct slice part_of(const struct label_set *l, struct label_part p)
{
    return slice_make(p.data ? p.data : l->text.data + p.at, p.len);
}

/* What was appended to the text since `from`. */
static struct label_part written(const struct label_set *l, size_t from)
{
    return (struct label_part){NULL, from, l->text.len - from};
}

static struct label_part borrowed(struct slice s)
{
    return (struct label_part){s.len ? s.data : (const uint8_t *)"", 0, s.len};
}

/* An empty label is none. */
static void add(struct label_set *l, struct label item)
{
    if (item.value.len == 0)
        return;
    if (l->count == LABELS_MAX || !buf_ok(&l->text))
        l->is_full = true;
    else
        l->items[l->count++] = item;
}

void labels_add(struct label_set *l, enum label_rank rank, const char *name, struct slice value)
{
    struct label item = {
        .name = borrowed(slice_str(name)), .value = borrowed(value), .rank = (uint8_t)rank};

    item.key = item.name;
    add(l, item);
}

void labels_add_copy(struct label_set *l, enum label_rank rank, struct slice name,
                     struct slice value)
{
    struct label item = {.name = borrowed(name), .rank = (uint8_t)rank};
    size_t from = l->text.len;

    buf_append(&l->text, value.data, value.len);
    item.key = item.name;
    item.value = written(l, from);
    add(l, item);
}

static struct label_part value_part(struct label_set *l, const struct value *value)
{
    size_t from = l->text.len;

    if (value->type == VALUE_STRING)
        return borrowed(value->bytes);
    value_text(&l->text, value);
    return written(l, from);
}

void labels_add_attr(struct label_set *l, enum label_rank rank, const char *prefix,
                     struct slice key, const struct value *value)
{
    struct label item = {.key = borrowed(key), .rank = (uint8_t)rank};
    size_t from = l->text.len;

    buf_str(&l->text, prefix);
    if (prefix[0] ? !name_clean(&l->text, key) : !name_label(&l->text, key)) {
        l->text.len = from;
        return;
    }
    item.name = written(l, from);
    item.value = value_part(l, value);
    add(l, item);
}

void labels_add_attrs(struct label_set *l, enum label_rank rank, const char *prefix,
                      struct metric_attrs attrs)
{
    struct slice key;
    struct value v;

    while (!l->is_full && metric_attrs_next(&attrs, &key, &v))
        labels_add_attr(l, rank, prefix, key, &v);
}

/* ---- in order ---- */

static int compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* By name, the strongest first, then by the key. */
static bool comes_before(const struct label_set *l, const struct label *a, const struct label *b)
{
    int order = compare(part_of(l, a->name), part_of(l, b->name));

    if (order)
        return order < 0;
    if (a->rank != b->rank)
        return a->rank > b->rank;
    return compare(part_of(l, a->key), part_of(l, b->key)) < 0;
}

/* Positions in order: few, and mostly in order already. */
static void sort(const struct label_set *l, uint16_t order[LABELS_MAX])
{
    for (size_t i = 0; i < l->count; i++) {
        size_t to = i;

        while (to > 0 && comes_before(l, &l->items[i], &l->items[order[to - 1]])) {
            order[to] = order[to - 1];
            to--;
        }
        order[to] = (uint16_t)i;
    }
}

/* Joins the values of attributes that have the same name; equal ones once. */
static void join(struct label_set *l, struct label *first, const struct label *other)
{
    size_t from = l->text.len, need = first->value.len + other->value.len + 1;

    if (slice_equal(part_of(l, first->value), part_of(l, other->value)))
        return;
    if (!buf_reserve(&l->text, need)) { /* it moves the text: first, then the slices */
        l->is_full = true;
        return;
    }
    buf_append(&l->text, part_of(l, first->value).data, first->value.len);
    buf_byte(&l->text, ';');
    buf_append(&l->text, part_of(l, other->value).data, other->value.len);
    first->value = written(l, from);
}

static bool is_joined(enum label_rank rank)
{
    return rank == LABEL_ATTRIBUTE;
}

/* ---- written ---- */

static size_t label_body_size(struct slice name, struct slice value)
{
    return put_bytes_size(name.len) + put_bytes_size(value.len);
}

static size_t label_size(struct slice name, struct slice value)
{
    return put_bytes_size(label_body_size(name, value));
}

static uint8_t *put_label(uint8_t *at, struct slice name, struct slice value)
{
    at = put_varint(put_tag(at, LABEL_FIELD, WIRE_LEN), label_body_size(name, value));
    return put_bytes(put_bytes(at, LABEL_NAME, name), LABEL_VALUE, value);
}

void label_list_init(struct label_list *l, struct memory *memory)
{
    l->count = 0;
    l->extra = NULL;
    buf_init(&l->bytes, TEXT_MAX, memory);
    l->bytes.forced = true;
}

void label_list_fini(struct label_list *l)
{
    buf_fini(&l->bytes);
}

static void list_clear(struct label_list *l)
{
    l->count = 0;
    l->at[0] = 0;
    l->extra = NULL;
    buf_clear(&l->bytes);
}

static void list_add(struct label_list *l, struct slice name, struct slice value)
{
    uint8_t *at = buf_reserve(&l->bytes, label_size(name, value));

    if (!at)
        return;
    l->bytes.len += (size_t)(put_label(at, name, value) - at);
    l->name[l->count++] = name;
    l->at[l->count] = l->bytes.len;
}

/* Where a label of that name goes, instead of one that is there. */
static struct label_place place_of(const struct label_list *l, struct slice name)
{
    size_t i = 0;
    bool is_there;

    while (i < l->count && compare(l->name[i], name) < 0)
        i++;
    is_there = i < l->count && slice_equal(l->name[i], name);
    return (struct label_place){l->at[i], l->at[i + is_there]};
}

bool labels_have(const struct label_list *l, const char *name)
{
    struct label_place at = place_of(l, slice_str(name));

    return at.end > at.begin;
}

void labels_finish(struct label_set *from, struct label_list *to)
{
    struct label merged[LABELS_MAX];
    uint16_t order[LABELS_MAX] = {0};
    size_t count = 0;

    sort(from, order);
    for (size_t i = 0; i < from->count; i++) {
        const struct label *item = &from->items[order[i]];
        struct label *last = count ? &merged[count - 1] : NULL;

        if (!last || !slice_equal(part_of(from, last->name), part_of(from, item->name)))
            merged[count++] = *item;
        else if (last->rank == item->rank && is_joined((enum label_rank)item->rank))
            join(from, last, item);
    }
    list_clear(to);
    for (size_t i = 0; i < count; i++)
        list_add(to, part_of(from, merged[i].name), part_of(from, merged[i].value));
    to->of_name = place_of(to, slice_str("__name__"));
}

/* What is written between two places; an empty list has no bytes to point at. */
static uint8_t *put_part(uint8_t *at, const struct label_list *l, size_t begin, size_t end)
{
    return end > begin ? put_raw(at, l->bytes.data + begin, end - begin) : at;
}

/* Both of a series' own labels, and between them what is in the list: its name comes first. */
static uint8_t *put_all(uint8_t *at, const struct label_list *l, struct slice name,
                        struct slice extra_value)
{
    size_t from = l->of_name.end;

    at = put_part(at, l, 0, l->of_name.begin);
    at = put_label(at, slice_str("__name__"), name);
    if (l->extra) {
        at = put_part(at, l, from, l->of_extra.begin);
        at = put_label(at, slice_str(l->extra), extra_value);
        from = l->of_extra.end;
    }
    return put_part(at, l, from, l->bytes.len);
}

void labels_put(struct buf *out, struct label_list *l, struct slice name, const char *extra,
                struct slice extra_value)
{
    size_t size = l->bytes.len + label_size(slice_str("__name__"), name);
    uint8_t *at;

    if (extra != l->extra && extra)
        l->of_extra = place_of(l, slice_str(extra));
    l->extra = extra;
    if (extra)
        size += label_size(slice_str(extra), extra_value);
    at = buf_ok(&l->bytes) ? buf_reserve(out, size) : NULL;
    if (!at)
        out->failed = true;
    else
        out->len += (size_t)(put_all(at, l, name, extra_value) - at);
}
