#include "collector/rendezvous.h"

#include <errno.h>
#include <time.h>

void rendezvous_init(struct rendezvous *r, unsigned threads)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &attr);
    pthread_condattr_destroy(&attr);
    atomic_init(&r->asked, 0);
    r->threads = threads;
    r->arrived = r->copied = 0;
    r->phase = RENDEZVOUS_OVER;
}

void rendezvous_fini(struct rendezvous *r)
{
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

void rendezvous_attend(struct rendezvous *r, unsigned *seen, void (*copy)(void *arg), void *arg)
{
    unsigned asked = atomic_load_explicit(&r->asked, memory_order_acquire);

    if (asked == *seen)
        return;
    pthread_mutex_lock(&r->lock);
    asked = atomic_load_explicit(&r->asked, memory_order_relaxed);
    *seen = asked;
    if (r->phase == RENDEZVOUS_GATHER) {
        r->arrived++;
        pthread_cond_broadcast(&r->changed);
        while (r->phase == RENDEZVOUS_GATHER && atomic_load(&r->asked) == asked)
            pthread_cond_wait(&r->changed, &r->lock);
        if (r->phase == RENDEZVOUS_COPY && atomic_load(&r->asked) == asked) {
            pthread_mutex_unlock(&r->lock);
            copy(arg);
            pthread_mutex_lock(&r->lock);
            r->copied++;
            pthread_cond_broadcast(&r->changed);
            while (r->phase == RENDEZVOUS_COPY && atomic_load(&r->asked) == asked)
                pthread_cond_wait(&r->changed, &r->lock);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

static struct timespec deadline_after(uint64_t ns)
{
    uint64_t until = clock_monotonic_ns() + ns;

    return (struct timespec){(time_t)(until / NS_PER_S), (long)(until % NS_PER_S)};
}

bool rendezvous_hold(struct rendezvous *r, struct loop *const *loops, unsigned count,
                     uint64_t wait_ns)
{
    struct timespec until = deadline_after(wait_ns);
    bool all;

    pthread_mutex_lock(&r->lock);
    r->arrived = r->copied = 0;
    r->phase = RENDEZVOUS_GATHER;
    atomic_fetch_add_explicit(&r->asked, 1, memory_order_release);
    for (unsigned i = 0; i < count; i++)
        loop_wake(loops[i]);
    while (r->arrived < r->threads)
        if (pthread_cond_timedwait(&r->changed, &r->lock, &until) == ETIMEDOUT)
            break;
    all = r->arrived == r->threads;
    if (all) {
        r->phase = RENDEZVOUS_COPY;
        pthread_cond_broadcast(&r->changed);
        while (r->copied < r->threads)
            pthread_cond_wait(&r->changed, &r->lock);
    }
    r->phase = RENDEZVOUS_OVER;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return all;
}
