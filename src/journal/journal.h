/* journal.h: the log that waiting and kept spans lie in: frames in segments, and the outbox.
 *
 * Data path: scan -> [journal: staging, frames] -> trace table; composer -> [journal: decisions,
 * outbox] -> exporters. The journal thread owns segments, files and the outbox (journal_step); each
 * worker owns one journal_writer, the export thread one outbox reader. They talk through rings;
 * nothing here blocks a worker.
 *
 * A frame is one received body. A reference to a span is (frame_id, offsets): never a pointer. Each
 * frame counts the references alive in it; a segment whose last one is released is free.
 *
 * Segments lie in private memory. At level `memory` that is all. At `written` and `fsync` the
 * journal thread writes them to files as they fill; from then on the memory is a copy that can be
 * let go (spilled) and read back, so that nobody ever waits for a page of a file but this thread.
 * At level `memory` they are compressed instead, if they are to be.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/slice.h"
#include "journal/format.h"

#include <stdatomic.h>
#include <string.h>

struct journal;
struct journal_writer;
struct decision_record;

typedef uint32_t frame_id; /* segment and position in it; 0 is no frame */

enum signal_kind {
    SIGNAL_TRACES = FRAME_TRACES,
    SIGNAL_METRICS = FRAME_METRICS,
    SIGNAL_LOGS = FRAME_LOGS,
};

/* What has happened to what was acknowledged. */
enum journal_ack {
    ACK_MEMORY,  /* it is staged */
    ACK_WRITTEN, /* pwrite has returned: survives the end of the process */
    ACK_FSYNC,   /* fdatasync has returned: survives a power cut */
};

/* What numbers in decisions and outbox records mean, for who reads the files later. All of it is
 * borrowed for life. */
struct journal_names {
    void *arg;
    size_t (*labels)(void *arg); /* numbers below this are valid; it grows */
    void (*label)(void *arg, uint16_t label, const char **policy, const char **reason);
    /* The number of a pair that was read back. */
    uint16_t (*intern)(void *arg, const char *policy, const char *reason);
    const char *const *exporters;  /* by bit */
    _Atomic size_t exporter_count; /* it grows: outbox_add_exporters */
    const char *const *policies;   /* in order */
    size_t policy_count;
    const char *config_hash;
};

struct journal_config {
    unsigned workers;      /* 1 .. 256; one more writer may be the main thread's */
    unsigned exporters;    /* 0 .. 64; at the start */
    size_t segment_bytes;  /* a multiple of 4 KiB up to 2 MiB, of which 256 GiB have names */
    struct memory *memory; /* borrowed for life */
    const struct clock *clock;
    /* Without files: segments that are full are compressed while memory is short, and not before
     * they are `young_ns` old: most traces that end in them are decided by then. */
    bool compresses;
    uint64_t young_ns;
    size_t unpack_bytes; /* that a worker holds of them as they were, to look at; 0, and at most:
                          * 4 MiB */
    bool moves_eagerly;  /* for tests: whatever has something dead in it is thin, at once */

    enum journal_ack ack; /* ACK_MEMORY: all below is not looked at */
    struct disk *disk;
    const char *path;       /* borrowed for the call */
    uint64_t file_bytes;    /* of a segment file */
    int fd_bound;           /* no more files are made where their descriptors are as high as this */
    uint64_t max_bytes;     /* of all files */
    double min_free;        /* share of the file system, 0 .. 1 */
    uint64_t history_bytes; /* of free segments that are kept for readers; 0: none */
    uint64_t wait_ns; /* frames that left memory come back when they are nearly as old as this */
    size_t decision_cache;             /* decisions that the log remembers at least */
    uint64_t salt_seed;                /* 0: random */
    const struct journal_names *names; /* borrowed for life */
};

/* The least max_bytes with which every worker can go on, also while a backend is down: the segments
 * that each holds, what the outbox and the decisions have, and what only they may take. */
uint64_t journal_least_bytes(unsigned workers, size_t segment_bytes);
/* The open segment of a worker, and those that it has ahead. */
enum { JOURNAL_WORKER_HOLDS = 3 };

/* Opens the folder where there is one: ERR_FULL: another process has it; ERR_IO: it can't be used.
 * Start-up only: ends without memory. */
enum err journal_new(const struct journal_config *config, struct journal **out,
                     struct err_info *info) MUST_CHECK;
/* The orderly end, when no other thread runs any more: writes what is still on its way, marks free
 * what nobody needs, and notes how far the exporters are. */
