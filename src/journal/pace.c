/* pace.c: when the journal thread takes decisions.
 *
 * At level fsync a sync costs more than what it writes. Nobody waits for a trace's decision, so
 * decisions gather for longer there, and most rounds write and sync frames alone.
 */
#include "journal/journal_impl.h"

static const uint64_t linger_ns = 2 * NS_PER_MS;
static const uint64_t linger_sync_ns = 20 * NS_PER_MS;

uint64_t pace_rest_ns(const struct journal *j)
{
    if (!j->taken_ns)
        return 0;
    return j->taken_ns + (j->config.ack == ACK_FSYNC ? linger_sync_ns : linger_ns);
}

bool pace_is_hurried(const struct journal *j)
{
    for (unsigned i = 0; i < j->config.workers; i++) {
        const struct journal_writer *w = &j->writers[i];

        if (ring_count(&w->ring) > DECISION_RING / 2 ||
            atomic_load_explicit(&w->hurries, memory_order_acquire))
            return true;
    }
    return false;
}

bool pace_may_take(const struct journal *j, uint64_t now_ns)
{
    return j->config.ack != ACK_FSYNC || now_ns >= pace_rest_ns(j) || pace_is_hurried(j);
}
