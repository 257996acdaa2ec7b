/* unsnappy.c: bodies of snappy.
 *
 * What is called "snappy" is a block to some senders and a stream of frames to others (the
 * OpenTelemetry Collector: over HTTP the one since 2025, the other before; over gRPC the other). A
 * stream begins with an identifier that no block begins with. Source: google/snappy,
 * format_description.txt and framing_format.txt.
 */
#include "base/crc32c.h"
#include "receive/internal.h"

#include <snappy-c.h>
#include <string.h>

enum {
    CHUNK_COMPRESSED = 0,
    CHUNK_PLAIN = 1,
    CHUNK_SKIPPED = 0x80, /* from here on, but for the identifier */
    CHUNK_IDENTIFIER = 0xff,
    CHUNK_HEADER = 4, /* type and length */
    CHUNK_CRC = 4,
    CHUNK_MAX = 65536, /* bytes that come out of one */
};

static const uint8_t identifier[] = {CHUNK_IDENTIFIER, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'};

/* What says more than there is may not ask for space. */
static enum err unsnappy_block(struct slice in, struct inflate_space out, size_t *len)
{
    const char *data = (const char *)in.data;

    *len = out.size;
    switch (snappy_uncompress(data, in.len, (char *)out.data, len)) {
    case SNAPPY_OK:
        return ERR_OK;
    case SNAPPY_BUFFER_TOO_SMALL:
        return snappy_validate_compressed_buffer(data, in.len) == SNAPPY_OK ? ERR_FULL : ERR_PARSE;
    default:
        return ERR_PARSE;
    }
}

static uint32_t le24(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static enum err copy(struct slice in, struct inflate_space out, size_t *len)
{
    if (in.len > out.size)
        return ERR_FULL;
    memcpy(out.data, in.data, in.len);
    *len = in.len;
    return ERR_OK;
}

/* A chunk of data: its checksum, then the data. */
static enum err take_data(unsigned type, struct slice chunk, struct inflate_space out, size_t *len)
{
    struct slice data = slice_make(chunk.data + CHUNK_CRC, chunk.len - CHUNK_CRC);
    uint32_t crc = le24(chunk.data) | (uint32_t)chunk.data[3] << 24;
    enum err err = type == CHUNK_PLAIN ? copy(data, out, len) : unsnappy_block(data, out, len);

    if (err == ERR_OK && (*len > CHUNK_MAX || masked(crc32c(0, out.data, *len)) != crc))
        return ERR_PARSE;
    return err;
}

static enum err take_chunk(unsigned type, struct slice chunk, struct inflate_space out, size_t *len)
{
    *len = 0;
    if (type <= CHUNK_PLAIN)
        return chunk.len < CHUNK_CRC ? ERR_PARSE : take_data(type, chunk, out, len);
    if (type == CHUNK_IDENTIFIER)
        return slice_equal(chunk, slice_make(identifier + CHUNK_HEADER, 6)) ? ERR_OK : ERR_PARSE;
    return type < CHUNK_SKIPPED ? ERR_PARSE : ERR_OK;
}

static enum err unsnappy_frames(struct slice in, struct inflate_space out, size_t *len)
{
    *len = 0;
    while (in.len) {
        struct inflate_space rest = {out.data + *len, out.size - *len};
        size_t size, made;
        enum err err;

        if (in.len < CHUNK_HEADER || le24(in.data + 1) > in.len - CHUNK_HEADER)
            return ERR_PARSE;
        size = le24(in.data + 1);
        err = take_chunk(in.data[0], slice_make(in.data + CHUNK_HEADER, size), rest, &made);
        if (err != ERR_OK)
            return err;
        *len += made;
        in = slice_make(in.data + CHUNK_HEADER + size, in.len - CHUNK_HEADER - size);
    }
    return ERR_OK;
}

enum err unsnappy(struct slice in, struct inflate_space out, size_t *len)
{
    if (in.len >= sizeof(identifier) && memcmp(in.data, identifier, sizeof(identifier)) == 0)
        return unsnappy_frames(in, out, len);
    return unsnappy_block(in, out, len);
}