void journal_finish(struct journal *j, uint64_t now_ns);
/* Without journal_finish what is on disk is what a killed process would leave. */
void journal_free(struct journal *j);

/* ---- recovery: on the main thread, before any other thread runs ---- */

/* Counts of what was found. */
struct journal_recovered {
    uint64_t segments, frames, decisions;
    uint64_t items;          /* of frames that were handed to `frame` */
    uint64_t damaged_frames; /* bodies and headers that were skipped */
    uint64_t damaged_items;  /* of them, where the header was good */
    uint64_t damaged_logs;   /* the same of frames of log records */
    uint64_t bytes;          /* read */
    uint64_t unlogged;       /* decisions of the outbox that the log has not, and has no room for:
                              * they are known only until the outbox is sent */
};

/* A frame that is read back. */
struct recovered_frame {
    frame_id frame;
    enum signal_kind signal;
    uint64_t first_ns; /* when it came, on the present now_ns scale; may be "before" 0: then 0 */
    uint64_t unix_ns;
    uint32_t items;
    uint64_t source;          /* for recovery_has_source, as journal_source */
    struct slice body;        /* borrowed for the call */
    struct slice moved_spans; /* for recovery_is_first */
};

struct recovery {
    void *arg;
    /* Each decision that is remembered, oldest first, late ones included; its label is a present
     * one. */
    void (*decision)(void *arg, const struct decision_record *d);
    /* Each live frame, by the time it came: takes a reference for each item that it keeps, and
     * returns how many it took (0: the frame is free again). */
    uint32_t (*frame)(void *arg, const struct recovered_frame *f);
    /* Each record that an exporter had not settled which is none any more; NULL: nobody asks. The
     * name is borrowed for the call. */
    void (*gone)(void *arg, const char *exporter, const struct decision_record *d);
};

/* Reads back what the files hold: decisions, then live frames. Call it once, before journal_step;
 * without files it finds nothing. ERR_IO: the disk fails altogether. What is damaged is skipped and
 * counted. */
enum err journal_recover(struct journal *j, const struct recovery *to, uint64_t now_ns,
                         struct journal_recovered *found, struct err_info *info) MUST_CHECK;
/* Within recovery.frame: whether the kept trace `trace_id` has its spans of this frame in the
 * outbox (or had: all delivered). If not they are late. */
bool recovery_has_source(const struct journal *j, const uint8_t trace_id[16], uint64_t source);

/* Within recovery.frame: whether the span at `offset` of the body counts there. False: it was
 * moved, and is handed on elsewhere. To be asked once for each. */
bool recovery_is_first(const struct journal *j, const struct recovered_frame *f, uint32_t offset);

/* The journal thread's body: takes over and hands out segments, appends decisions and kept spans
 * to the outbox in the order of each worker, frees what all exporters have settled. */
uint64_t journal_step(struct journal *j, uint64_t now_ns);
/* The journal thread's loop, so that others can wake it; and whom it wakes when the outbox grows.
 */
void journal_set_loops(struct journal *j, struct loop *own, struct loop *exporter);
/* Another journal_config.wait_ns, and young_ns. Any thread. */
void journal_set_wait(struct journal *j, uint64_t wait_ns, uint64_t young_ns);

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

/* The ticket of the last frame committed: journal_acked says when it has reached the level. */
uint64_t journal_ticket(const struct journal_writer *w);
/* Every frame up to this ticket is as safe as the level says. At level memory: the last one. */
uint64_t journal_acked(const struct journal_writer *w);
/* Lets the journal thread write what was committed since the last call. Once a step, after the
 * commits; the worker's loop is woken when journal_acked moves. */
void journal_submit(struct journal_writer *w);
/* True: segments can still leave memory: it need not be made by early decisions. Any thread. */
bool journal_can_spill(const struct journal *j);
/* What the disk's bound asks for, the first before the second. Any thread. */
enum journal_pressure {
    PRESSURE_NONE,
    PRESSURE_OUTBOX, /* exporters give up what lies before outbox_shed_to */
    PRESSURE_EARLY,  /* traces are decided early */
};
enum journal_pressure journal_pressure(const struct journal *j);
/* True: the disk is full or fails; requests are refused until it is not. Any thread. */
bool journal_is_refusing(const struct journal *j);

/* Between these two, once a step, a worker may look at bodies: what it found here stays. */
void journal_read_begin(struct journal_writer *w);
void journal_read_end(struct journal_writer *w);
/* Between those: other bodies are looked at from now on. What was brought out of compressed
 * segments may be forgotten. */
