/* put.h: protobuf fields, written where there is room already. Private to the room.
 *
 * A sample is a handful of fields of a few bytes: room for all of them is asked for once. Each
 * returns where it ended. Field numbers are below 16.
 */
#pragma once

#include "otlp/wire.h"

#include <endian.h>
#include <string.h>

static inline size_t put_varint_size(uint64_t value)
{
    return 1 + (size_t)(63 - __builtin_clzll(value | 1)) / 7;
}

/* Tag, length and so many bytes. */
static inline size_t put_bytes_size(size_t len)
{
    return 1 + put_varint_size(len) + len;
}

static inline uint8_t *put_tag(uint8_t *at, uint32_t number, enum wire_type type)
{
    *at++ = (uint8_t)(number << 3 | type);
    return at;
}

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *put_raw(uint8_t *at, const void *data, size_t len)
{
    if (len)
        memcpy(at, data, len);
    return at + len;
}

static inline uint8_t *put_bytes(uint8_t *at, uint32_t number, struct slice bytes)
{
    at = put_varint(put_tag(at, number, WIRE_LEN), bytes.len);
    return put_raw(at, bytes.data, bytes.len);
}

static inline uint8_t *put_double(uint8_t *at, uint32_t number, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    bits = htole64(bits);
    return put_raw(put_tag(at, number, WIRE_I64), &bits, sizeof(bits));
}
