/* parts.h: the collector's own inside, for the files that make it up.
 *
 * collector.c makes and ends it, build.c makes the rooms and their tasks, accept.c takes
 * connections, life.c goes from phase to phase, snapshot.c sums up, pushed.c shows kept traces to
 * Lua exporters. All of it belongs to the main thread but what says otherwise.
 */
#pragma once

#include "admin/admin.h"
#include "collector/collector.h"
#include "collector/descriptors.h"
#include "collector/notices.h"
#include "collector/recover.h"
#include "collector/reload.h"
#include "collector/state_file.h"

enum { ADDRESS_MAX = 64 };

/* A receiver's listening socket; main accepts on it. */
struct listener {
    struct collector *collector;
    struct receive_port *port; /* NULL: this receiver is off */
    char *listen;              /* as configured */
    int fd;
    struct loop_watch *watch; /* NULL: not listening */
    char bound[ADDRESS_MAX];
};

/* The trace that a Lua exporter looks at. */
struct pushed_trace {
    struct export_trace trace;
    struct policy_trace policy;
    struct policy_verdict verdict;
};

/* What counts spans: span_metrics, service_graph. */
struct metrics_source {
    struct spanmetrics *m; /* NULL: off */
    uint64_t interval_ns, due_ns;
};
enum { METRICS_SOURCES = 2 };

struct collector {
    struct collector_host host;
    char *config_path; /* of the caller's, copied: it is read again */
    struct setup setup;
    atomic_bool is_stopping; /* from collector_stop on */
    struct setup_loaded loaded;
    const struct config *config; /* the one that runs; main's */
    struct reload *reload;
    struct memory *memory; /* host.memory */
    struct labels *labels;
    struct policy_shared policies;
    struct cells *cells; /* the live ones of all scripts */
    struct state_file state_file;
    struct worker_shared shared;
    struct listener listeners[MAX_LISTENERS]; /* by protocol */
    size_t segment_bytes;                     /* of the journal */
    struct journal *journal;
    struct journal_names names;
    char *exporter_names[EXPORTER_MAX]; /* by bit, of all that there have been; names counts them */
    struct recovered recovered;
    struct exporter_specs *exporters; /* of what runs; the builder's, after the start */
    struct http_client *http;
    struct export *export;
    struct admin *admin;
    char admin_bound[ADDRESS_MAX];
    struct worker **workers;
    struct task tasks[MAX_TASKS];
    unsigned task_count;
    struct pushed_trace pushed; /* of the Lua export thread */
    struct rendezvous *rendezvous;
    struct loop *rendezvous_loops[MAX_TASKS];
    unsigned rendezvous_count;
    struct ledger ledger;               /* the last one that balanced in time */
    struct journal_stats journal_stats; /* copied by their threads */
    struct export_stats export_stats[OTLP_SIGNALS][EXPORTER_MAX];
    size_t export_count; /* of them */
    uint64_t started_ns, started_unix_ns, stop_by_ns;
    struct descriptors descriptors;
    uint64_t accept_again_ns; /* paused until then; 0: accepting */
    uint64_t accept_said_ns;  /* that none is left */
    struct metrics_source metrics_sources[METRICS_SOURCES];
    bool has_sent_last; /* what was counted until the end */
    struct notices notices;
    uint64_t audit_due_ns; /* when it is gathered next */
    uint8_t *audit_told;   /* by operation: the log has said that none of its traces is kept */
    unsigned audit_tells;
};

/* ---- build.c ---- */

/* Makes every room and its task from c->loaded, serves the admin sockets, recovers, and listens.
 * What is made when it fails is freed by collector_free. */
enum err build_rooms(struct collector *c, struct err_info *info) MUST_CHECK;
/* The rules of a worker. The first takes the state that was checked. */
enum err build_rules(struct collector *c, struct setup_loaded *loaded,
                     const struct exporter_specs *exporters, unsigned worker, struct rules **rules,
                     struct err_info *info) MUST_CHECK;

/* ---- exporters.c ---- */

/* The exporters of the start: c->exporters, and the names of their places. */
enum err exporters_choose(struct collector *c, struct err_info *info) MUST_CHECK;
/* Gives the Lua export thread its state, if an exporter is Lua's. */
enum err exporters_attach_lua(struct collector *c, struct err_info *info) MUST_CHECK;

/* What a reload does to them. */
struct exporters_change {
    struct exporter_specs *specs; /* NULL: none was made */
    size_t count;                 /* places in use, with the new ones */
    struct export_change *change; /* NULL: nothing but `where`s may have changed */
    lua_State *L;                 /* of the change; NULL: none */
    uint64_t until_ns;            /* once offered: records may come then at the latest */
};
/* Builder: makes the exporters of a version that was read, against the one that runs. ERR_CONFIG
 * with a sentence: nothing is left. */
enum err exporters_prepare(struct collector *c, const struct setup_loaded *loaded,
                           const struct setup_loaded *running, struct exporters_change *out,
                           struct err_info *info) MUST_CHECK;
