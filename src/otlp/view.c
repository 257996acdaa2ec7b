#include "otlp/view.h"

#include "otlp/view_parts.h"

/* Field numbers that several functions read. */
enum {
    RESOURCE_SPANS_RESOURCE = 1,
    SCOPE_SPANS_SCOPE = 1,
    LIST_VALUES = 1,
    SPAN_EVENTS = 11,
    SPAN_LINKS = 13,
};

/* The message of the LEN field whose tag is at `offset`; empty where there is none. */
static struct slice message_at(struct slice body, uint32_t offset)
{
    struct wire_field field;
    struct wire w;

    if (offset >= body.len)
        return (struct slice){0};
    w = (struct wire){body.data + offset, body.data + body.len};
    if (!read_field(&w, &field) || field.type != WIRE_LEN)
        return (struct slice){0};
    return field.bytes;
}

struct span_view span_view_at(struct slice body, uint32_t offset, uint32_t len,
                              uint32_t resource_offset, uint32_t scope_offset)
{
    struct span_view view = {
        .resource = message_at(body, resource_offset),
        .scope = message_at(body, scope_offset & ~SCAN_PLAIN_SCOPE),
        .plain_scope = (scope_offset & SCAN_PLAIN_SCOPE) != 0,
    };

    if (offset < body.len && len <= body.len - offset)
        view.span = slice_make(body.data + offset, len);
    return view;
}

struct slice view_resource_at(struct slice body, uint32_t resource_offset)
{
    return message_at(body, resource_offset);
}

/* What one field of an AnyValue sets. The wire type was checked by the scan; a damaged body can
 * have another one here, which sets nothing. */
static void value_set(struct value *value, const struct wire_field *field)
{
    switch (TAG(field->number, field->type)) {
    case TAG(1, WIRE_LEN):
        *value = (struct value){.type = VALUE_STRING, .bytes = field->bytes};
        break;
    case TAG(2, WIRE_VARINT):
        *value = (struct value){.type = VALUE_BOOL, .boolean = field->value != 0};
        break;
    case TAG(3, WIRE_VARINT):
        *value = (struct value){.type = VALUE_INT, .integer = (int64_t)field->value};
        break;
    case TAG(4, WIRE_I64):
        *value = (struct value){.type = VALUE_DOUBLE};
        memcpy(&value->number, &field->value, sizeof value->number);
        break;
    case TAG(5, WIRE_LEN):
        *value = (struct value){.type = VALUE_ARRAY, .bytes = field->bytes};
        break;
    case TAG(6, WIRE_LEN):
        *value = (struct value){.type = VALUE_KVLIST, .bytes = field->bytes};
        break;
    case TAG(7, WIRE_LEN):
        *value = (struct value){.type = VALUE_BYTES, .bytes = field->bytes};
        break;
    case TAG(8, WIRE_VARINT):
        *value = (struct value){.type = VALUE_ABSENT};
        break;
    default:
        break;
    }
}

/* Reads an AnyValue over what `value` holds: the last field that is set wins. Most are one short
 * string. */
static void value_read(struct slice any_value, struct value *value)
{
    struct wire w = wire_of(any_value);
    struct wire_field field;

    if (any_value.len >= 2 && w.at[0] == TAG(1, WIRE_LEN) && w.at[1] < 0x80 &&
        w.at[1] == any_value.len - 2) {
        *value = (struct value){.type = VALUE_STRING, .bytes = slice_make(w.at + 2, w.at[1])};
        return;
    }
    while (read_field(&w, &field))
        value_set(value, &field);
}

void view_any(struct slice any_value, struct value *value)
{
    *value = (struct value){.type = VALUE_ABSENT};
    value_read(any_value, value);
}

static void key_value_read(struct slice key_value, struct slice *key, struct value *value)
{
    struct wire w = wire_of(key_value);
    struct wire_field field;

    *key = (struct slice){0};
    *value = (struct value){.type = VALUE_ABSENT};
    if (view_is_plain(key_value)) {
        *key = slice_make(w.at + 2, w.at[1]);
        value_read(slice_make(key->data + key->len + 2, key->data[key->len + 1]), value);
        return;
    }
    while (read_field(&w, &field)) {
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == KEY_VALUE_KEY)
            *key = field.bytes;
        else if (field.number == KEY_VALUE_VALUE)
            value_read(field.bytes, value);
    }
}

struct slice view_key(struct slice key_value)
{
    struct wire w = wire_of(key_value);
    struct wire_field field;
    struct slice key = {0};

    if (view_is_plain(key_value))
        return slice_make(key_value.data + 2, key_value.data[1]);
    while (read_field(&w, &field)) {
        if (field.number == KEY_VALUE_KEY && field.type == WIRE_LEN)
            key = field.bytes;
    }
    return key;
}

