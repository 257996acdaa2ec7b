/* pack.h: full segments of frames compressed in memory (LZ4), where there is no file that they
 * could leave for.
 *
 * The journal's own; the journal thread alone, but for pack_block and pack_read. A segment's frames
 * are compressed in blocks of whole ones, some a call, so that no call takes long; the blocks lie
 * one behind the other in segments of their own (SEGMENT_PACKED), which become free when nothing of
 * theirs is needed any more. They come from the same pool: memory that was touched once is used
 * again. A copy that is complete stays until its segment is free, so workers read from it what they
 * have references to.
 */
#pragma once

#include "journal/segments.h"

struct pack {
    struct segments *segments;
    void *state;      /* LZ4's; NULL: nothing is ever packed */
    uint8_t *scratch; /* a block as it comes out */
    uint32_t open;    /* segment that blocks are put into; 0: none */
    uint64_t bytes;   /* of copies, now */
};

/* Start-up only: ends without memory. Not `enabled`: it holds nothing and packs nothing. */
void pack_init(struct pack *p, struct segments *segments, bool enabled);
void pack_fini(struct pack *p);

static inline bool pack_is_enabled(const struct pack *p)
{
    return p->state != NULL;
}

/* Whether the segment, which is full, is worth trying. */
bool pack_suits(const struct pack *p, const struct segment *segment);

enum pack_progress {
    PACK_MORE,   /* call again */
    PACK_DONE,   /* its copy is complete: its memory may be taken away */
    PACK_FAILED, /* no memory, or (then pack_suits says no from now on) it does not get smaller */
};
/* Compresses the next blocks of what the segment holds, which does not change any more. */
enum pack_progress pack_some(struct pack *p, uint32_t number);
/* Whether there is a complete copy. */
bool pack_has(const struct segment *segment);
/* Writes the copy back to the segment's memory, which it has again. */
void pack_expand(struct pack *p, uint32_t number);
/* Forgets the copy, or what there is of it; there may be none. Nobody reads from it any more. */
void pack_drop(struct pack *p, uint32_t number);

/* ---- any thread that has references in the segment, whose copy is complete ---- */

/* A piece of a segment: whole frames. */
struct pack_block {
    uint32_t index;    /* in its segment */
    size_t from, size; /* as it was */
};

/* The block in which the frame at `at` lies. */
struct pack_block pack_block_at(const struct segment *segment, size_t at);
/* Writes a block as it was to `to`, block.size bytes. */
void pack_read(const struct segments *s, const struct segment *segment, struct pack_block block,
               uint8_t *to);
