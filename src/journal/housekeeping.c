/* housekeeping.c: what the journal thread does beside bringing things to the level: blocks for the
 * workers, what is free again, what leaves memory, space on the disk. */
#include "base/order.h"
#include "journal/journal_impl.h"

/* Memory may be released without a word to this thread: while a worker waits for a block, look. */
static const uint64_t retry_ns = 5 * NS_PER_MS;
/* One that was there has been given: the next one comes after the next turn. */
static const uint64_t soon_ns = 100 * NS_PER_US;
/* A worker that has not asked again for so long has given up. */
static const uint64_t give_up_ns = 3 * NS_PER_S;
/* Under pressure it is looked so often for space. */
static const uint64_t look_at_space_ns = 50 * NS_PER_MS;
enum { OUTBOX_SHARE = 4 }; /* of files_bound: a smaller outbox is not what fills the disk */
/* A segment is not open for longer. */
static const uint64_t turn_after_ns = 16 * NS_PER_S;

/* ---- blocks for the workers ---- */

/* A segment with room for `size` bytes of frames. 0: there is none now. */
static uint32_t give(struct journal *j, struct journal_writer *w, size_t size, uint64_t now_ns)
{
    uint32_t number;

    if (w->given_count == GIVEN_MAX)
        return 0;
    number = segments_take(&j->segments, size, SEGMENT_FRAMES, false);
    if (!number)
        return 0;
    if (!files_open(&j->files, number, USE_FRAMES, (unsigned)(w - j->writers), now_ns)) {
        segments_put(&j->segments, number);
        return 0;
    }
    if (j->leaves) {
        w->given[w->given_count++] = number;
        segment_at(&j->segments, number)->is_given = true;
    }
    return number;
}

/* Keeps the worker's spare blocks up; one until it has asked for more, so that idle workers hold
 * little. One at a time: a new one is touched here, which may take long (pages_touch). Returns
 * whether the block of `want` bytes is there. */
static bool refill(struct journal *j, struct journal_writer *w, size_t want, uint64_t now_ns)
{
    uint32_t goal = w->is_active ? SPARE_BLOCKS : 1, number;

    if (ring_count(&w->blocks) < goal) {
        number = give(j, w, 1, now_ns);
        if (number)
            ring_push(&w->blocks, &number); /* there is room: this thread alone fills it */
    }
    if (want + files_overhead(&j->files) <= j->config.segment_bytes)
        return ring_count(&w->blocks) > 0;
    if (atomic_load_explicit(&w->large_ready, memory_order_relaxed))
        return true;
    number = give(j, w, want + files_overhead(&j->files), now_ns);
    atomic_store_explicit(&w->large_ready, number, memory_order_release);
    return number != 0;
}

/* Returns when to look again. */
static uint64_t serve(struct journal *j, struct journal_writer *w, uint64_t now_ns)
{
    size_t want = atomic_exchange_explicit(&w->want, 0, memory_order_acquire);
    uint32_t had = ring_count(&w->blocks);

    if (want) {
        w->is_active = true;
        w->wanted = want;
        w->asked_ns = now_ns;
    }
    if (refill(j, w, w->wanted, now_ns)) {
        if (w->wanted)
            journal_wake_loop(w->loop);
        w->wanted = 0;
        had = ring_count(&w->blocks) > had ? ring_count(&w->blocks) : SPARE_BLOCKS;
        return w->is_active && had < SPARE_BLOCKS ? now_ns + soon_ns : NEVER_NS;
    }
    if (now_ns - w->asked_ns > give_up_ns)
        w->wanted = 0;
    return w->wanted ? now_ns + retry_ns : NEVER_NS;
}

/* ---- what lives in segments of frames ---- */

static void forget_given(struct journal *j, uint32_t number)
{
    struct segment *segment = segment_at(&j->segments, number);
    struct journal_writer *w;

    if (!segment->is_given)
        return;
    w = &j->writers[segment->writer]; /* a recovered one may be of a worker that is no more */
    segment->is_given = false;
    for (unsigned i = 0; i < w->given_count; i++)
        if (w->given[i] == number)
            w->given[i--] = w->given[--w->given_count];
}

