/* collector.h: the whole program: rooms wired together, as tasks that step.
 *
 * A task is a thread's body: step(arg, now_ns) returns when it is next due. threads.h runs each on
 * a thread of its own; a scenario runs them all in one thread on virtual time. The collector is
 * made and freed by the main thread; only what says so may be called from elsewhere.
 */
#pragma once

#include "base/disk.h"
#include "base/net.h"
#include "collector/ledger.h"
#include "collector/reload.h"
#include "collector/rendezvous.h"
#include "collector/worker.h"
#include "config/config.h"
#include "export/http_client.h"

enum { MAX_TASKS = MAX_WORKERS + 5, MAX_LISTENERS = 2 };

/* The outside world, real or fake. All borrowed for life. */
struct collector_host {
    const struct clock *clock;
    struct net *net;
    struct disk *disk;
    struct loop *(*loop_new)(void *arg);
    struct http_client *(*http_new)(void *arg, struct loop *loop);
    /* Once the configuration is read and good, before anything is made of it; again when another
     * one is taken, on the main thread. NULL: nothing. */
    void (*configured)(void *arg, const struct config *config);
    void *arg;
    struct memory *memory; /* the one that the libraries' hooks count in; outlives the collector */
    unsigned cpus;         /* for workers = 0 */
    unsigned max_fds;      /* descriptors that this process may have; 0: never too few */
    uint64_t seed;         /* 0: random */
    bool watches_files;    /* of the configuration, with the system's inotify */
    bool moves_eagerly;    /* for tests: see struct journal_config */
    bool has_admin;        /* admin and control sockets are served (they use real sockets) */
    const char *journal_path; /* in place of the configuration's, and small: no min_free is left
                                 there; NULL: that one */
    bool any_port; /* listeners take 127.0.0.1:0 whatever the configuration says, and no control
                      socket is made: for the demonstration */
};

struct task {
    const char *name; /* of the thread: at most 15 characters */
    struct loop *loop;
    uint64_t (*step)(void *arg, uint64_t now_ns);
    void (*snapshot)(void *arg); /* at a rendezvous; NULL: nothing to copy */
    void *arg;
    bool gathers;  /* one turn of it does what many have asked for: it need not run at once */
    bool is_exact; /* its waits end when they are to, not some milliseconds later */
};

struct collector;

/* Reads the configuration (path NULL: the embedded one), builds every room and listens.
 * ERR_CONFIG: all errors are in `report`; ERR_IO: cannot listen or create a file. */
enum err collector_new(const struct collector_host *host, const char *config_path,
                       struct collector **out, struct buf *report) MUST_CHECK;
/* The orderly end, once it has stopped and no thread runs any more: what must survive is on disk.
 * Without it collector_free leaves what a killed process would. */
void collector_finish(struct collector *c);
void collector_free(struct collector *c);

/* tasks[0] is the main thread's. Borrowed. */
const struct task *collector_tasks(const struct collector *c, unsigned *count);
/* Where threads attend; the main thread holds. NULL r: single-threaded, copies are taken directly.
 */
void collector_set_rendezvous(struct collector *c, struct rendezvous *r);

/* Reads config.lua and all that it names again, aside; what is good is taken between two decisions
 * (reload.h), and life goes on as it was if it is not. Main thread. */
unsigned collector_reload(struct collector *c, enum reload_cause cause);
const struct reload_outcome *collector_last_reload(const struct collector *c); /* NULL: none yet */
/* When the running configuration was taken. */
uint64_t collector_configured_unix_ns(const struct collector *c);

/* Begins to shut down: stop accepting, decide what waits, flush within shutdown_timeout. Main
 * thread. */
void collector_stop(struct collector *c, uint64_t now_ns);
enum phase collector_phase(const struct collector *c);

/* A ledger in which all counts are of one moment; age_ns is how old it is (over 0 when somebody was
 * late). Main thread. */
const struct ledger *collector_ledger(struct collector *c, uint64_t now_ns, uint64_t *age_ns);

/* The one that runs: what wants a restart in it is as at the start. Borrowed until main steps. */
const struct config *collector_config(const struct collector *c);
const char *collector_address(const struct collector *c,
                              enum receive_protocol protocol); /* NULL: off */
const char *collector_admin_address(const struct collector *c);
const struct labels *collector_labels(const struct collector *c);
struct journal *collector_journal(struct collector *c);
struct policy_set *collector_policies(struct collector *c); /* of worker 0; NULL: pass-through */
uint64_t collector_started_ns(const struct collector *c);
struct worker *collector_worker(struct collector *c, unsigned i); /* for scenarios */

uint64_t collector_started_unix_ns(const struct collector *c);
uint64_t collector_now_ns(const struct collector *c);
struct memory *collector_memory(struct collector *c);
/* An exporter with queue.on_full = "refuse" is over its bound: senders are refused. */
bool collector_is_refusing(const struct collector *c);
const struct policy_shared *collector_policy_shared(const struct collector *c);

/* metrics.c: the page of /metrics. */
int collector_write_metrics(void *collector, bool openmetrics, struct buf *out);
/* span_metrics.c: the page of /metrics/spans. */
int collector_write_span_metrics(void *collector, bool openmetrics, struct buf *out);
/* status.c: /readyz, and one command of the control socket. */
int collector_write_ready(void *collector, bool verbose, struct buf *out);
enum err collector_control(void *collector, struct slice command, struct buf *out);
/* summary.c: what `moontail demo` shows. */
void collector_write_summary(struct collector *c, struct buf *out);
