#include "journal/journal_impl.h"

#include <assert.h>
#include <stdlib.h>

/* A disk that failed is tried again after this, then twice that, and so on. */
static const uint64_t failing_retry_ns = 20 * NS_PER_MS;
static const uint64_t longest_retry_ns = 500 * NS_PER_MS;

/* The exporters' positions are written at the end: what is behind them would be sent again. */
enum { FINISH_TRIES = 3 };

/* Sequences go on from the time, so that they never come twice, whatever was lost. */
static void init_writers(struct journal *j)
{
    size_t size = j->config.workers * sizeof(struct journal_writer);
    uint64_t first = j->files.store ? clock_unix_ns(j->config.clock) / NS_PER_US : 0;

    j->writers = aligned_alloc(_Alignof(struct journal_writer), size);
    if (!j->writers)
        err_no_memory("the journal's writers");
    memset(j->writers, 0, size);
    for (unsigned i = 0; i < j->config.workers; i++) {
        struct journal_writer *w = &j->writers[i];
        size_t unpack_bytes = j->config.unpack_bytes;

        if (unpack_bytes == 0 || unpack_bytes > UNPACK_BYTES)
            unpack_bytes = UNPACK_BYTES;
        w->journal = j;
        w->sequence = frame_source_sequence(first);
        atomic_store(&w->submitted, w->sequence);
        atomic_store(&w->acked, w->sequence);
        ring_init(&w->blocks, SPARE_BLOCKS, sizeof(uint32_t));
        w->ring_size = j->config.ack == ACK_MEMORY ? DECISION_RING : DECISION_RING_FILES;
        ring_init(&w->ring, w->ring_size, sizeof(struct decision));
        byte_ring_init(&w->entries, j->config.ack == ACK_MEMORY ? 1 : ENTRY_BYTES);
        ring_init(&w->asked, ASKED_MAX, sizeof(uint32_t));
        unpack_init(&w->unpack, &j->segments, unpack_bytes);
    }
}

enum err journal_new(const struct journal_config *config, struct journal **out,
                     struct err_info *info)
{
    struct journal *j = aligned_alloc(_Alignof(struct journal), sizeof(*j));
    enum err err;

    assert(config->workers > 0 && config->workers <= 256);
    assert(config->segment_bytes >= 4096 && config->segment_bytes <= SEGMENT_BYTES_MAX &&
           config->segment_bytes % 4096 == 0);
    if (!j)
        err_no_memory("the journal");
    memset(j, 0, sizeof(*j));
    j->config = *config;
    atomic_init(&j->wait_ns, config->wait_ns);
    atomic_init(&j->young_ns, config->young_ns);
    /* With files there may be segments of an earlier configuration. */
    while ((size_t)FRAME_ALIGN << j->position_bits <
           (config->ack == ACK_MEMORY ? config->segment_bytes : SEGMENT_BYTES_MAX))
        j->position_bits++;
    segments_init(&j->segments, config->segment_bytes, 32 - j->position_bits, config->memory);
    err = files_init(&j->files, &j->segments, &j->config, info);
    if (err != ERR_OK) {
        segments_fini(&j->segments);
        free(j);
        return err;
    }
    decision_log_init(&j->log, &j->files);
    outbox_init(&j->outbox, &j->files, config->exporters);
    init_writers(j);
    spill_init(&j->spill, j);
    j->leaves = j->files.store || pack_is_enabled(&j->spill.pack);
    j->recent = calloc(RECENT, sizeof(*j->recent));
    if (!j->recent)
        err_no_memory("recent decisions");
    pthread_mutex_init(&j->recent_lock, NULL);
    *out = j;
    return ERR_OK;
}

/* In the order in which they were handed over. */
static void decision_fini(struct journal_writer *w, struct decision *d)
{
    if (d->entry_end)
        byte_ring_free(&w->entries, d->entry_end);
    else
        buf_fini(&d->entry);
    buf_fini(&d->payload);
}

