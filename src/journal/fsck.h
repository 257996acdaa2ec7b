/* fsck.h: looks at every byte that matters in a journal's folder, and repairs what can be.
 *
 * Off the data path: while no collector runs on the folder, which is locked meanwhile. A collector
 * starts on a damaged folder as well: what is damaged is skipped and counted. This says beforehand
 * what that will be.
 */
#pragma once

#include "base/disk.h"
#include "journal/format.h"

#include <stdbool.h>

enum fsck_kind {
    FSCK_HEADER,  /* a segment's header: its frames can't be told any more */
    FSCK_VERSION, /* a segment of another version: a collector does not start on it */
    FSCK_SHORT,   /* the file ends before the segment does */
    FSCK_CUT,     /* the file had more segments behind it */
    FSCK_FRAME,   /* a frame's TLV area or body, or what they hold */
    FSCK_GAP,     /* a frame's header: found by what is behind it */
    FSCK_ACKED,   /* a copy of the exporters' positions */
    FSCK_FILE,    /* it can't be read */
};

struct fsck_damage {
    enum fsck_kind kind;
    const char *file;
    uint64_t offset;          /* in the file */
    uint64_t bytes;           /* of a gap, a short segment, segments that are cut off: how many */
    uint8_t use;              /* of the segment; 0: not known */
    uint8_t frame;            /* FSCK_FRAME: enum frame_kind */
    bool is_live;             /* of the segment; false: nothing that is needed is lost */
    bool is_known;            /* how much is lost: these */
    uint64_t items;           /* spans (points, records) or decisions */
    uint64_t frames;          /* FSCK_HEADER; FSCK_CUT: at most */
    uint64_t first, segments; /* FSCK_CUT: which are cut off, the file's first is 0; how many */
    bool is_repaired;         /* now */
};

struct fsck_counts {
    uint64_t files, segments;
    struct {
        uint64_t live, free, frames, items;
    } uses[USE_DECISIONS + 1]; /* by enum segment_use; frames and items of live ones */
    uint64_t decisions;        /* entries in live segments of that use */
    uint64_t fresh;            /* segments that were never used */
    unsigned acked_good, acked_damaged;
    uint64_t damages, repaired;
    uint64_t lost_items; /* that are known, of live segments */
    uint64_t cut;        /* segments that were cut off files, as far as they are known */
};

/* Calls fn for each damage; names in it are borrowed for the call. ERR_FULL: another process holds
 * the folder (the sentence says which), or no memory; ERR_CONFIG: it is no journal's; ERR_IO: it
 * can't be read, or (repair) not be written. */
enum err fsck_run(struct disk *disk, const char *path, bool repair,
                  void (*fn)(void *arg, const struct fsck_damage *damage), void *arg,
                  struct fsck_counts *counts, struct err_info *info) MUST_CHECK;
