/* From a span to its series. */
#include "spanmetrics/parts.h"

#include <stdio.h>
#include <string.h>

/* ---- texts ---- */

/* The length of the first part of `text` that is short enough and ends between two characters. */
static size_t cut(struct slice text)
{
    size_t len = text.len;

    if (len <= SPANMETRICS_TEXT_MAX)
        return len;
    len = SPANMETRICS_TEXT_MAX;
    while (len > 0 && (text.data[len] & 0xc0) == 0x80)
        len--;
    return len;
}

uint8_t *key_put_text(uint8_t *at, struct slice text)
{
    size_t len = cut(text);

    *at++ = (uint8_t)len;
    if (len)
        memcpy(at, text.data, len);
    return at + len;
}

bool key_text_of(const struct value *v, char *number, struct slice *out)
{
    switch (v->type) {
    case VALUE_STRING:
        *out = v->bytes;
        return v->bytes.len > 0;
    case VALUE_BOOL:
        *out = slice_str(v->boolean ? "true" : "false");
        return true;
    case VALUE_INT:
        *out = slice_make(number,
                          (size_t)snprintf(number, NUMBER_TEXT, "%lld", (long long)v->integer));
        return true;
    case VALUE_DOUBLE:
        *out = slice_make(number, number_text(number, v->number));
        return true;
    default:
        return false;
    }
}

/* ---- the key ---- */

struct slice key_service(struct slice resource_spans)
{
    struct slice service;

    if (view_service(resource_spans, &service) && service.len > 0)
        return service;
    return slice_str("unknown_service"); /* as the specification of resources has it */
}

void key_begin_resource(struct spanmetrics_recorder *r, struct slice resource_spans)
{
    struct hash_key hash = r->m->hash;

    r->resource.attributes = resource_spans;
    r->resource.len = (size_t)(key_put_text(r->key, key_service(resource_spans)) - r->key);
    hash.k0 ^= hash_bytes(r->m->hash, r->key, r->resource.len);
    r->resource.hash = hash;
}

uint8_t *key_put_dimension(uint8_t *at, struct slice span, struct slice resource_spans,
                           const char *name)
{
    struct slice key = slice_str(name), text;
    struct value v;
    char number[NUMBER_TEXT];

    if ((view_attr(span, ATTRS_SPAN, key, &v) && key_text_of(&v, number, &text)) ||
        (view_resource_attr(resource_spans, key, &v) && key_text_of(&v, number, &text)))
        return key_put_text(at, text);
    *at++ = KEY_ABSENT;
    return at;
}

static struct slice name_of(const struct spanmetrics *m, struct slice span, struct slice name)
{
    struct value v;

    if (m->name_attribute && view_attr(span, ATTRS_SPAN, slice_str(m->name_attribute), &v) &&
        v.type == VALUE_STRING && v.bytes.len > 0)
        return v.bytes;
    return name;
}

/* Builds the rest of the key behind the resource's part. Returns its whole length. */
static size_t build(struct spanmetrics_recorder *r, struct slice span, unsigned status)
{
    const struct spanmetrics *m = r->m;
    uint8_t *at = r->key + r->resource.len;
    struct slice name;
    int32_t kind;

    view_span_name(span, &name, &kind);
    *at++ = (uint8_t)(kind >= 0 && kind <= 5 ? kind : 0);
    *at++ = (uint8_t)status;
    at = key_put_text(at, name_of(m, span, name));
    for (unsigned i = 0; i < m->dimensions.count; i++)
        at = key_put_dimension(at, span, r->resource.attributes, m->dimensions.names[i]);
    memset(at, 0, KEY_PAD);
    return (size_t)(at - r->key);
}

/* ---- the table ---- */

/* Where a key is remembered: by its resource and the last bytes of it. Peers may choose keys that
 * meet there, which are then found by their hash. */
static const struct key **recent_of(struct spanmetrics_recorder *r, size_t len)
{
    uint64_t last[2], mixed;

    memcpy(last, r->key + (len < 8 ? 0 : len - 8), 8);
    memcpy(last + 1, r->key + r->resource.len, 8);
    mixed = (last[0] ^ r->resource.hash.k0) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ last[1] ^ len) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return &r->recent[mixed >> 56];
}

static uint32_t find_by_hash(struct spanmetrics_recorder *r, size_t len, bool add,
                             const struct key **recent)
{
    uint64_t hash = hash_bytes(r->resource.hash, r->key + r->resource.len, len - r->resource.len);
    const struct key *key = key_table_find(&r->m->keys, hash, r->key, len);

    if (!key)
        return add ? key_table_add(&r->m->keys, hash, r->key, len) : OVERFLOW_SERIES;
    *recent = key;
    return key->number;
}

uint32_t key_find(struct spanmetrics_recorder *r, struct slice span, unsigned status, bool add)
{
    size_t len = build(r, span, status);
    const struct key **recent = recent_of(r, len), *key = *recent;

    if (key && key->len == len && memcmp(key->bytes, r->key, len) == 0)
        return key->number;
    return find_by_hash(r, len, add, recent);
}

uint32_t key_find_built(struct spanmetrics_recorder *r, size_t len)
{
    uint64_t hash = hash_bytes(r->m->hash, r->key, len);
    const struct key **recent = &r->recent[hash >> 56], *key = *recent;

    if (key && key->hash == hash && key->len == len && memcmp(key->bytes, r->key, len) == 0)
        return key->number;
    key = key_table_find(&r->m->keys, hash, r->key, len);
    if (!key)
        return key_table_add(&r->m->keys, hash, r->key, len);
    *recent = key;
    return key->number;
}

/* ---- reading it back ---- */

struct slice key_take_text(const uint8_t **at)
{
    size_t len = *(*at)++;
    struct slice text = slice_make(*at, len);

    if (len == KEY_ABSENT)
        return slice_make(NULL, 0);
    *at += len;
    return text;
}

static const char *kind_name(unsigned kind)
{
    static const char *const names[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
                                        "SPAN_KIND_SERVER",      "SPAN_KIND_CLIENT",
                                        "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};

    return names[kind <= 5 ? kind : 0];
}

static const char *status_name(unsigned status)
{
    static const char *const names[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};

    return names[status <= 2 ? status : 0];
}

static void each_span_label(const struct spanmetrics *m, const struct key *key, label_fn *put,
                            void *arg)
{
    const uint8_t *at = key->bytes;
    struct slice service = key_take_text(&at), text;
    unsigned kind = *at++, status = *at++;

    put(arg, "service.name", service, false);
    put(arg, "span.name", key_take_text(&at), false);
    put(arg, "span.kind", slice_str(kind_name(kind)), false);
    put(arg, "status.code", slice_str(status_name(status)), false);
    for (unsigned i = 0; i < m->dimensions.count; i++) {
        text = key_take_text(&at);
        if (text.data)
            put(arg, m->dimensions.names[i], text, false);
    }
}

static struct slice span_service(const struct key *key)
{
    const uint8_t *at = key->bytes;

    return key_take_text(&at);
}

const struct family span_family = {
    .scope = "spanmetricsconnector",
    .calls = {".calls", "_calls", "Spans received, before any sampling."},
    .durations = {{".duration", "_duration", "Durations of these spans"}},
    .sides = 1,
    .each_label = each_span_label,
    .service = span_service,
};
