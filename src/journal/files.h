/* files.h: what the journal thread does so that segments lie in files too.
 *
 * The journal's own. A segment gets a region of the store when it is given out; what its writer
 * has published is written in whole pages; when its last reference is gone the region is marked
 * free. A region that can't be written is left for another one: the segment's memory is the
 * original, so nothing is lost by that. Without files (level memory) every call here does nothing.
 */
#pragma once

#include "base/random.h"
#include "journal/journal.h"
#include "journal/segments.h"
#include "journal/store.h"

enum { DIRTY_MAX = 64, LEFT_MAX = 256 };

struct files {
    struct store *store; /* NULL: level memory */
    struct segments *segments;
    const struct journal_config *config;
    struct rng rng; /* of salts */
    uint64_t ordinals[USE_DECISIONS + 1];
    uint32_t dirty[DIRTY_MAX]; /* outbox and decision segments with something to write */
    unsigned dirty_count;
    struct left_region {
        uint32_t region;
        struct segment *segment; /* that has left it, and is not safe elsewhere yet; or NULL */
    } left[LEFT_MAX];            /* regions to mark free later */
    unsigned left_count;
    uint64_t written_bytes, write_errors, sync_errors;
    bool is_short;    /* no region could be had */
    bool cannot_grow; /* the last try found no space, though max_bytes would allow it */
    bool is_failing;  /* the last round could not be written */
    bool is_gone;     /* files were removed: what is written would not be found again */
    uint64_t look_ns; /* when to look for them next */
    uint64_t grow_ns, grow_pause_ns; /* files_grow does nothing before; for so long */
    uint64_t said_ns;
};

/* Opens the folder at the level's bidding. As journal_new. */
enum err files_init(struct files *f, struct segments *segments, const struct journal_config *config,
                    struct err_info *info) MUST_CHECK;
void files_fini(struct files *f);

/* Makes files ahead of need, a little at a time, and less and less often while that fails. Returns
 * when there is more to do; NEVER_NS: nothing, or it failed. May be called in each round. */
uint64_t files_grow(struct files *f, uint64_t now_ns);
/* Gives the segment a region and puts a header in front. False: there is none now; the segment is
 * as it was. */
bool files_open(struct files *f, uint32_t number, enum segment_use use, unsigned worker,
                uint64_t now_ns);
/* Bytes of a segment that are not for frames. */
size_t files_overhead(const struct files *f);

/* The segment belongs to the journal thread and has something to write, though not yet. Fewer than
 * DIRTY_MAX others have: whoever opens one sees to that. */
void files_hold(struct files *f, uint32_t number);
/* The same, and it may be written: all that the segment holds now. */
void files_mark(struct files *f, uint32_t number);
/* Writes what the segment has published. False: it could not be. */
bool files_write(struct files *f, uint32_t number, uint64_t now_ns);
/* All that is held of a kind may be written. False: nothing was. */
bool files_release(struct files *f, enum segment_kind kind);
/* Writes the marked segments of a kind; they stay marked. False: one could not be written. */
bool files_write_marked(struct files *f, enum segment_kind kind, uint64_t now_ns);
/* All that is marked is written, and durable at level fsync. What is held stays. */
void files_unmark(struct files *f);
/* At level fsync: all that was written is durable. False: it is not, and what lay in files that
 * failed has to be written again (files_write does). */
bool files_sync(struct files *f, uint64_t now_ns);

/* All that was asked for is written (and synced): regions that segments have left are marked free.
 */
void files_settle(struct files *f);

/* A region that nobody writes any more is marked free by files_settle. False: too many are left;
 * it stays as it is. */
bool files_leave(struct files *f, uint32_t region);
/* The segment is not needed any more: its region is marked free. */
void files_free(struct files *f, uint32_t number);
/* Reads what a segment without memory held; it has memory by now. False: not all of it can be read;
 * the rest is zeros then. */
bool files_read(struct files *f, uint32_t number);
/* The same, and checks each frame: what is damaged becomes zeros, so that a reference into it finds
 * nothing. */
bool files_load(struct files *f, uint32_t number);

/* Looks whether they are still there, when it is time. Returns when to look again. */
uint64_t files_look(struct files *f, uint64_t now_ns);
/* Bytes that the files may have: what is configured, or what they have where they cannot grow,
 * since others filled the disk. */
uint64_t files_bound(const struct files *f);
/* How near that is. Called in each round. */
enum journal_pressure files_pressure(struct files *f);
/* True: nothing new may be acknowledged. */
bool files_are_refusing(const struct files *f);
