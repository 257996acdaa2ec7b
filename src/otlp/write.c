#include "otlp/write.h"

size_t otlp_write_begin(struct buf *b, uint32_t number)
{
    wire_put_tag(b, number, WIRE_LEN);
    buf_byte(b, 0); /* most messages are under 128 bytes; the others are moved at the end */
    return b->len;
}

void otlp_write_end(struct buf *b, size_t start)
{
    size_t len, size;

    if (!buf_ok(b))
        return;
    len = b->len - start;
    size = wire_varint_size(len);
    if (size > 1) {
        if (!buf_reserve(b, size - 1))
            return;
        memmove(b->data + start + size - 1, b->data + start, len);
    }
    b->len = start - 1;
    wire_put_varint(b, len);
    b->len = start - 1 + size + len;
}

void otlp_write_value(struct buf *b, const struct value *value)
{
    uint64_t bits;

    switch (value->type) {
    case VALUE_STRING:
        wire_put_bytes(b, 1, value->bytes);
        break;
    case VALUE_BOOL:
        wire_put_uint(b, 2, value->boolean);
        break;
    case VALUE_INT:
        wire_put_uint(b, 3, (uint64_t)value->integer);
        break;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->number, sizeof bits);
        wire_put_fixed64(b, 4, bits);
        break;
    case VALUE_ARRAY:
        wire_put_bytes(b, 5, value->bytes);
        break;
    case VALUE_KVLIST:
        wire_put_bytes(b, 6, value->bytes);
        break;
    case VALUE_BYTES:
        wire_put_bytes(b, 7, value->bytes);
        break;
    case VALUE_ABSENT:
        break;
    }
}

void otlp_write_attr(struct buf *b, uint32_t number, struct slice key, const struct value *value)
{
    size_t key_value = otlp_write_begin(b, number), any_value;

    wire_put_bytes(b, 1, key);
    any_value = otlp_write_begin(b, 2);
    otlp_write_value(b, value);
    otlp_write_end(b, any_value);
    otlp_write_end(b, key_value);
}

void otlp_write_attr_str(struct buf *b, uint32_t number, const char *key, struct slice text)
{
    struct value value = {.type = VALUE_STRING, .bytes = text};

    otlp_write_attr(b, number, slice_str(key), &value);
}

void otlp_write_attr_int(struct buf *b, uint32_t number, const char *key, int64_t integer)
{
    struct value value = {.type = VALUE_INT, .integer = integer};

    otlp_write_attr(b, number, slice_str(key), &value);
}

void otlp_write_attr_double(struct buf *b, uint32_t number, const char *key, double number_value)
{
    struct value value = {.type = VALUE_DOUBLE, .number = number_value};

    otlp_write_attr(b, number, slice_str(key), &value);
}

void otlp_write_attr_bool(struct buf *b, uint32_t number, const char *key, bool boolean)
{
    struct value value = {.type = VALUE_BOOL, .boolean = boolean};

    otlp_write_attr(b, number, slice_str(key), &value);
}

static void put_nonempty(struct buf *b, uint32_t number, struct slice bytes)
{
    if (bytes.len > 0)
        wire_put_bytes(b, number, bytes);
}

static void put_nonzero(struct buf *b, uint32_t number, uint64_t value)
{
    if (value != 0)
        wire_put_uint(b, number, value);
}

static void put_status(struct buf *b, const struct span_fields *fields)
{
    size_t status;

    if (fields->status == 0 && fields->status_message.len == 0)
        return;
    status = otlp_write_begin(b, 15);
    put_nonempty(b, 2, fields->status_message);
    put_nonzero(b, 3, (uint64_t)fields->status);
    otlp_write_end(b, status);
}

void otlp_write_span_fields(struct buf *b, const struct span_fields *fields)
{
    put_nonempty(b, 1, fields->trace_id);
    put_nonempty(b, 2, fields->span_id);
    put_nonempty(b, 3, fields->trace_state);
    put_nonempty(b, 4, fields->parent_id);
    put_nonempty(b, 5, fields->name);
    put_nonzero(b, 6, (uint64_t)fields->kind);
    if (fields->start_ns != 0)
        wire_put_fixed64(b, 7, fields->start_ns);
    if (fields->end_ns != 0)
        wire_put_fixed64(b, 8, fields->end_ns);
    put_nonzero(b, 10, fields->dropped_attributes);
    put_nonzero(b, 12, fields->dropped_events);
    put_nonzero(b, 14, fields->dropped_links);
    put_status(b, fields);
    if (fields->flags != 0)
        wire_put_fixed32(b, 16, fields->flags);
}
