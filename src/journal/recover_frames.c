/* recover_frames.c: the frames that live, by the time they came. */
#include "journal/recover.h"

#include <stdlib.h>

/* ---- finding ---- */

static void add_frame(struct recovered *r, struct live_frame frame)
{
    size_t capacity = r->frame_capacity ? r->frame_capacity * 2 : 1024;
    struct live_frame *more;

    if (r->frame_count == r->frame_capacity) {
        more = reallocarray(r->frames, capacity, sizeof(*more));
        if (!more) {
            recover_fail(r);
            return;
        }
        r->frames = more;
        r->frame_capacity = capacity;
    }
    r->frames[r->frame_count++] = frame;
}

static uint64_t hash_of(const struct recovered *r, uint64_t source)
{
    return hash_bytes(r->key, &source, sizeof(source)) | 1;
}

static bool is_live(struct recovered *r, const struct frame *frame, uint64_t source)
{
    const struct frame_header *h = &frame->header;

    return (h->signal == FRAME_TRACES || h->signal == FRAME_LOGS) && h->items > 0 &&
           h->encoding == 0 && frame->at / FRAME_ALIGN >> r->journal->position_bits == 0 &&
           hash_set_add(&r->seen, hash_of(r, source));
}

static void note_sequences(struct recovered *r, const struct frame *frame, uint64_t source)
{
    recover_note_sequence(r, source);
    if (frame_came_in(&frame->header, frame->tlvs, source, &source))
        recover_note_sequence(r, source);
}

static void find_frames(struct recovered *r, uint32_t number)
{
    struct segment *segment = segment_at(&r->journal->segments, number);
    struct frame_walk walk = recover_walk(r, number);
    size_t end = FORMAT_PAGE;
    struct frame frame;

    while (recover_next_frame(r, &walk, &frame)) {
        const struct frame_header *h = &frame.header;
        uint64_t source = frame_source(walk.header->worker, h->sequence);

        end = frame.at + frame_size(h->tlv_len, h->stored_len);
        note_sequences(r, &frame, source);
        if (!is_live(r, &frame, source))
            continue;
        segment->items += h->items;
        add_frame(r, (struct live_frame){recover_to_now(r, walk.header, h->boot_ns, h->unix_ns),
                                         number, (uint32_t)frame.at});
    }
    segment->used = segment->filled = segment->written = end;
    atomic_store_explicit(&segment->published, end, memory_order_relaxed);
    atomic_store_explicit(&segment->closed, true, memory_order_relaxed);
}

/* Leaves memory if that is short. */
static void let_go(struct recovered *r, uint32_t number)
{
    struct segments *segments = &r->journal->segments;

    if (!memory_is_high(r->journal->config.memory) || !segment_at(segments, number)->bytes)
        return;
    segments_detach(segments, number);
    atomic_store_explicit(&segment_at(segments, number)->place, PLACE_GONE, memory_order_relaxed);
}

static bool add_segment(struct recovered *r, uint32_t number)
{
    size_t n = r->segment_count;
    uint32_t *more = r->segments;

    if ((n & (n - 1)) == 0)
        more = reallocarray(r->segments, n ? n * 2 : 1, sizeof(*more));
    if (!more)
        return false;
    r->segments = more;
    r->segments[r->segment_count++] = number;
    return true;
}

void recover_frames(struct recovered *r, uint32_t region)
{
    uint32_t number = recover_adopt(r, region, SEGMENT_FRAMES);

    if (!number)
        return;
    find_frames(r, number);
    if (!add_segment(r, number))
        recover_fail(r);
    let_go(r, number);
}

/* ---- handing on ---- */

