/* clock.h: time. One file reads the system's clocks; everybody else gets `now_ns` as an argument.
 *
 * now_ns is CLOCK_BOOTTIME in nanoseconds everywhere; Unix time is asked for where a protocol or
 * a person wants it. In scenarios both come from a fake that only the test advances.
 */
#pragma once

#include <stdint.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define NEVER_NS  UINT64_MAX /* "not due" */

struct clock {
    uint64_t (*now_ns)(const struct clock *c);  /* CLOCK_BOOTTIME */
    uint64_t (*unix_ns)(const struct clock *c); /* CLOCK_REALTIME */
};

/* The system's clocks. */
const struct clock *clock_system(void);

static inline uint64_t clock_now_ns(const struct clock *c)
{
    return c->now_ns(c);
}

static inline uint64_t clock_unix_ns(const struct clock *c)
{
    return c->unix_ns(c);
}

/* Of two times, or due times, the one that comes first. */
static inline uint64_t earlier_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A clock that stands still until it is advanced. `clock` is first, so a pointer to it serves. */
struct fake_clock {
    struct clock clock;
    uint64_t now;
    uint64_t unix_now;
};

void fake_clock_init(struct fake_clock *f, uint64_t now_ns, uint64_t unix_ns);
void fake_clock_advance(struct fake_clock *f, uint64_t ns);

/* The calling thread's CPU time in ns (CLOCK_THREAD_CPUTIME_ID): for budgets only. */
uint64_t clock_thread_cpu_ns(void);

/* CLOCK_MONOTONIC: for bounded waits on pthread conditions only, which know no CLOCK_BOOTTIME. */
uint64_t clock_monotonic_ns(void);