static void writer_fini(struct journal_writer *w)
{
    struct decision decision;

    while (ring_pop(&w->ring, &decision))
        decision_fini(w, &decision);
    if (w->holds)
        decision_fini(w, &w->held);
    ring_fini(&w->ring);
    byte_ring_fini(&w->entries);
    ring_fini(&w->blocks);
    ring_fini(&w->asked);
    unpack_fini(&w->unpack);
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    for (unsigned i = 0; i < j->config.workers; i++)
        writer_fini(&j->writers[i]);
    free(j->writers);
    spill_fini(&j->spill);
    outbox_fini(&j->outbox);
    decision_log_fini(&j->log);
    files_fini(&j->files);
    segments_fini(&j->segments);
    free(j->acked_text);
    pthread_mutex_destroy(&j->recent_lock);
    free(j->recent);
    free(j);
}

void journal_set_loops(struct journal *j, struct loop *own, struct loop *exporter)
{
    j->own = own;
    j->exporter = exporter;
}

void journal_set_wait(struct journal *j, uint64_t wait_ns, uint64_t young_ns)
{
    atomic_store_explicit(&j->young_ns, young_ns, memory_order_relaxed);
    atomic_store_explicit(&j->wait_ns, wait_ns, memory_order_relaxed);
}

void journal_wake(struct journal *j)
{
    int longest = PAUSE_LONG;

    if (atomic_compare_exchange_strong(&j->pause, &longest, PAUSE_NONE))
        journal_wake_loop(j->own);
}

void journal_urge(struct journal *j)
{
    if (atomic_exchange_explicit(&j->pause, PAUSE_NONE, memory_order_acq_rel) != PAUSE_NONE)
        journal_wake_loop(j->own);
}

bool journal_is_refusing(const struct journal *j)
{
    return atomic_load_explicit(&j->refusing, memory_order_relaxed);
}

enum journal_pressure journal_pressure(const struct journal *j)
{
    return (enum journal_pressure)atomic_load_explicit(&j->pressure, memory_order_relaxed);
}

uint64_t outbox_shed_to(const struct journal *j)
{
    return atomic_load_explicit(&j->shed_to, memory_order_relaxed);
}

bool journal_can_spill(const struct journal *j)
{
    return atomic_load_explicit(&j->spill.can_spill, memory_order_relaxed);
}

/* ---- the journal thread ---- */

static void remember(struct journal *j, const struct decision_record *d)
{
    pthread_mutex_lock(&j->recent_lock);
    j->recent[j->recent_count++ % RECENT] = *d;
    pthread_mutex_unlock(&j->recent_lock);
}

/* False: there is no memory or no region for it. */
static bool append(struct journal *j, struct journal_writer *w, struct decision *d, uint64_t now_ns)
{
    struct slice entry = buf_slice(&d->entry);
    bool is_decided = decision_is_of_trace(&d->record); /* others are passed on */

    if (j->files.dirty_count + 4 > DIRTY_MAX ||
        (entry.len && is_decided && !decision_log_room(&j->log, entry.len, now_ns)))
        return false;
    if (d->record.keep && d->record.exporters &&
        !outbox_append(&j->outbox, &d->record, entry, buf_slice(&d->payload), now_ns))
        return false;
    if (entry.len && is_decided)
        decision_log_append(&j->log, entry, d->record.signal == SIGNAL_LOGS, now_ns);
    decision_fini(w, d);
    if (decision_signal(&d->record) == 0)
        remember(j, &d->record);
    return true;
}

/* Takes what the worker has handed over. */
static void take_from(struct journal *j, struct journal_writer *w, uint64_t now_ns)
{
    (void)atomic_exchange_explicit(&w->hurries, false, memory_order_acq_rel); /* before looking */
    while (w->taken < w->ring_size && (w->holds || ring_pop(&w->ring, &w->held))) {
        w->holds = !append(j, w, &w->held, now_ns);
        if (w->holds)
            break;
        w->taken++;
    }
}

