/* receive.h: OTLP over gRPC and HTTP: from sockets to one OTLP protobuf body each, and the answers.
 *
 * Data path: socket -> [receive] -> sink (the worker: stage, scan, journal). Each worker has one
 * struct receive; its connections belong to it. Main owns the listeners and gives accepted
 * sockets to the worker with the least open bytes. Answers are as OTLP specifies
 * (opentelemetry.io/docs/specs/otlp/): partial success, google.rpc.Status, RetryInfo.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/memory.h"
#include "base/net.h"
#include "base/slice.h"
#include "otlp/signal.h"

#include <stdbool.h>

enum receive_protocol { RECEIVE_GRPC, RECEIVE_HTTP };

struct receive_tls {
    const char *cert_file, *key_file, *client_ca_file;
    const char *min_version;
};

struct receive_listener {
    enum receive_protocol protocol;
    size_t max_body, max_inflated, max_headers; /* bytes */
    unsigned max_connections, max_streams;
    uint64_t max_connection_age_ns; /* 0: none */
    uint64_t idle_timeout_ns, read_timeout_ns;
    const char *const *bearer; /* NULL-terminated; NULL: no auth */
    struct receive_tls tls;    /* cert_file NULL: plain text */
};

/* How a request is answered. */
enum receive_verdict {
    RECEIVE_OK,          /* rejected > 0: partial success */
    RECEIVE_BAD,         /* 400 / INVALID_ARGUMENT */
    RECEIVE_UNAVAILABLE, /* 503 + Retry-After / UNAVAILABLE + RetryInfo; counted as memory */
    RECEIVE_DISK,        /* the same, counted as disk */
};

struct receive_answer {
    enum receive_verdict verdict;
    uint64_t rejected;   /* items: spans, data points, log records */
    const char *message; /* static text or borrowed for the call; may be NULL */
};

struct receive_request; /* one request on its way; owned by receive until it is answered */

/* What the worker offers. All calls come from receive's own thread. */
struct receive_sink {
    void *arg;
    /* Space for a decoded body of at most `size` bytes, until accept or the next stage.
     * NULL: no memory now; the request pauses and tries again at a later step. */
    uint8_t *(*stage)(void *arg, size_t size);
    /* The staged body is `len` bytes of `signal`. The sink answers by receive_answer, now or later.
     * ERR_FULL: no room in an inbox; the request pauses and stages again (what was staged must
     * be left as it is until the next stage). */
    enum err (*accept)(void *arg, enum otlp_signal signal, size_t len,
                       struct receive_request *request);
};

struct receive_config {
    struct loop *loop;
    struct net *net;
    struct memory *memory;
    const struct receive_sink *sink; /* borrowed for life */
    unsigned signals;  /* bits 1 << enum otlp_signal: what is taken at all, at first */
    uint64_t pause_ns; /* the longest that one request waits for memory: 2 s */
};

/* What all workers know of a listener: its options (copied), TLS context, tokens, and how many
 * connections it has. Counted, by any thread: each connection has a reference too. */
struct receive_port;
enum err receive_port_new(const struct receive_listener *listener, struct receive_port **out,
                          struct err_info *info) MUST_CHECK;
struct receive_port *receive_port_ref(struct receive_port *p);
void receive_port_unref(struct receive_port *p); /* NULL is allowed */
/* Reads certificate and key again, aside; the second says whether new connections get them. One
 * thread at a time. ERR_CONFIG with a sentence: they stay as they are. */
enum err receive_port_renew(struct receive_port *p, struct err_info *info) MUST_CHECK;
void receive_port_renewed(struct receive_port *p, bool is_taken);
/* Its connections are to leave: see receive_retire. */
void receive_port_close(struct receive_port *p);

struct receive;
struct receive *receive_new(const struct receive_config *config);
/* Closes all connections. Requests that are not answered yet are gone too. */
void receive_free(struct receive *r);

/* Takes an accepted socket of `port`, and a reference. Over max_connections it is closed at once,
 * and counted. */
void receive_add(struct receive *r, struct receive_port *port, int fd, uint64_t now_ns);
/* Connections of ports that were closed leave: GOAWAY with notice; with HTTP/1 Connection: close on
 * the next answer, or at the end of 10 s without a request. What they bring until then is taken. */
void receive_retire(struct receive *r, uint64_t now_ns);
/* Sends what was answered since, goes on with paused requests, ends what is too slow or too old.
 * Returns when it is next due. Call it after receive_answer and before the loop waits again. */
uint64_t receive_step(struct receive *r, uint64_t now_ns);

/* Answers a request that accept took, within accept or later. The request is gone afterwards; its
 * connection may be gone already. Outside of accept the bytes leave in the next receive_step. */
void receive_answer(struct receive_request *request, const struct receive_answer *answer);

/* The sink will answer later: what is left of the body is given up. Within accept. */
void receive_answer_later(struct receive_request *request);

/* Stops taking requests: GOAWAY, Connection: close; open requests are answered, and those that
 * came or are on their way from clients of gRPC. */
void receive_drain(struct receive *r, uint64_t now_ns);
bool receive_is_idle(const struct receive *r); /* no request is open or expected */
enum receive_refusal {
    REFUSED_MEMORY,
    REFUSED_DISK,
    REFUSED_QUEUE_FULL,
    REFUSED_DRAINING,
    REFUSED_MALFORMED,
    REFUSED_TOO_LARGE,
    REFUSED_UNAUTHENTICATED,
    REFUSED_UNSUPPORTED,
    REFUSED_TIMEOUT,
    REFUSED_HEADERS,
    REFUSED_NOT_FOUND,
    REFUSED_METHOD,      /* no POST: mostly health checks of load balancers */
    REFUSED_CONNECTIONS, /* one more than max_connections, with whatever it would have asked */
    REFUSED_COUNT
};
const char *receive_refusal_name(enum receive_refusal r); /* "memory", ... */

/* New requests are refused for REFUSED_MEMORY, REFUSED_DISK or REFUSED_QUEUE_FULL, 503 /
 * UNAVAILABLE, until this is called with REFUSED_COUNT: for nothing. */
void receive_set_refusing(struct receive *r, enum receive_refusal why);

/* What is taken from now on. */
void receive_set_signals(struct receive *r, unsigned signals);

struct receive_stats {
    uint64_t requests;                /* answered with success */
    uint64_t refused[REFUSED_COUNT];  /* answered otherwise, or not at all */
    uint64_t connections, open_bytes; /* now */
    uint64_t accepted_connections, bytes;
    uint64_t paused; /* requests that waited for memory, since the start */
};
/* Any thread: each number is exact, but they may be of slightly different moments. */
void receive_stats(const struct receive *r, struct receive_stats *s);
