/* sim.h: the whole collector in one thread on virtual time, for scenarios.
 *
 * Clock, network and the exporters' HTTP client are fakes; a seed gives the same run. Files are the
 * system's, in a folder of the scenario's own, which is the default of journal.path too; or those
 * of a disk in memory.
 */
#pragma once

/* A scenario runs in one thread, where the thread sanitizer has little to find and takes ten times
 * as long: the largest do less there. */
#if defined(__SANITIZE_THREAD__)
#define SIM_IS_SLOW 1
#else
#define SIM_IS_SLOW 0
#endif

#include "base/fake_net.h"
#include "collector/collector.h"

struct sim {
    struct fake_clock clock;
    struct memory memory;
    struct fake_net *net;
    struct collector *collector;
    struct collector_host host;
    char folder[64];      /* config.lua lies here; removed by sim_fini */
    char path[128];       /* of config.lua */
    const char *config;   /* its text */
    bool is_in_memory;    /* the folder */
    http_serve_fn *serve; /* the backend; NULL: answers 200 with an empty body */
    void *serve_arg;
    uint64_t steps;
    char answer[4096]; /* what came back on the last sim_post: head and body */
};

struct sim_options {
    const char *config; /* the text of config.lua; borrowed for life */
    unsigned cpus;      /* 0: 1 */
    size_t max_chunk;   /* of the fake network; 0: no bound */
    uint64_t seed;      /* of hashes and jitter; 0: 1 */
    bool moves_eagerly; /* see struct journal_config */
    http_serve_fn *serve;
    void *serve_arg;
    struct disk
        *disk; /* NULL: the system's; else the folder is "/sim" of that disk, and its owner's */
};

/* Aborts with the report when the configuration is wrong. */
void sim_init(struct sim *s, const struct sim_options *options);
void sim_fini(struct sim *s);

/* Another text of config.lua, for the next start or reload. Borrowed. */
void sim_write(struct sim *s, const char *config);

/* Steps every task until nothing is due, then on to the next due time, until `ns` have passed. */
void sim_run(struct sim *s, uint64_t ns);
/* Ends at once, as kill -9 does; sim_start goes on with what is on disk. Connections are gone. */
void sim_kill(struct sim *s);
/* Starts again, on the same folder and clock. */
void sim_start(struct sim *s);
/* The same; false if it refuses to: the report goes to stderr. */
bool sim_try_start(struct sim *s);
/* Begins to shut down and runs until stopped. */
void sim_stop(struct sim *s);

/* A connection to the HTTP receiver; -1 if it does not listen. */
int sim_connect(struct sim *s);
/* POSTs a protobuf body to /v1/traces on `fd` and steps until it is answered, at most 5 s of
 * virtual time; returns the status, 0 without an answer. */
int sim_post(struct sim *s, int fd, struct slice body);
/* The same to another path. */
int sim_post_to(struct sim *s, int fd, const char *path, struct slice body);

/* The ledger now. */
const struct ledger *sim_ledger(struct sim *s);
/* Spans kept or dropped under policy and reason. */
uint64_t sim_kept(struct sim *s, const char *policy, const char *reason);
uint64_t sim_dropped(struct sim *s, const char *policy, const char *reason);
