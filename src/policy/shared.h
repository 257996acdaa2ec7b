/* shared.h: the part of struct policy_shared that only the room uses. */
#pragma once

#include "policy/policy.h"

/* Takes one of the keeps that failed policies may cause. Any thread; now_ns >= 0 from one clock. */
bool policy_shared_may_keep(struct policy_shared *s, uint64_t now_ns);