/* From all. While decisions come they are taken in groups: workers need not wake this thread. */
static void take_decisions(struct journal *j, uint64_t now_ns)
{
    for (unsigned i = 0; i < j->config.workers; i++) {
        struct journal_writer *w = &j->writers[i];

        take_from(j, w, now_ns);
        if (w->taken > 0 || w->holds)
            j->taken_ns = now_ns ? now_ns : 1;
    }
}

/* Writes what the worker has submitted. */
static bool write_given(struct journal *j, struct journal_writer *w, uint64_t now_ns)
{
    bool done = true;

    for (unsigned i = 0; i < w->given_count; i++)
        done &= files_write(&j->files, w->given[i], now_ns);
    return done;
}

/* Those that are closed, and written where there are files, are nobody's any more. Closed first:
 * nothing is published behind it. */
static void settle_given(struct journal *j, struct journal_writer *w)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < w->given_count; i++) {
        uint32_t number = w->given[i];
        struct segment *segment = segment_at(&j->segments, number);

        if (!atomic_load_explicit(&segment->closed, memory_order_acquire) ||
            (j->files.store &&
             segment->written < atomic_load_explicit(&segment->published, memory_order_relaxed))) {
            w->given[kept++] = number;
            continue;
        }
        segment->is_given = false;
        spill_add(&j->spill, number);
    }
    w->given_count = kept;
}

static void settle_all(struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++)
        settle_given(j, &j->writers[i]);
}

/* Frames and the outbox, then the log of decisions: an entry says that its spans are in the outbox,
 * so it is not on disk before they are at the level. At level `written` they are once they are
 * written. At level fsync what is written of the log is of an earlier round (settle_round), so that
 * one sync is enough for all three. False: not all is there yet. */
static bool write_in_order(struct journal *j, uint64_t now_ns)
{
    bool done = true;

    for (unsigned i = 0; i < j->config.workers; i++) {
        struct journal_writer *w = &j->writers[i];

        w->ticket = atomic_load_explicit(&w->submitted, memory_order_acquire);
        done &= write_given(j, w, now_ns);
    }
    done = files_write_marked(&j->files, SEGMENT_OUTBOX, now_ns) && done;
    if (!done)
        return false;
    if (j->config.ack != ACK_FSYNC)
        (void)decision_log_release(&j->log);
    return files_write_marked(&j->files, SEGMENT_DECISIONS, now_ns) &&
           files_sync(&j->files, now_ns);
}

/* Brings all that was submitted, appended and released to the level. False: it is not there yet. */
static bool persist(struct journal *j, uint64_t now_ns)
{
    if (!j->files.store) {
        settle_all(j);
        return true;
    }
    j->files.is_failing = !write_in_order(j, now_ns);
    if (j->files.is_failing)
        return false;
    files_unmark(&j->files);
    files_settle(&j->files);
    settle_all(j);
    return true;
}

/* Tells a worker which of its decisions are committed. */
static void commit(struct journal_writer *w)
{
    if (w->taken == 0)
        return;
    atomic_store_explicit(&w->committed,
                          atomic_load_explicit(&w->committed, memory_order_relaxed) + w->taken,
                          memory_order_release);
    w->taken = 0;
    journal_wake_loop(w->loop);
}

/* Tells a worker which of its frames have reached the level. */
static void acknowledge(struct journal_writer *w)
{
    if (!w->journal->files.store ||
        w->ticket == atomic_load_explicit(&w->acked, memory_order_relaxed))
        return;
    atomic_store_explicit(&w->acked, w->ticket, memory_order_release);
    journal_wake_loop(w->loop);
}

/* A round is at the level: frames are acknowledged. Decisions that were taken are committed, and
 * exporters see them, unless their records are still to be written: in the next round, in which no
 * others are taken. */
