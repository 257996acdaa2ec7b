/* What the policies of all workers share: counts of failures, the bound on policy_error keeps. */
#include "policy/shared.h"

#include "base/clock.h"
#include "policy/processor.h"

#include <stdlib.h>

const char *policy_failure_name(enum policy_failure f)
{
    static const char *const names[] = {"error", "bad_verdict", "memory", "budget", "quarantine"};

    return f < FAILURE_COUNT ? names[f] : "error";
}

void policy_shared_init(struct policy_shared *s, struct labels *labels,
                        double keep_traces_per_second)
{
    s->labels = labels;
    s->cells = NULL;
    s->memory = NULL;
    s->keep_traces_per_second = keep_traces_per_second;
    atomic_init(&s->bucket_ns, 0);
    s->quarantine_errors = 0;
    s->quarantine_window_ns = 0;
    s->health = calloc(LABEL_MAX, sizeof(*s->health));
    if (!s->health)
        err_no_memory("the policies' health");
    s->quarantines = labels_new();
    s->failures = labels_new();
    for (size_t i = 0; i < LABEL_MAX; i++)
        atomic_init(&s->errors[i], 0);
    s->filters = labels_new();
    s->processor_failures = labels_new();
    for (size_t i = 0; i < LABEL_MAX; i++)
        atomic_init(&s->processor_errors[i], 0);
    atomic_init(&s->truncated, 0);
    s->redactions = labels_new();
    for (size_t i = 0; i < LABEL_MAX; i++)
        atomic_init(&s->redacted[i], 0);
    s->on_failed = NULL;
    s->on_failed_arg = NULL;
    s->is_quiet = false;
}

void policy_shared_fini(struct policy_shared *s)
{
    labels_free(s->quarantines);
    labels_free(s->failures);
    free(s->health);
    s->health = NULL;
    labels_free(s->filters);
    labels_free(s->processor_failures);
    labels_free(s->redactions);
    s->quarantines = s->failures = s->filters = s->processor_failures = s->redactions = NULL;
}

static bool errors_next(const struct labels *labels, const _Atomic uint64_t *errors, size_t *at,
                        const char **name, const char **kind, uint64_t *count)
{
    size_t i = *at < 1 ? 1 : *at; /* 0 is nobody's */

    if (i >= labels_count(labels))
        return false;
    *name = labels_policy(labels, (uint16_t)i);
    *kind = labels_reason(labels, (uint16_t)i);
    *count = atomic_load_explicit(&errors[i], memory_order_relaxed);
    *at = i + 1;
    return true;
}

bool policy_errors_next(const struct policy_shared *s, size_t *at, const char **policy,
                        const char **kind, uint64_t *count)
{
    return errors_next(s->failures, s->errors, at, policy, kind, count);
}

bool processor_errors_next(const struct policy_shared *s, size_t *at, const char **processor,
                           const char **kind, uint64_t *count)
{
    return errors_next(s->processor_failures, s->processor_errors, at, processor, kind, count);
}

bool processor_redacted_next(const struct policy_shared *s, size_t *at, const char **processor,
                             const char **rule, uint64_t *count)
{
    return errors_next(s->redactions, s->redacted, at, processor, rule, count);
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

/* Where two workers see the window end at once, a failure may be counted into the old one. */
bool policy_shared_failed(struct policy_shared *s, uint16_t label, uint64_t now_ns)
{
    struct policy_health *h = &s->health[label];
    uint64_t since = atomic_load(&h->since_ns);

    if (!s->quarantine_errors || label == 0) /* 0 stands for many: too many policies are named */
        return false;
    if (since == 0 || now_ns - since > s->quarantine_window_ns) {
        if (atomic_compare_exchange_strong(&h->since_ns, &since, now_ns ? now_ns : 1))
            atomic_store(&h->failures, 0);
    }
    if (atomic_fetch_add(&h->failures, 1) + 1 < s->quarantine_errors)
        return false;
    return !atomic_exchange(&h->out, true);
}

bool policy_quarantine_next(const struct policy_shared *s, size_t *at, const char **policy,
                            bool *out)
{
    size_t i = *at < 1 ? 1 : *at;

    if (i >= labels_count(s->quarantines))
        return false;
    *policy = labels_policy(s->quarantines, (uint16_t)i);
    *out = policy_shared_is_out(s, (uint16_t)i);
    *at = i + 1;
    return true;
}

void policy_quarantine_lift(struct policy_shared *s)
{
    for (size_t i = 0; i < LABEL_MAX; i++) {
        atomic_store(&s->health[i].since_ns, 0);
        atomic_store(&s->health[i].out, false);
    }
}
