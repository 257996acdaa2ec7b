#include "otlp/splice.h"

#include "otlp/wire.h"
#include "otlp/write.h"

/* Copies [from, to) unless it is empty. */
static void copy_run(struct buf *out, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        buf_append(out, from, (size_t)(to - from));
}

/* ---- attributes ---- */

enum outcome { ATTR_AS_IS, ATTR_SET, ATTR_REMOVED };

/* What the edits, in order, make of an attribute `key` that was there or not. *set: the edit whose
 * value it has in the end. */
static enum outcome outcome_of(const struct splice *s, struct slice key, bool present,
                               const struct splice_edit **set)
{
    enum outcome result = ATTR_AS_IS;

    for (size_t i = 0; i < s->count; i++) {
        const struct splice_edit *e = &s->edits[i];
        bool needs = e->action == SPLICE_INSERT ? !present : present;

        if (!slice_equal(e->key, key) || (e->action != SPLICE_UPSERT && !needs))
            continue;
        present = e->action != SPLICE_DELETE;
        result = present ? ATTR_SET : ATTR_REMOVED;
        *set = e;
    }
    return result;
}

/* The pair lies, with its tag and length, in [from, to). */
static void put_edited(struct buf *out, uint32_t number, struct slice pair, const uint8_t *from,
                       const uint8_t *to, const struct splice *s)
{
    const struct splice_edit *set;

    switch (outcome_of(s, view_key(pair), true, &set)) {
    case ATTR_AS_IS:
        copy_run(out, from, to);
        break;
    case ATTR_SET:
        otlp_write_attr(out, number, set->key, &set->value);
        break;
    case ATTR_REMOVED:
        break;
    }
}

/* Appends the fields of `message`, whose attributes are in field `number`: those that are there
 * with the edits, in their places. */
static void put_present(struct slice message, uint32_t number, const struct splice *s,
                        struct buf *out)
{
    struct wire w = wire_of(message);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        if (f.number == number && f.type == WIRE_LEN)
            put_edited(out, number, f.bytes, start, w.at, s);
        else
            copy_run(out, start, w.at);
    }
}

static bool is_last_of_its_key(const struct splice *s, size_t i)
{
    for (size_t later = i + 1; later < s->count; later++)
        if (slice_equal(s->edits[later].key, s->edits[i].key))
            return false;
    return true;
}

/* Appends the attributes that the edits make where `owner`'s `message` has none of the key. */
static void put_absent(enum attr_owner owner, struct slice message, uint32_t number,
                       const struct splice *s, struct buf *out)
{
    const struct splice_edit *set;
    struct value value;

    for (size_t i = 0; i < s->count; i++) {
        struct slice key = s->edits[i].key;

        if (is_last_of_its_key(s, i) && !view_owner_attr(owner, message, key, &value) &&
            outcome_of(s, key, false, &set) == ATTR_SET)
            otlp_write_attr(out, number, key, &set->value);
    }
}

void splice_attrs(enum attr_owner owner, struct slice message, const struct splice *s,
                  struct buf *out)
{
    uint32_t number = view_owner_field(owner);

    put_present(message, number, s, out);
    put_absent(owner, message, number, s, out);
}

/* ---- resources ---- */

enum { RESOURCE = 1, SCOPES = 2 }; /* of a ResourceSpans, the same in every signal */

static void put_resource(struct slice resource, bool is_last, struct slice resource_spans,
                         const struct splice *s, struct buf *out)
{
    size_t begin = otlp_write_begin(out, RESOURCE);

    put_present(resource, ATTRS_RESOURCE, s, out);
    if (is_last)
        put_absent(OWNER_RESOURCE, resource_spans, ATTRS_RESOURCE, s, out);
    otlp_write_end(out, begin);
}

static void put_new_resource(struct slice resource_spans, const struct splice *s, struct buf *out)
{
    size_t start = out->len, begin = otlp_write_begin(out, RESOURCE);

    put_absent(OWNER_RESOURCE, resource_spans, ATTRS_RESOURCE, s, out);
    if (buf_ok(out) && out->len == begin)
        out->len = start; /* nothing to say: none is made */
    else
        otlp_write_end(out, begin);
}

