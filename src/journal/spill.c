#include "journal/spill.h"

#include "journal/journal_impl.h"

#include <stdlib.h>

/* Segments come back so long before their first trace is due: from a disk, and out of memory. */
static const uint64_t ahead_ns = 1500 * NS_PER_MS, ahead_packed_ns = 250 * NS_PER_MS;
static const uint64_t look_again_ns = 5 * NS_PER_MS;
/* One that came back stays for so long, twice as long the next time, and so on: what was asked for
 * is looked at when all of it is here. */
static const uint64_t stays_ns = 200 * NS_PER_MS;
/* Where nothing came back for so long while somebody asks, one does whatever the limiter says. */
static const uint64_t patience_ns = 10 * NS_PER_MS;
enum {
    TRIES_MAX = 1000, /* what can't be read back so many times (some seconds) is given up */
    BROUGHT_MAX = 4,  /* come back in one step */
    LONGEST_STAY = 6, /* stays_ns is doubled so often */
};

void spill_init(struct spill *s, struct journal *j)
{
    size_t count = j->config.workers * LEAVING_MAX;

    *s = (struct spill){.journal = j, .readers = calloc(count, sizeof(*s->readers))};
    if (!s->readers)
        err_no_memory("the journal's segments");
    for (unsigned i = 0; i < LEAVING_MAX; i++)
        s->leaving[i].readers = s->readers + (size_t)i * j->config.workers;
    pack_init(&s->pack, &j->segments, j->config.compresses && j->config.ack == ACK_MEMORY);
}

void spill_fini(struct spill *s)
{
    for (uint32_t number = s->first; number;
         number = segment_at(&s->journal->segments, number)->after)
        pack_drop(&s->pack, number);
    pack_fini(&s->pack);
    free(s->readers);
}

static struct segment *at(const struct spill *s, uint32_t number)
{
    return segment_at(&s->journal->segments, number);
}

void spill_add(struct spill *s, uint32_t number)
{
    struct segment *segment = at(s, number);
    uint32_t before = s->last;

    /* One that filled slowly comes behind others that were opened after it. */
    while (before && at(s, before)->opened_ns > segment->opened_ns)
        before = at(s, before)->before;
    segment->is_listed = true;
    segment->filled = atomic_load_explicit(&segment->published, memory_order_relaxed);
    segment->before = before;
    segment->after = before ? at(s, before)->after : s->first;
    *(before ? &at(s, before)->after : &s->first) = number;
    *(segment->after ? &at(s, segment->after)->before : &s->last) = number;
}

void spill_remove(struct spill *s, uint32_t number)
{
    struct segment *segment = at(s, number);

    if (!segment->is_listed)
        return;
    for (unsigned i = 0; i < s->leaving_count; i++) {
        struct leaving last = s->leaving[s->leaving_count - 1];

        if (s->leaving[i].number != number)
            continue;
        s->leaving[s->leaving_count - 1] = s->leaving[i];
        s->leaving[i] = last;
        s->leaving_count--;
        break;
    }
    if (s->packing == number)
        s->packing = 0;
    pack_drop(&s->pack, number);
    if (!segment->bytes)
        s->gone--;
    if (s->next == number)
        s->next = segment->after;
    if (segment->before)
        at(s, segment->before)->after = segment->after;
    else
        s->first = segment->after;
    if (segment->after)
        at(s, segment->after)->before = segment->before;
    else
        s->last = segment->before;
    segment->is_listed = false;
}

/* ---- leaving ---- */

/* The first traces in it are due soon, so it stays or comes back. */
static bool is_due(const struct spill *s, const struct segment *segment, uint64_t now_ns)
{
    uint64_t wait_ns = atomic_load_explicit(&s->journal->wait_ns, memory_order_relaxed);

    return segment->opened_ns + wait_ns <=
           now_ns + (pack_is_enabled(&s->pack) ? ahead_packed_ns : ahead_ns);
}

