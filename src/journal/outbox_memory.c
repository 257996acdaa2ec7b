/* Which segments of the outbox are in memory, when not all can be: those leave that are read last.
 *
 * The export thread never waits for a page: what it found between outbox_read_begin and
 * outbox_read_end stays until then, and what is not here it asks for. */
#include "base/log.h"
#include "base/loop.h"
#include "journal/frame.h"
#include "journal/outbox.h"

static const uint64_t look_again_ns = 5 * NS_PER_MS;
enum {
    READ_AHEAD = 4, /* segments behind one that is asked for, while memory is not short */
    LOOKED_AT = 64, /* segments, for one that could leave */
    TRIES_MAX = 50, /* what can't be read back for so many times (5 s) is given up */
};

static struct segment *at(const struct outbox *o, uint32_t number)
{
    return segment_at(o->segments, number);
}

static bool is_short(const struct outbox *o)
{
    return memory_is_high(o->files->config->memory);
}

static bool place_is(struct segment *segment, enum segment_place place)
{
    return atomic_load_explicit(&segment->place, memory_order_seq_cst) == place;
}

static bool change_place(struct segment *segment, enum segment_place from, enum segment_place to)
{
    uint8_t expected = (uint8_t)from;

    return atomic_compare_exchange_strong(&segment->place, &expected, (uint8_t)to);
}

/* ---- the list of those that are in memory ---- */

void outbox_add(struct outbox *o, uint32_t number)
{
    struct segment *segment = at(o, number);
    uint32_t before = o->last, after = 0;

    if (before && at(o, before)->ordinal > segment->ordinal) /* it came back: near the first */
        for (before = 0, after = o->first; at(o, after)->ordinal < segment->ordinal;
             after = at(o, after)->after)
            before = after;
    segment->is_listed = true;
    segment->before = before;
    segment->after = after;
    *(before ? &at(o, before)->after : &o->first) = number;
    *(after ? &at(o, after)->before : &o->last) = number;
}

static void unlist(struct outbox *o, uint32_t number)
{
    struct segment *segment = at(o, number);

    if (!segment->is_listed)
        return;
    *(segment->before ? &at(o, segment->before)->after : &o->first) = segment->after;
    *(segment->after ? &at(o, segment->after)->before : &o->last) = segment->before;
    segment->is_listed = false;
}

void outbox_remove(struct outbox *o, uint32_t number)
{
    for (unsigned i = 0; i < o->leaving_count; i++)
        if (o->leaving[i].number == number)
            o->leaving[i--] = o->leaving[--o->leaving_count];
    if (o->visited == number)
        o->visited = 0;
    unlist(o, number);
}

/* ---- leaving ---- */

/* It is to be written; or an exporter reads it now or next, or has not looked at all of it yet
 * (then it may not be at the level either). */
static bool is_needed(const struct outbox *o, const struct segment *segment)
{
    uint64_t end = outbox_position(segment->ordinal, segment->used);

    if (segment->is_dirty ||
        atomic_load_explicit(&o->reading, memory_order_seq_cst) < segment->stays)
        return true;
    for (unsigned i = 0, n = outbox_exporters(o); i < n; i++) {
        uint64_t cursor = atomic_load_explicit(&o->cursor[i], memory_order_acquire);

        if (atomic_load_explicit(&o->seen[i], memory_order_acquire) < end ||
            (outbox_ordinal(cursor) == segment->ordinal && cursor < end))
            return true;
    }
    return false;
}

static void has_left(struct outbox *o, uint32_t number)
{
    unlist(o, number);
    segments_detach(o->segments, number);
    store_forget(o->files->store, at(o, number)->region);
    o->spilled++;
}

static bool is_unseen(const struct outbox *o, struct outbox_leaving l)
{
    return l.reading % 2 == 0 ||
           l.reading != atomic_load_explicit(&o->reading, memory_order_acquire);
}

/* Those of which the export thread sees nothing any more. Meanwhile it may have come to need one.
 */
static void end_leaving(struct outbox *o)
{
    for (unsigned i = 0; i < o->leaving_count;) {
        struct outbox_leaving l = o->leaving[i];
        struct segment *segment = at(o, l.number);

        if (place_is(segment, PLACE_LEAVING) && !is_unseen(o, l)) {
            i++;
            continue;
        }
        o->leaving[i] = o->leaving[--o->leaving_count];
        if (is_needed(o, segment))
            change_place(segment, PLACE_LEAVING, PLACE_HERE);
        else if (change_place(segment, PLACE_LEAVING, PLACE_GONE))
            has_left(o, l.number);
    }
}

static void begin_to_leave(struct outbox *o, uint32_t number)
{
    atomic_store_explicit(&at(o, number)->place, PLACE_LEAVING, memory_order_seq_cst);
    o->leaving[o->leaving_count++] =
        (struct outbox_leaving){number, atomic_load_explicit(&o->reading, memory_order_seq_cst)};
}

static bool could_leave(const struct outbox *o, uint32_t number)
{
    return place_is(at(o, number), PLACE_HERE) && !is_needed(o, at(o, number));
}

