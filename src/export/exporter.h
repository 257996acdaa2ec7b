/* exporter.h: what is between the files of this room: an exporter's position, its batches, and
 * what a type of exporter implements.
 *
 * Everything here belongs to the export thread. A type is one file that registers itself with
 * EXPORTER_TYPE; it sends the body of one part at a time and says how that ended. Batching,
 * retries, the circuit and the ledger are the same for all.
 */
#pragma once

#include "base/random.h"
#include "export/export.h"
#include "export/split.h"
#include "export/tally.h"
#include "lua/schema.h"

#include <stdatomic.h>

struct exporter;
struct export;

/* ---- types ---- */

/* How sending one part ended. */
enum sent {
    SENT_DELIVERED,
    SENT_RETRY,     /* it can succeed later */
    SENT_PERMANENT, /* it can't: the spans are lost */
    SENT_HOLD,      /* nothing can be sent until someone changes credentials; nothing is lost */
};

struct sent_result {
    enum sent how;
    bool answered;           /* the other end answered: the time counts for retry.max_elapsed */
    bool unsure;             /* to be repeated, and it may have taken it all the same */
    bool told;               /* it said when to come again: the circuit does not count it */
    uint64_t retry_after_ns; /* if told */
    uint32_t rejected;       /* of a delivered one: items that were refused for good */
    uint32_t filtered;       /* of a delivered one: items of which the exporter sent nothing */
    char error[200];         /* for the log and the status; no payload, no secrets */
};

/* A trace in a part's body, for exporters in Lua. */
struct part_trace {
    struct decision_record record;
    size_t offset, len; /* of its payload */
};

/* One request's worth of a batch. */
struct part {
    struct batch *batch;
    struct split_position start; /* of a split record */
    uint32_t items; /* spans, data points, log records: as the batch's signal has them */
    bool done, in_flight;
    bool maybe_delivered; /* an attempt ended without an answer that says whether it was */
    bool probe;           /* the one request of an open circuit */
    unsigned attempts;
    size_t flying_bytes; /* of the body, while in flight */
    uint64_t due_ns;     /* not before */
    uint64_t elapsed_ns; /* spent on retries while the other end answered */
    uint64_t mark_ns;    /* when the last attempt ended; at first when it was made */
    struct buf body;     /* of the batch's signal; while in flight, unless the type takes it */
    uint64_t at;         /* while the body is being built: where it goes on */
    uint32_t found;      /* items that are in it */
    struct part_trace *traces; /* in the body, with it; NULL: the exporter is not Lua's */
    size_t trace_count, trace_capacity;
    void *sending; /* the type's own, while in flight */
    void *kept;    /* the type's own until the part is done: see forget */
};

enum { EXPORTER_ALL_SIGNALS = (1 << OTLP_SIGNALS) - 1 };

struct exporter_type {
    const char *name; /* in exporter "NAME/instance" */
    const char *doc;
    unsigned signals;                  /* bits 1 << enum otlp_signal that it can send; 0: traces */
    const struct schema_field *fields; /* its own options */
    size_t field_count;
    size_t options_size; /* of a struct that begins with struct exporter_common */
    bool needs_no_body;  /* `send` looks at counts alone: part->body stays empty */
    /* What the fields alone can't say of the options; NULL: nothing. */
    enum err (*check)(const void *options, struct err_info *info);
    /* Whether the files that the options name are there, without any effect: what `open` would
     * find. ERR_CONFIG, ERR_IO with a sentence that names the option. NULL: they name none. */
    enum err (*look)(const void *options, struct err_info *info);
    /* Makes the sending side of one exporter. ERR_CONFIG, ERR_IO with a sentence. */
    enum err (*open)(struct exporter *x, const void *options, void **self, struct err_info *info);
    void (*close)(void *self);
    /* Sends part->body; exporter_sent ends it, from within or later. */
    void (*send)(void *self, struct part *part, uint64_t now_ns);
    /* Forgets a part in flight (exporter_sent is not called). NULL if it never waits. */
    void (*cancel)(void *self, struct part *part);
    /* Frees part->kept, if there is one: the part is done, or everything ends. NULL: nothing is. */
    void (*forget)(void *self, struct part *part);
    struct exporter_type *next;
};

/* Of an attempt that is to be repeated. */
static inline void part_note_unsure(struct part *p, const struct sent_result *r)
{
    p->maybe_delivered |= r->unsure || !r->answered;
}

/* Called before main by EXPORTER_TYPE. Keeps the pointer. */
void exporter_register(struct exporter_type *type);
const struct exporter_type *exporter_type_find(const char *name);
/* By name; NULL ends them. */
const struct exporter_type *exporter_types(void);

