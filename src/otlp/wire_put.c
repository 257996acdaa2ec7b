#include "otlp/wire.h"

#include <endian.h>

size_t wire_varint_size(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

size_t wire_bytes_size(uint32_t number, size_t len)
{
    return wire_varint_size((uint64_t)number << 3) + wire_varint_size(len) + len;
}

void wire_put_varint(struct buf *b, uint64_t value)
{
    uint8_t *at = buf_reserve(b, wire_varint_size(value));

    if (!at)
        return;
    for (; value > 0x7f; value >>= 7)
        *at++ = (uint8_t)value | 0x80;
    *at++ = (uint8_t)value;
    b->len = (size_t)(at - b->data);
}

void wire_put_tag(struct buf *b, uint32_t number, enum wire_type type)
{
    wire_put_varint(b, number << 3 | type);
}

void wire_put_uint(struct buf *b, uint32_t number, uint64_t value)
{
    wire_put_tag(b, number, WIRE_VARINT);
    wire_put_varint(b, value);
}

void wire_put_fixed64(struct buf *b, uint32_t number, uint64_t value)
{
    value = htole64(value);
    wire_put_tag(b, number, WIRE_I64);
    buf_append(b, &value, sizeof value);
}

void wire_put_fixed32(struct buf *b, uint32_t number, uint32_t value)
{
    value = htole32(value);
    wire_put_tag(b, number, WIRE_I32);
    buf_append(b, &value, sizeof value);
}

void wire_put_bytes(struct buf *b, uint32_t number, struct slice bytes)
{
    wire_put_tag(b, number, WIRE_LEN);
    wire_put_varint(b, bytes.len);
    buf_append(b, bytes.data, bytes.len);
}