/* Passes over LEN fields of one byte of tag and of length, up to one whose tag is `stop`. Most
 * fields are such; whatever else stands there is read by read_field. */
static const uint8_t *skip_short(const uint8_t *at, const uint8_t *end, uint32_t stop)
{
    while (end - at >= 2 && at[0] != stop && (at[0] & 0x87) == WIRE_LEN && at[0] >= TAG(1, 0) &&
           at[1] < 0x80 && at[1] <= end - at - 2)
        at += 2 + at[1];
    return at;
}

/* The next LEN field called `number` from *at on; *at is then behind it. */
static bool next_message(struct slice message, uint32_t number, size_t *at, struct slice *found)
{
    struct wire w = wire_of(message);
    struct wire_field field;

    if (*at >= message.len)
        return false;
    w.at = skip_short(w.at + *at, w.end, TAG(number, WIRE_LEN));
    if (w.end - w.at >= 2 && w.at[0] == TAG(number, WIRE_LEN) && w.at[1] < 0x80 &&
        w.at[1] <= w.end - w.at - 2) {
        *found = slice_make(w.at + 2, w.at[1]);
        *at = (size_t)(w.at - message.data) + 2 + w.at[1];
        return true;
    }
    while ((w.at = skip_short(w.at, w.end, TAG(number, WIRE_LEN))), read_field(&w, &field)) {
        if (field.number != number || field.type != WIRE_LEN)
            continue;
        *at = (size_t)(w.at - message.data);
        *found = field.bytes;
        return true;
    }
    *at = message.len;
    return false;
}

/* The same for a field of the messages in field `outer` of `message`, all occurrences of it. *at
 * is an offset in `message`, so that the occurrence that it lies in is found again. */
static bool next_inner_message(struct slice message, uint32_t outer, uint32_t number, size_t *at,
                               struct slice *found)
{
    struct slice part;
    size_t next = 0;

    while (next_message(message, outer, &next, &part)) {
        size_t start = (size_t)(part.data - message.data);
        size_t inner = *at > start ? *at - start : 0;

        if (inner < part.len && next_message(part, number, &inner, found)) {
            *at = start + inner;
            return true;
        }
    }
    *at = message.len;
    return false;
}

bool view_attr(struct slice message, enum attr_field field, struct slice key, struct value *value)
{
    struct slice key_value, found;
    size_t at = 0;

    while (next_message(message, field, &at, &key_value)) {
        if (slice_equal(view_key(key_value), key)) {
            key_value_read(key_value, &found, value);
            return true;
        }
    }
    return false;
}

bool view_attr_next(struct slice message, enum attr_field field, size_t *at, struct slice *key,
                    struct value *value)
{
    struct slice key_value;

    if (!next_message(message, field, at, &key_value))
        return false;
    key_value_read(key_value, key, value);
    return true;
}

/* view_attr over all messages in field `outer`. */
static bool inner_attr(struct slice message, uint32_t outer, enum attr_field field,
                       struct slice key, struct value *value)
{
    struct slice part;
    size_t at = 0;

    while (next_message(message, outer, &at, &part)) {
        if (view_attr(part, field, key, value))
            return true;
    }
    return false;
}

bool view_resource_attr(struct slice resource_spans, struct slice key, struct value *value)
{
    return inner_attr(resource_spans, RESOURCE_SPANS_RESOURCE, ATTRS_RESOURCE, key, value);
}

bool view_scope_attr(struct slice scope_spans, struct slice key, struct value *value)
{
    return inner_attr(scope_spans, SCOPE_SPANS_SCOPE, ATTRS_SCOPE, key, value);
}

bool view_resource_attr_next(struct slice resource_spans, size_t *at, struct slice *key,
                             struct value *value)
{
    struct slice key_value;

    if (!next_inner_message(resource_spans, RESOURCE_SPANS_RESOURCE, ATTRS_RESOURCE, at,
                            &key_value))
        return false;
    key_value_read(key_value, key, value);
    return true;
}

bool view_scope_attr_next(struct slice scope_spans, size_t *at, struct slice *key,
                          struct value *value)
{
    struct slice key_value;

    if (!next_inner_message(scope_spans, SCOPE_SPANS_SCOPE, ATTRS_SCOPE, at, &key_value))
        return false;
    key_value_read(key_value, key, value);
    return true;
}

bool view_array_next(struct slice array, size_t *at, struct value *value)
{
    struct slice any_value;

    if (!next_message(array, LIST_VALUES, at, &any_value))
        return false;
    *value = (struct value){.type = VALUE_ABSENT};
    value_read(any_value, value);
    return true;
}

