#include "base/clock.h"

#include <stdlib.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t) != 0)
        abort(); /* these clocks exist on every kernel that we support */
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t system_now_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_BOOTTIME);
}

static uint64_t system_unix_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = {system_now_ns, system_unix_ns};

    return &system_clock;
}

static uint64_t fake_now_ns(const struct clock *c)
{
    return ((const struct fake_clock *)c)->now;
}

static uint64_t fake_unix_ns(const struct clock *c)
{
    return ((const struct fake_clock *)c)->unix_now;
}

void fake_clock_init(struct fake_clock *f, uint64_t now_ns, uint64_t unix_ns)
{
    *f = (struct fake_clock){{fake_now_ns, fake_unix_ns}, now_ns, unix_ns};
}

void fake_clock_advance(struct fake_clock *f, uint64_t ns)
{
    f->now += ns;
    f->unix_now += ns;
}

uint64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
