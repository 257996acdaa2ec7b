#include "base/loop.h"
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

struct seen {
    struct loop *loop;
    struct loop_watch *watch, *other;
    unsigned ready, calls;
};

static void note(void *arg, unsigned ready)
{
    struct seen *s = arg;

    s->ready = ready;
    s->calls++;
}

static void readiness_is_level_triggered_and_interest_can_pause(void)
{
    struct loop *l = loop_new(clock_system());
    struct seen s = {0};
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    s.watch = loop_watch_new(l, fds[0], note, &s);
    loop_wait(l, 0);
    CHECK(s.calls == 0); /* nothing is watched at first */
    loop_watch_set(s.watch, LOOP_READ | LOOP_WRITE);
    loop_wait(l, NEVER_NS);
    CHECK(s.ready == LOOP_WRITE);
    CHECK(write(fds[1], "x", 1) == 1);
    loop_watch_set(s.watch, LOOP_READ);
    loop_wait(l, NEVER_NS);
    loop_wait(l, NEVER_NS);
    CHECK(s.ready == LOOP_READ && s.calls == 3);
    loop_watch_set(s.watch, 0);
    loop_wait(l, 0);
    CHECK(s.calls == 3);
    loop_watch_free(s.watch);
    loop_watch_free(NULL);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

static void free_both(void *arg, unsigned ready)
{
    struct seen *s = arg;

    note(s, ready);
    loop_watch_free(s->watch);
    loop_watch_free(s->other);
    s->watch = s->other = NULL;
}

static void a_callback_may_free_its_watch_and_another_ready_one(void)
{
    struct loop *l = loop_new(clock_system());
    struct seen s = {0};
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    s.watch = loop_watch_new(l, fds[0], free_both, &s);
    s.other = loop_watch_new(l, fds[1], free_both, &s);
    loop_watch_set(s.watch, LOOP_WRITE);
    loop_watch_set(s.other, LOOP_WRITE);
    loop_wait(l, NEVER_NS);
    loop_wait(l, 0);
    CHECK(s.calls == 1 && s.watch == NULL);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

static void a_wait_ends_when_its_time_has_come(void)
{
    const struct clock *c = clock_system();
    struct loop *l = loop_new(c);
    uint64_t start = clock_now_ns(c), until = start + 20 * NS_PER_MS;

    while (clock_now_ns(c) < until)
        loop_wait(l, until);
    CHECK(clock_now_ns(c) - start < 10 * NS_PER_S);
    loop_wait(l, until); /* past: returns at once */
    CHECK(loop_clock(l) == c && loop_event_base(l) != NULL);
    loop_free(l);
}

struct message {
    struct loop *loop;
    int plain; /* published by the wake alone */
    _Atomic int taken;
};

enum { WAKES = 2000 };

static void *wake_often(void *arg)
{
    struct message *m = arg;

    for (int i = 1; i <= WAKES; i++) {
        while (atomic_load(&m->taken) != i - 1)
            ;
        m->plain = i;
        loop_wake(m->loop);
    }
    return NULL;
}

static void every_wake_from_another_thread_ends_a_wait(void)
{
    struct message m = {.loop = loop_new(clock_system())};
    pthread_t other;

    CHECK(pthread_create(&other, NULL, wake_often, &m) == 0);
    for (int i = 1; i <= WAKES; i++) {
        loop_wait(m.loop, NEVER_NS); /* a lost wake would hang here */
        CHECK(m.plain == i);
        atomic_store(&m.taken, i);
    }
    pthread_join(other, NULL);
    loop_free(m.loop);
}

static void wakes_before_a_wait_are_kept_and_counted_as_one(void)
{
    struct loop *l = loop_new(clock_system());
    const struct clock *c = clock_system();
    uint64_t start;

    for (int i = 0; i < 10; i++)
        loop_wake(l);
    loop_wait(l, NEVER_NS);
    start = clock_now_ns(c);
    loop_wait(l, start + 40 * NS_PER_MS); /* no second wake is left to end this one */
    CHECK(clock_now_ns(c) >= start + 20 * NS_PER_MS);
    loop_free(l);
}

struct slow {
    struct fake_clock clock;
    uint64_t takes_ns;
};

static void take_time(void *arg, unsigned ready)
{
    struct slow *s = arg;

    (void)ready;
    fake_clock_advance(&s->clock, s->takes_ns);
}

static void a_turn_is_the_watches_and_the_step_but_not_the_wait(void)
{
    struct slow s = {.takes_ns = 2 * NS_PER_MS};
    struct loop_watch *watch;
    struct loop *l;
    int fds[2];

    fake_clock_init(&s.clock, NS_PER_S, NS_PER_S);
    l = loop_new(&s.clock.clock);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    watch = loop_watch_new(l, fds[0], take_time, &s);
    loop_watch_set(watch, LOOP_WRITE);
    loop_wait(l, 0);
    fake_clock_advance(&s.clock, NS_PER_MS); /* the step */
    loop_wait(l, 0);
    CHECK(loop_turns(l).longest_ns == 3 * NS_PER_MS && loop_turns(l).slow == 0);
    fake_clock_advance(&s.clock, 4 * NS_PER_MS);
    loop_watch_set(watch, 0);
    loop_wait(l, 0);
    CHECK(loop_turns(l).longest_ns == 6 * NS_PER_MS && loop_turns(l).slow == 1);
    loop_wait(l, 0);
    CHECK(loop_turns(l).longest_ns == 6 * NS_PER_MS && loop_turns(l).slow == 1);
    loop_watch_free(watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

static void a_turn_that_stands_still_is_told_from_one_that_runs(void)
{
    struct loop *l = loop_new(clock_system());
    uint64_t began;

    loop_wait(l, 0);
    began = clock_thread_cpu_ns();
    while (clock_thread_cpu_ns() - began < 20 * NS_PER_MS)
        continue;
    loop_wait(l, 0);
    CHECK(loop_turns(l).longest_ns >= 20 * NS_PER_MS && loop_turns(l).stalled_ns == 0);
    CHECK(loop_turns(l).cpu_ns >= 20 * NS_PER_MS && loop_turns(l).busy == 1);
    CHECK(poll(NULL, 0, 20) == 0); /* as a disk does */
    loop_wait(l, 0);
    CHECK(loop_turns(l).stalled_ns > 15 * NS_PER_MS);
    CHECK(loop_turns(l).stalled_ns <= loop_turns(l).longest_ns);
    CHECK(loop_turns(l).busy == 1 && loop_turns(l).slow == 2);
    loop_free(l);
}

int main(void)
{
    RUN(readiness_is_level_triggered_and_interest_can_pause);
    RUN(a_callback_may_free_its_watch_and_another_ready_one);
    RUN(a_wait_ends_when_its_time_has_come);
    RUN(every_wake_from_another_thread_ends_a_wait);
    RUN(wakes_before_a_wait_are_kept_and_counted_as_one);
    RUN(a_turn_is_the_watches_and_the_step_but_not_the_wait);
    RUN(a_turn_that_stands_still_is_told_from_one_that_runs);
    return DONE();
}
