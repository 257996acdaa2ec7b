/* reader.h: what lies in a journal's folder, for who does not own it: explain, rescue, fsck.
 *
 * Off the data path. Nothing is locked and nothing written: the collector that runs on the folder
 * goes on meanwhile. A segment that it uses again while it is read is noticed (its header is read
 * again behind it, and the checksums of frames start from its salt) and left out, never shown
 * wrongly. Any one thread.
 */
#pragma once

#include "base/disk.h"
#include "journal/entry.h"
#include "journal/frame.h"

struct reader;

enum reader_state {
    READER_FRESH,   /* never used */
    READER_GOOD,    /* its header is good: LIVE, or free and still to be read */
    READER_DAMAGED, /* its header is not */
    READER_NEWER,   /* of a version that is not known */
};

struct reader_segment {
    enum reader_state state;
    struct segment_header header; /* good: as it was when the folder was opened */
    uint64_t offset, bytes;       /* in its file; less than the header's where the file ends */
    uint32_t file;                /* for reader_file */
};

/* Looks at all files of the folder and the headers in them. ERR_IO: there is none, or it can't be
 * read; ERR_FULL: no memory. Owned by the caller. */
enum err reader_open(struct disk *disk, const char *path, struct reader **out,
                     struct err_info *info) MUST_CHECK;
void reader_close(struct reader *r); /* NULL is allowed */

/* By use, in each by ordinal; damaged ones come last, as they lie. Borrowed from the reader. */
size_t reader_count(const struct reader *r);
const struct reader_segment *reader_segment(const struct reader *r, size_t i);
uint32_t reader_files(const struct reader *r);
const char *reader_file(const struct reader *r, uint32_t file); /* its path */
bool reader_file_failed(const struct reader *r, uint32_t file); /* it could not be read */

/* Where the exporter of this name has settled the outbox up to, as last written: true; false: it is
 * not known. */
bool reader_settled(const struct reader *r, const char *exporter, uint64_t *position);

/* All of one segment, header page included; borrowed until the next call. ERR_AGAIN: it is not what
 * it was (overwritten, or its file is gone); ERR_IO, ERR_FULL (no memory): can't be read. */
enum err reader_read(struct reader *r, size_t i, struct slice *bytes,
                     struct err_info *info) MUST_CHECK;

/* What was met so far. */
struct reader_stats {
    uint64_t segments;    /* read */
    uint64_t overwritten; /* not what they were any more */
    uint64_t unreadable;  /* the disk refused */
    uint64_t damaged;     /* frames and entries */
};
const struct reader_stats *reader_stats(const struct reader *r);
void reader_add_damaged(struct reader *r, uint64_t n);

/* Each whole frame of one use, in order. `segment` and `frame` are borrowed for the call; false
 * ends it. */
typedef bool reader_frame_fn(void *arg, const struct reader_segment *segment,
                             const struct frame *frame);
void reader_each_frame(struct reader *r, enum segment_use use, reader_frame_fn *fn, void *arg);

/* Those of one segment. False: fn ended it. */
bool reader_frames_in(struct reader *r, size_t i, reader_frame_fn *fn, void *arg);

/* Those of received bodies that hold these 16 bytes: it may still be another's span that does. */
void reader_find_trace(struct reader *r, const uint8_t trace_id[16], reader_frame_fn *fn,
                       void *arg);

struct reader_decision {
    const struct entry *entry;
    const struct names_read *names; /* what its numbers mean; none where they were lost */
    const struct segment_header *segment;
    uint64_t position; /* in the outbox: as outbox_item.position */
};

/* Each decision, in order: of the log (USE_DECISIONS), or of the kept traces in the outbox
 * (USE_OUTBOX). All of it is borrowed for the call; false ends it. */
typedef bool reader_decision_fn(void *arg, const struct reader_decision *d);
void reader_each_decision(struct reader *r, enum segment_use use, reader_decision_fn *fn,
                          void *arg);
/* Those of one segment. */
void reader_decisions_in(struct reader *r, size_t i, reader_decision_fn *fn, void *arg);
