/* message.h: protobuf messages by hand, also wrong ones, for the tests of this room. Shares no code
 * with what it tests. */
#pragma once

#include "base/slice.h"
#include "otlp/scan.h"

#include <assert.h>

struct message {
    uint8_t data[16384];
    size_t len;
};

static inline void put(struct message *m, const void *data, size_t len)
{
    assert(len <= sizeof m->data - m->len);
    if (len)
        memcpy(m->data + m->len, data, len);
    m->len += len;
}

static inline void put_varint(struct message *m, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);

        put(m, &byte, 1);
        value >>= 7;
    } while (value);
}

/* A tag alone, with any wire type. */
static inline void put_tag(struct message *m, uint64_t number, unsigned type)
{
    put_varint(m, number << 3 | type);
}

static inline void put_uint(struct message *m, uint64_t number, uint64_t value)
{
    put_tag(m, number, 0);
    put_varint(m, value);
}

static inline void put_fixed64(struct message *m, uint64_t number, uint64_t value)
{
    put_tag(m, number, 1);
    for (int i = 0; i < 8; i++)
        put(m, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static inline void put_fixed32(struct message *m, uint64_t number, uint32_t value)
{
    put_tag(m, number, 5);
    for (int i = 0; i < 4; i++)
        put(m, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static inline void put_bytes(struct message *m, uint64_t number, const void *data, size_t len)
{
    put_tag(m, number, 2);
    put_varint(m, len);
    put(m, data, len);
}

static inline void put_text(struct message *m, uint64_t number, const char *text)
{
    put_bytes(m, number, text, strlen(text));
}

/* A field of a wire type, with the shortest value. */
static inline void put_value_of_type(struct message *m, uint64_t number, unsigned type)
{
    switch (type) {
    case 0:
        put_uint(m, number, 1);
        break;
    case 1:
        put_fixed64(m, number, 1);
        break;
    case 2:
        put_text(m, number, "");
        break;
    default:
        put_fixed32(m, number, 1);
        break;
    }
}

static inline void put_message(struct message *m, uint64_t number, const struct message *child)
{
    put_bytes(m, number, child->data, child->len);
}

/* A KeyValue with a string. */
static inline void put_attribute(struct message *m, uint64_t number, const char *key,
                                 const char *text)
{
    struct message value = {.len = 0}, key_value = {.len = 0};

    put_text(&value, 1, text);
    put_text(&key_value, 1, key);
    put_message(&key_value, 2, &value);
    put_message(m, number, &key_value);
}

/* The ids that make a span valid; the first byte of the span id is `id`. */
static inline void put_ids(struct message *span, uint8_t id)
{
    put_bytes(span, 1, "0123456789abcdef", 16);
    put_bytes(span, 2, (uint8_t[8]){id, 2, 3, 4, 5, 6, 7, 8}, 8);
}

/* A body with one resource, one scope and `span` in it. */
static inline struct message body_of(const struct message *span)
{
    struct message scope_spans = {.len = 0}, resource_spans = {.len = 0}, body = {.len = 0};

    put_message(&scope_spans, 2, span);
    put_message(&resource_spans, 2, &scope_spans);
    put_message(&body, 1, &resource_spans);
    return body;
}

static inline struct slice bytes_of(const struct message *m)
{
    return slice_make(m->data, m->len);
}
