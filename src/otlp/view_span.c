/* Reads the fields of a span in one pass, and where its attributes are. */
#include "otlp/view_parts.h"

static void read_status(struct slice status, struct span_fields *fields)
{
    struct wire w = wire_of(status);
    struct wire_field field = {0};

    while (read_field(&w, &field)) {
        if (TAG(field.number, field.type) == TAG(2, WIRE_LEN))
            fields->status_message = field.bytes;
        else if (TAG(field.number, field.type) == TAG(3, WIRE_VARINT))
            fields->status = (int32_t)field.value;
    }
}

static void read_span_bytes(const struct wire_field *field, struct span_fields *fields)
{
    switch (field->number) {
    case 1:
        fields->trace_id = field->bytes;
        break;
    case 2:
        fields->span_id = field->bytes;
        break;
    case 3:
        fields->trace_state = field->bytes;
        break;
    case 4:
        fields->parent_id = field->bytes;
        break;
    case 5:
        fields->name = field->bytes;
        break;
    case 15:
        read_status(field->bytes, fields);
        break;
    default:
        break;
    }
}

static void read_span_number(const struct wire_field *field, struct span_fields *fields)
{
    switch (TAG(field->number, field->type)) {
    case TAG(6, WIRE_VARINT):
        fields->kind = (int32_t)field->value;
        break;
    case TAG(7, WIRE_I64):
        fields->start_ns = field->value;
        break;
    case TAG(8, WIRE_I64):
        fields->end_ns = field->value;
        break;
    case TAG(10, WIRE_VARINT):
        fields->dropped_attributes = (uint32_t)field->value;
        break;
    case TAG(12, WIRE_VARINT):
        fields->dropped_events = (uint32_t)field->value;
        break;
    case TAG(14, WIRE_VARINT):
        fields->dropped_links = (uint32_t)field->value;
        break;
    case TAG(16, WIRE_I32):
        fields->flags = (uint32_t)field->value;
        break;
    default:
        break;
    }
}

/* Where attributes are noted; without room for all of them none are. */
struct index {
    const uint8_t *span;
    struct view_attr_at *attrs;
    size_t max, count;
};

static inline void note_attr(struct index *x, struct slice key_value)
{
    if (x->count < x->max)
        x->attrs[x->count] = (struct view_attr_at){
            .offset = (uint32_t)(key_value.data - x->span),
            .len = (uint32_t)key_value.len,
            .key_len = view_is_plain(key_value) ? key_value.data[1] : VIEW_KEY_UNKNOWN,
        };
    x->count++;
}

static inline void read_bytes(const struct wire_field *field, struct span_fields *fields,
                              struct index *x)
{
    if (field->number != ATTRS_SPAN)
        read_span_bytes(field, fields);
    else if (x)
        note_attr(x, field->bytes);
}

/* Reads fields as everybody writes them, of one byte of tag and short, up to the first that is
 * another: it is left to read_field, the end too. */
static inline const uint8_t *read_plain_fields(const uint8_t *at, const uint8_t *end,
                                               struct span_fields *fields, struct index *x)
{
    struct wire_field field;

    while (end - at >= 9 && at[0] >= TAG(1, 0) && at[0] < 0x80) {
        field.number = at[0] >> 3;
        field.type = (enum wire_type)(at[0] & 7);
        if (field.type == WIRE_LEN && at[1] < 0x80 && at[1] <= end - at - 2) {
            field.bytes = slice_make(at + 2, at[1]);
            read_bytes(&field, fields, x);
            at += 2 + at[1];
        } else if (field.type == WIRE_I64) {
            field.value = read_le64(at + 1);
            read_span_number(&field, fields);
            at += 9;
        } else if (field.type == WIRE_VARINT && at[1] < 0x80) {
            field.value = at[1];
            read_span_number(&field, fields);
            at += 2;
        } else {
            break;
        }
    }
    return at;
}

static inline void read_fields(struct slice span, struct span_fields *fields, struct index *x)
{
    struct wire w = wire_of(span);
    struct wire_field field;

    *fields = (struct span_fields){0};
    while (w.at = read_plain_fields(w.at, w.end, fields, x), read_field(&w, &field)) {
        if (field.type == WIRE_LEN)
            read_bytes(&field, fields, x);
        else
            read_span_number(&field, fields);
    }
}

void view_span_fields(struct slice span, struct span_fields *fields)
{
    read_fields(span, fields, NULL);
}

bool view_span_index(struct slice span, struct span_fields *fields, struct view_attr_at *attrs,
                     size_t max, size_t *count)
{
    struct index x = {.span = span.data, .attrs = attrs, .max = max};

    read_fields(span, fields, &x);
    *count = x.count;
    return x.count <= max;
}

/* False: the fields come in another order, or one is not there. */
static bool read_front(struct slice span, struct slice *name, int32_t *kind)
{
    struct wire w = wire_of(span);
    struct wire_field field;
    unsigned seen = 0;

    while (read_field(&w, &field) && field.number < 7) {
        if (field.number == 5 && field.type == WIRE_LEN) {
            *name = field.bytes;
            seen |= 1;
        } else if (field.number == 6 && field.type == WIRE_VARINT) {
            *kind = (int32_t)field.value;
            seen |= 2;
        }
    }
    return seen == 3;
}

/* The same of spans as SDKs write them: both ids, a short name and a kind, one behind the other. */
static bool read_usual(struct slice span, struct slice *name, int32_t *kind)
{
    const uint8_t *at = span.data, *end = at + span.len;

    if (span.len < 44 || at[0] != TAG(1, WIRE_LEN) || at[1] != 16 || at[18] != TAG(2, WIRE_LEN) ||
        at[19] != 8)
        return false;
    at += 28;
    if (at[0] == TAG(4, WIRE_LEN) && at[1] == 8)
        at += 10;
    if (at[0] != TAG(5, WIRE_LEN) || at[1] >= 0x80 || end - at < at[1] + 5)
        return false;
    *name = slice_make(at + 2, at[1]);
    at += 2 + at[1];
    if (at[0] != TAG(6, WIRE_VARINT) || at[1] >= 0x80 || at[2] != TAG(7, WIRE_I64))
        return false;
    *kind = at[1];
    return true;
}

void view_span_name(struct slice span, struct slice *name, int32_t *kind)
{
    struct span_fields fields;

    if (read_usual(span, name, kind) || read_front(span, name, kind))
        return;
    view_span_fields(span, &fields);
    *name = fields.name;
    *kind = fields.kind;
}
