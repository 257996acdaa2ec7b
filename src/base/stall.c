#include "base/stall.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TRIES = 4 };
static const uint64_t look_every_ns = NS_PER_MS, look_takes_ns = 50 * NS_PER_US;

static long times_given_up(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : -1;
}

/* The second of its numbers: ns on a run queue. */
static uint64_t ready_ns(const struct stall *s)
{
    char text[80], *rest;
    ssize_t len = s->fd < 0 ? -1 : pread(s->fd, text, sizeof(text) - 1, 0);

    if (len <= 0)
        return 0;
    text[len] = '\0';
    (void)strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10);
}

/* The three belong to one moment: where the thread lost its CPU between them, it looks again. */
static void look(struct stall *s)
{
    if (!s->is_open) {
        s->fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
        s->is_open = true;
    }
    for (int i = 0; i < TRIES; i++) {
        s->at_ns = clock_now_ns(s->clock);
        s->cpu_ns = clock_thread_cpu_ns();
        s->ran_ns = s->cpu_ns + ready_ns(s);
        if (clock_now_ns(s->clock) - s->at_ns < look_takes_ns)
            break;
    }
    s->idle_ns = 0;
}

void stall_begin(struct stall *s, uint64_t idle_ns)
{
    s->idle_ns += idle_ns;
    s->given_up = times_given_up();
    if (!s->is_open || clock_now_ns(s->clock) - s->at_ns >= look_every_ns)
        look(s);
}

uint64_t stall_cpu_ns(const struct stall *s)
{
    return clock_thread_cpu_ns() - s->cpu_ns;
}

uint64_t stall_ns(struct stall *s)
{
    struct stall before = *s;
    uint64_t took, ran;

    if (times_given_up() == s->given_up)
        return 0;
    look(s);
    took = s->at_ns - before.at_ns - before.idle_ns;
    ran = s->ran_ns - before.ran_ns;
    return took > ran ? took - ran : 0;
}

void stall_fini(struct stall *s)
{
    if (s->is_open && s->fd >= 0)
        close(s->fd);
    s->is_open = false;
}
