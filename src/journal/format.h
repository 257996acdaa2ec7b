/* format.h: what the journal's files look like. Little-endian; every structure is its own bytes.
 *
 * A folder holds `lock`, `acked` and segment files. A segment is a region of a file: a header page,
 * then frames, each at a multiple of 64 bytes. There are three uses: frames are received bodies,
 * an outbox holds kept spans for the exporters, decisions are the log of what was decided. All
 * three are written by the journal thread alone. Formats have versions; a reader refuses a segment
 * of a version that it does not know, and skips TLVs of types that it does not know.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_PAGE = 4096,
    FRAME_ALIGN = 64,
    SEGMENT_VERSION = 1,
    FRAME_VERSION = 1,
};

#define SEGMENT_MAGIC UINT32_C(0x47534d54) /* "TMSG" */
#define FRAME_MAGIC   UINT32_C(0x52464d54) /* "TMFR" */

enum segment_use { USE_FRAMES = 1, USE_OUTBOX = 2, USE_DECISIONS = 3 };

/* FREE is written when the last reference is gone. The frames of a free segment can still be read,
 * until the next use writes another generation and salt. */
enum segment_state { SEGMENT_LIVE = 1, SEGMENT_IS_FREE = 2 };

/* The first bytes of a segment's first page; the rest of the page is zero. */
struct segment_header {
    uint32_t magic;
    uint16_t version;
    uint8_t use;               /* enum segment_use */
    uint8_t state;             /* enum segment_state */
    uint32_t generation;       /* one more at each use of the region */
    uint32_t worker;           /* that wrote the frames; 0 for others */
    uint64_t salt;             /* random: both CRCs of each frame start from it */
    uint64_t ordinal;          /* one more for each segment of its use: their order */
    uint64_t bytes;            /* of the region, this page included */
    uint64_t boot_ns, unix_ns; /* when it was opened: CLOCK_BOOTTIME, CLOCK_REALTIME */
    uint8_t boot_id[16];       /* of the kernel: where it differs, boot_ns means nothing */
    uint32_t regions;          /* of the file when this was written, if all have one size */
    uint32_t crc;              /* CRC-32C of all before it */
};

/* What a frame is, in its `signal`: received bodies have their signal, others these. */
enum frame_kind {
    FRAME_TRACES = 1,
    FRAME_METRICS = 2,
    FRAME_LOGS = 3,
    FRAME_KEEP = 16,      /* outbox: a run of ResourceSpans fields (or of the like) */
    FRAME_DECISIONS = 17, /* entries, one after the other: see entry.h */
    FRAME_NAMES = 18,     /* what numbers in the frames behind it mean: see entry.h */
};

enum frame_flags {
    FRAME_MOVED = 1, /* a copy of spans of another frame: counts only if that one is not there */
};

/* What stands before each body, in memory as on disk. */
struct frame_header {
    uint32_t magic;
    uint8_t version;
    uint8_t encoding; /* 0: none */
    uint8_t signal;   /* enum frame_kind */
    uint8_t flags;    /* enum frame_flags */
    uint32_t generation;
    uint32_t tlv_len;  /* of the TLV area between header and body */
    uint64_t sequence; /* of its writer, from 1, one more each time, also over restarts */
    uint64_t unix_ns;  /* when it was written */
    uint64_t boot_ns;
    uint32_t stored_len; /* of the body */
    uint32_t decoded_len;
    uint32_t items;      /* spans (data points, log records) accepted */
    uint32_t header_crc; /* of the header with this field 0; 0 in private memory */
    uint32_t body_crc;   /* of TLV area and body */
    uint32_t reserved;
};

/* A frame by its worker and its sequence, as a decision names what it was made of. */
static inline uint64_t frame_source(uint64_t worker, uint64_t sequence)
{
    return worker << 56 | sequence;
}

static inline unsigned frame_source_worker(uint64_t source)
{
    return (unsigned)(source >> 56);
}

static inline uint64_t frame_source_sequence(uint64_t source)
{
    return source & (UINT64_MAX >> 8);
}

/* In the TLV area: type and length, then `len` bytes, then zeros to a multiple of 8. */
enum frame_tlv {
    TLV_NONE = 0,
    TLV_DECISION = 1, /* one entry (entry.h): of a FRAME_KEEP */
    TLV_MOVED = 2, /* of a frame with FRAME_MOVED: frame_source of the one that its spans came in,
                      then a struct moved_span for each of them */
};
struct tlv {
    uint32_t type;
    uint32_t len;
};

/* A span that was moved, maybe several times. There may be older copies of it that nobody counts
 * any more: it is known by the frame that it came in and its place there. */
struct moved_span {
    uint32_t place;  /* its offset in the body that came in */
    uint32_t offset; /* in this one */
};

_Static_assert(sizeof(struct segment_header) == 80, "as on disk");
_Static_assert(sizeof(struct frame_header) == 64, "as on disk");
