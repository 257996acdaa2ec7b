/* export.h: exporters: each is a position in the outbox, a window of batches, and a way to send.
 *
 * Data path: outbox -> [export] -> backends. The export thread owns all of it (export_step); Lua
 * exporters run on a thread of their own (export_lua_step). A batch is a run of outbox records that
 * the exporter's mask selects, all of one signal; it settles as delivered, filtered or
 * lost{reason}, counted in spans (data points, log records).
 */
#pragma once

#include "base/clock.h"
#include "base/disk.h"
#include "base/err.h"
#include "export/http_client.h"
#include "journal/journal.h"
#include "otlp/scan.h"
#include "otlp/signal.h"
#include "otlp/view.h"

#include <lua.h>

enum { EXPORTER_MAX = 64 };

/* Where exporters are read from: a state in which the config ran, and which knows the place of its
 * scripts (lua/scripts.h). */
struct exporter_source {
    int exporters; /* stack index of the checked value of `exporters`: a list */
    int env;       /* stack index of the environment of scripts, sealed, with the whole API */
};

/* Reads every exporter of the config: types, names, options. No I/O but reading scripts.
 * ERR_CONFIG with all sentences in `errors`, a line each. Immutable but for the bits; the reference
 * is the caller's (exporter_specs_unref). `hints`
 * (may be NULL) gets a line for each option that is accepted without effect. */
struct exporter_specs;
enum err exporter_specs_new(lua_State *L, const struct exporter_source *source,
                            struct exporter_specs **out, struct buf *hints,
                            struct buf *errors) MUST_CHECK;
/* Appends what each exporter takes, as the part of docs/configuration.md behind config_print_docs.
 */
void exporter_print_docs(lua_State *L, struct buf *out);
struct exporter_specs *exporter_specs_ref(struct exporter_specs *s);
void exporter_specs_unref(struct exporter_specs *s); /* NULL is allowed */
/* Gives each exporter the bit that it has in outbox records: that of its name among the *count
 * `names` by bit, or the next free one, by which *count grows. Without it they have the first ones
 * in order. ERR_CONFIG: there are more than EXPORTER_MAX. */
enum err exporter_specs_place(struct exporter_specs *s, const char *const *names, size_t *count,
                              struct err_info *info) MUST_CHECK;
unsigned exporter_specs_bit(const struct exporter_specs *s, size_t i);
size_t exporter_specs_count(const struct exporter_specs *s);
const char *exporter_specs_name(const struct exporter_specs *s, size_t i);
/* Whether the files that its options name can be used, without any effect. ERR_CONFIG, ERR_IO with
 * a sentence that names exporter and option. */
enum err exporter_specs_look(const struct exporter_specs *s, size_t i,
                             struct err_info *info) MUST_CHECK;
/* What the largest request of each exporter takes while it is made, all together, in bytes. */
size_t exporter_specs_request_bytes(const struct exporter_specs *s);
bool exporter_specs_is_lua(const struct exporter_specs *s, size_t i);
/* Its functions are in config.lua itself. */
bool exporter_specs_is_inline(const struct exporter_specs *s, size_t i);
bool exporter_specs_takes(const struct exporter_specs *s, size_t i, enum otlp_signal signal);
/* Mask of the exporters that take a signal, as in outbox records. */
uint64_t exporter_specs_mask(const struct exporter_specs *s, enum otlp_signal signal);
/* Pushes what exporter `i` of the list at `exporters` has as `where`: a matcher or nil. Any state
 * in which the same config ran; the worker evaluates it for each kept trace. */
void exporter_specs_push_where(lua_State *L, int exporters, size_t i);

/* One trace of a batch, as a Lua exporter sees it. Borrowed until end_trace or the next push. */
struct export_trace {
    const struct decision_record *record;
    const struct span_view *spans; /* count */
    uint32_t count;
    struct scan_sums sums;
};

/* What this room can't do itself; the collector wires it. Called on the Lua export thread. */
struct export_hooks {
    void *arg;
    /* Pushes the proxy of a trace, as policies see it; those pushed before are over. An error:
     * nothing is pushed. */
    enum err (*push_trace)(void *arg, lua_State *L, const struct export_trace *trace);
    /* The batch is over, and the last trace pushed with it. */
    void (*end_trace)(void *arg, lua_State *L);
};

