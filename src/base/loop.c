#include "base/err.h"
#include "base/loop_ops.h"
#include "base/stall.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct loop_watch *loop_watch_new(struct loop *l, int fd, loop_ready_fn *ready, void *arg)
{
    return l->ops->watch_new(l, fd, ready, arg);
}

void loop_watch_set(struct loop_watch *w, unsigned interest)
{
    w->loop->ops->watch_set(w, interest);
}

void loop_watch_free(struct loop_watch *w)
{
    if (w)
        w->loop->ops->watch_free(w);
}

void loop_wake(struct loop *l)
{
    l->ops->wake(l);
}

void loop_wait(struct loop *l, uint64_t until_ns)
{
    l->ops->wait(l, until_ns);
}

void loop_free(struct loop *l)
{
    if (l)
        l->ops->free(l);
}

struct loop_turns loop_turns(const struct loop *l)
{
    return (struct loop_turns){
        .longest_ns = atomic_load_explicit(&l->longest_ns, memory_order_relaxed),
        .slow = atomic_load_explicit(&l->slow, memory_order_relaxed),
        .stalled_ns = atomic_load_explicit(&l->stalled_ns, memory_order_relaxed),
        .cpu_ns = atomic_load_explicit(&l->cpu_ns, memory_order_relaxed),
        .busy = atomic_load_explicit(&l->busy, memory_order_relaxed)};
}

const struct clock *loop_clock(const struct loop *l)
{
    return l->clock;
}

struct event_base *loop_event_base(struct loop *l)
{
    return l->ops->event_base ? l->ops->event_base(l) : NULL;
}

/* ---- the system's loop: libevent ---- */

struct system_loop {
    struct loop loop;
    struct event_base *base;
    struct event timer; /* ends a wait */
    struct event wake;  /* on wake_fd */
    int wake_fd;        /* eventfd */
    uint64_t turn_ns;   /* since when this turn goes on; 0: it waits, */
    uint64_t idle_ns;   /* since then; 0: it never had a turn */
    struct stall stall;
    _Atomic bool wake_sent; /* saves the write when a wake is already on its way */
};

struct system_watch {
    struct loop_watch watch;
    struct event event;
    int fd;
    unsigned interest;
    loop_ready_fn *ready;
    void *arg;
};

/* The first one that is ready ends the wait. */
static void begin_turn(struct system_loop *s)
{
    if (s->turn_ns)
        return;
    s->turn_ns = clock_now_ns(s->loop.clock);
    stall_begin(&s->stall, s->idle_ns ? s->turn_ns - s->idle_ns : 0);
}

/* The loop's own thread alone writes them. */
static void raise_to(_Atomic uint64_t *most, uint64_t value)
{
    if (value > atomic_load_explicit(most, memory_order_relaxed))
        atomic_store_explicit(most, value, memory_order_relaxed);
}

static void look_at_slow(struct system_loop *s, uint64_t took_ns)
{
    uint64_t cpu_ns = earlier_ns(stall_cpu_ns(&s->stall), took_ns);

    raise_to(&s->loop.cpu_ns, cpu_ns);
    if (cpu_ns > LOOP_SLOW_NS)
        atomic_fetch_add_explicit(&s->loop.busy, 1, memory_order_relaxed);
    raise_to(&s->loop.stalled_ns, earlier_ns(stall_ns(&s->stall), took_ns));
}

static void end_turn(struct system_loop *s, uint64_t now_ns)
{
    uint64_t took_ns = s->turn_ns ? now_ns - s->turn_ns : 0;

    s->turn_ns = 0;
    s->idle_ns = now_ns;
    raise_to(&s->loop.longest_ns, took_ns);
    if (took_ns > LOOP_LOOK_NS)
        look_at_slow(s, took_ns);
    if (took_ns > LOOP_SLOW_NS)
        atomic_fetch_add_explicit(&s->loop.slow, 1, memory_order_relaxed);
}

static void on_event(evutil_socket_t fd, short events, void *arg)
{
    struct system_watch *w = arg;
    struct system_loop *s = (struct system_loop *)w->watch.loop;

    (void)fd;
    begin_turn(s);
    w->ready(w->arg, (events & EV_READ ? LOOP_READ : 0u) | (events & EV_WRITE ? LOOP_WRITE : 0u));
    if (clock_now_ns(s->loop.clock) - s->turn_ns > LOOP_READY_NS)
        event_base_loopbreak(s->base);
}

