/* loop_ops.h: the seam below loop.h; only the kinds of loops include it. */
#pragma once

#include "base/loop.h"

#include <stdatomic.h>

/* Each kind has its own structs that begin with these. */
struct loop {
    const struct loop_ops *ops;
    const struct clock *clock;
    _Atomic uint64_t longest_ns, slow, stalled_ns, cpu_ns, busy; /* turns; see loop_turns */
};

struct loop_watch {
    struct loop *loop;
};

struct loop_ops {
    struct loop_watch *(*watch_new)(struct loop *l, int fd, loop_ready_fn *ready, void *arg);
    void (*watch_set)(struct loop_watch *w, unsigned interest);
    void (*watch_free)(struct loop_watch *w);
    void (*wake)(struct loop *l);
    void (*wait)(struct loop *l, uint64_t until_ns);
    void (*free)(struct loop *l);
    struct event_base *(*event_base)(struct loop *l); /* NULL: there is none */
};