/* Gives up what was not offered. */
void exporters_abandon(struct exporters_change *change);
/* Builder: they run from now on. Takes what is in *change. */
void exporters_offer(struct collector *c, struct exporters_change *change);
/* Records for those that are new may come: they are there, also after a kill. */
bool exporters_are_ready(const struct collector *c, const struct exporters_change *change);

/* ---- build_journal.c ---- */

/* Never refused memory are a segment of the outbox and a request of each exporter. Again after a
 * change of the limit. */
void build_hold_back(struct collector *c);
/* How long spans lie in it before they are decided. */
uint64_t build_wait_ns(const struct config *config);
uint64_t build_young_ns(const struct config *config); /* journal_config.young_ns */
/* Reads what limits and the like knew, if there is a folder for it. */
void build_state(struct collector *c);
/* Opens the journal of the configuration into c->journal. ERR_IO with a sentence. */
enum err build_journal(struct collector *c, struct err_info *info) MUST_CHECK;

/* ---- accept.c ---- */

/* The options of a receiver. */
struct receive_listener accept_options(const struct config *config, enum receive_protocol protocol);
/* What is wrong with one of them: `why`, and the key in front. Returns `err`. */
enum err accept_fail(unsigned protocol, enum err err, const struct err_info *why,
                     struct err_info *info);
/* The receivers that the configuration of the start asks for, not bound yet. ERR_CONFIG with a
 * sentence. */
enum err accept_choose(struct collector *c, struct err_info *info) MUST_CHECK;
/* Binds them all. ERR_IO with a sentence. */
enum err accept_listen(struct collector *c, struct err_info *info) MUST_CHECK;
/* Accepts on l->fd from now on. */
void accept_begin(struct collector *c, struct listener *l);
/* Takes who waits, and listens no more. The port's connections go on; `keeps_socket`: the socket
 * too. */
void accept_end(struct collector *c, struct listener *l, bool keeps_socket);
/* Accepts again once a pause for want of descriptors is over; returns when to look again. */
uint64_t accept_resume(struct collector *c, uint64_t now_ns);
/* No new connections from now on. */
void accept_close(struct collector *c);
/* The same, for good. */
void accept_free(struct collector *c);

/* ---- listeners.c ---- */

struct listeners_change;
/* Builder: the receivers and the admin listener of a version that was read: bound aside, and
 * certificates read again. ERR_IO, ERR_CONFIG with a sentence: nothing is left. */
enum err listeners_prepare(struct collector *c, const struct setup_loaded *loaded,
                           const struct setup_loaded *running, struct listeners_change **out,
                           struct err_info *info) MUST_CHECK;
/* Gives up what was not taken. NULL is allowed. */
void listeners_abandon(struct listeners_change *change);
/* Main: they listen from now on; the connections of those before leave. Takes `change`. */
void listeners_take(struct listeners_change *change);

/* ---- life.c ---- */

/* The main task's body. */
uint64_t life_step(void *collector, uint64_t now_ns);

/* ---- snapshot.c: each on the thread of its task, at a rendezvous ---- */

void snapshot_worker(void *worker);
void snapshot_journal(void *collector);
void snapshot_export(void *collector);
/* Main: span_metrics, service_graph and the audit have all that was counted until now. False:
 * somebody was late, they are as they were. */
bool snapshot_gather(struct collector *c);

/* ---- pushed.c: on the Lua export thread ---- */

/* Shows a kept trace to a Lua exporter as policies see it (struct export_hooks). */
enum err pushed_trace_push(void *collector, lua_State *L, const struct export_trace *trace);
void pushed_trace_end(void *collector, lua_State *L);

/* ---- the page of /metrics ---- */

static inline void metrics_counter(struct metrics *m, const char *name, const char *help,
                                   uint64_t value)
{
    metrics_family(m, name, METRIC_COUNTER, help);
    metrics_sample(m, (double)value, (char *)0);
}

static inline void metrics_gauge(struct metrics *m, const char *name, const char *help,
                                 double value)
{
    metrics_family(m, name, METRIC_GAUGE, help);
    metrics_sample(m, value, (char *)0);
}

/* ---- metrics_export.c ---- */

/* What an exporter gave up for this reason, and at the start what had been queued before for one of
 * its name. */
uint64_t metrics_lost(const struct ledger_exporter *e, const struct export_loss *loss,
                      const struct recovered *r, enum otlp_signal signal);
/* Whether it has, or had since the start, an exporter of that name: its sample stands there. */
bool metrics_has_exporter(const struct ledger *l, const char *name);
void metrics_write_exporters(struct metrics *m, const struct ledger *l, const struct recovered *r);
/* labels: of decisions. */
void metrics_write_aliases(struct metrics *m, const struct ledger *l, const struct labels *labels);

/* ---- metrics_items.c: the part of /metrics about metrics and logs ---- */

/* filters: the labels of what processors dropped. */
void metrics_write_items(struct metrics *m, const struct ledger *l, const struct recovered *r,
                         const struct labels *filters);
void metrics_write_item_aliases(struct metrics *m, const struct ledger *l);

/* ---- metrics_journal.c ---- */

void metrics_write_journal(struct metrics *m, const struct ledger *l, const struct recovered *r);
