/* What the policies of all workers share: counts of failures, the bound on policy_error keeps. */
#include "policy/shared.h"

#include "base/clock.h"

const char *policy_failure_name(enum policy_failure f)
{
    static const char *const names[] = {"error", "bad_verdict", "memory", "budget"};

    return f < FAILURE_COUNT ? names[f] : "error";
}

void policy_shared_init(struct policy_shared *s, struct labels *labels,
                        double keep_traces_per_second)
{
    s->labels = labels;
    s->cells = NULL;
    s->keep_traces_per_second = keep_traces_per_second;
    atomic_init(&s->bucket_ns, 0);
    s->failures = labels_new();
    for (size_t i = 0; i < LABEL_MAX; i++)
        atomic_init(&s->errors[i], 0);
}

void policy_shared_fini(struct policy_shared *s)
{
    labels_free(s->failures);
    s->failures = NULL;
}

bool policy_errors_next(const struct policy_shared *s, size_t *at, const char **policy,
                        const char **kind, uint64_t *count)
{
    size_t i = *at < 1 ? 1 : *at; /* 0 is no policy's */

    if (i >= labels_count(s->failures))
        return false;
    *policy = labels_policy(s->failures, (uint16_t)i);
    *kind = labels_reason(s->failures, (uint16_t)i);
    *count = atomic_load_explicit(&s->errors[i], memory_order_relaxed);
    *at = i + 1;
    return true;
}

/* A token bucket that is full with one second's worth: bucket_ns is the time at which it will be
 * full again. */
bool policy_shared_may_keep(struct policy_shared *s, uint64_t now_ns)
{
    double rate = s->keep_traces_per_second;
    uint64_t token, burst, full, next;

    if (!(rate > 0))
        return false;
    token = rate > 1e9 ? 1 : (uint64_t)((double)NS_PER_S / rate);
    burst = rate > 1 ? NS_PER_S : token;
    full = atomic_load_explicit(&s->bucket_ns, memory_order_relaxed);
    do {
        next = (full > now_ns ? full : now_ns) + token;
        if (next - now_ns > burst)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&s->bucket_ns, &full, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}
