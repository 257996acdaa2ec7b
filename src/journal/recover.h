/* recover.h: what the files that read a journal back share. Nobody else includes it.
 *
 * recover.c opens segments and keeps the order; recover_decided.c reads what was decided (the log
 * and the outbox; recover_copies.c: where a segment of it is there twice), recover_frames.c what
 * came in. On the main thread, before any other runs.
 */
#pragma once

#include "base/hash.h"
#include "journal/entry.h"
#include "journal/frame.h"
#include "journal/hash_set.h"
#include "journal/journal_impl.h"

enum { EXTRA_MAX = 16 };

/* A frame that lives. */
struct live_frame {
    uint64_t first_ns;
    uint32_t number; /* of its segment */
    uint32_t at;
};

struct recovered {
    struct journal *journal;
    const struct recovery *to;
    struct journal_recovered *found;
    enum err err; /* the first; what is not read yet stays as it is in the files */
    struct err_info *info;
    struct hash_key key;
    uint64_t now_ns, unix_ns;
    const uint8_t *boot_id;
    struct hash_set decisions;    /* that were handed on */
    struct hash_set sources;      /* of decided traces */
    uint64_t newest[1 << 8];      /* sequence of each writer */
    struct hash_set seen;         /* frames: one may be there twice, in a region that failed too */
    struct hash_set moved;        /* spans that were moved: by frame that they came in, and place */
    struct outbox_map *map;       /* of the segment that is read; NULL: it has no names */
    struct names_read names;      /* that it was made of */
    uint64_t gone[EXPORTERS_MAX]; /* by their numbers: where an exporter was that is none any more;
                                   * UINT64_MAX: it is one, or nothing is known of it */
    struct acked_past acked;
    uint32_t waiting;   /* segment of the outbox, of which copies may come; 0: none */
    bool is_merged;     /* its copies had frames that its region has not */
    unsigned unwritten; /* such ones that could not be written again */
    struct live_frame *frames;
    size_t frame_count, frame_capacity;
    uint32_t *segments; /* of frames, by age */
    size_t segment_count;
    uint32_t extra[EXTRA_MAX]; /* that have memory for the moment */
    unsigned extra_count;
};

/* ---- recover.c ---- */

/* Ends it: a start without all that was promised would lose the rest for good. */
void recover_fail(struct recovered *r);
/* A moment of a segment's process on the present scale. */
uint64_t recover_to_now(const struct recovered *r, const struct segment_header *header,
                        uint64_t boot_ns, uint64_t unix_ns);
/* A writer never uses the sequence of a frame again that somebody still knows. */
void recover_note_sequence(struct recovered *r, uint64_t source);
/* Counts a frame that can't be used. */
void recover_note_damage(struct recovered *r, const struct frame *frame);
/* A number for the region's segment, with its bytes in memory. 0: there is none; it has failed. */
uint32_t recover_adopt(struct recovered *r, uint32_t region, enum segment_kind kind);
/* From the first frame of an adopted segment on. */
struct frame_walk recover_walk(const struct recovered *r, uint32_t number);
/* The next whole frame; what is damaged before it is counted. False: none is left. */
bool recover_next_frame(struct recovered *r, struct frame_walk *walk, struct frame *frame);

/* ---- recover_decided.c: each reads one region ---- */

void recover_decisions(struct recovered *r, uint32_t region);
/* In order of their ordinals; the last one is read when recover_outbox_end is called. */
void recover_outbox(struct recovered *r, uint32_t region);
void recover_outbox_end(struct recovered *r);

/* ---- recover_copies.c ---- */

/* An adopted copy of the one that waits: one of them has all frames of both then, and waits. */
void recover_merge(struct recovered *r, uint32_t number);
/* All copies of the one that waits have come: it is written again if it has to be, and the regions
 * of the others become free. */
void recover_settle_copies(struct recovered *r);

/* ---- recover_frames.c ---- */

void recover_frames(struct recovered *r, uint32_t region);
/* Once all were read: hands them on by age, and frees the segments that nobody needs. */
void recover_hand_on(struct recovered *r);