static const uint8_t *last_resource(struct slice resource_spans)
{
    struct wire w = wire_of(resource_spans);
    struct wire_field f;
    const uint8_t *last = NULL;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number == RESOURCE && f.type == WIRE_LEN)
            last = start;
    return last;
}

void splice_resource(struct slice resource_spans, const struct splice *s, struct buf *out)
{
    const uint8_t *last = s->count > 0 ? last_resource(resource_spans) : NULL;
    struct wire w = wire_of(resource_spans);
    struct wire_field f;

    if (s->count > 0 && !last)
        put_new_resource(resource_spans, s, out);
    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        if (f.number == SCOPES && f.type == WIRE_LEN)
            continue;
        if (s->count > 0 && f.number == RESOURCE && f.type == WIRE_LEN)
            put_resource(f.bytes, start == last, resource_spans, s, out);
        else
            copy_run(out, start, w.at);
    }
}

/* ---- fields ---- */

void splice_field(struct slice message, uint32_t number, const struct slice *content,
                  struct buf *out)
{
    struct wire w = wire_of(message);
    struct wire_field f;
    bool put = content == NULL;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        if (f.number != number || f.type != WIRE_LEN) {
            copy_run(out, start, w.at);
            continue;
        }
        if (!put)
            wire_put_bytes(out, number, *content);
        put = true;
    }
    if (!put)
        wire_put_bytes(out, number, *content);
}

void splice_number(struct slice message, uint32_t number, uint64_t value, struct buf *out)
{
    struct wire w = wire_of(message);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number != number || f.type != WIRE_VARINT)
            copy_run(out, start, w.at);
    if (value)
        wire_put_uint(out, number, value);
}

void splice_inner(struct slice message, uint32_t number, struct slice old, struct slice content,
                  struct buf *out)
{
    struct wire w = wire_of(message);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at) {
        if (f.number == number && f.type == WIRE_LEN && f.bytes.data == old.data)
            wire_put_bytes(out, number, content);
        else
            copy_run(out, start, w.at);
    }
}

/* The code alone. */
static void put_status(struct slice status, struct buf *out)
{
    size_t begin = otlp_write_begin(out, SPLICE_SPAN_STATUS);
    struct wire w = wire_of(status);
    struct wire_field f;

    while (wire_next(&w, &f))
        if (f.number == 3 && f.type == WIRE_VARINT)
            wire_put_uint(out, 3, f.value);
    otlp_write_end(out, begin);
}

void splice_strip(struct slice span, struct slice name, struct buf *out)
{
    struct wire w = wire_of(span);
    struct wire_field f;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.number == SPLICE_SPAN_NAME && f.type == WIRE_LEN)
            wire_put_bytes(out, SPLICE_SPAN_NAME, name);
        else if (f.number == SPLICE_SPAN_STATUS && f.type == WIRE_LEN)
            put_status(f.bytes, out);
        else if (f.number != SPLICE_SPAN_ATTRIBUTES && f.number != SPLICE_SPAN_EVENTS &&
                 f.number != SPLICE_SPAN_LINKS)
            copy_run(out, start, w.at);
}

/* Numbers stay, and the ids. */
void splice_strip_log(struct slice record, struct slice body, struct buf *out)
{
    enum { TRACE_ID = 9, SPAN_ID = 10 };
    struct wire w = wire_of(record);
    struct wire_field f;
    size_t begin;

    for (const uint8_t *start = w.at; wire_next(&w, &f); start = w.at)
        if (f.type != WIRE_LEN || f.number == TRACE_ID || f.number == SPAN_ID)
            copy_run(out, start, w.at);
    begin = otlp_write_begin(out, SPLICE_LOG_BODY);
    otlp_write_value(out, &(struct value){.type = VALUE_STRING, .bytes = body});
    otlp_write_end(out, begin);
}