void journal_read_others(struct journal_writer *w);
/* True: the body can be read, until the next journal_read_others. False: it is asked for, and the
 * worker's loop is woken when it is here. The caller has live references in it. Between
 * journal_read_begin and journal_read_end. */
bool journal_is_here(struct journal_writer *w, frame_id frame);

/* The body of a frame with live references that is here; bounded by its own header. Empty where the
 * frame was read back from its file and is damaged there. */
struct slice journal_read(struct journal_writer *w, frame_id frame);
/* The same of one that is in memory as it came. */
struct slice journal_body(const struct journal *j, frame_id frame);
/* Gives back `n` references. The caller's own writer, whoever wrote the frame. */
void journal_release(struct journal_writer *w, frame_id frame, uint32_t n);

/* ---- what is left of thin segments moves together (move.c) ----
 *
 * A segment of which few spans still wait holds as much memory and disk as a full one. Its spans
 * are copied to others of their kind by the workers that own their traces; the references to the
 * copies are theirs from then on, and those to the originals are given back when the copies have
 * reached the level. */

/* One more whenever there are segments to be emptied. */
uint64_t journal_thinned(const struct journal *j);
/* Traces whose first span came later have nothing in them. */
uint64_t journal_thin_until_ns(const struct journal *j);
/* True: spans of the frame are to move, and its body is here. Between journal_read_begin and
 * journal_read_end, as the next two; the caller has references in it. */
bool journal_may_move(const struct journal_writer *w, frame_id frame);
/* Space for a body of `size` bytes with `items` spans, beside that of journal_stage. NULL: there is
 * none now, or it would not fit into a segment. */
uint8_t *journal_stage_move(struct journal_writer *w, size_t size, uint32_t items);
/* Makes the first `len` bytes there a frame with copies of `items` spans of `from`, in their order:
 * `spans` say where each is there (as place) and here. In decisions it has the name that those had.
 * journal_ticket is its ticket. */
frame_id journal_commit_move(struct journal_writer *w, frame_id from, size_t len,
                             const struct moved_span *spans, uint32_t items, uint64_t now_ns);

/* ---- decisions and the outbox ---- */

/* The commit record of one decision, or of late spans that follow one (then keep says whether they
 * were kept too). */
struct decision_record {
    uint8_t trace_id[16];
    bool keep;
    bool late;
    uint8_t signal;   /* enum signal_kind; 0 is SIGNAL_TRACES */
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
    uint32_t payload_spans; /* spans (items) in the payload (after processors) */
    uint32_t errors;        /* spans with status ERROR */
    uint64_t randomness;    /* R, 56 bits */
};

/* The signal as an index: traces, metrics, logs. */
enum { DECISION_SIGNALS = 3 };
static inline unsigned decision_signal(const struct decision_record *d)
{
    return d->signal == SIGNAL_METRICS ? 1 : d->signal == SIGNAL_LOGS ? 2 : 0;
}

/* It says what was decided of a trace: of its spans, or of its log records. Others, which name no
 * trace, are passed on. */
static inline bool decision_is_of_trace(const struct decision_record *d)
{
    static const uint8_t none[sizeof(d->trace_id)];

    return decision_signal(d) == 0 || memcmp(d->trace_id, none, sizeof(none)) != 0;
}

/* What one policy said; explain shows it. */
enum vote_kind {
    VOTE_NOT_ASKED,
    VOTE_NONE, /* no opinion */
    VOTE_KEEP,
    VOTE_DROP,
    VOTE_SAMPLE,
    VOTE_AT_LEAST,
    VOTE_FAILED, /* error, budget, quarantine: the label's reason says which, if there is one */
};
struct decision_vote {
    uint8_t kind;
    uint16_t label;    /* of keep, drop, sample, at_least */
    float probability; /* of sample and at_least */
};

/* What goes to the files beside the record. At level memory it is not looked at. */
struct decision_details {
    const uint64_t *sources; /* journal_source of each frame of the decided spans, each once */
    unsigned source_count;
    const struct decision_vote *votes; /* by policy, in order */
    unsigned vote_count;
};
/* Names the frame beyond the life of the process; one that was moved has the name of the first. */
uint64_t journal_source(const struct journal *j, frame_id frame);