/* The newest are read last, so they leave first. */
static void make_room(struct outbox *o)
{
    uint32_t number = o->last;

    while (number && is_short(o) && o->leaving_count < OUTBOX_LEAVING_MAX) {
        uint32_t before = at(o, number)->before;

        if (could_leave(o, number)) {
            begin_to_leave(o, number);
            end_leaving(o);
        }
        number = before;
    }
    o->can_leave = o->leaving_count > 0;
    for (unsigned i = 0; i < LOOKED_AT && number && !o->can_leave; i++) {
        o->can_leave = could_leave(o, number);
        number = at(o, number)->before;
    }
}

void outbox_let_go(struct outbox *o, uint32_t number)
{
    atomic_store_explicit(&at(o, number)->place, PLACE_GONE, memory_order_seq_cst);
    has_left(o, number);
}

/* ---- coming back ---- */

void outbox_bridge(struct segment *segment, size_t from, size_t to)
{
    if (to <= from)
        return;
    *(struct frame_header *)(segment->bytes + from) =
        (struct frame_header){.magic = FRAME_MAGIC,
                              .version = FRAME_VERSION,
                              .signal = FRAME_NAMES,
                              .stored_len = (uint32_t)(to - from - sizeof(struct frame_header))};
}

/* Readers step from frame to frame: what is damaged becomes one that they step over. */
static void mend(const struct outbox *o, struct segment *segment)
{
    struct frame_walk walk = {.segment = slice_make(segment->bytes, segment->filled),
                              .header = &store_region(o->files->store, segment->region)->header,
                              .at = FORMAT_PAGE};
    enum frame_found what;
    struct frame frame;
    size_t end = FORMAT_PAGE;

    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        if (what == FRAME_DAMAGED)
            continue;
        outbox_bridge(segment, end, frame.at);
        end = frame.at + frame_size(frame.header.tlv_len, frame.header.stored_len);
    }
    outbox_bridge(segment, end, segment->filled);
}

/* It stays until the export thread has had a whole step to look at it. */
static uint64_t stays_until(const struct outbox *o)
{
    uint64_t reading = atomic_load_explicit(&o->reading, memory_order_seq_cst);

    return reading + (reading % 2 ? 3 : 2);
}

/* False: there is no memory, or it can't be read now. */
static bool bring_back(struct outbox *o, uint32_t number, bool forced)
{
    struct segment *segment = at(o, number);

    if (!segments_attach(o->segments, number, forced))
        return false;
    if (!files_read(o->files, number) && ++segment->tries < TRIES_MAX) {
        segments_detach(o->segments, number);
        return false;
    }
    segment->tries = 0;
    mend(o, segment);
    o->loaded++;
    segment->stays = stays_until(o);
    outbox_add(o, number);
    atomic_store_explicit(&segment->place, PLACE_HERE, memory_order_seq_cst);
    return true;
}

bool outbox_visit(struct outbox *o, uint32_t number)
{
    if (place_is(at(o, number), PLACE_HERE))
        return true;
    if (o->visited && is_short(o))
        outbox_let_go(o, o->visited);
    o->visited = 0;
    while (!bring_back(o, number, true))
        if (at(o, number)->tries == 0)
            return false;
    at(o, number)->stays = 0;
    o->visited = number;
    return true;
}

bool outbox_is_here(const struct outbox *o, uint32_t number)
{
    struct segment *segment = at(o, number);

    return place_is(segment, PLACE_HERE) || change_place(segment, PLACE_LEAVING, PLACE_HERE) ||
           place_is(segment, PLACE_HERE);
}

bool outbox_ask(struct outbox *o, uint32_t number)
{
    return ring_space(&o->asked) > 0 && change_place(at(o, number), PLACE_GONE, PLACE_ASKED) &&
           ring_push(&o->asked, &number);
}

static void read_ahead(struct outbox *o, uint64_t ordinal)
{
    uint64_t end = outbox_ordinal(atomic_load_explicit(&o->end, memory_order_relaxed));

    for (unsigned i = 1; i <= READ_AHEAD && ordinal + i < end && !is_short(o); i++) {
        uint32_t number = outbox_number(o, outbox_position(ordinal + i, 0));

        if (number && place_is(at(o, number), PLACE_GONE) && !bring_back(o, number, false))
            return;
    }
}

/* What can't be had now is asked for again. */
static void bring_asked(struct outbox *o, struct loop *exporter)
{
    bool any = false;
    uint32_t number;

    while (ring_pop(&o->asked, &number)) {
        if (!place_is(at(o, number), PLACE_ASKED))
            continue;
        if (bring_back(o, number, true)) {
            read_ahead(o, at(o, number)->ordinal);
            any = true;
        } else {
            change_place(at(o, number), PLACE_ASKED, PLACE_GONE);
        }
    }
    if (any && exporter)
        loop_wake(exporter);
}

uint64_t outbox_memory_step(struct outbox *o, struct loop *exporter, uint64_t now_ns)
{
    if (!o->files->store)
        return NEVER_NS;
    end_leaving(o);
    bring_asked(o, exporter);
    make_room(o);
    return o->leaving_count > 0 ? now_ns + look_again_ns : NEVER_NS;
}