bool view_kvlist_next(struct slice kvlist, size_t *at, struct slice *key, struct value *value)
{
    struct slice key_value;

    if (!next_message(kvlist, LIST_VALUES, at, &key_value))
        return false;
    key_value_read(key_value, key, value);
    return true;
}

bool view_indexed_attr(struct slice span, const struct view_attr_at *attrs, size_t count,
                       struct slice key, struct value *value)
{
    for (size_t i = 0; i < count; i++) {
        const struct view_attr_at *a = &attrs[i];
        struct slice key_value = slice_make(span.data + a->offset, a->len), found;

        if (a->key_len != key.len && a->key_len != VIEW_KEY_UNKNOWN)
            continue;
        if (a->key_len == VIEW_KEY_UNKNOWN ? !slice_equal(view_key(key_value), key)
                                           : memcmp(key_value.data + 2, key.data, key.len) != 0)
            continue;
        key_value_read(key_value, &found, value);
        return true;
    }
    return false;
}

static const enum attr_field owner_fields[] = {
    [OWNER_SPAN] = ATTRS_SPAN,
    [OWNER_EVENT] = ATTRS_EVENT,
    [OWNER_LINK] = ATTRS_LINK,
    [OWNER_LOG] = ATTRS_LOG,
    [OWNER_METRIC] = ATTRS_METRIC,
    [OWNER_POINT] = ATTRS_POINT,
    [OWNER_HISTOGRAM_POINT] = ATTRS_HISTOGRAM_POINT,
    [OWNER_EXPONENTIAL_POINT] = ATTRS_EXPONENTIAL_POINT,
};

enum attr_field view_owner_field(enum attr_owner owner)
{
    return owner_fields[owner];
}

bool view_owner_attr(enum attr_owner owner, struct slice message, struct slice key,
                     struct value *value)
{
    if (owner == OWNER_RESOURCE)
        return view_resource_attr(message, key, value);
    if (owner == OWNER_SCOPE)
        return view_scope_attr(message, key, value);
    return view_attr(message, owner_fields[owner], key, value);
}

bool view_owner_attr_next(enum attr_owner owner, struct slice message, size_t *at,
                          struct slice *key, struct value *value)
{
    if (owner == OWNER_RESOURCE)
        return view_resource_attr_next(message, at, key, value);
    if (owner == OWNER_SCOPE)
        return view_scope_attr_next(message, at, key, value);
    return view_attr_next(message, owner_fields[owner], at, key, value);
}

void view_scope(struct slice scope_spans, struct slice *name, struct slice *version)
{
    struct wire_field field;
    struct slice scope;
    size_t at = 0;

    *name = *version = (struct slice){0};
    while (next_message(scope_spans, SCOPE_SPANS_SCOPE, &at, &scope)) {
        struct wire w = wire_of(scope);

        while (read_field(&w, &field)) {
            if (TAG(field.number, field.type) == TAG(1, WIRE_LEN))
                *name = field.bytes;
            else if (TAG(field.number, field.type) == TAG(2, WIRE_LEN))
                *version = field.bytes;
        }
    }
}

bool view_event_next(struct slice span, size_t *at, struct slice *event)
{
    return next_message(span, SPAN_EVENTS, at, event);
}

bool view_link_next(struct slice span, size_t *at, struct slice *link)
{
    return next_message(span, SPAN_LINKS, at, link);
}

void view_event(struct slice event, uint64_t *time_ns, struct slice *name)
{
    struct wire w = wire_of(event);
    struct wire_field field;

    *time_ns = 0;
    *name = (struct slice){0};
    while (read_field(&w, &field)) {
        if (TAG(field.number, field.type) == TAG(1, WIRE_I64))
            *time_ns = field.value;
        else if (TAG(field.number, field.type) == TAG(2, WIRE_LEN))
            *name = field.bytes;
    }
}

void view_link(struct slice link, struct slice *trace_id, struct slice *span_id,
               struct slice *trace_state)
{
    struct wire w = wire_of(link);
    struct wire_field field;

    *trace_id = *span_id = *trace_state = (struct slice){0};
    while (read_field(&w, &field)) {
        if (TAG(field.number, field.type) == TAG(1, WIRE_LEN))
            *trace_id = field.bytes;
        else if (TAG(field.number, field.type) == TAG(2, WIRE_LEN))
            *span_id = field.bytes;
        else if (TAG(field.number, field.type) == TAG(3, WIRE_LEN))
            *trace_state = field.bytes;
    }
}

uint64_t view_id(struct slice id)
{
    uint64_t value;

    if (id.len != sizeof value)
        return 0;
    memcpy(&value, id.data, sizeof value);
    return be64toh(value);
}
