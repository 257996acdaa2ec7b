/* parts.h: the collector's own inside, for the files that make it up.
 *
 * collector.c makes and ends it, build.c makes the rooms and their tasks, accept.c takes
 * connections, life.c goes from phase to phase, snapshot.c sums up, pushed.c shows kept traces to
 * Lua exporters. All of it belongs to the main thread but what says otherwise.
 */
#pragma once

#include "admin/admin.h"
#include "collector/collector.h"
#include "collector/recover.h"
#include "collector/reload.h"
#include "collector/state_file.h"

enum { ADDRESS_MAX = 64 };

/* A listening socket; main accepts on it. */
struct listener {
    struct collector *collector;
    unsigned index; /* in struct worker_shared.listeners */
    int fd;
    struct loop_watch *watch;
    char bound[ADDRESS_MAX];
};

/* The trace that a Lua exporter looks at. */
struct pushed_trace {
    struct export_trace trace;
    struct policy_trace policy;
    struct policy_verdict verdict;
};

struct collector {
    struct collector_host host;
    char *config_path; /* of the caller's, copied: it is read again */
    struct setup setup;
    struct setup_loaded loaded;
    const struct config *config; /* the one that runs; main's */
    struct reload *reload;
    struct memory *memory; /* host.memory */
    struct labels *labels;
    struct policy_shared policies;
    struct cells *cells; /* the live ones of all scripts */
    struct state_file state_file;
    struct worker_shared shared;
    struct receive_listener receive_listeners[MAX_LISTENERS];
    struct listener listeners[MAX_LISTENERS];
    size_t segment_bytes; /* of the journal */
    struct journal *journal;
    struct journal_names names;
    const char *exporter_names[EXPORTER_MAX];
    struct recovered recovered;
    struct exporter_specs *exporters;
    struct http_client *http;
    struct export *export;
    struct admin *admin;
    char admin_bound[ADDRESS_MAX];
    struct worker **workers;
    struct task tasks[MAX_TASKS];
    unsigned task_count;
    lua_State *export_state; /* of the Lua export thread, as is: */
    struct pushed_trace pushed;
    struct rendezvous *rendezvous;
    struct loop *rendezvous_loops[MAX_TASKS];
    unsigned rendezvous_count;
    struct ledger ledger;               /* the last one that balanced in time */
    struct journal_stats journal_stats; /* copied by their threads */
    struct export_stats export_stats[OTLP_SIGNALS][EXPORTER_MAX];
    uint64_t started_ns, started_unix_ns, stop_by_ns;
    uint64_t accept_again_ns; /* paused until then; 0: accepting */
};

/* ---- build.c ---- */

/* Makes every room and its task from c->loaded, serves the admin sockets, recovers, and listens.
 * What is made when it fails is freed by collector_free. */
enum err build_rooms(struct collector *c, struct err_info *info) MUST_CHECK;
/* The rules of a worker. The first takes the state that was checked. exporters NULL: `where` stays
 * as it is (rules_follow). */
enum err build_rules(struct collector *c, struct setup_loaded *loaded,
                     const struct exporter_specs *exporters, unsigned worker, struct rules **rules,
                     struct err_info *info) MUST_CHECK;

/* ---- build_journal.c ---- */

/* Never refused memory are a segment of the outbox and a request of each exporter. Again after a
 * change of the limit. */
void build_hold_back(struct collector *c);
/* Reads what limits and the like knew, if there is a folder for it. */
void build_state(struct collector *c);
/* Opens the journal of the configuration into c->journal. ERR_IO with a sentence. */
enum err build_journal(struct collector *c, struct err_info *info) MUST_CHECK;

/* ---- accept.c ---- */

/* The receivers that the configuration asks for, into c->shared. */
void accept_choose_listeners(struct collector *c, const struct config *config);
/* Binds them all. ERR_IO with a sentence. */
enum err accept_listen(struct collector *c, struct err_info *info) MUST_CHECK;
/* Accepts again once a pause for want of descriptors is over; returns when to look again. */
uint64_t accept_resume(struct collector *c, uint64_t now_ns);
/* No new connections from now on. */
void accept_close(struct collector *c);

/* ---- life.c ---- */

/* The main task's body. */
uint64_t life_step(void *collector, uint64_t now_ns);

/* ---- snapshot.c: each on the thread of its task, at a rendezvous ---- */

void snapshot_worker(void *worker);
void snapshot_journal(void *collector);
void snapshot_export(void *collector);

/* ---- pushed.c: on the Lua export thread ---- */

/* Shows a kept trace to a Lua exporter as policies see it (struct export_hooks). */
enum err pushed_trace_push(void *collector, lua_State *L, const struct export_trace *trace);
void pushed_trace_end(void *collector, lua_State *L);

/* ---- metrics_items.c: the part of /metrics about metrics and logs ---- */

void metrics_write_items(struct metrics *m, const struct ledger *l);
void metrics_write_item_aliases(struct metrics *m, const struct ledger *l);

/* ---- metrics_journal.c ---- */

void metrics_write_journal(struct metrics *m, const struct ledger *l, const struct recovered *r);
