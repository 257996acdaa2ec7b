#include "journal/spill.h"

#include "journal/journal_impl.h"

#include <stdlib.h>

/* Segments come back so long before their first trace is due. */
static const uint64_t ahead_ns = 1500 * NS_PER_MS;
static const uint64_t look_again_ns = 5 * NS_PER_MS;
/* What can't be read back for so many times that (some seconds) is given up. */
enum { TRIES_MAX = 1000 };

void spill_init(struct spill *s, struct journal *j)
{
    size_t count = j->config.workers * LEAVING_MAX;

    *s = (struct spill){.journal = j, .readers = calloc(count, sizeof(*s->readers))};
    if (!s->readers)
        err_no_memory("the journal's segments");
    for (unsigned i = 0; i < LEAVING_MAX; i++)
        s->leaving[i].readers = s->readers + (size_t)i * j->config.workers;
}

void spill_fini(struct spill *s)
{
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

    return segment->opened_ns + wait_ns <= now_ns + ahead_ns;
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
            store_forget(s->journal->files.store, segment->region);
            s->spilled++;
            s->gone++;
        }
        s->leaving[i] = s->leaving[--s->leaving_count];
        s->leaving[s->leaving_count] = l; /* keeps its array */
    }
}

/* Chooses what leaves while memory is high. */
static void choose(struct spill *s, uint64_t now_ns)
{
    uint32_t number = s->next ? s->next : s->first;
    bool high = memory_is_high(s->journal->config.memory);

    while (high && number && s->leaving_count < LEAVING_MAX) {
        struct segment *segment = at(s, number);

        if (place_is(segment, PLACE_HERE) && !is_due(s, segment, now_ns))
            begin_to_leave(s, number);
        number = segment->after;
    }
    s->next = number;
    /* Known before memory is high, so that nothing is decided early for want of a look here. */
    atomic_store_explicit(&s->can_spill,
                          number || s->leaving_count > 0 || s->journal->outbox.can_leave,
                          memory_order_relaxed);
}

/* ---- coming back ---- */

/* False: there is no memory, or it can't be read now; it is tried again. */
static bool bring_back(struct spill *s, uint32_t number, bool forced)
{
    struct segment *segment = at(s, number);

    if (!segments_attach(&s->journal->segments, number, forced))
        return false;
    if (!files_load(&s->journal->files, number) && ++segment->tries < TRIES_MAX) {
        segments_detach(&s->journal->segments, number);
        return false;
    }
    segment->tries = 0;
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

static bool bring_one(struct spill *s, uint32_t number)
{
    if (!place_is(at(s, number), PLACE_ASKED))
        return false;
    if (bring_back(s, number, true))
        return true;
    s->retries = true;
    return false;
}

static bool bring_asked(struct spill *s)
{
    bool any = false, again = s->retries;
    uint32_t number;

    s->retries = false;
    for (number = s->first; again && number; number = at(s, number)->after)
        any |= bring_one(s, number);
    for (unsigned i = 0; i < s->journal->config.workers; i++)
        while (ring_pop(&s->journal->writers[i].asked, &number))
            any |= bring_one(s, number);
    return any;
}

/* The oldest that are gone and due. The list is by age: the first that is not due ends it. */
static void bring_due(struct spill *s, uint64_t now_ns)
{
    for (uint32_t number = s->first; number; number = at(s, number)->after) {
        struct segment *segment = at(s, number);

        if (!is_due(s, segment, now_ns))
            return;
        if (place_is(segment, PLACE_GONE) && !bring_back(s, number, false))
            return;
    }
}

uint64_t spill_step(struct spill *s, uint64_t now_ns)
{
    if (!s->journal->files.store)
        return NEVER_NS;
    end_leaving(s);
    choose(s, now_ns);
    if (s->gone == 0 && s->leaving_count == 0)
        return NEVER_NS;
    bring_due(s, now_ns);
    if (bring_asked(s))
        wake_all(s);
    return now_ns + look_again_ns;
}
