/* move.c: what is left of thin segments moves together: the journal thread says which those are,
 * and each worker copies the spans that are its own.
 *
 * Spans that have moved once have waited for long already, and most of them wait until their time
 * is over. So they have segments of their own, which become free as a whole, as those of what comes
 * in do.
 */
#include "journal/journal_impl.h"

#include <assert.h>

enum {
    THIN_SHARE = 4,       /* segments with less than this part alive are thin, */
    THIN_SHARE_SHORT = 2, /* or, where memory or the disk is short and there are none, with this */
    WORTH_SHARE = 8,      /* less of all that is held is not worth a look at every trace */
    LOADED_MAX = 2,       /* segments that come back from the disk at a time to be emptied */
    LONGEST_SHIFT = 5,
};
/* How often it is looked; and when workers are first asked again, where something could not move.
 */
static const uint64_t look_every_ns = 100 * NS_PER_MS;
static const uint64_t ask_again_ns = NS_PER_S;
/* A span may be on its way to another worker for so long. */
static const uint64_t crossing_ns = 100 * NS_PER_MS;

/* ---- the journal thread: which ---- */

struct look {
    uint64_t now_ns;
    uint64_t held, dead; /* bytes: of all sealed ones; of what is dead in those found */
    uint32_t share;      /* less than one in so many is alive */
    uint64_t until_ns;   /* what is in those found came before */
    unsigned loaded;
    bool marks, loads;
};

/* It is full, and what is in it is safe, so that it can be freed. */
static bool is_sealed(const struct journal *j, struct segment *segment)
{
    return segment->kind == SEGMENT_FRAMES &&
           atomic_load_explicit(&segment->closed, memory_order_acquire) &&
           (!j->files.store || segment->is_listed);
}

static bool is_due(const struct journal *j, const struct look *l, const struct segment *segment,
                   uint32_t references)
{
    if (j->config.moves_eagerly)
        return references < segment->items;
    return (uint64_t)references * l->share < segment->items && l->now_ns >= segment->thin_ns;
}

static void ask_to_empty(struct look *l, struct segment *segment)
{
    segment->thin_ns = l->now_ns + (ask_again_ns << segment->thinned);
    if (segment->thinned < LONGEST_SHIFT)
        segment->thinned++;
    atomic_store_explicit(&segment->is_thin, true, memory_order_relaxed);
}

static void look_at(struct journal *j, struct look *l, uint32_t number)
{
    struct segment *segment = segment_at(&j->segments, number);
    uint32_t references = atomic_load_explicit(&segment->references, memory_order_relaxed);
    uint8_t place = atomic_load_explicit(&segment->place, memory_order_relaxed);

    if (references == 0 || !is_sealed(j, segment))
        return;
    l->held += place == PLACE_GONE ? 0 : segment->size;
    if (!is_due(j, l, segment, references))
        return;
    if (place == PLACE_GONE && l->loads && l->loaded++ < LOADED_MAX)
        spill_ask(&j->spill, number);
    if (place != PLACE_HERE)
        return;
    if (l->until_ns < (segment->last_ns ? segment->last_ns + crossing_ns : l->now_ns))
        l->until_ns = segment->last_ns ? segment->last_ns + crossing_ns : l->now_ns;
    l->dead += segment->size - segment->size / segment->items * references;
    if (l->marks)
        ask_to_empty(l, segment);
}

static struct look look_at_all(struct journal *j, struct look l)
{
    for (uint32_t i = 1; i < j->segments.count; i++)
        look_at(j, &l, i);
    return l;
}

static void wake_workers(const struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++)
        journal_wake_loop(j->writers[i].loop);
}

/* What there is to gain at least: every worker may have to open a segment for what it moves. */
static uint64_t least_bytes(const struct journal *j)
{
    return j->config.moves_eagerly ? 1 : j->config.workers * (uint64_t)j->config.segment_bytes;
}

uint64_t move_look(struct journal *j, uint64_t now_ns)
{
    bool high = memory_is_high(j->config.memory), full = journal_pressure(j) != PRESSURE_NONE;
    struct look l = {.now_ns = now_ns, .share = THIN_SHARE, .loads = full && !high}, found;
    uint64_t least = least_bytes(j);

    if (now_ns < j->thin_ns)
        return j->thin_ns;
    found = look_at_all(j, l);
    if ((high || full) && found.dead == 0) {
        l.share = THIN_SHARE_SHORT;
        found = look_at_all(j, l);
    }
    l.marks = found.dead >= least &&
              (j->config.moves_eagerly || high || full || found.dead >= found.held / WORTH_SHARE);
    if (l.marks) {
        (void)look_at_all(j, l);
        atomic_store_explicit(&j->thin_until_ns, found.until_ns, memory_order_relaxed);
        atomic_fetch_add_explicit(&j->thinned, 1, memory_order_release);
        wake_workers(j);
    }
    j->thin_ns = j->config.moves_eagerly ? now_ns : now_ns + look_every_ns;
    return found.held >= least ? now_ns + look_every_ns : NEVER_NS;
}

