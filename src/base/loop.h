/* loop.h: one thread's event loop: readiness of sockets, and waking from other threads.
 *
 * Every thread's body is `while (running) loop_wait(loop, X_step(x, now))`; there are no timers
 * here, because each step says when it is next due. The system's loop is libevent; the fake one
 * belongs to fake_net.h and waits for nothing. A loop and its watches belong to one thread;
 * only loop_wake may be called from others. loop_ops.h is the seam between the two.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stdint.h>

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct event_base;
struct loop;
struct loop_watch;

/* `ready`: LOOP_READ | LOOP_WRITE. May free its own watch and make or free others. */
typedef void loop_ready_fn(void *arg, unsigned ready);

/* A loop of the system, owned by the caller (loop_free). Start-up only: ends without memory. */
struct loop *loop_new(const struct clock *clock);
void loop_free(struct loop *l);

/* Watches `fd` (nothing at first; see loop_watch_set). Owned by the caller (loop_watch_free,
 * before the fd is closed). NULL without memory. */
struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_ready_fn *ready, void *arg);
/* interest: LOOP_READ | LOOP_WRITE, level-triggered; 0 pauses. */
void loop_watch_set(struct loop_watch *w, unsigned interest);
void loop_watch_free(struct loop_watch *w); /* NULL is allowed */

/* Makes the present or the next loop_wait return soon. Any thread. */
void loop_wake(struct loop *l);

/* Calls the ready watches; returns after one round of them, after a wake, or at until_ns
 * (absolute, NEVER_NS: no bound), whichever is first. Where they take long, the next ones have to
 * wait for the next call, which begins with them: what is done between two calls has its turn. */
void loop_wait(struct loop *l, uint64_t until_ns);

/* A turn is what a thread does between two waits: the watches that are ready, and its step. */
struct loop_turns {
    uint64_t longest_ns; /* ever */
    uint64_t slow;       /* over LOOP_SLOW_NS, ever */
    uint64_t stalled_ns; /* the longest that one over LOOP_LOOK_NS stood still (stall.h), ever */
    /* Of CPU time, which others on the machine don't add to; within a millisecond, of those that
     * took longer than LOOP_LOOK_NS: */
    uint64_t cpu_ns; /* the most of one, ever */
    uint64_t busy;   /* over LOOP_SLOW_NS, ever */
};
#define LOOP_READY_NS NS_PER_MS /* no further watch is called in a turn after that */
#define LOOP_SLOW_NS  (5 * NS_PER_MS)
#define LOOP_LOOK_NS  (2 * NS_PER_MS)
/* How long turns took; a fake loop's take no time. Any thread. */
struct loop_turns loop_turns(const struct loop *l);

const struct clock *loop_clock(const struct loop *l);

/* libevent's base below a loop of the system, for evhttp; NULL for a fake loop. */
struct event_base *loop_event_base(struct loop *l);