/* Its bytes are in memory; a few of those that had to go are back for the moment. */
static bool is_here(struct recovered *r, uint32_t number)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, number);

    if (segment->bytes)
        return true;
    if (r->extra_count == EXTRA_MAX) {
        let_go(r, r->extra[0]);
        memmove(r->extra, r->extra + 1, (EXTRA_MAX - 1) * sizeof(r->extra[0]));
        r->extra_count--;
    }
    if (!segments_attach(&j->segments, number, true))
        return false;
    r->extra[r->extra_count++] = number;
    r->found->bytes += segment->filled;
    atomic_store_explicit(&segment->place, PLACE_HERE, memory_order_relaxed);
    (void)files_load(&j->files, number);
    return true;
}

/* Spans that were moved are handed on from where they came in, as long as that is there; and once.
 */
static bool is_copy(const struct recovered *r, const struct frame_header *h, uint64_t source)
{
    return h->flags & FRAME_MOVED && hash_set_has(&r->seen, hash_of(r, source));
}

bool recovery_is_first(const struct journal *j, const struct recovered_frame *f, uint32_t offset)
{
    struct recovered *r = j->recovered;
    uint64_t key[2] = {f->source, frame_place_of(f->moved_spans, offset)};

    return f->moved_spans.len == 0 ||
           hash_set_add(&r->moved, hash_bytes(r->key, key, sizeof(key)) | 1);
}

static void hand_frame(struct recovered *r, const struct live_frame *f)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, f->number);
    const struct frame_header *h;
    struct recovered_frame out;
    struct slice tlvs;
    uint64_t source;
    uint32_t taken;

    if (!is_here(r, f->number)) {
        recover_fail(r);
        return;
    }
    h = (const struct frame_header *)(segment->bytes + f->at);
    tlvs = slice_make((const uint8_t *)(h + 1), h->magic == FRAME_MAGIC ? h->tlv_len : 0);
    if (h->magic != FRAME_MAGIC || /* the file has changed since it was looked through */
        !frame_came_in(h, tlvs, frame_source(segment->writer, h->sequence), &source)) {
        r->found->damaged_frames++;
        return;
    }
    if (is_copy(r, h, source))
        return;
    out = (struct recovered_frame){
        .frame = (frame_id)(f->number << j->position_bits | f->at / FRAME_ALIGN),
        .signal = (enum signal_kind)h->signal,
        .first_ns = f->first_ns,
        .unix_ns = h->unix_ns,
        .items = h->items,
        .source = source,
        .moved_spans = frame_moved_spans(h, tlvs),
        .body = slice_make((const uint8_t *)(h + 1) + h->tlv_len, h->stored_len),
    };
    r->found->frames++;
    r->found->items += h->items;
    taken = r->to->frame(r->to->arg, &out);
    if (r->moved.failed)
        recover_fail(r);
    atomic_fetch_add_explicit(&segment->references, taken, memory_order_relaxed);
}

static int compare_frames(const void *a, const void *b)
{
    const struct live_frame *x = a, *y = b;

    if (x->first_ns != y->first_ns)
        return x->first_ns < y->first_ns ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* What nobody took a reference of is free; the rest is as if it had just been filled. */
static void settle_segments(struct recovered *r)
{
    struct journal *j = r->journal;

    for (size_t i = 0; i < r->segment_count; i++) {
        uint32_t number = r->segments[i];
        struct segment *segment = segment_at(&j->segments, number);

        if (atomic_fetch_sub_explicit(&segment->references, 1, memory_order_relaxed) == 1) {
            files_free(&j->files, number);
            segments_put(&j->segments, number);
            continue;
        }
        let_go(r, number);
        spill_add(&j->spill, number);
        j->spill.gone += !segment->bytes;
    }
}

void recover_hand_on(struct recovered *r)
{
    if (r->frame_count > 0)
        qsort(r->frames, r->frame_count, sizeof(*r->frames), compare_frames);
    for (size_t i = 0; i < r->frame_count && r->err == ERR_OK; i++)
        hand_frame(r, &r->frames[i]);
    if (r->err == ERR_OK)
        settle_segments(r);
}