/* ---- a worker ---- */

uint64_t journal_thinned(const struct journal *j)
{
    return atomic_load_explicit(&j->thinned, memory_order_acquire);
}

uint64_t journal_thin_until_ns(const struct journal *j)
{
    return atomic_load_explicit(&j->thin_until_ns, memory_order_relaxed);
}

bool journal_may_move(const struct journal_writer *w, frame_id frame)
{
    struct segment *segment = segment_at(&w->journal->segments, journal_number(w->journal, frame));

    return atomic_load_explicit(&segment->is_thin, memory_order_relaxed) &&
           atomic_load_explicit(&segment->place, memory_order_seq_cst) == PLACE_HERE &&
           writer_header_of(w->journal, frame);
}

/* It is never asked for more blocks than what comes in has ahead; while memory is short one of them
 * is left to that, and while the disk is they all are. */
static bool open_next(struct journal_writer *w)
{
    uint32_t left = memory_is_high(w->journal->config.memory) ? 1 : 0, number;

    if (journal_pressure(w->journal) >= PRESSURE_EARLY || ring_count(&w->blocks) <= left ||
        !ring_pop(&w->blocks, &number))
        return false;
    writer_close(w, &w->moved);
    w->moved = number;
    journal_wake(w->journal);
    return true;
}

static size_t tlv_len(uint32_t items)
{
    return sizeof(struct tlv) + sizeof(uint64_t) + items * sizeof(struct moved_span);
}

uint8_t *journal_stage_move(struct journal_writer *w, size_t size, uint32_t items)
{
    size_t need = frame_size(tlv_len(items), size);
    const struct segment *segment;

    if (need + files_overhead(&w->journal->files) > w->journal->config.segment_bytes)
        return NULL;
    if (writer_room_in(w, w->moved) < need && !open_next(w))
        return NULL;
    segment = segment_at(&w->journal->segments, w->moved);
    return segment->bytes + segment->used + sizeof(struct frame_header) + tlv_len(items);
}

/* When the spans came, on the present scale. */
static uint64_t came_ns(const struct journal *j, frame_id frame, uint64_t boot_ns, uint64_t now_ns)
{
    uint64_t ns = boot_ns + segment_at(&j->segments, journal_number(j, frame))->shift_ns;

    return ns <= now_ns ? ns : 0; /* before the machine started */
}

static void put_moved(const struct journal *j, frame_id from, const struct frame_header *old,
                      const struct moved_span *spans, uint32_t items, uint8_t *at)
{
    struct slice before =
        frame_moved_spans(old, slice_make((const uint8_t *)(old + 1), old->tlv_len));
    struct tlv tlv = {TLV_MOVED, (uint32_t)(tlv_len(items) - sizeof(tlv))};
    uint64_t source = journal_source(j, from);

    memcpy(at, &tlv, sizeof(tlv));
    memcpy(at + sizeof(tlv), &source, sizeof(source));
    at += sizeof(tlv) + sizeof(source);
    for (uint32_t i = 0; i < items; i++, at += sizeof(*spans))
        *(struct moved_span *)at =
            (struct moved_span){frame_place_of(before, spans[i].place), spans[i].offset};
}

frame_id journal_commit_move(struct journal_writer *w, frame_id from, size_t len,
                             const struct moved_span *spans, uint32_t items, uint64_t now_ns)
{
    const struct journal *j = w->journal;
    const struct frame_header *old = writer_header_of(j, from);
    struct segment *segment = segment_at(&j->segments, w->moved);
    struct frame_header header = {.signal = old->signal,
                                  .flags = FRAME_MOVED,
                                  .tlv_len = (uint32_t)tlv_len(items),
                                  .unix_ns = old->unix_ns,
                                  .boot_ns = came_ns(j, from, old->boot_ns, now_ns),
                                  .stored_len = (uint32_t)len,
                                  .decoded_len = (uint32_t)len,
                                  .items = items};

    assert(items > 0 && writer_room_in(w, w->moved) >= frame_size(tlv_len(items), len));
    put_moved(j, from, old, spans, items, segment->bytes + segment->used + sizeof(header));
    return writer_append(w, w->moved, &header);
}
