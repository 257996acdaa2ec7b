/* journal_impl.h: what the files of the journal share. Nobody else includes it. */
#pragma once

#include "base/byte_ring.h"
#include "base/loop.h"
#include "base/ring.h"
#include "journal/frame.h"
#include "journal/outbox.h"
#include "journal/spill.h"
#include "journal/unpack.h"

#include <pthread.h>

enum {
    SEGMENT_BYTES_MAX = 2 << 20,
    SPARE_BLOCKS = 2,           /* blocks a worker has ahead */
    DECISION_RING = 1024,       /* decisions on their way from one worker, */
    DECISION_RING_FILES = 4096, /* and with files, where they gather for longer */
    RECENT = 1024,              /* decisions that journal_recent shows */
    ENTRY_BYTES = 512 << 10,    /* of entries of decisions on their way from one worker */
    GATHER_BYTES = 1 << 20,     /* of decisions: with so many they don't wait for others */
    GIVEN_MAX = 8,              /* segments of one writer that may have something to write */
};

/* A decision on its way to the journal thread; it owns both. */
struct decision {
    struct decision_record record;
    struct buf entry;   /* of the decision log; empty without files */
    uint64_t entry_end; /* it lies in the writer's `entries` up to there; 0: it is its own */
    struct buf payload;
};

struct journal_writer {
    struct journal *journal;
    uint32_t ring_size;
    struct loop *loop; /* NULL: nobody to wake */

    /* The worker's. */
    uint32_t open;     /* the segment that it appends to; 0: none */
    uint32_t large;    /* one for a body that is too large for others; 0: none */
    uint32_t moved;    /* one for spans that move; 0: none. They live longer than those that come */
    unsigned idle;     /* bodies since `large` was of use */
    size_t staged;     /* room of the body staged; 0: none */
    bool staged_large; /* it lies in `large` */
    uint64_t sequence; /* of frames */
    uint64_t decisions;   /* handed over */
    size_t gathered;      /* bytes of them since the journal thread was last hurried */
    struct unpack unpack; /* what it looks at of compressed segments */

    struct ring blocks;               /* of segments, to the worker */
    struct ring ring;                 /* of decisions, to the journal thread */
    _Alignas(64) _Atomic size_t want; /* bytes of the block it waits for; 0: it does not wait */
    _Atomic uint32_t large_ready;     /* a large one, to the worker; 0: none */
    _Atomic uint64_t submitted;       /* sequence of the last frame that may be written */
    _Atomic uint64_t reading;         /* odd: it looks at bodies */
    struct byte_ring entries;         /* of the decisions in `ring` */
    struct ring asked;                /* segments that it wants in memory */
    _Atomic bool hurries;             /* somebody waits for one of its decisions */
    _Alignas(64) _Atomic uint64_t committed; /* decisions */
    _Atomic uint64_t acked;                  /* sequence of frames */
    _Atomic bool turn; /* the open segment has been so for long: it is to be closed */

    /* The journal thread's. */
    uint32_t given[GIVEN_MAX]; /* in the order in which they were given out */
    unsigned given_count;
    uint32_t taken;       /* decisions appended, not committed yet */
    uint64_t ticket;      /* of the frames being written */
    struct decision held; /* taken from the ring, but the outbox had no memory */
    bool holds;
    bool is_active;    /* it has asked for a block */
    size_t wanted;     /* what it waits for; 0: nothing */
    uint64_t asked_ns; /* when it asked last */
};

/* What the journal thread does at the moment. */
enum pause {
    PAUSE_NONE,
    PAUSE_FRAMES, /* it lets frames gather, and decisions: pace.c */
    PAUSE_SHORT,  /* it lets decisions gather */
    PAUSE_LONG,   /* it waits for something to do */
};

