/* journal.h: the log that waiting and kept spans lie in: frames in segments, and the outbox.
 *
 * Data path: scan -> [journal: staging, frames] -> trace table; composer -> [journal: decisions,
 * outbox] -> exporters. The journal thread owns segments and the outbox (journal_step); each worker
 * owns one journal_writer, the export thread one outbox reader. They talk through rings; nothing
 * here blocks a worker. At level `memory` segments are private memory behind the same headers.
 *
 * A frame is one received body. A reference to a span is (frame_id, offsets): never a pointer. Each
 * frame counts the references alive in it; a segment whose last one is released is free, and reused
 * newest first.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/slice.h"

struct journal;
struct journal_writer;

typedef uint32_t frame_id; /* segment and position in it; 0 is no frame */

enum signal_kind { SIGNAL_TRACES = 1 };

struct journal_config {
    unsigned workers;      /* 1 .. 256 */
    unsigned exporters;    /* 0 .. 64 */
    size_t segment_bytes;  /* 4 KiB .. 1 MiB, a multiple of 4 KiB; 1 MiB for level memory */
    struct memory *memory; /* borrowed for life */
    const struct clock *clock;
};

/* What stands before each body, in memory as on disk. Little-endian. CRCs are filled where a level
 * needs them (0 in private memory). */
struct frame_header {
    uint32_t magic;
    uint8_t version;
    uint8_t encoding; /* 0: none */
    uint8_t signal;   /* enum signal_kind, or the kind of an outbox record */
    uint8_t flags;    /* FRAME_MOVED */
    uint32_t generation;
    uint32_t tlv_len; /* of the TLV area between header and body */
    uint64_t sequence;
    uint64_t unix_ns;
    uint64_t boot_ns;
    uint32_t stored_len;
    uint32_t decoded_len;
    uint32_t items; /* spans accepted */
    uint32_t header_crc;
    uint32_t body_crc;
    uint32_t reserved;
};

/* Start-up only: aborts without memory. */
struct journal *journal_new(const struct journal_config *config);
void journal_free(struct journal *j);

/* The journal thread's body: takes over and hands out segments, appends decisions and kept spans
 * to the outbox in the order of each worker, frees what all exporters have settled. */
uint64_t journal_step(struct journal *j, uint64_t now_ns);
/* The journal thread's loop, so that others can wake it; and whom it wakes when the outbox grows.
 */
void journal_set_loops(struct journal *j, struct loop *own, struct loop *exporter);

/* ---- a worker's side ---- */

/* Worker `index`'s own; borrowed, lives as long as the journal. `loop` is the worker's: woken when
 * a block or a commit it waits for is there. */
struct journal_writer *journal_writer(struct journal *j, unsigned index, struct loop *loop);

/* Space for one decoded body of at most `size` bytes, in private memory. NULL: no block now (memory
 * or the journal thread's turn): pause and try again; the worker's loop is woken when one is there,
 * but whoever waits for memory asks again at least once a second. A later call gives up an
 * uncommitted one. Bodies over segment_bytes get a segment of their own. */
uint8_t *journal_stage(struct journal_writer *w, size_t size);
/* Makes the first `len` bytes of the staged space a frame with `items` references alive.
 * items > 0. Never fails after journal_stage. The bytes may move: use journal_body from now on. */
frame_id journal_commit(struct journal_writer *w, size_t len, uint32_t items,
                        enum signal_kind signal, uint64_t now_ns);

/* The body of a frame with live references; bounded by its own header. Any thread that holds one.
 */
struct slice journal_body(const struct journal *j, frame_id frame);
/* Gives back `n` references. The caller's own writer, whoever wrote the frame. */
void journal_release(struct journal_writer *w, frame_id frame, uint32_t n);

/* ---- decisions and the outbox ---- */

/* The commit record of one decision, or of late spans that follow one. */
struct decision_record {
    uint8_t trace_id[16];
    bool keep;
    bool late;
    uint16_t label;   /* policy and reason: see policy/labels.h */
    uint8_t trigger;  /* enum trace_trigger */
    uint8_t complete; /* 1: the root is here and so is every parent */
    uint32_t spans;   /* decided */
    uint32_t config_version;
    uint64_t threshold; /* T, 56 bits; UINT64_MAX: no th was written */
    double probability; /* < 0: certain or unknown */
    uint64_t duration_ns;
    uint64_t unix_ns;
    uint64_t exporters;     /* bit mask of the exporters that get it (keep only) */
    uint32_t payload_spans; /* spans in the payload (after processors) */
};

/* True: the next journal_decide of this worker succeeds. Ask before the work of composing. */
bool journal_can_decide(struct journal_writer *w);
/* Hands one decision to the journal thread; for a keep, `payload` (a run of ResourceSpans fields =
 * a TracesData body) moves out of the buf; NULL is allowed. Returns its number, from 1, one up each
 * time; 0: the ring is full, nothing was taken, try when the loop was woken. */
uint64_t journal_decide(struct journal_writer *w, const struct decision_record *d,
                        struct buf *payload);
/* The last decision of this worker that is committed: sources up to it may be released. The
 * worker's loop is woken when it moves. Any thread. */
uint64_t journal_decided(const struct journal_writer *w);

/* ---- the export thread's side ---- */

struct outbox_item {
    struct decision_record record;
    struct slice payload; /* borrowed until every exporter has acked past it */
    uint64_t position;    /* of this record */
    uint64_t next;        /* of the one after it: what to ack */
};

/* The record at `position` (start with outbox_begin). False: nothing there yet. Only keeps with a
 * mask are here, in the order of their commits. `position` is not before the least acked one. */
uint64_t outbox_begin(const struct journal *j); /* the oldest record that is still there */
bool outbox_read(const struct journal *j, uint64_t position, struct outbox_item *item);
/* Exporter `index` has settled everything before `position`; never goes back. */
void outbox_ack(struct journal *j, unsigned index, uint64_t position);

/* ---- figures; exact at a rendezvous ---- */

struct journal_stats {
    uint64_t live_bytes, free_bytes, outbox_bytes; /* memory held in segments */
    uint64_t live_items;                           /* references alive in all frames */
    uint64_t enqueued[64];                         /* spans appended to the outbox, per exporter */
    uint64_t in_transit[64];                       /* spans in the rings to the journal thread */
    uint64_t uncommitted;                          /* decisions in those rings */
};
void journal_stats(const struct journal *j, struct journal_stats *s);

/* The last 1024 decisions committed, newest first, at most `max`; returns how many. Any thread
 * (copies under a lock). */
size_t journal_recent(struct journal *j, struct decision_record *out, size_t max);
