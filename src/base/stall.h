/* stall.h: how long a thread stood still: it neither ran nor waited for a CPU, as a disk, a lock or
 * a page that is not in memory makes it do.
 *
 * A slow turn of a loop may be the CPU's that somebody else had. The kernel counts how often a
 * thread gave its CPU up itself: where it did not, it did not stand still, whatever the host of a
 * virtual machine took. And it says how long a thread was ready to run
 * (/proc/thread-self/schedstat). That takes a microsecond, so it is read once in a millisecond at
 * most, and when a turn was slow. One thread. Zeros but for `clock` are a good beginning.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

struct stall {
    const struct clock *clock;
    bool is_open;
    int fd;           /* of schedstat; -1: there is none here, and waiting for a CPU counts too */
    uint64_t at_ns;   /* as of then: */
    uint64_t ran_ns;  /* CPU time and waiting for a CPU; */
    uint64_t cpu_ns;  /* CPU time alone */
    uint64_t idle_ns; /* since then: it had nothing to do */
    long given_up;    /* its CPU, so often, when what goes on began */
};

void stall_fini(struct stall *s);

/* Something begins. Just before it the thread had nothing to do for `idle_ns`. */
void stall_begin(struct stall *s, uint64_t idle_ns);
/* The CPU time that what began last has taken so far, at most a millisecond more. */
uint64_t stall_cpu_ns(const struct stall *s);
/* How long the thread has stood still since what began last; within a millisecond. Ends it. */
uint64_t stall_ns(struct stall *s);