static void settle_round(struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++)
        acknowledge(&j->writers[i]);
    j->is_recording = !j->is_recording && decision_log_release(&j->log);
    if (j->is_recording)
        return;
    j->remakes = false;
    for (unsigned i = 0; i < j->config.workers; i++)
        commit(&j->writers[i]);
    if (outbox_publish(&j->outbox))
        journal_wake_loop(j->exporter);
}

/* Somebody waits for the journal thread. */
static bool is_waited_for(const struct journal *j)
{
    if (ring_count(&j->outbox.asked) > 0)
        return true;
    for (unsigned i = 0; i < j->config.workers; i++) {
        const struct journal_writer *w = &j->writers[i];

        if (ring_count(&w->asked) > 0 || atomic_load_explicit(&w->want, memory_order_acquire) ||
            (j->files.store && atomic_load_explicit(&w->submitted, memory_order_acquire) !=
                                   atomic_load_explicit(&w->acked, memory_order_relaxed)))
            return true;
    }
    return pace_is_hurried(j);
}

static bool has_decisions(const struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++)
        if (ring_count(&j->writers[i].ring) > 0)
            return true;
    return false;
}

/* Until there are more frames, or long enough. */
static uint64_t gather(struct journal *j, uint64_t now_ns)
{
    uint64_t due;

    (void)atomic_exchange_explicit(&j->pause, PAUSE_FRAMES, memory_order_acq_rel);
    due = house_step(j, now_ns);
    return pace_gathers(j, now_ns) ? earlier_ns(due, j->gather_ns) : now_ns;
}

uint64_t journal_step(struct journal *j, uint64_t now_ns)
{
    bool gathers;
    uint64_t due;

    /* Exchanges only, no stores: each of them sees what came before the others. */
    (void)atomic_exchange_explicit(&j->pause, PAUSE_NONE, memory_order_acq_rel);
    if (pace_gathers(j, now_ns))
        return gather(j, now_ns);
    if (!j->files.is_failing && !j->is_recording && pace_may_take(j, now_ns))
        take_decisions(j, now_ns);
    gathers = now_ns < pace_rest_ns(j);
    if (j->files.is_failing && now_ns < j->retry_ns)
        return earlier_ns(house_step(j, now_ns), j->retry_ns);
    if (!persist(j, now_ns)) {
        j->backoff_ns =
            earlier_ns(j->backoff_ns ? j->backoff_ns * 2 : failing_retry_ns, longest_retry_ns);
        j->retry_ns = now_ns + j->backoff_ns;
        return earlier_ns(house_step(j, now_ns), j->retry_ns);
    }
    j->backoff_ns = 0;
    pace_note_round(j, now_ns);
    settle_round(j);
    if (pace_gathers(j, now_ns))
        return gather(j, now_ns);
    /* Whoever comes after this exchange wakes; what came before it is seen below. */
    (void)atomic_exchange_explicit(&j->pause, gathers ? PAUSE_SHORT : PAUSE_LONG,
                                   memory_order_acq_rel);
    due = house_step(j, now_ns);
    if (j->is_recording || is_waited_for(j))
        return now_ns;
    if (gathers)
        return earlier_ns(due, pace_rest_ns(j));
    return has_decisions(j) ? now_ns : due;
}

void journal_finish(struct journal *j, uint64_t now_ns)
{
    if (!j->files.store)
        return;
    do { /* twice, where what was taken is not recorded yet */
        if (!persist(j, now_ns))
            return;
        settle_round(j);
    } while (j->is_recording);
    house_collect(j);
    outbox_reclaim(&j->outbox);
    for (uint32_t i = 1; i < j->segments.count; i++) {
        struct segment *segment = segment_at(&j->segments, i);

        if (segment->kind == SEGMENT_FRAMES && segment->open &&
            atomic_load_explicit(&segment->references, memory_order_relaxed) == 1)
            files_free(&j->files, i);
    }
    outbox_finish(&j->outbox);
    for (unsigned i = 0; i < FINISH_TRIES && (i == 0 || j->acked_failed); i++)
        acked_write(j, now_ns);
    (void)!files_sync(&j->files, now_ns);
}
