/* frame.h: seals frames, and finds them again in what a segment holds. The journal's own. */
#pragma once

#include "base/slice.h"
#include "journal/format.h"

#include <stdbool.h>

/* Bytes that a frame takes in its segment. */
static inline size_t frame_size(size_t tlv_len, size_t body_len)
{
    return (sizeof(struct frame_header) + tlv_len + body_len + FRAME_ALIGN - 1) &
           ~(size_t)(FRAME_ALIGN - 1);
}

/* Fills both CRCs; all else is filled in, and TLV area and body stand behind the header. */
void frame_seal(struct frame_header *header, uint64_t salt);

enum frame_found {
    FRAME_FOUND,
    FRAME_DAMAGED, /* its header is good, its TLV area or body is not, or is of a version or an
                      encoding that is not known: tlvs and body are empty */
    FRAME_END,     /* none is left */
};

/* A walk over one segment. Start with {.segment, .header, .at = FORMAT_PAGE}. */
struct frame_walk {
    struct slice segment; /* all that was read of it, header page included */
    const struct segment_header *header;
    size_t at;        /* where to look next */
    uint64_t skipped; /* bytes of frames of this generation that could not be told, so far */
    uint64_t damaged; /* headers so far that were not good, with a good one behind them; and the
                         last one, if it can be told that it was of this generation */
};

/* A frame where it lies; unaligned only if the segment is. */
struct frame {
    struct frame_header header;
    size_t at; /* in the segment */
    struct slice tlvs, body;
};

/* The next frame of the header's generation and salt. Behind a damaged header the next good one is
 * looked for; frames of earlier generations are not seen. Nothing is read outside of the slice. */
enum frame_found frame_next(struct frame_walk *w, struct frame *frame);

/* The value of the first TLV of `type`; empty with NULL data: absent. */
struct slice frame_tlv(struct slice tlvs, enum frame_tlv type);

/* The frame that its spans came in: of a moved one, that; of any other its own, which is `self`.
 * False: it is moved, but does not say from where. */
bool frame_came_in(const struct frame_header *header, struct slice tlvs, uint64_t self,
                   uint64_t *source);
/* The struct moved_spans of a moved one; empty for others. */
struct slice frame_moved_spans(const struct frame_header *header, struct slice tlvs);
/* The place of the span at `offset`, as moved_spans say; without any that is its offset. */
uint32_t frame_place_of(struct slice moved_spans, uint32_t offset);
