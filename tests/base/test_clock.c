#include "base/clock.h"
#include "check.h"

static void a_fake_clock_moves_only_when_advanced(void)
{
    struct fake_clock f;

    fake_clock_init(&f, 5, 1000);
    CHECK(clock_now_ns(&f.clock) == 5 && clock_now_ns(&f.clock) == 5);
    fake_clock_advance(&f, 7);
    CHECK(clock_now_ns(&f.clock) == 12 && clock_unix_ns(&f.clock) == 1007);
}

static void the_systems_clock_does_not_go_back(void)
{
    const struct clock *c = clock_system();
    uint64_t before = clock_now_ns(c), cpu = clock_thread_cpu_ns();
    uint64_t monotonic = clock_monotonic_ns();

    CHECK(clock_now_ns(c) >= before);
    CHECK(clock_thread_cpu_ns() >= cpu);
    CHECK(clock_monotonic_ns() >= monotonic);
    CHECK(clock_unix_ns(c) > UINT64_C(1700000000) * NS_PER_S);
}

int main(void)
{
    RUN(a_fake_clock_moves_only_when_advanced);
    RUN(the_systems_clock_does_not_go_back);
    return DONE();
}
