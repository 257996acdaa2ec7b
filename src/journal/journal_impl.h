/* journal_impl.h: what the files of the journal share. Nobody else includes it. */
#pragma once

#include "base/ring.h"
#include "journal/outbox.h"

#include <pthread.h>

enum {
    SPARE_BLOCKS = 2,     /* blocks a worker has ahead */
    DECISION_RING = 1024, /* decisions on their way from one worker */
    RECENT = 1024,        /* decisions that journal_recent shows */
};

/* A decision on its way to the journal thread; it owns the payload. */
struct decision {
    struct decision_record record;
    struct buf payload;
};

struct journal_writer {
    struct journal *journal;
    struct loop *loop; /* NULL: nobody to wake */

    /* The worker's. */
    uint32_t open;      /* the segment that it appends to; 0: none */
    uint32_t large;     /* one for a body that is too large for others; 0: none */
    unsigned idle;      /* bodies since `large` was of use */
    size_t staged;      /* room of the body staged; 0: none */
    bool staged_large;  /* it lies in `large` */
    uint64_t sequence;  /* of frames */
    uint64_t decisions; /* handed over */

    struct ring blocks;               /* of segments, to the worker */
    struct ring ring;                 /* of decisions, to the journal thread */
    _Alignas(64) _Atomic size_t want; /* bytes of the block it waits for; 0: it does not wait */
    _Atomic uint32_t large_ready;     /* a large one, to the worker; 0: none */
    _Alignas(64) _Atomic uint64_t committed; /* decisions */

    /* The journal thread's. */
    struct decision held; /* taken from the ring, but the outbox had no memory */
    bool holds;
    bool is_active;    /* it has asked for a block */
    size_t wanted;     /* what it waits for; 0: nothing */
    uint64_t asked_ns; /* when it asked last */
};

struct journal {
    struct journal_config config;
    unsigned position_bits; /* of a frame_id: position in units of FRAME_ALIGN */
    struct segments segments;
    struct outbox outbox;
    struct journal_writer *writers;
    struct loop *own, *exporter;
    _Alignas(64) _Atomic bool asleep; /* the journal thread waits: wake it */
    pthread_mutex_t recent_lock;
    struct decision_record *recent;
    uint64_t recent_count; /* ever */
};

/* The journal thread has something to do. It may finish its present pause of 2 ms first, if it is
 * in one. */
void journal_wake(struct journal *j);
/* It has to do something now: somebody waits. */
void journal_urge(struct journal *j);