struct journal {
    struct journal_config config;
    unsigned position_bits; /* of a frame_id: position in units of FRAME_ALIGN */
    struct segments segments;
    struct files files;
    struct decision_log log;
    struct outbox outbox;
    struct spill spill;
    struct recovered *recovered;      /* while recovery runs */
    char *acked_text;                 /* as it was last written; NULL: never */
    uint64_t acked_ns;                /* when that was */
    uint64_t acked_pause_ns;          /* until the next time at least */
    bool acked_failed;                /* it could not be written then */
    uint64_t acked_sum;               /* of the positions then */
    _Atomic unsigned acked_exporters; /* how many it names */
    uint64_t retry_ns, backoff_ns;    /* of a disk that fails */
    uint64_t gather_ns;               /* frames of the next round gather until then; */
    _Atomic uint64_t goal;            /* or until there are so many */
    uint64_t taken_ns;                /* when decisions were last taken; 0: never */
    uint64_t turned_ns;               /* when old open segments were last looked for */
    uint64_t thin_ns;                 /* when thin segments are next looked for */
    _Atomic uint64_t thinned;         /* rounds in which there were some */
    _Atomic uint64_t thin_until_ns;   /* what is in those of the last one came before */
    bool remakes;      /* records that recovery has made again are not at the level */
    bool is_recording; /* records of the decisions taken are on their way to the level */
    struct journal_writer *writers;
    struct loop *own, *exporter;
    bool leaves;                    /* segments can leave memory: for files, or compressed */
    _Atomic uint64_t wait_ns;       /* config.wait_ns, or what was set since; */
    _Atomic uint64_t young_ns;      /* so is this */
    _Alignas(64) _Atomic int pause; /* enum pause */
    _Atomic bool refusing;
    _Atomic int pressure;     /* enum journal_pressure */
    _Atomic uint64_t shed_to; /* a position in the outbox; 0: none */
    pthread_mutex_t recent_lock;
    struct decision_record *recent;
    uint64_t recent_count; /* ever */
};

/* The journal thread has something to do. It may finish a short pause first. */
void journal_wake(struct journal *j);
/* It has to do something now: somebody waits. */
void journal_urge(struct journal *j);

/* NULL: there is nobody to wake. */
static inline void journal_wake_loop(struct loop *loop)
{
    if (loop)
        loop_wake(loop);
}

static inline uint32_t journal_number(const struct journal *j, frame_id frame)
{
    return frame >> j->position_bits;
}

/* ---- writer.c, for move.c: a segment that the writer has open ---- */

size_t writer_room_in(const struct journal_writer *w, uint32_t number);
void writer_close(struct journal_writer *w, uint32_t *number);
/* Makes a frame of what stands behind the place of its header, with header->items references. */
frame_id writer_append(struct journal_writer *w, uint32_t number, struct frame_header *header);
/* NULL: the frame was read back damaged (files_load). */
const struct frame_header *writer_header_of(const struct journal *j, frame_id frame);
/* ---- move.c: what is left of thin segments moves together ---- */

/* Looks for segments that are to be emptied. Returns when to look again. */
uint64_t move_look(struct journal *j, uint64_t now_ns);

/* ---- pace.c: when a round begins, and when decisions are taken ---- */

/* A round that began then is at the level, and its frames are about to be acknowledged. */
void pace_note_round(struct journal *j, uint64_t began_ns);
/* The next round does not begin yet: more frames are expected than there are. */
bool pace_gathers(const struct journal *j, uint64_t now_ns);
/* Fewer frames wait than are expected. Any thread. */
bool pace_is_short(const struct journal *j);

/* Somebody waits for that, or there are many. */
bool pace_is_hurried(const struct journal *j);
bool pace_may_take(const struct journal *j, uint64_t now_ns);
/* Until then they gather. */
uint64_t pace_rest_ns(const struct journal *j);

/* ---- housekeeping.c: everything but what is on its way to the level ---- */

/* Returns when it is next due. */
uint64_t house_step(struct journal *j, uint64_t now_ns);
/* Takes back what has no reference any more. What is not written yet need not be: each of its spans
 * has its decision, and that is at the level. */
void house_collect(struct journal *j);

/* ---- acked.c: the exporters' positions on disk ---- */

/* Writes them if they changed, at most every 100 ms. Returns when to look again. */
uint64_t acked_step(struct journal *j, uint64_t now_ns);
void acked_write(struct journal *j, uint64_t now_ns);

/* Where they were when the process before ended. */
struct acked_past {
    char text[STORE_ACKED_MAX + 1]; /* "": nothing is known of them */
    bool damaged;
};
enum err acked_read(struct journal *j, struct acked_past *past, struct err_info *info) MUST_CHECK;
/* Starts the outbox at `begin` and lets the exporters go on there; those that are new begin at the
 * end. */
void acked_resume(struct journal *j, const struct acked_past *past, uint64_t begin);
