#include "otlp/wire.h"

#include "otlp/read.h"

/* At most `max` bytes; bits over 64 are dropped, as all decoders do. */
static const uint8_t *varint_of(const uint8_t *at, const uint8_t *end, int max, uint64_t *value)
{
    uint64_t bits = 0;

    for (int i = 0; i < max && at < end; i++) {
        uint8_t byte = *at++;

        bits |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = bits;
            return at;
        }
    }
    return NULL;
}

const uint8_t *read_long_varint(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
    return varint_of(at, end, READ_MAX_VARINT, value);
}

const uint8_t *read_long_tag(const uint8_t *at, const uint8_t *end, uint32_t *tag)
{
    uint64_t value = 0;

    at = varint_of(at, end, READ_MAX_SHORT_VARINT, &value);
    if (!at || value > UINT32_MAX || value < TAG(1, 0))
        return NULL;
    *tag = (uint32_t)value;
    return at;
}

const uint8_t *read_long_length(const uint8_t *at, const uint8_t *end, size_t *len)
{
    uint64_t value = 0;

    at = varint_of(at, end, READ_MAX_SHORT_VARINT, &value);
    if (!at || value > (uint64_t)(end - at))
        return NULL;
    *len = (size_t)value;
    return at;
}

bool wire_varint(struct wire *w, uint64_t *value)
{
    const uint8_t *at = read_varint(w->at, w->end, value);

    if (!at)
        return false;
    w->at = at;
    return true;
}

bool wire_next(struct wire *w, struct wire_field *field)
{
    return read_field(w, field);
}