static struct loop_watch *system_watch_new(struct loop *l, int fd, loop_ready_fn *ready, void *arg)
{
    struct system_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    *w = (struct system_watch){.watch = {l}, .fd = fd, .ready = ready, .arg = arg};
    return &w->watch;
}

static void system_watch_set(struct loop_watch *watch, unsigned interest)
{
    struct system_watch *w = (struct system_watch *)watch;
    short events = (short)(EV_PERSIST | (interest & LOOP_READ ? EV_READ : 0) |
                           (interest & LOOP_WRITE ? EV_WRITE : 0));

    if (interest == w->interest)
        return;
    if (w->interest)
        event_del(&w->event);
    w->interest = interest;
    if (!interest)
        return;
    /* Both fail only without memory or for a closed fd, which is a bug. */
    if (event_assign(&w->event, ((struct system_loop *)watch->loop)->base, w->fd, events, on_event,
                     w) != 0 ||
        event_add(&w->event, NULL) != 0)
        err_no_memory("an event");
}

static void system_watch_free(struct loop_watch *watch)
{
    struct system_watch *w = (struct system_watch *)watch;

    if (w->interest)
        event_del(&w->event);
    free(w);
}

static void system_wake(struct loop *l)
{
    struct system_loop *s = (struct system_loop *)l;
    uint64_t one = 1;

    if (atomic_exchange_explicit(&s->wake_sent, true, memory_order_acq_rel))
        return;
    if (write(s->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
        abort(); /* the counter would overflow after 2^64 wakes */
}

/* Each write is an edge, whether or not the one before was read: so nothing is read. */
static void on_wake(evutil_socket_t fd, short events, void *arg)
{
    struct system_loop *s = arg;

    (void)fd, (void)events;
    begin_turn(s);
    /* A wake that came before this writes nothing, but what it announces is visible to the step
     * that follows this wait (acquire). */
    atomic_exchange_explicit(&s->wake_sent, false, memory_order_acq_rel);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg; /* returning from the wait is all */
}

static void wait_until(struct system_loop *s, uint64_t until_ns, uint64_t now_ns)
{
    uint64_t rest_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timeval rest = {(time_t)(rest_ns / NS_PER_S), (suseconds_t)(rest_ns % NS_PER_S / 1000)};

    if (rest_ns < NS_PER_US) {
        event_base_loop(s->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        return;
    }
    if (until_ns == NEVER_NS)
        event_del(&s->timer);
    else if (event_add(&s->timer, &rest) != 0)
        err_no_memory("an event");
    event_base_loop(s->base, EVLOOP_ONCE);
}

static void system_wait(struct loop *l, uint64_t until_ns)
{
    struct system_loop *s = (struct system_loop *)l;
    uint64_t now_ns = clock_now_ns(l->clock);

    end_turn(s, now_ns);
    wait_until(s, until_ns, now_ns);
    begin_turn(s);
}

static void system_free(struct loop *l)
{
    struct system_loop *s = (struct system_loop *)l;

    event_del(&s->timer);
    event_del(&s->wake);
    event_base_free(s->base);
    close(s->wake_fd);
    stall_fini(&s->stall);
    free(s);
}

static struct event_base *system_event_base(struct loop *l)
{
    return ((struct system_loop *)l)->base;
}

static struct event_base *base_new(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    /* One thread uses a base; the precise timer would cost a system call each wait. */
    if (!config || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0)
        err_no_memory("an event loop");
    base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base)
        err_no_memory("an event loop");
    return base;
}

struct loop *loop_new(const struct clock *clock)
{
    static const struct loop_ops ops = {
        .watch_new = system_watch_new,
        .watch_set = system_watch_set,
        .watch_free = system_watch_free,
        .wake = system_wake,
        .wait = system_wait,
        .free = system_free,
        .event_base = system_event_base,
    };
    struct system_loop *s = calloc(1, sizeof(*s));

    if (!s)
        err_no_memory("an event loop");
    s->loop = (struct loop){.ops = &ops, .clock = clock};
    s->stall.clock = clock;
    s->base = base_new();
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0 || evtimer_assign(&s->timer, s->base, on_timer, NULL) != 0 ||
        event_assign(&s->wake, s->base, s->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, s) !=
            0 ||
        event_add(&s->wake, NULL) != 0)
        err_no_memory("an event loop");
    return &s->loop;
}
