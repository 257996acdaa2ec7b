#include "journal/frame.h"

#include "base/crc32c.h"
#include "journal/header.h"

#include <string.h>

/* What both checksums of a frame start from. The generation is in it too, so that a frame of an
 * earlier use is not good even where a salt should come twice. */
static uint32_t seed_of(uint64_t salt, uint32_t generation)
{
    return (uint32_t)(salt ^ salt >> 32) ^ generation * UINT32_C(0x9e3779b1);
}

static uint32_t header_crc(struct frame_header header, uint64_t salt)
{
    header.header_crc = 0;
    return crc32c(seed_of(salt, header.generation), &header, sizeof(header));
}

void frame_seal(struct frame_header *header, uint64_t salt)
{
    header->body_crc = crc32c(seed_of(salt, header->generation), header + 1,
                              (size_t)header->tlv_len + header->stored_len);
    header->header_crc = header_crc(*header, salt);
}

static struct frame_header header_at(const struct frame_walk *w, size_t at)
{
    struct frame_header header;

    memcpy(&header, w->segment.data + at, sizeof(header));
    return header;
}

static bool header_is_good(const struct frame_walk *w, const struct frame_header *header)
{
    return header->magic == FRAME_MAGIC && header->generation == w->header->generation &&
           header->header_crc == header_crc(*header, w->header->salt);
}

/* Whether a header that is not good was one of this generation: what is left of an earlier one has
 * another number, and never our salt. */
static bool was_ours(const struct frame_walk *w, struct frame_header header)
{
    if (header.magic == FRAME_MAGIC && header.generation == w->header->generation)
        return true;
    header.magic = FRAME_MAGIC;
    header.generation = w->header->generation;
    return header_is_good(w, &header);
}

static bool is_earlier(const struct frame_walk *w, const struct frame_header *header)
{
    return header->magic == FRAME_MAGIC && header->generation < w->header->generation;
}

/* Whether a header that is not good, with no good one behind it, is one that was written. Behind
 * what was written come zeros; only where a power cut took those does a page begin with what an
 * earlier use has left. */
static bool was_written(const struct frame_walk *w, size_t at, const struct frame_header *header)
{
    if (was_ours(w, *header))
        return true;
    return !header_is_zero(header, sizeof(*header)) &&
           (at % FORMAT_PAGE > 0 || !is_earlier(w, header));
}

static bool fits(const struct frame_walk *w, size_t at)
{
    return at <= w->segment.len && w->segment.len - at >= sizeof(struct frame_header);
}

/* Moves w->at to the next good header, which is behind a damaged one if it is not here already. */
static bool find_header(struct frame_walk *w, struct frame_header *header)
{
    size_t from = w->at;

    for (; fits(w, w->at); w->at += FRAME_ALIGN) {
        *header = header_at(w, w->at);
        if (!header_is_good(w, header))
            continue;
        w->skipped += w->at - from;
        w->damaged += w->at != from;
        return true;
    }
    if (fits(w, from))
        *header = header_at(w, from);
    if (fits(w, from) && was_written(w, from, header)) { /* the last one */
        w->skipped += sizeof(*header);
        w->damaged++;
    }
    w->at = w->segment.len;
    return false;
}

static bool body_is_good(const struct frame_walk *w, const struct frame *f)
{
    const struct frame_header *h = &f->header;

    return h->version == FRAME_VERSION && h->encoding == 0 && h->decoded_len == h->stored_len &&
           h->tlv_len % 8 == 0 &&
           h->body_crc == crc32c(seed_of(w->header->salt, h->generation),
                                 w->segment.data + f->at + sizeof(*h),
                                 (size_t)h->tlv_len + h->stored_len);
}

enum frame_found frame_next(struct frame_walk *w, struct frame *frame)
{
    const struct frame_header *h = &frame->header;
    const uint8_t *inner;

    *frame = (struct frame){0};
    if (!find_header(w, &frame->header))
        return FRAME_END;
    frame->at = w->at;
    if ((uint64_t)h->tlv_len + h->stored_len > w->segment.len - w->at - sizeof(*h)) {
        w->at = w->segment.len; /* it says that nothing can be behind it */
        return FRAME_DAMAGED;
    }
    w->at += frame_size(h->tlv_len, h->stored_len);
    if (!body_is_good(w, frame))
        return FRAME_DAMAGED;
    inner = w->segment.data + frame->at + sizeof(*h);
    frame->tlvs = slice_make(inner, h->tlv_len);
    frame->body = slice_make(inner + h->tlv_len, h->stored_len);
    return FRAME_FOUND;
}

struct slice frame_tlv(struct slice tlvs, enum frame_tlv type)
{
    struct tlv tlv;

    for (size_t at = 0; at < tlvs.len && tlvs.len - at >= sizeof(tlv);) {
        memcpy(&tlv, tlvs.data + at, sizeof(tlv));
        at += sizeof(tlv);
        if (tlv.len > tlvs.len - at)
            break;
        if (tlv.type == (uint32_t)type)
            return slice_make(tlvs.data + at, tlv.len);
        at += ((size_t)tlv.len + 7) & ~(size_t)7;
    }
    return (struct slice){0};
}

bool frame_came_in(const struct frame_header *header, struct slice tlvs, uint64_t self,
                   uint64_t *source)
{
    struct slice value;

    *source = self;
    if (!(header->flags & FRAME_MOVED))
        return true;
    value = frame_tlv(tlvs, TLV_MOVED);
    if (value.len < sizeof(*source))
        return false;
    memcpy(source, value.data, sizeof(*source));
    return true;
}

struct slice frame_moved_spans(const struct frame_header *header, struct slice tlvs)
{
    struct slice value = {0};

    if (header->flags & FRAME_MOVED)
        value = frame_tlv(tlvs, TLV_MOVED);
    if (value.len < sizeof(uint64_t))
        return (struct slice){0};
    return slice_make(value.data + sizeof(uint64_t), value.len - sizeof(uint64_t));
}

uint32_t frame_place_of(struct slice moved_spans, uint32_t offset)
{
    size_t low = 0, high = moved_spans.len / sizeof(struct moved_span);

    while (low < high) { /* they stand in the order of their offsets */
        size_t middle = (low + high) / 2;
        struct moved_span span;

        memcpy(&span, moved_spans.data + middle * sizeof(span), sizeof(span));
        if (span.offset == offset)
            return span.place;
        if (span.offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return offset;
}