struct export_config {
    struct exporter_specs *specs; /* each exporter has a reference */
    struct journal *journal;
    struct memory *memory;
    struct disk *disk;
    struct http_client *http;             /* what is to be signed is signed on the way to it */
    const char *(*env)(const char *name); /* where AWS credentials are found; NULL: the process's */
    struct loop *loop;                    /* the export thread's */
    struct loop *lua_loop; /* the Lua export thread's; may be NULL if no exporter is ever Lua's */
    const struct clock *clock;
    uint64_t seed;             /* for jitter */
    struct export_hooks hooks; /* push_trace may be NULL if no exporter is Lua's */
};

struct export;
enum err export_new(const struct export_config *config, struct export **out,
                    struct err_info *info) MUST_CHECK;
void export_free(struct export *e);

/* Goes on where each exporter had acked to before the start, and counts what lies behind it as
 * recovered. After journal_recover, before the first step. */
void export_recover(struct export *e);

uint64_t export_step(struct export *e, uint64_t now_ns);
/* Gives the Lua export thread its state, in which the same config ran, and makes its exporters
 * ready (loads their files, runs setup). Before the thread starts. Takes L when it succeeds. */
enum err export_lua_attach(struct export *e, lua_State *L, const struct exporter_source *source,
                           struct err_info *info) MUST_CHECK;
/* The Lua export thread's body. */
uint64_t export_lua_step(struct export *e, uint64_t now_ns);

/* ---- another configuration, while it runs ---- */

/* What it does to the exporters, made aside by one thread (the builder), then taken by the export
 * thread: an exporter that is new begins at the end of the outbox; of one that changed the requests
 * in flight end (10 s at most), then the new one goes on behind what has settled; one that is gone
 * ends the same way, and what is queued for it, or still comes, is lost as `removed`. */
struct export_change;
/* Opens the exporters of `specs`, which have been placed, but for those whose bit is in `stay`:
 * they run and go on as they are. ERR_CONFIG, ERR_IO with a sentence: nothing is left. */
enum err export_change_new(struct export *e, struct exporter_specs *specs, uint64_t stay,
                           struct export_change **out, struct err_info *info) MUST_CHECK;
/* Its Lua exporters run in L, which is taken when it succeeds; none of them may stay. */
enum err export_change_lua(struct export_change *change, lua_State *L,
                           const struct exporter_source *source, struct err_info *info) MUST_CHECK;
/* What was not offered. NULL is allowed. */
void export_change_free(struct export_change *change);
/* Takes it. The one before has been taken. */
void export_offer(struct export *e, struct export_change *change);
/* What was offered has been taken: records for the new exporters may come. */
bool export_has_taken(const struct export *e);
/* The exporters that there have been. On the export thread, or when it stands still. */
size_t export_count(const struct export *e);

/* Adds what scripts of exporters call (ok, retry, reject, send, log) to the open environment. */
enum err export_api_install(lua_State *L, int env, struct err_info *info) MUST_CHECK;

/* Stops waiting for batches to fill: sends what is there. Any thread; wake the export thread after
 * it. */
void export_flush(struct export *e);
/* Starts no more requests: those in flight end, the rest stays in the outbox. Any thread. */
void export_stop(struct export *e);
/* Everything that was enqueued has settled. Export thread, or when it stands still. */
bool export_is_idle(const struct export *e);
/* Any exporter with queue.on_full = "refuse" is over its bound (an atomic; any thread). */
bool export_is_refusing(const struct export *e);
/* Any exporter had something to send when the export thread looked last (an atomic; any thread). */
bool export_has_queued(const struct export *e);

/* The ledger of one exporter for one signal: enqueued + recovered = queued + delivered + filtered +
 * lost, in its items (spans, data points, log records); queued is counted from the data. Exact at a
 * rendezvous. */
enum { EXPORT_COUNTS_MAX = 16, EXPORT_COUNT_NAME = 48 };
struct export_stats {
    uint64_t enqueued, recovered, delivered, redelivered, queued;
    uint64_t lost_permanent, lost_retry_exhausted, lost_outbox_full, lost_disk_full;
    uint64_t lost_damaged; /* read back from disk, and not whole */
    uint64_t lost_removed; /* the exporter is not configured any more */
    uint64_t filtered;
    uint64_t requests, failures; /* of this signal: sent ones, failed ones */
    /* of all signals: */
    uint64_t in_flight; /* requests, now */
    uint64_t queue_bytes;
    bool circuit_open;
    bool removed; /* not configured any more */
    char last_error[256];
    struct {
        char what[EXPORT_COUNT_NAME];
        uint64_t n;
    } counts[EXPORT_COUNTS_MAX]; /* what its script counts; of all signals */
    size_t count_names;
};
void export_stats(const struct export *e, size_t i, enum otlp_signal signal,
                  struct export_stats *s);