#define EXPORTER_TYPE(ident, ...)                                                                  \
    struct exporter_type ident = {__VA_ARGS__};                                                    \
    __attribute__((constructor)) static void ident##_register(void)                                \
    {                                                                                              \
        exporter_register(&ident);                                                                 \
    }                                                                                              \
    _Static_assert(1, "")

/* ---- specs ---- */

/* Options that every exporter has. */
struct exporter_common {
    const char *const *signals; /* NULL: all that the type can send */
    uint64_t batch_spans, batch_bytes, batch_timeout_ns;
    uint64_t queue_bytes;
    bool in_order;       /* one request at a time: nothing passes what is sent again */
    const char *on_full; /* "drop_oldest" | "refuse" */
    uint64_t timeout_ns;
    uint64_t retry_initial_ns, retry_max_ns, retry_elapsed_ns;
    uint64_t circuit_failures, circuit_probe_ns;
};

struct exporter_spec {
    const char *name;                 /* "otlp/errors" */
    const struct exporter_type *type; /* of a Lua exporter: the one that talks to its thread */
    bool is_lua, is_inline;           /* is_inline: written in config.lua itself */
    unsigned signals;                 /* bits 1 << enum otlp_signal that it takes */
    unsigned bit;                     /* of the outbox records' mask; exporter_specs_place */
    struct exporter_common *options;  /* what the type's options begin with; owned */
};

struct exporter_specs {
    struct exporter_spec items[EXPORTER_MAX];
    size_t count;
    struct schema_store store; /* names, strings of the options */
    _Atomic unsigned references;
};

/* ---- one exporter ---- */

/* The records of one signal in a run of the outbox: [from, to). It settles when all its parts are
 * done. */
struct batch {
    struct batch *next;
    struct exporter *exporter;
    enum otlp_signal signal;
    uint64_t id; /* 1, 2, ...: stable over retries */
    uint64_t from, to;
    uint64_t since_ns; /* its first record was seen */
    uint32_t items;
    size_t bytes;               /* of the selected payloads; 0 once they left the queue's figure */
    bool split;                 /* one record in several parts */
    struct split_limits limits; /* of a split record: those that it was cut by */
    size_t part_count, parts_left;
    struct part *parts;
};

enum {
    WINDOW_MAX = 32, /* batches that are in flight, wait for a retry or settled out of order */
    IN_FLIGHT_MAX = 8,
};

/* What an exporter becomes once its requests in flight have ended. */
struct exporter_next {
    bool is_due;
    const struct exporter_spec *spec; /* NULL: it is removed */
    struct exporter_specs *specs;     /* a reference */
    void *self;
    uint64_t until_ns; /* then what is still in flight is given up, and sent again */
};

/* What a script counts. The Lua thread adds, any thread reads. */
struct exporter_count {
    char what[EXPORT_COUNT_NAME]; /* written before it is counted in count_names */
    _Atomic uint64_t n;
};

struct exporter {
    struct export *owner;
    unsigned index; /* bit of the outbox records' mask */
    char *name;     /* the same for life */
    const struct exporter_spec *spec;
    struct exporter_specs *specs; /* what spec is in; a reference */
    void *self;                   /* the type's own; NULL: it is removed */
    struct exporter_next next;
    bool is_removed; /* what comes for it is given up: its place stays */

    uint64_t seen;   /* records before it are in queue_bytes and in the tally */
    uint64_t cursor; /* records before it are in batches, or not ours */
    uint64_t acked;
    struct tally tally[OTLP_SIGNALS]; /* of records between cursor and seen, and some before */
    struct batch *first, *last;       /* the window, of each signal in order of the outbox */
    size_t window;
    struct batch *open[OTLP_SIGNALS]; /* being filled: behind the window; NULL: none */
    struct part *building;            /* its body waits for segments that are away; NULL: none */
    bool is_away;                     /* something that this step wanted is on disk only */
    uint64_t rest[OTLP_SIGNALS];      /* items seen in the cursor's segment, behind it */
    unsigned in_flight;
    uint64_t last_id;
    uint64_t queue_bytes;
    uint64_t flying_bytes; /* of it, in flight: not given up for a full queue */

    bool disk_is_full;  /* what is given up now is so for the journal's disk */
    bool refusing;      /* over its bound with on_full = "refuse" */
    uint64_t warned_ns; /* the last line about what was lost */
    unsigned failures;  /* in a row */
    bool circuit_open;
    bool probing;
    uint64_t probe_ns; /* when the open circuit lets one request through */
    uint64_t pause_ns; /* nothing is sent before (Retry-After) */

