/* read.h: the reading half of wire.h as inline functions, for the loops of the scan and the views.
 *
 * Private to the room. A reader takes the position and the end of the message and returns the
 * position behind what it read, or NULL where that is malformed or cut off.
 */
#pragma once

#include "otlp/wire.h"

#include <endian.h>

#define TAG(number, type) ((uint32_t)(number) << 3 | (uint32_t)(type))

/* Bytes that a tag or a length may take; values may take ten. */
enum { READ_MAX_SHORT_VARINT = 5, READ_MAX_VARINT = 10 };

/* What the inline functions leave to a call: varints of more than one byte. */
const uint8_t *read_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value);
const uint8_t *read_long_tag(const uint8_t *at, const uint8_t *end, uint32_t *tag);
const uint8_t *read_long_length(const uint8_t *at, const uint8_t *end, size_t *len);

static inline const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (at < end && *at < 0x80) {
        *value = *at;
        return at + 1;
    }
    return read_long_varint(at, end, value);
}

/* A tag: a field number from 1 to 2^29-1, and any wire type. */
static inline const uint8_t *read_tag(const uint8_t *at, const uint8_t *end, uint32_t *tag)
{
    if (at < end && *at < 0x80 && *at >= TAG(1, 0)) {
        *tag = *at;
        return at + 1;
    }
    if (end - at >= 2 && at[0] >= 0x80 && at[1] < 0x80 && at[1] > 0) {
        *tag = (at[0] & 0x7fu) | (uint32_t)at[1] << 7;
        return at + 2;
    }
    return read_long_tag(at, end, tag);
}

/* A length that fits into the message. */
static inline const uint8_t *read_length(const uint8_t *at, const uint8_t *end, size_t *len)
{
    if (at < end && *at < 0x80) {
        *len = *at++;
        return *len <= (size_t)(end - at) ? at : NULL;
    }
    return read_long_length(at, end, len);
}

/* The same where it mostly takes two bytes, as that of a span. */
static inline const uint8_t *read_middle_length(const uint8_t *at, const uint8_t *end, size_t *len)
{
    if (end - at < 2 || at[0] < 0x80 || at[1] >= 0x80)
        return read_length(at, end, len);
    *len = (at[0] & 0x7fu) | (size_t)at[1] << 7;
    at += 2;
    return *len <= (size_t)(end - at) ? at : NULL;
}

static inline uint16_t read_le16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static inline uint32_t read_le32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t read_le64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static inline const uint8_t *read_fixed64(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (end - at < 8)
        return NULL;
    *value = read_le64(at);
    return at + 8;
}

static inline const uint8_t *read_fixed32(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    if (end - at < 4)
        return NULL;
    *value = read_le32(at);
    return at + 4;
}

/* wire_next, inline. */
static inline bool read_field(struct wire *w, struct wire_field *field)
{
    const uint8_t *at;
    uint32_t tag;
    size_t len;

    if (w->at >= w->end)
        return false;
    at = read_tag(w->at, w->end, &tag);
    if (!at)
        return false;
    field->number = tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    switch (tag & 7) {
    case WIRE_LEN:
        at = read_length(at, w->end, &len);
        if (!at)
            return false;
        field->bytes = slice_make(at, len);
        at += len;
        break;
    case WIRE_VARINT:
        at = read_varint(at, w->end, &field->value);
        break;
    case WIRE_I64:
        at = read_fixed64(at, w->end, &field->value);
        break;
    case WIRE_I32:
        at = read_fixed32(at, w->end, &field->value);
        break;
    default:
        return false;
    }
    if (!at)
        return false;
    w->at = at;
    return true;
}
