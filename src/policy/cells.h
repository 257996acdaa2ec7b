/* cells.h: what limit, seen and counter of scripts remember, exact over all threads.
 *
 * A struct cells is one world: the live one of the collector, a copy of it for a trial, an empty
 * one of a test. It has a table for each (component, name, kind) that a script declared; a table
 * has a cell for each key, at most max_keys, then one that all further keys share. Keys are known
 * by a keyed 64-bit hash, so that a long one costs nothing. Any thread, unless it says otherwise.
 *
 * Times are now_ns of one clock. What is written to a file is relative to the time of day, so that
 * it holds after another boot.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

enum cell_kind { CELL_LIMIT, CELL_SEEN, CELL_COUNTER, CELL_RATE, CELL_KIND_COUNT };
enum { CELL_NAME_MAX = 255, CELL_KEYS_MAX = 100000, CELL_TABLES_MAX = 1024 };
#define CELL_SPAN_MAX_NS (UINT64_C(1) << 60) /* of an interval, a burst: 36 years */

struct cell_rule {
    enum cell_kind kind;
    uint32_t max_keys;    /* 1 to CELL_KEYS_MAX */
    uint64_t interval_ns; /* limit: from one to the next; seen, counter: the window; rate: the time
                           * between two updates; > 0 */
    uint64_t burst_ns;    /* limit: intervals that may be taken at once; at least one */
    bool forgets;         /* seen: over max_keys an old key gives way, and none is shared */
};

struct cells;
struct cell_table;

const char *cell_kind_name(enum cell_kind kind); /* "limit", "seen", "counter", "rate" */

/* An empty world. `memory` counts what grows with keys; may be NULL. Start-up only: aborts without
 * memory. */
struct cells *cells_new(struct memory *memory);
void cells_free(struct cells *c); /* tables live on as long as they are held; NULL is allowed */
/* The same tables with the same levels, for what must leave no trace. NULL without memory. */
struct cells *cells_copy(struct cells *c, uint64_t now_ns);

/* The table of that name, held until cell_table_unref. The names are copied and cut after
 * CELL_NAME_MAX bytes. With another rule than before, the levels are carried over and clamped to
 * the new one; who still holds the old table goes on with that. NULL: there are CELL_TABLES_MAX, or
 * no memory. */
struct cell_table *cells_table(struct cells *c, const char *component, const char *name,
                               const struct cell_rule *rule, uint64_t now_ns);
void cell_table_unref(struct cell_table *t); /* NULL is allowed */

/* A key without data stands for no key: a cell of its own. cost >= 0, finite. */
bool cell_limit_take(struct cell_table *t, struct slice key, double cost, uint64_t now_ns);
/* Takes it only where `left` (finite, >= 0) stays behind. */
bool cell_limit_take_leaving(struct cell_table *t, struct slice key, double cost, double left,
                             uint64_t now_ns);
/* The share of traces that may pass now so that the limit holds whatever comes: 1 while at most
 * half of it is taken, then less and less, to 2^-14 for the last of it; 0: nothing is left. One is
 * taken if the draw lets a trace of this randomness through. What passed, each counted 1/share
 * times, is an unbiased count of what came. */
double cell_limit_share(struct cell_table *t, struct slice key, uint64_t randomness,
                        uint64_t now_ns);
/* True: `key` was not there; it is from now on, for the window. */
bool cell_seen_add(struct cell_table *t, struct slice key, uint64_t now_ns);
bool cell_seen_has(struct cell_table *t, struct slice key, uint64_t now_ns);
/* n is finite. */
void cell_counter_add(struct cell_table *t, struct slice key, double n, uint64_t now_ns);
/* What was added in the last window by its length in seconds. The window moves by tenths. */
double cell_counter_per_second(struct cell_table *t, struct slice key, uint64_t now_ns);

bool cells_is_empty(struct cells *c); /* nobody declared anything */
/* Forgets tables that nobody holds and in which all is over. */
void cells_forget(struct cells *c, uint64_t now_ns);

struct cell_stats {
    const char *component, *name; /* borrowed for the call */
    enum cell_kind kind;
    uint32_t keys;
    uint64_t overflows; /* calls that went to the shared cell */
};
/* Calls fn with each table, which must not call back. */
void cells_each(struct cells *c, void (*fn)(void *arg, const struct cell_stats *s), void *arg);

/* ---- cells_file.c ---- */

/* True if something was counted since the last cells_write. */
bool cells_changed(struct cells *c);
/* Appends all that is not over yet. */
void cells_write(struct cells *c, uint64_t now_ns, uint64_t unix_ns, struct buf *out);
/* Reads that into an empty world. ERR_PARSE with a sentence: the world stays empty. */
enum err cells_read(struct cells *c, struct slice data, uint64_t now_ns, uint64_t unix_ns,
                    struct err_info *info) MUST_CHECK;