    struct export_stats stats[OTLP_SIGNALS]; /* what has settled; the rest is counted when asked */
    char last_error[256];

    struct exporter_count counts[EXPORT_COUNTS_MAX]; /* the same for life, as the name */
    _Atomic unsigned count_names;
};

struct export
{
    struct export_config config;
    struct exporter *exporters; /* [EXPORTER_MAX], by bit: removed ones keep their place */
    size_t count;
    _Atomic(struct export_change *) offered; /* from the builder; NULL: none */
    struct rng rng;
    uint64_t now_ns;       /* of the present step */
    _Atomic bool flushing; /* set by the main thread */
    _Atomic bool stopping; /* the same */
    uint64_t ended;        /* parts that ended, ever: to see that something moved */
    _Atomic bool refusing, queued;
    struct export_lua *lua; /* what is shared with the Lua export thread */
};

/* change.c: takes what was offered, and what exporters become where they may now. Returns when to
 * look again. */
uint64_t change_step(struct export *e, uint64_t now_ns);
/* The parts of an exporter forget what its type keeps of them. */
void exporter_forget(struct exporter *x);
/* Nothing new is sent: it is removed, or about to become another. */
static inline bool exporter_is_closed(const struct exporter *x)
{
    return x->is_removed || x->next.is_due;
}

/* Ends a part in flight and takes its body away. */
void exporter_sent(struct part *part, const struct sent_result *result);

/* Makes the sending side of `spec`, for place `x`. The sentence begins with the exporter's name. */
enum err exporter_open(struct exporter *x, const struct exporter_spec *spec, void **self,
                       struct err_info *info) MUST_CHECK;
/* A place that was empty. Takes the reference. */
void exporter_begin(struct exporter *x, const struct exporter_spec *spec,
                    struct exporter_specs *specs, uint64_t position);
/* The exporter's work that is possible now; returns when there is more. */
uint64_t exporter_step(struct exporter *x, uint64_t now_ns);

/* attempt.c: gives up what is in flight: it is sent again. */
void attempt_give_up(struct exporter *x);
/* Parts that wait for a repeat wait no longer. */
void attempt_all_due(struct exporter *x);
/* Starts one part, if the circuit lets it. False: none could be started. */
bool attempt_next(struct exporter *x, uint64_t now_ns);
/* When attempt_next will be worth a call. */
uint64_t attempt_due_ns(const struct exporter *x);

/* queue.c */
void queue_init(struct exporter *x, uint64_t position);
/* Goes on where it had acked to; see export_recover. */
void queue_recover(struct exporter *x);
/* A record of the outbox that was not seen yet, behind the last one that was. */
void queue_see(struct exporter *x, const struct outbox_item *item);
/* As outbox_look; notes if it is away. False: it is, or there is nothing. */
bool queue_look(struct exporter *x, uint64_t position, struct outbox_item *item);
/* The record at the cursor; and past it. What the segments before it had and does not come any more
 * was damaged on disk: it counts as lost. */
bool queue_next(struct exporter *x, struct outbox_item *item);
void queue_pass(struct exporter *x, const struct outbox_item *item);
void queue_fini(struct exporter *x);
/* Counts what is new in the outbox, keeps the bound, fills batches. True: something changed. */
bool queue_fill(struct exporter *x, uint64_t now_ns);
/* Acknowledges the batches in front that have settled. True: there were some. */
bool queue_settle(struct exporter *x);
/* The part is done: its items have been counted. */
void queue_part_done(struct part *part);
/* queue_build.c: fills part->body from the outbox. ERR_FULL: no memory; ERR_IO: a part of it is on
 * disk only: the body so far stays, call it again; ERR_PARSE: nothing of it can be read any more:
 * the part is done, its items are lost. */
enum err queue_build(struct part *part) MUST_CHECK;
/* What was built of a part so far is given up. */
void queue_unbuild(struct part *part);
uint64_t queue_due_ns(const struct exporter *x);
/* Whether the exporter takes the record; whether the batch does, if it lies in its run. */
bool queue_is_ours(const struct exporter *x, const struct outbox_item *item);
bool queue_belongs(const struct batch *b, const struct outbox_item *item);
/* The open batch that begins first; NULL: none is open. */
struct batch *queue_oldest_open(const struct exporter *x);
void queue_batch_free(struct batch *b);
/* Items that are queued: those of parts not done, and of records beyond the cursor. */
uint64_t queue_items(const struct exporter *x, enum otlp_signal signal);
bool queue_is_empty(const struct exporter *x);

/* queue_bound.c: gives up the oldest while the queue is too long, or has senders refused, as
 * configured. True: something was given up. */
bool queue_keep_bound(struct exporter *x);