/* It is not to leave: it is needed soon, or most of it may be done with soon. */
static bool stays(const struct spill *s, const struct segment *segment, uint64_t now_ns)
{
    uint64_t young_ns = atomic_load_explicit(&s->journal->young_ns, memory_order_relaxed);

    if (segment->back_ns && now_ns < segment->back_ns + (stays_ns << segment->returns))
        return true;
    return is_due(s, segment, now_ns) ||
           (pack_is_enabled(&s->pack) && now_ns < segment->opened_ns + young_ns);
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

static void begin_to_leave(struct spill *s, uint32_t number)
{
    struct leaving *l = &s->leaving[s->leaving_count++];

    l->number = number;
    atomic_store_explicit(&at(s, number)->place, PLACE_LEAVING, memory_order_seq_cst);
    for (unsigned i = 0; i < s->journal->config.workers; i++)
        l->readers[i] = atomic_load_explicit(&s->journal->writers[i].reading, memory_order_seq_cst);
}

/* No worker looks at it any more: each was not looking when it began to leave, or has ended since.
 */
static bool is_unseen(const struct spill *s, const struct leaving *l)
{
    for (unsigned i = 0; i < s->journal->config.workers; i++)
        if (l->readers[i] & 1 &&
            l->readers[i] ==
                atomic_load_explicit(&s->journal->writers[i].reading, memory_order_acquire))
            return false;
    return true;
}

static void end_leaving(struct spill *s)
{
    for (unsigned i = 0; i < s->leaving_count;) {
        struct leaving l = s->leaving[i];
        struct segment *segment = at(s, l.number);

        if (place_is(segment, PLACE_LEAVING) && !is_unseen(s, &l)) {
            i++;
            continue;
        }
        if (change_place(segment, PLACE_LEAVING, PLACE_GONE)) {
            segments_detach(&s->journal->segments, l.number);
            if (s->journal->files.store)
                store_forget(s->journal->files.store, segment->region);
            s->spilled++;
            s->gone++;
        }
        s->leaving[i] = s->leaving[--s->leaving_count];
        s->leaving[s->leaving_count] = l; /* keeps its array */
    }
}

/* It leaves, or is compressed for that first. */
static void send_away(struct spill *s, uint32_t number)
{
    const struct segment *segment = at(s, number);

    if (s->journal->files.store || pack_has(segment))
        begin_to_leave(s, number);
    else if (pack_suits(&s->pack, segment))
        s->packing = number;
}

static bool wants_room(const struct spill *s)
{
    const struct memory *memory = s->journal->config.memory;

    return pack_is_enabled(&s->pack) ? memory_is_filling(memory) : memory_is_high(memory);
}

/* Chooses what leaves while there is much in memory. */
static void choose(struct spill *s, uint64_t now_ns)
{
    uint32_t number = s->next ? s->next : s->first;
    bool wants = wants_room(s);

    while (wants && number && !s->packing && s->leaving_count < LEAVING_MAX) {
        struct segment *segment = at(s, number);

        if (place_is(segment, PLACE_HERE) && !stays(s, segment, now_ns))
            send_away(s, number);
        number = segment->after;
    }
    s->next = number;
    /* Known before memory is high, so that nothing is decided early for want of a look here. */
    atomic_store_explicit(
        &s->can_spill, number || s->packing || s->leaving_count > 0 || s->journal->outbox.can_leave,
        memory_order_relaxed);
}

/* Compresses a piece of what is to leave. False: there is nothing to compress. */
static bool pack_next(struct spill *s)
{
    uint32_t number = s->packing;

    if (!number)
        return false;
    switch (pack_some(&s->pack, number)) {
    case PACK_MORE:
        return true;
    case PACK_DONE:
        begin_to_leave(s, number);
        break;
    case PACK_FAILED:
        break;
    }
    s->packing = 0;
    return true;
}

/* ---- coming back ---- */

/* False: it can't be read now. */
static bool fill(struct spill *s, uint32_t number)
{
    struct segment *segment = at(s, number);

    if (pack_has(segment))
        pack_expand(&s->pack, number);
    else if (!files_load(&s->journal->files, number) && ++segment->tries < TRIES_MAX)
        return false;
    segment->tries = 0;
    return true;
}

/* False: there is no memory, or it can't be read now; it is tried again. */
static bool bring_back(struct spill *s, uint32_t number, bool forced, uint64_t now_ns)
{
    struct segment *segment = at(s, number);

    if (!segments_attach(&s->journal->segments, number, forced))
        return false;
    if (!fill(s, number)) {
        segments_detach(&s->journal->segments, number);
        return false;
    }
    if (segment->back_ns && segment->returns < LONGEST_STAY)
        segment->returns++;
    segment->back_ns = now_ns ? now_ns : 1;
    s->brought_ns = now_ns;
    s->loaded++;
    s->gone--;
    atomic_store_explicit(&segment->place, PLACE_HERE, memory_order_seq_cst);
    return true;
}

static void wake_all(const struct spill *s)
{
    for (unsigned i = 0; i < s->journal->config.workers; i++)
        journal_wake_loop(s->journal->writers[i].loop);
}

void spill_ask(struct spill *s, uint32_t number)
{
    if (change_place(at(s, number), PLACE_GONE, PLACE_ASKED))
        s->retries = true;
}

/* One that was asked for comes at once where there is memory; where there is none, one after the
 * other does, so that what is to be decided is here some time. */
static bool bring_one(struct spill *s, uint32_t number, uint64_t now_ns)
{
    if (!place_is(at(s, number), PLACE_ASKED))
        return false;
    if (bring_back(s, number, now_ns >= s->brought_ns + patience_ns, now_ns))
        return true;
    s->retries = true;
    return false;
}

static unsigned bring_asked(struct spill *s, uint64_t now_ns)
{
    unsigned brought = 0;
    uint32_t number;

    for (unsigned i = 0; i < s->journal->config.workers; i++)
        while (ring_pop(&s->journal->writers[i].asked, &number))
            s->retries = true;
    if (!s->retries)
        return 0;
    s->retries = false;
    for (number = s->first; number && brought < BROUGHT_MAX; number = at(s, number)->after)
        brought += bring_one(s, number, now_ns);
    s->retries |= number != 0;
    return brought;
}

/* What is only due leaves room for what is asked for. */
static bool has_room_for(const struct spill *s, const struct segment *segment)
{
    return !pack_is_enabled(&s->pack) ||
           memory_has_intake_room(s->journal->config.memory, segment->size);
}

/* The oldest that are gone and due. The list is by age: the first that is not due ends it. */
static unsigned bring_due(struct spill *s, uint64_t now_ns)
{
    unsigned brought = 0;

    for (uint32_t number = s->first; number && brought < BROUGHT_MAX;
         number = at(s, number)->after) {
        struct segment *segment = at(s, number);

        if (!is_due(s, segment, now_ns))
            break;
        if (!place_is(segment, PLACE_GONE))
            continue;
        if (!has_room_for(s, segment) || !bring_back(s, number, false, now_ns))
            break;
        brought++;
    }
    return brought;
}

/* Returns whether there is more to do at once. */
static bool bring(struct spill *s, uint64_t now_ns)
{
    unsigned asked = bring_asked(s, now_ns), due = 0;

    if (asked > 0)
        wake_all(s);
    if (asked < BROUGHT_MAX)
        due = bring_due(s, now_ns);
    return asked == BROUGHT_MAX || due == BROUGHT_MAX;
}

uint64_t spill_step(struct spill *s, uint64_t now_ns)
{
    bool more;

    if (!s->journal->leaves)
        return NEVER_NS;
    end_leaving(s);
    choose(s, now_ns);
    more = pack_next(s);
    if (s->gone > 0)
        more |= bring(s, now_ns);
    if (more)
        return now_ns;
    if (s->gone == 0 && s->leaving_count == 0 && !(s->first && wants_room(s)))
        return NEVER_NS;
    return now_ns + look_again_ns;
}
