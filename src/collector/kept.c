/* The processors of kept spans, before they are composed. */
#include "collector/decider.h"

static struct span_view kept_at(void *decider, uint32_t i)
{
    return ((const struct decider *)decider)->kept[i].view;
}

bool decider_process(struct decider *d, struct policy_trace *p, uint32_t *entry, uint64_t now_ns)
{
    struct processor_set *processors = d->worker->rules->kept;

    d->processed = (struct processed){.count = p->count};
    if (!processors)
        return true;
    p->span = kept_at;
    p->span_arg = d;
    if (!processor_set_run(processors, p, *entry, now_ns, &d->processed))
        return false;
    for (uint32_t i = 0; i < d->processed.count; i++)
        d->kept[i].view = d->processed.views[i];
    if (d->processed.count < p->count)
        p->only_root = POLICY_ROOT_UNKNOWN;
    p->count = d->processed.count;
    *entry = d->processed.entry;
    return true;
}

void decider_end_processing(struct decider *d)
{
    if (d->worker->rules->kept)
        processor_set_end(d->worker->rules->kept);
}

uint32_t decider_count_filtered(struct decider *d)
{
    for (uint32_t i = 0; i < d->processed.dropped_count; i++)
        d->worker->counts.filtered[d->processed.dropped[i]]++;
    return d->processed.dropped_count;
}
