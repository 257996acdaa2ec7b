/* export_lua.h: between the export thread and the thread on which exporters in Lua run.
 *
 * A job is one part. It belongs to the thread that has popped it from its ring: the export thread
 * makes it, asks (encode, reply, forget), sends its requests by the HTTP client and frees it; the
 * Lua thread answers. So neither waits for the other.
 */
#pragma once

#include "base/ring.h"
#include "export/exporter.h"
#include "prometheus/prometheus.h"

enum { JOB_REQUESTS_MAX = 256, JOB_RESENDS_MAX = 512 };

/* One request that encode (or a reply) gave. */
struct job_request {
    char *method, *url;
    char **headers; /* NULL-terminated */
    struct buf body;
    uint64_t timeout_ns;     /* 0: the exporter's */
    char *proxy;             /* NULL: as the environment says */
    struct http_sigv4 sigv4; /* service NULL: not signed */
    struct tls_client_options tls;
    bool done;
};

struct job_trace {
    struct decision_record record;
    size_t offset, len;       /* of its payload in the body */
    struct span_view *views;  /* NULL: not looked at yet */
    struct export_trace face; /* valid with views */
};

enum job_ask { JOB_ENCODE, JOB_REPLY, JOB_FORGET, JOB_MOVE };
enum job_verdict {
    JOB_DEFAULT, /* reply has no opinion */
    JOB_OK,
    JOB_AGAIN, /* perhaps with requests[at] replaced */
    JOB_REJECT,
    JOB_SEND, /* requests[at] was replaced */
};

struct lua_job {
    lua_State *L;         /* JOB_MOVE: the one that is next; no part */
    struct lua_job *next; /* export thread only: waits for room in the ring */
    struct part *part;    /* export thread only; NULL: cancelled */
    unsigned exporter;
    uint64_t batch_id;
    size_t part_index;
    uint64_t unix_ns; /* when it was made */
    enum otlp_signal signal;
    uint32_t items;   /* spans, data points, log records */
    uint32_t budgets; /* of CPU time, for encode: one for each batch.max_spans that it holds */
    struct buf body;
    struct job_trace *traces;
    size_t trace_count;

    enum job_ask ask;
    /* the answer to encode; or a verdict, where it sends nothing: */
    bool nothing; /* encode gave nil */
    struct job_request *requests;
    size_t request_count;
    bool has_reply; /* the exporter has reply(): it is asked, and told to forget in the end */
    /* the answer of the other end, for reply; then the verdict */
    size_t at; /* which request */
    int status;
    char why[128]; /* AWS refused the request; empty: it did not, or nobody knows */
    struct buf answer, answer_headers;
    enum job_verdict verdict;
    double retry_s;   /* < 0: not said */
    uint64_t told_ns; /* what Retry-After of that answer says; 0: nothing */
    char error[200];  /* a script's error, or the reason of a reject; empty: none */
    bool failed;      /* the script raised */

    /* export thread only: */
    uint64_t http; /* id of the request in flight; 0: none */
    unsigned resends;
    size_t rejected;  /* requests */
    uint64_t refused; /* items of requests that were taken otherwise, as reply says; its thread's */
};

void job_free(struct lua_job *job);
void job_request_fini(struct job_request *r);

/* What both threads share. */
struct export_lua {
    struct export *owner;
    struct ring to_lua, from_lua; /* struct lua_job * */
    struct lua_job *first, *last; /* the export thread's: did not fit into the ring yet */
    lua_State *next; /* the export thread's: waits until nothing is in flight; NULL: none */
    /* the Lua thread's: */
    lua_State *L;                                /* NULL: no exporter was ever Lua's */
    struct lua_job *current;                     /* while encode runs */
    struct lua_job *running;                     /* while encode or reply runs */
    struct prom_state *prometheus[EXPORTER_MAX]; /* by exporter; NULL: it has none */
};

/* Start-up only. */
struct export_lua *export_lua_new(struct export *e);
void export_lua_free(struct export_lua *l); /* both threads stand still */
/* Gives a job to the Lua thread. */
void export_lua_ask(struct export_lua *l, struct lua_job *job);
/* Makes the exporters of `specs` that are Lua's ready in L. The builder may call it. */
enum err export_lua_ready(struct export *e, const struct exporter_specs *specs, lua_State *L,
                          const struct exporter_source *source, struct err_info *info) MUST_CHECK;
/* Moves to `next` behind the jobs that were given before. */
void export_lua_move(struct export_lua *l);
/* Takes jobs back and goes on with them. */
void export_lua_collect(struct export_lua *l);
/* exporter_lua.c: goes on with a job that came back. */
void lua_job_back(struct export *e, struct lua_job *job);