void house_collect(struct journal *j)
{
    uint32_t number = segments_collect(&j->segments);

    while (number) {
        uint32_t next = segment_at(&j->segments, number)->next;

        forget_given(j, number);
        spill_remove(&j->spill, number);
        files_free(&j->files, number);
        segments_put(&j->segments, number);
        number = next;
    }
}

/* When the oldest live segment that has frames was opened. */
static uint64_t oldest_ns(const struct journal *j)
{
    uint64_t oldest =
        j->spill.first ? segment_at(&j->segments, j->spill.first)->opened_ns : NEVER_NS;

    for (unsigned i = 0; i < j->config.workers; i++)
        for (unsigned k = 0; k < j->writers[i].given_count; k++) {
            const struct segment *segment = segment_at(&j->segments, j->writers[i].given[k]);

            if (atomic_load_explicit(&segment->published, memory_order_relaxed) > 0)
                oldest = earlier_ns(oldest, segment->opened_ns);
        }
    return oldest;
}

/* Segments that little comes into are closed after a while, so that they can become free. */
static uint64_t turn_old(struct journal *j, uint64_t now_ns)
{
    uint64_t after_ns = j->config.moves_eagerly ? 2 * NS_PER_S : turn_after_ns;
    bool any = false;

    for (unsigned i = 0; i < j->config.workers; i++)
        for (unsigned k = 0; k < j->writers[i].given_count; k++) {
            const struct segment *segment = segment_at(&j->segments, j->writers[i].given[k]);

            if (atomic_load_explicit(&segment->published, memory_order_relaxed) == 0)
                continue;
            any = true;
            if (now_ns - segment->opened_ns < after_ns)
                continue;
            atomic_store_explicit(&j->writers[i].turn, true, memory_order_release);
            journal_wake_loop(j->writers[i].loop);
        }
    return any ? now_ns + after_ns / 8 : NEVER_NS;
}

/* Says what is short, so that others let go of it. The outbox sheds only where it is a good part of
 * what is held: else the disk is full of traces that wait, and what is decided early must leave.
 * Returns when to look again. */
static uint64_t see_to_space(struct journal *j, uint64_t now_ns)
{
    enum journal_pressure pressure = files_pressure(&j->files);
    uint64_t begin = atomic_load_explicit(&j->outbox.begin, memory_order_relaxed);
    uint64_t segments = outbox_ordinal(j->outbox.appended) - outbox_ordinal(begin);
    bool sheds = pressure >= PRESSURE_OUTBOX &&
                 segments * j->config.segment_bytes > files_bound(&j->files) / OUTBOX_SHARE;
    bool refusing = files_are_refusing(&j->files);
    enum journal_pressure before = atomic_exchange(&j->pressure, (int)pressure);

    atomic_store_explicit(&j->refusing, refusing, memory_order_relaxed);
    atomic_store_explicit(&j->shed_to, sheds ? outbox_position(outbox_ordinal(begin) + 1, 0) : 0,
                          memory_order_relaxed);
    if (sheds)
        journal_wake_loop(j->exporter);
    for (unsigned i = 0; pressure > before && i < j->config.workers; i++)
        journal_wake_loop(j->writers[i].loop);
    return pressure || refusing ? now_ns + look_at_space_ns : NEVER_NS;
}

uint64_t house_step(struct journal *j, uint64_t now_ns)
{
    uint64_t due = NEVER_NS;

    house_collect(j);
    if (!j->remakes)
        outbox_reclaim(&j->outbox);
    for (unsigned i = 0; i < j->config.workers; i++)
        due = earlier_ns(due, serve(j, &j->writers[i], now_ns));
    due = earlier_ns(due, segments_trim(&j->segments, now_ns));
    if (order_serve(j->config.memory))
        due = now_ns;
    due = earlier_ns(due, move_look(j, now_ns));
    due = earlier_ns(due, spill_step(&j->spill, now_ns));
    if (!j->files.store)
        return due;
    decision_log_reclaim(&j->log, oldest_ns(j));
    due = earlier_ns(due, outbox_memory_step(&j->outbox, j->exporter, now_ns));
    due = earlier_ns(due, turn_old(j, now_ns));
    due = earlier_ns(due, acked_step(j, now_ns));
    due = earlier_ns(due, files_grow(&j->files, now_ns));
    due = earlier_ns(due, files_look(&j->files, now_ns));
    return earlier_ns(due, see_to_space(j, now_ns));
}
