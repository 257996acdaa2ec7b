/* frame.h: writes and finds frames in a segment. The journal's own. */
#pragma once

#include "journal/journal.h"
#include "journal/segments.h"

enum { FRAME_MAGIC = 0x52464d54, FRAME_VERSION = 1 }; /* "TMFR" */

_Static_assert(sizeof(struct frame_header) == 64, "the header is 64 bytes in memory as on disk");
_Static_assert(FRAME_ALIGN == sizeof(struct frame_header), "bodies begin aligned");

/* Bytes that a frame takes in its segment. */
static inline size_t frame_size(size_t tlv_len, size_t body_len)
{
    return (sizeof(struct frame_header) + tlv_len + body_len + FRAME_ALIGN - 1) &
           ~(size_t)(FRAME_ALIGN - 1);
}

/* Writes the header at the segment's end; magic, version and generation are filled in. */
static inline void frame_write(struct segment *segment, const struct frame_header *header)
{
    struct frame_header *at = (struct frame_header *)(segment->bytes + segment->used);

    *at = *header;
    at->magic = FRAME_MAGIC;
    at->version = FRAME_VERSION;
    at->generation = segment->generation;
}
