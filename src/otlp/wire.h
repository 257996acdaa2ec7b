/* wire.h: the protobuf wire format: reading fields within bounds, and writing them.
 *
 * protobuf.dev/programming-guides/encoding. Pure functions; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/slice.h"

enum wire_type { WIRE_VARINT = 0, WIRE_I64 = 1, WIRE_LEN = 2, WIRE_I32 = 5 };

/* A position in a message. */
struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

struct wire_field {
    uint32_t number; /* 1 .. 2^29-1 */
    enum wire_type type;
    uint64_t value;     /* VARINT, I64, I32 */
    struct slice bytes; /* LEN */
};

static inline struct wire wire_of(struct slice message)
{
    return (struct wire){message.data, message.len ? message.data + message.len : message.data};
}

/* Reads one varint of at most 10 bytes. False: malformed or cut off; `at` is where it stopped. */
bool wire_varint(struct wire *w, uint64_t *value);

/* Reads the next field. False at the end of the message or where it is malformed (then at != end).
 */
bool wire_next(struct wire *w, struct wire_field *field);

/* Writing: appends to `b`; check buf_ok at the end. */
void wire_put_varint(struct buf *b, uint64_t value);
void wire_put_tag(struct buf *b, uint32_t number, enum wire_type type);
void wire_put_uint(struct buf *b, uint32_t number, uint64_t value); /* tag and varint */
void wire_put_fixed64(struct buf *b, uint32_t number, uint64_t value);
void wire_put_fixed32(struct buf *b, uint32_t number, uint32_t value);
void wire_put_bytes(struct buf *b, uint32_t number, struct slice bytes); /* tag, length, bytes */

/* Encoded sizes. */
size_t wire_varint_size(uint64_t value);
size_t wire_bytes_size(uint32_t number, size_t len); /* tag + length + len */
