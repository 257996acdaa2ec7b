/* made_segment.h: makes segments as they lie in a file, for tests. */
#pragma once

#include "base/crc32c.h"
#include "base/disk.h"
#include "journal/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_BYTES = 64 << 10 };

struct made_segment {
    struct segment_header header;
    uint8_t *bytes; /* aligned as frames are */
    size_t size, used;
};

static inline void segment_stamp(struct made_segment *s)
{
    s->header.crc = crc32c(0, &s->header, offsetof(struct segment_header, crc));
    memcpy(s->bytes, &s->header, sizeof(s->header));
}

/* A header page that is LIVE, and no frames. What the region held before stays behind it. */
static inline void segment_open(struct made_segment *s, enum segment_use use, uint32_t generation,
                                uint64_t salt)
{
    if (!s->bytes) {
        s->size = SEGMENT_BYTES;
        s->bytes = aligned_alloc(FORMAT_PAGE, s->size);
        if (!s->bytes)
            abort();
        memset(s->bytes, 0, s->size);
    }
    s->used = FORMAT_PAGE;
    s->header = (struct segment_header){
        .magic = SEGMENT_MAGIC,
        .version = SEGMENT_VERSION,
        .use = (uint8_t)use,
        .state = SEGMENT_LIVE,
        .generation = generation,
        .salt = salt,
        .ordinal = generation,
        .bytes = s->size,
        .unix_ns = UINT64_C(1700000000000000000),
    };
    segment_stamp(s);
}

static inline void segment_close(struct made_segment *s)
{
    free(s->bytes);
    s->bytes = NULL;
}

/* Seals a frame behind the others; `h` has what is not its kind, place or length. Returns it. */
static inline struct frame_header *segment_add_as(struct made_segment *s, struct frame_header h,
                                                  struct slice tlvs, struct slice body)
{
    struct frame_header *header = (struct frame_header *)(void *)(s->bytes + s->used);

    if (s->used + frame_size(tlvs.len, body.len) > s->size)
        abort();
    h.magic = FRAME_MAGIC;
    h.generation = s->header.generation;
    h.tlv_len = (uint32_t)tlvs.len;
    h.stored_len = (uint32_t)body.len;
    if (!h.version)
        h.version = FRAME_VERSION;
    if (!h.decoded_len)
        h.decoded_len = (uint32_t)body.len;
    *header = h;
    if (tlvs.len)
        memcpy(header + 1, tlvs.data, tlvs.len);
    if (body.len)
        memcpy((uint8_t *)(header + 1) + tlvs.len, body.data, body.len);
    frame_seal(header, s->header.salt);
    s->used += frame_size(tlvs.len, body.len);
    return header;
}

static inline struct frame_header *segment_add(struct made_segment *s, enum frame_kind kind,
                                               uint64_t sequence, struct slice body)
{
    struct frame_header h = {.signal = (uint8_t)kind, .sequence = sequence, .items = 1};

    h.unix_ns = s->header.unix_ns + sequence * 1000000;
    return segment_add_as(s, h, (struct slice){0}, body);
}

static inline struct frame_walk segment_walk(const struct made_segment *s)
{
    return (struct frame_walk){
        .segment = slice_make(s->bytes, s->size), .header = &s->header, .at = FORMAT_PAGE};
}

/* Writes the segment as the `index`-th of the file; the folder is made. */
static inline void segment_store(const struct made_segment *s, struct disk *disk, const char *path,
                                 unsigned index)
{
    char folder[256];
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    if (disk->mkdir(disk, folder, 0700, NULL) ||
        disk->open(disk, path, O_RDWR | O_CREAT, 0600, &fd, NULL) ||
        disk->pwrite(disk, fd, s->bytes, s->size, (uint64_t)index * s->size, NULL))
        abort();
    disk->close(disk, fd);
}
