#include "base/loop.h"
#include "journal/journal_impl.h"

#include <assert.h>
#include <stdlib.h>

/* While decisions come, they are committed in groups: the workers need not wake this thread. */
static const uint64_t linger_ns = 2 * NS_PER_MS;
/* Memory may be released without a word to this thread: while a worker waits for a block, look. */
static const uint64_t retry_ns = 5 * NS_PER_MS;
/* A worker that has not asked again for so long has given up. */
static const uint64_t give_up_ns = 3 * NS_PER_S;

enum err journal_new(const struct journal_config *config, struct journal **out,
                     struct err_info *info)
{
    struct journal *j = aligned_alloc(_Alignof(struct journal), sizeof(*j));
    size_t writers = config->workers * sizeof(struct journal_writer);

    assert(config->workers > 0 && config->workers <= 256);
    assert(config->segment_bytes >= 4096 && config->segment_bytes <= 2 << 20 &&
           config->segment_bytes % 4096 == 0);
    if (!j)
        abort();
    memset(j, 0, sizeof(*j));
    j->config = *config;
    while ((size_t)FRAME_ALIGN << j->position_bits < config->segment_bytes)
        j->position_bits++;
    segments_init(&j->segments, config->segment_bytes, 32 - j->position_bits, config->memory);
    outbox_init(&j->outbox, &j->segments, config->exporters);
    j->writers = aligned_alloc(_Alignof(struct journal_writer), writers);
    j->recent = calloc(RECENT, sizeof(*j->recent));
    if (!j->writers || !j->recent)
        abort();
    memset(j->writers, 0, writers);
    for (unsigned i = 0; i < config->workers; i++) {
        j->writers[i].journal = j;
        ring_init(&j->writers[i].blocks, SPARE_BLOCKS, sizeof(uint32_t));
        ring_init(&j->writers[i].ring, DECISION_RING, sizeof(struct decision));
    }
    pthread_mutex_init(&j->recent_lock, NULL);
    (void)info;
    *out = j;
    return ERR_OK;
}

static void writer_fini(struct journal_writer *w)
{
    struct decision decision;

    while (ring_pop(&w->ring, &decision))
        buf_fini(&decision.payload);
    if (w->holds)
        buf_fini(&w->held.payload);
    ring_fini(&w->ring);
    ring_fini(&w->blocks);
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    for (unsigned i = 0; i < j->config.workers; i++)
        writer_fini(&j->writers[i]);
    free(j->writers);
    outbox_fini(&j->outbox);
    segments_fini(&j->segments);
    pthread_mutex_destroy(&j->recent_lock);
    free(j->recent);
    free(j);
}

void journal_set_loops(struct journal *j, struct loop *own, struct loop *exporter)
{
    j->own = own;
    j->exporter = exporter;
}

static void wake(struct loop *loop)
{
    if (loop)
        loop_wake(loop);
}

void journal_wake(struct journal *j)
{
    if (atomic_exchange_explicit(&j->asleep, false, memory_order_acq_rel))
        wake(j->own);
}

void journal_urge(struct journal *j)
{
    (void)atomic_exchange_explicit(&j->asleep, false, memory_order_acq_rel);
    wake(j->own);
}

/* ---- the journal thread ---- */

static void remember(struct journal *j, const struct decision_record *d)
{
    pthread_mutex_lock(&j->recent_lock);
    j->recent[j->recent_count++ % RECENT] = *d;
    pthread_mutex_unlock(&j->recent_lock);
}

/* False: a keep that the outbox has no memory for. */
static bool commit(struct journal *j, struct decision *d, uint64_t now_ns)
{
    if (d->record.keep && d->record.exporters &&
        !outbox_append(&j->outbox, &d->record, buf_slice(&d->payload), now_ns))
        return false;
    buf_fini(&d->payload);
    if (decision_signal(&d->record) == 0) /* others are passed on, not decided */
        remember(j, &d->record);
    return true;
}

/* Commits what the worker has handed over; returns how many. */
static uint32_t commit_all(struct journal *j, struct journal_writer *w, uint64_t now_ns)
{
    uint64_t committed = atomic_load_explicit(&w->committed, memory_order_relaxed);
    uint32_t n = 0;

    while (n < DECISION_RING && (w->holds || ring_pop(&w->ring, &w->held))) {
        w->holds = !commit(j, &w->held, now_ns);
        if (w->holds)
            break;
        n++;
    }
    if (n == 0)
        return 0;
    atomic_store_explicit(&w->committed, committed + n, memory_order_release);
    wake(w->loop);
    return n;
}

/* Keeps the worker's spare blocks up; one until it has asked for more, so that idle workers hold
 * little. Returns whether the block of `want` bytes is there. */
static bool refill(struct journal *j, struct journal_writer *w, size_t want)
{
    uint32_t goal = w->is_active ? SPARE_BLOCKS : 1, number = 1;

    while (number && ring_count(&w->blocks) < goal) {
        number = segments_take(&j->segments, 1, SEGMENT_FRAMES, false);
        if (number && !ring_push(&w->blocks, &number))
            segments_put(&j->segments, number);
    }
    if (want <= j->config.segment_bytes)
        return ring_count(&w->blocks) > 0;
    if (atomic_load_explicit(&w->large_ready, memory_order_relaxed))
        return true;
    number = segments_take(&j->segments, want, SEGMENT_FRAMES, false);
    atomic_store_explicit(&w->large_ready, number, memory_order_release);
    return number != 0;
}

/* Returns when to look again. */
static uint64_t serve(struct journal *j, struct journal_writer *w, uint64_t now_ns)
{
    size_t want = atomic_exchange_explicit(&w->want, 0, memory_order_acquire);

    if (want) {
        w->is_active = true;
        w->wanted = want;
        w->asked_ns = now_ns;
    }
    if (refill(j, w, w->wanted)) {
        if (w->wanted)
            wake(w->loop);
        w->wanted = 0;
        return NEVER_NS;
    }
    if (now_ns - w->asked_ns > give_up_ns)
        w->wanted = 0;
    return w->wanted ? now_ns + retry_ns : NEVER_NS;
}

static bool has_decisions(const struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++)
        if (ring_count(&j->writers[i].ring) > 0)
            return true;
    return false;
}

/* Everything but decisions. Returns when it is next due. */
static uint64_t keep_house(struct journal *j, uint64_t now_ns)
{
    uint64_t due = NEVER_NS;

    segments_collect(&j->segments);
    outbox_reclaim(&j->outbox);
    for (unsigned i = 0; i < j->config.workers; i++)
        due = earlier_ns(due, serve(j, &j->writers[i], now_ns));
    return earlier_ns(due, segments_trim(&j->segments, now_ns));
}

uint64_t journal_step(struct journal *j, uint64_t now_ns)
{
    uint64_t sequence = j->outbox.sequence, due;
    uint32_t committed = 0;
    bool holds = false;

    /* Exchanges only, no stores: each of them sees what came before the others. */
    (void)atomic_exchange_explicit(&j->asleep, false, memory_order_acq_rel);
    for (unsigned i = 0; i < j->config.workers; i++) {
        committed += commit_all(j, &j->writers[i], now_ns);
        holds |= j->writers[i].holds;
    }
    if (j->outbox.sequence != sequence)
        wake(j->exporter);
    if (committed > 0 || holds)
        return earlier_ns(keep_house(j, now_ns), now_ns + linger_ns);
    /* Whoever comes after this exchange wakes; what came before it is seen below. */
    (void)atomic_exchange_explicit(&j->asleep, true, memory_order_acq_rel);
    due = keep_house(j, now_ns);
    return has_decisions(j) ? now_ns : due;
}