/* True: the next journal_decide of this worker succeeds. Ask before the work of composing. */
bool journal_can_decide(struct journal_writer *w);
/* Hands one decision to the journal thread (`details` may be NULL); for a keep, `payload` (a run of
 * ResourceSpans fields = a TracesData body) moves out of the buf; NULL is allowed. Returns its
 * number, from 1, one up each time; 0: the ring is full, nothing was taken, try when the loop was
 * woken. */
uint64_t journal_decide(struct journal_writer *w, const struct decision_record *d,
                        const struct decision_details *details, struct buf *payload);
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

/* Under pressure: what lies before this is to be given up by exporters that may; 0: nothing. Export
 * thread. */
uint64_t outbox_shed_to(const struct journal *j);
/* Between these two, once a step, the export thread may look at records: what it found stays. */
void outbox_read_begin(struct journal *j);
void outbox_read_end(struct journal *j);
/* Before outbox_read_end: exporter `index` has looked at all before `seen`, and goes on at
 * `cursor`, which is not behind it: the segment that this is in stays in memory, and so does all
 * from `seen` on. Others may leave when memory is short. */
void outbox_hold(struct journal *j, unsigned index, uint64_t seen, uint64_t cursor);
enum outbox_found {
    OUTBOX_HERE, /* in *item */
    OUTBOX_END,  /* nothing is there yet */
    OUTBOX_AWAY, /* it is on disk only: it is asked for, and the export thread's loop is woken; but
                  * whoever waits for it asks again at least every 100 ms */
};
/* The record at `position` (start with outbox_begin). Only keeps with a mask are there, in the
 * order of their commits. `position` is not before the least acked one. Before the first
 * outbox_read_begin everything is read at once: nothing is away. */
enum outbox_found outbox_look(struct journal *j, uint64_t position,
                              struct outbox_item *item) MUST_CHECK;
/* The same without asking; false: nothing there yet, or not in memory. */
bool outbox_read(const struct journal *j, uint64_t position, struct outbox_item *item);
/* Nothing is there yet at `position`. */
bool outbox_ends_at(const struct journal *j, uint64_t position);
uint64_t outbox_begin(const struct journal *j); /* the oldest record that is still there */
/* Where exporter `index` had acked to when the process ended; outbox_begin for a new one (which
 * finds nothing of its own before the present end). */
uint64_t outbox_acked(const struct journal *j, unsigned index);
/* Export thread: there are `count` exporters now, whose names are known. New ones go on at
 * `position`, which one of the others has not acked past. Whoever wants to be sure that they do so
 * after a kill too asks for the second (any thread) before there is a record for them. */
void outbox_add_exporters(struct journal *j, unsigned count, uint64_t position);
bool outbox_knows_exporters(const struct journal *j, unsigned count);
/* Exporter `index` has settled everything before `position`; never goes back. */
void outbox_ack(struct journal *j, unsigned index, uint64_t position);

/* ---- figures; exact at a rendezvous ---- */

struct journal_stats {
    uint64_t live_bytes, free_bytes, outbox_bytes; /* memory held in segments */
    uint64_t packed_bytes;     /* of live segments that are held compressed, as they were, */
    uint64_t copies_bytes;     /* of their copies, */
    uint64_t packs_bytes;      /* and of segments that these lie in */
    uint64_t packed, expanded; /* segments, ever */
    uint64_t unpacked;         /* blocks of them that workers looked at, ever */
    uint64_t live_items;       /* references alive in all frames */
    uint64_t pinned_bytes;     /* of segments that those are in, in memory, compressed or on disk */
    /* By decision_signal, then exporter: items appended to the outbox, and in the rings to the
     * journal thread. */
    uint64_t enqueued[DECISION_SIGNALS][64], in_transit[DECISION_SIGNALS][64];
    uint64_t uncommitted; /* decisions in those rings */

    /* Of the files; 0 without. */
    uint64_t file_bytes, file_max_bytes; /* of all files, and their bound */
    uint64_t live_file_bytes;            /* in segments that are live, of all uses */
    uint64_t history_bytes;              /* in free segments that can still be read */
    uint64_t spilled_bytes;              /* of live segments that are not in memory */
    uint64_t spilled, loaded;            /* segments, ever */
    uint64_t written_bytes, syncs;       /* ever */
    uint64_t write_errors, sync_errors;  /* ever */
    uint64_t decisions_logged;           /* entries that the log holds */
    bool refusing;
};
void journal_stats(const struct journal *j, struct journal_stats *s);

/* The last 1024 decisions committed, newest first, at most `max`; returns how many. Any thread
 * (copies under a lock). */
size_t journal_recent(struct journal *j, struct decision_record *out, size_t max);
