/* rendezvous.h: stops every thread at a safe point for a moment, so that a snapshot balances.
 *
 * The asking thread (main) waits at most a bound for the others to arrive; each then copies its own
 * block, at the same time, and all go on together when the last has finished.
 */
#pragma once

#include "base/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct rendezvous {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic unsigned asked; /* generation that threads should arrive at */
    unsigned threads;       /* taking part, the asking one not counted */
    unsigned arrived, copied;
    enum { RENDEZVOUS_GATHER, RENDEZVOUS_COPY, RENDEZVOUS_OVER } phase;
};

void rendezvous_init(struct rendezvous *r, unsigned threads);
void rendezvous_fini(struct rendezvous *r);

/* A thread's side, between two steps: if asked since `*seen`, arrives, calls copy(arg) once all
 * have arrived, and returns when all have copied. */
void rendezvous_attend(struct rendezvous *r, unsigned *seen, void (*copy)(void *arg), void *arg);

/* The asker's side: wakes the loops, waits up to wait_ns of real time for all to arrive, lets them
 * copy. False: somebody was late; nothing was copied by anyone. */
bool rendezvous_hold(struct rendezvous *r, struct loop *const *loops, unsigned count,
                     uint64_t wait_ns);
