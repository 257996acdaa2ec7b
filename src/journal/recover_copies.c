/* recover_copies.c: a segment of the outbox that is on disk more than once.
 *
 * A region that can't be written is left for another one, and where that fails too for a third. If
 * the process ends then, several are there: each has a part of the same segment, at the same
 * places, and what was promised may stand in any of them. */
#include "base/log.h"
#include "journal/recover.h"

enum { UNWRITTEN_MAX = DIRTY_MAX / 2 }; /* merged segments that wait for the disk */

static const struct region *region_of(const struct recovered *r, uint32_t number)
{
    return store_region(r->journal->files.store, segment_at(&r->journal->segments, number)->region);
}

static uint64_t count_frames(const struct recovered *r, uint32_t number, size_t *end)
{
    struct frame_walk walk = recover_walk(r, number);
    uint64_t frames = 0;
    enum frame_found what;
    struct frame frame;

    *end = FORMAT_PAGE;
    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        if (what != FRAME_FOUND)
            continue;
        *end = frame.at + frame_size(frame.header.tlv_len, frame.header.stored_len);
        frames++;
    }
    return frames;
}

/* A file that is not trusted comes last: what stays in it has to be written again. */
static bool is_better(const struct recovered *r, uint32_t a, uint32_t b)
{
    const struct region *x = region_of(r, a), *y = region_of(r, b);
    size_t end;

    if (x->failed != y->failed)
        return y->failed;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes;
    return count_frames(r, a, &end) > count_frames(r, b, &end);
}

static bool are_of_one(const struct recovered *r, uint32_t a, uint32_t b)
{
    const struct segment_header *x = &region_of(r, a)->header, *y = &region_of(r, b)->header;

    return x->salt == y->salt && x->generation == y->generation;
}

/* A whole frame is at the same place. */
static bool has_frame(const struct recovered *r, uint32_t number, const struct frame *frame)
{
    struct frame_walk walk = recover_walk(r, number);
    struct frame own;

    walk.at = frame->at;
    walk.segment.len = frame->at + frame_size(frame->header.tlv_len, frame->header.stored_len);
    return frame_next(&walk, &own) == FRAME_FOUND && own.at == frame->at;
}

/* Copies the frames that `to` has not. True: there were some. */
static bool fill_holes(const struct recovered *r, uint32_t to, uint32_t from)
{
    struct segment *segment = segment_at(&r->journal->segments, to);
    struct frame_walk walk = recover_walk(r, from);
    enum frame_found what;
    struct frame frame;
    bool any = false;

    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        size_t size = frame_size(frame.header.tlv_len, frame.header.stored_len);

        if (what != FRAME_FOUND || size > segment->filled || frame.at > segment->filled - size ||
            has_frame(r, to, &frame))
            continue;
        memcpy(segment->bytes + frame.at, walk.segment.data + frame.at, size);
        any = true;
    }
    return any;
}

/* Its region is marked free once what was in it is safe elsewhere; where that can't be noted, the
 * next start finds it again. */
static void leave(struct recovered *r, uint32_t number)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, number);

    (void)files_leave(&j->files, segment->region);
    segment->region = 0;
    segments_put(&j->segments, number);
}

void recover_merge(struct recovered *r, uint32_t number)
{
    uint32_t kept = r->waiting, other = number;
    bool swaps = is_better(r, number, kept);

    if (swaps) {
        kept = number;
        other = r->waiting;
    }
    r->is_merged &= !swaps;
    if (are_of_one(r, kept, other))
        r->is_merged |= fill_holes(r, kept, other);
    r->is_merged |= region_of(r, kept)->failed;
    r->waiting = kept;
    leave(r, other);
}

/* All of it, again; false: it is not at the level. */
static bool write_again(struct recovered *r, uint32_t number)
{
    struct files *f = &r->journal->files;
    struct segment *segment = segment_at(&r->journal->segments, number);

    count_frames(r, number, &segment->used);
    segment->written = 0;
    atomic_store_explicit(&segment->published, segment->used, memory_order_relaxed);
    return files_write(f, number, r->now_ns) && files_sync(f, r->now_ns);
}

/* Nothing is given up before what was put together is safe: if the disk can't take it now, the
 * journal thread goes on trying. */
void recover_settle_copies(struct recovered *r)
{
    struct files *f = &r->journal->files;

    if (r->is_merged) {
        log_event(LOG_WARN, "a segment of the outbox is put together from several copies");
        if (!write_again(r, r->waiting)) {
            files_mark(f, r->waiting);
            r->unwritten++;
        }
    }
    if (r->unwritten == UNWRITTEN_MAX)
        r->err = err_fail(r->info, ERR_IO, "cannot write what was found in the journal again");
    if (r->unwritten == 0)
        files_settle(f);
}
