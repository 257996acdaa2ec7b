#include "collector/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct thread {
    const struct task *task;
    struct rendezvous *rendezvous;
    const _Atomic bool *stop;
    const struct clock *clock;
    pthread_t id;
};

/* A thread that is woken takes the CPU from the one that woke it, where they share one: a worker's
 * first request had a round of the journal for itself. As a batch it waits until the worker has
 * nothing more to do, or its slice is over. Where there is a free CPU it runs at once, as before.
 */
static void let_others_first(void)
{
    struct sched_param none = {0};

    (void)!sched_setscheduler(0, SCHED_BATCH, &none); /* if that is forbidden all works as well */
}

/* A wait that is to end before the kernel's next tick has its timer set, and set again when it is
 * over: in a virtual machine that is two exits, a tenth of what a request of ten spans costs. With
 * slack of more than a tick nothing is set, and the tick ends the wait. */
static void let_ticks_end_waits(void)
{
    (void)prctl(PR_SET_TIMERSLACK, 10 * NS_PER_MS);
}

static void *run_task(void *arg)
{
    struct thread *t = arg;
    unsigned seen = 0;

    pthread_setname_np(pthread_self(), t->task->name);
    if (t->task->gathers)
        let_others_first();
    if (!t->task->is_exact)
        let_ticks_end_waits();
    while (!atomic_load_explicit(t->stop, memory_order_acquire)) {
        uint64_t due = t->task->step(t->task->arg, clock_now_ns(t->clock));

        if (t->task->snapshot)
            rendezvous_attend(t->rendezvous, &seen, t->task->snapshot, t->task->arg);
        loop_wait(t->task->loop, due);
    }
    return NULL;
}

static void start(struct thread *threads, unsigned count)
{
    sigset_t all, before;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < count; i++) {
        int error = pthread_create(&threads[i].id, NULL, run_task, &threads[i]);

        if (error != 0) {
            fprintf(stderr,
                    "moontail: cannot start a thread: %s; raise what bounds them (TasksMax of "
                    "systemd, --pids-limit of docker, ulimit -u)\n",
                    strerror(error));
            _exit(EXIT_FAILURE);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void run_main(struct collector *c, const struct task *task, const struct clock *clock,
                     uint64_t (*tick)(void *arg, uint64_t now_ns), void *arg)
{
    while (collector_phase(c) != PHASE_STOPPED) {
        uint64_t now_ns = clock_now_ns(clock);
        uint64_t due = task->step(task->arg, now_ns);
        uint64_t due_tick = tick ? tick(arg, now_ns) : NEVER_NS;

        if (collector_phase(c) != PHASE_STOPPED)
            loop_wait(task->loop, due < due_tick ? due : due_tick);
    }
}

void threads_run(struct collector *c, uint64_t (*tick)(void *arg, uint64_t now_ns), void *arg)
{
    struct thread threads[MAX_TASKS];
    struct rendezvous rendezvous;
    _Atomic bool stop = false;
    unsigned count, copying = 0;
    const struct task *tasks = collector_tasks(c, &count);
    const struct clock *clock = loop_clock(tasks[0].loop);

    for (unsigned i = 1; i < count; i++)
        copying += tasks[i].snapshot != NULL;
    rendezvous_init(&rendezvous, copying);
    collector_set_rendezvous(c, &rendezvous);
    for (unsigned i = 1; i < count; i++)
        threads[i] = (struct thread){&tasks[i], &rendezvous, &stop, clock, 0};
    start(threads + 1, count - 1);
    run_main(c, &tasks[0], clock, tick, arg);
    atomic_store_explicit(&stop, true, memory_order_release);
    for (unsigned i = 1; i < count; i++) {
        loop_wake(tasks[i].loop);
        pthread_join(threads[i].id, NULL);
    }
    collector_set_rendezvous(c, NULL);
    rendezvous_fini(&rendezvous);
}
