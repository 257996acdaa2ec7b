/* shared.h: the part of struct policy_shared that only the room uses. */
#pragma once

#include "policy/policy.h"

/* Of a policy or processor in all workers. */
struct policy_health {
    _Atomic uint64_t since_ns; /* the first failure of the window that runs; 0: none yet */
    _Atomic uint64_t failures; /* in it */
    atomic_bool out;
};

static inline bool policy_shared_is_out(const struct policy_shared *s, uint16_t label)
{
    return atomic_load_explicit(&s->health[label].out, memory_order_relaxed);
}
/* One more failure: true for the one that puts the policy into quarantine. Any thread. */
bool policy_shared_failed(struct policy_shared *s, uint16_t label, uint64_t now_ns);

/* Takes one of the keeps that failed policies may cause. Any thread; now_ns >= 0 from one clock. */
bool policy_shared_may_keep(struct policy_shared *s, uint64_t now_ns);
