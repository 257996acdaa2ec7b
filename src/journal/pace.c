/* pace.c: when a round begins, and when the journal thread takes decisions.
 *
 * Nobody waits for a trace's decision, and each write costs, however little it writes, and a sync
 * costs more than that. So decisions gather, at level fsync for longest, unless memory or the disk
 * is short of what they let go, and most rounds write frames alone.
 *
 * Senders that wait for their answer send again when they have it. The frames that came while a
 * round was on its way and those that it had are about as many as there are senders, and the next
 * round waits for as many: else half of the senders are in each round, and there are twice as many
 * of them. It waits at most as long again as the last one took: senders that have stopped, and a
 * lone one, are not worth more.
 */
#include "journal/journal_impl.h"

static const uint64_t longest_gather_ns = NS_PER_MS;

/* Decisions gather for so long; the first where something is short. */
static const uint64_t linger_ns[] = {
    [ACK_MEMORY] = 2 * NS_PER_MS, [ACK_WRITTEN] = 10 * NS_PER_MS, [ACK_FSYNC] = 50 * NS_PER_MS};

uint64_t pace_rest_ns(const struct journal *j)
{
    bool is_short = memory_is_high(j->config.memory) || journal_pressure(j) != PRESSURE_NONE;

    if (!j->taken_ns)
        return 0;
    return j->taken_ns + linger_ns[is_short ? ACK_MEMORY : j->config.ack];
}

bool pace_is_hurried(const struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++) {
        const struct journal_writer *w = &j->writers[i];

        if (ring_count(&w->ring) > w->ring_size / 2 ||
            atomic_load_explicit(&w->hurries, memory_order_acquire))
            return true;
    }
    return false;
}

bool pace_may_take(const struct journal *j, uint64_t now_ns)
{
    return j->config.ack == ACK_MEMORY || now_ns >= pace_rest_ns(j) || pace_is_hurried(j);
}

static uint64_t waiting(const struct journal *j)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < j->config.workers; i++)
        n += atomic_load_explicit(&j->writers[i].submitted, memory_order_acquire) -
             atomic_load_explicit(&j->writers[i].acked, memory_order_relaxed);
    return n;
}

void pace_note_round(struct journal *j, uint64_t began_ns)
{
    uint64_t now_ns;

    if (j->config.ack != ACK_FSYNC)
        return;
    now_ns = clock_now_ns(j->config.clock);
    j->gather_ns =
        now_ns + (now_ns - began_ns < longest_gather_ns ? now_ns - began_ns : longest_gather_ns);
    atomic_store_explicit(&j->goal, waiting(j), memory_order_relaxed);
}

bool pace_is_short(const struct journal *j)
{
    return waiting(j) < atomic_load_explicit(&j->goal, memory_order_relaxed);
}

bool pace_gathers(const struct journal *j, uint64_t now_ns)
{
    return now_ns < j->gather_ns && pace_is_short(j) && !pace_is_hurried(j);
}
