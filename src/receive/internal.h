/* internal.h: what the files of this room share.
 *
 * receive.c    the room: connections, steps, counters
 * port.c       what the workers share of a listener
 * connection.c one socket: reads, writes, what is kept between reads, time
 * tls.c        the same through OpenSSL; tls_context.c makes the contexts, port.c renews them
 * http1*.c     OTLP/HTTP on llhttp         h2*.c         OTLP/gRPC on nghttp2
 * request.c    one body on its way: gathered, paused, staged, answered
 * inflate.c    compressed bodies            reply.c       what is said to the peer
 *
 * Everything belongs to the thread of its struct receive, except struct receive_port.
 */
#pragma once

#include "base/buf.h"
#include "receive/link.h"
#include "receive/receive.h"
#include "receive/reply.h"

#include <stdatomic.h>

enum {
    READ_SIZE = 256 * 1024,       /* one read of a socket, shared by all connections */
    READ_SIZE_PAUSED = 16 * 1024, /* the same while a request waits for memory */
    OUT_BOUND = 64 * 1024,        /* answers waiting for a slow reader before reading stops */
    PROGRESS_BYTES = 4 * 1024,    /* what a body must bring at least within each read_timeout, */
    PROGRESS_PARTS = 32,          /* or as large a part of what is reserved for it */
    TOKEN_HASH_SIZE = 32,
    RETRY_COST_FACTOR = 32, /* so often what a try took, the next one is waited for */
};

#define LINGER_NS     (1 * NS_PER_S)   /* reading on after the last answer, so that it arrives */
#define LEAVE_NS      (10 * NS_PER_S)  /* in which a client of HTTP/1 may ask once more */
#define PAUSE_STEP_NS (5 * NS_PER_MS)  /* how often a paused request asks again */
#define FIRST_GAP_NS  (50 * NS_PER_US) /* the same, when it comes to be staged twice */
#define SCAN_STEP_NS  (50 * NS_PER_MS) /* how often at most all connections are looked at */

enum encoding {
    ENCODING_IDENTITY,
    ENCODING_GZIP,
    ENCODING_DEFLATE,
    ENCODING_ZSTD,
    ENCODING_LZ4,
    ENCODING_SNAPPY,
    ENCODING_UNKNOWN,
};

/* The encoding of a Content-Encoding or grpc-encoding value, in any case of letters. */
enum encoding encoding_of(struct slice name);

enum request_state {
    REQUEST_READING,  /* its body arrives */
    REQUEST_STAGING,  /* complete; waits for the sink's space or for room in an inbox */
    REQUEST_ACCEPTED, /* the sink has it */
};

struct connection;
struct h2_stream;

struct receive_request {
    struct link link;   /* in receive's list of open requests */
    struct link paused; /* in its list of paused ones, or alone */
    struct receive *receive;
    struct connection *connection; /* NULL: gone, or the stream is */
    struct h2_stream *stream;      /* gRPC only */
    enum request_state state;
    enum otlp_signal signal;
    enum encoding encoding;
    bool json;
    bool was_paused;
    uint8_t *staged;                 /* where the sink takes it directly, while we own its space */
    uint8_t *data;                   /* gathered here otherwise */
    size_t len;                      /* bytes in staged or data */
    size_t capacity;                 /* of data, counted in the memory limiter */
    size_t wanted;                   /* paused: bytes beside `capacity` that it lacks; 0: others */
    uint64_t retry_ns, retry_gap_ns; /* paused while STAGING: not staged again before */
    uint64_t pause_end_ns;           /* refused then; 0: never paused yet */
    uint64_t patience_ns;            /* the longest pause */
};

/* How a connection speaks: http1.c and h2.c. */
struct protocol {
    bool (*open)(struct connection *c);
    void (*close)(struct connection *c); /* frees; requests that the sink has survive */
    /* Reads `bytes`; returns how many are done with. The rest comes again, with more behind it. */
    size_t (*feed)(struct connection *c, struct slice bytes);
    /* Moves what is to be sent to c->out. NULL: it goes there directly. */
    void (*pull)(struct connection *c);
    /* Answers; the request is freed by the caller afterwards. */
    void (*answer)(struct connection *c, struct receive_request *q, const struct reply *reply);
    /* A request that waited for memory got it. */
    void (*resume)(struct connection *c, struct receive_request *q);
    /* Acts on what is due; returns when it is next due. */
    uint64_t (*tick)(struct connection *c, uint64_t now_ns);
    void (*drain)(struct connection *c);
    bool (*is_busy)(const struct connection *c); /* a request is open */
};

extern const struct protocol http1_protocol, h2_protocol;

struct connection {
    struct link link;  /* in receive's list */
    struct link dirty; /* in its list of those to go on with in the next step, or alone */
    struct receive *receive;
    const struct protocol *protocol;
    void *state;                             /* the protocol's */
    struct receive_port *port;               /* a reference */
    const struct receive_listener *listener; /* its options */
    int fd;
    struct loop_watch *watch;
    unsigned interest;
    struct tls_session *tls; /* NULL: plain */
    struct buf out;          /* to be sent, from `sent` on */
    size_t sent;
    size_t out_counted; /* of its space, in the memory limiter */
    struct buf held;    /* received and not done with */
    uint64_t opened_ns;
    uint64_t write_ns;   /* when bytes last left, or began to wait */
    uint64_t linger_ns;  /* lingering until then; 0: not */
    uint64_t max_age_ns; /* of this connection; NEVER_NS: none */
    bool leaving;        /* its port was closed */
    bool parting;        /* draining, and what it sends is taken until it knows */
    bool stuck;          /* the protocol takes no bytes now */
    bool closing;        /* close when `out` is sent */
    bool eof;            /* the peer sends no more */
    bool dead;           /* close at once */
    bool busy;           /* inside connection_read or connection_continue */
};

/* endpoints.c */
/* The signal that a path of HTTP, a gRPC path, or a gRPC service stands for. False: none. */
bool endpoint_of_path(struct slice path, enum otlp_signal *signal);
bool endpoint_of_method(struct slice path, enum otlp_signal *signal);
bool endpoint_of_service(struct slice service, enum otlp_signal *signal);

/* connection.c */
/* Takes the reference, and its place among the port's connections. */
void connection_new(struct receive *r, struct receive_port *port, int fd);
void connection_free(struct connection *c);
/* Goes on after an answer or a resumption: feeds what is held, sends, closes. May free `c`. */
void connection_continue(struct connection *c);
/* connection_continue in the next step, unless it is at work right now. */
void connection_mark(struct connection *c);
/* Reads once. */
void connection_read(struct connection *c);
/* Acts on what is due; returns when it is next due. May free `c`. */
uint64_t connection_tick(struct connection *c, uint64_t now_ns);
size_t connection_unsent(const struct connection *c);

/* tls.c: a session over memory BIOs. */
struct tls_session *tls_session_new(struct receive_port *p); /* NULL: no */
void tls_session_free(struct tls_session *t);
/* Takes ciphertext. */
void tls_session_give(struct tls_session *t, struct slice bytes);
/* Plaintext of at most `len` bytes; goes on with the handshake. *got 0 with ERR_OK: the end.
 * ERR_AGAIN: needs more. ERR_IO: failed (an alert may be left to send). */
enum err tls_session_read(struct tls_session *t, uint8_t *data, size_t len, size_t *got) MUST_CHECK;
/* Encrypts all of `bytes`. */
enum err tls_session_write(struct tls_session *t, struct slice bytes) MUST_CHECK;
void tls_session_shutdown(struct tls_session *t);
/* Ciphertext to send, valid until the next call; tls_session_sent drops its first bytes. */
struct slice tls_session_unsent(const struct tls_session *t);
void tls_session_sent(struct tls_session *t, size_t len);
bool tls_session_is_open(const struct tls_session *t); /* the handshake is over */

/* port.c */
/* One more connection; false: that would be one too many. */
bool port_enter(struct receive_port *p);
void port_leave(struct receive_port *p);
const struct receive_listener *port_options(const struct receive_port *p);
/* The SSL_CTX with a reference for the caller, or NULL for plain text. */
struct ssl_ctx_st *port_tls(struct receive_port *p);
bool port_is_closed(const struct receive_port *p);
/* True if the value of an Authorization header holds one of the tokens, or if there are none. Takes
 * the same time for all wrong ones. */
bool port_authorizes(const struct receive_port *p, struct slice value);

/* request.c */
struct receive_request *request_new(struct connection *c); /* NULL without memory */
/* The connection or the stream is gone. Frees it unless the sink has it. */
void request_abandon(struct receive_request *q);
/* receive ends: frees it, wherever it is. */
void request_forget(struct receive_request *q);
/* Makes room for `capacity` bytes in all. False: it is paused; protocol->resume will be called,
 * or answer with REPLY_NO_MEMORY. */
bool request_reserve(struct receive_request *q, size_t capacity);
/* Tries to let the next `size` bytes go to the sink's space directly. */
bool request_stage_early(struct receive_request *q, size_t size);
/* The sink's space is needed by another or goes away: moves what is in it aside. */
void request_unstage(struct receive *r);
/* Copies in. Beyond what is reserved it is counted without asking, so callers bound it.
 * False without memory. */
bool request_append(struct receive_request *q, struct slice bytes);
/* All of the body is there: in `whole` (valid for this call), or what was appended if its data
 * is NULL. The request may be answered and gone when this returns. */
void request_complete(struct receive_request *q, struct slice whole);
/* Counts an answer. */
void request_count(struct receive *r, enum reply_code code);
/* Answers through the protocol, counts, frees. */
void request_reply(struct receive_request *q, const struct reply *reply);
/* Asks again for what a paused request waits for. May answer and free it. */
void request_retry(struct receive_request *q);
/* What the body of `q` (NULL: no request) must bring within each read_timeout. */
size_t request_progress(const struct receive_request *q);
bool request_is_paused(const struct receive_request *q);

/* h2_memory.c: nghttp2's allocations, counted. */
struct h2_memory *h2_memory_new(struct memory *memory); /* start-up only */
void h2_memory_free(struct h2_memory *m);

/* inflate.c */
struct inflate;
struct inflate *inflate_new(void); /* start-up only: ends without memory */
void inflate_free(struct inflate *i);
/* Where the output goes: called with growing sizes; what was written before may be lost. */
typedef uint8_t *inflate_space_fn(void *arg, size_t size);
struct inflate_job {
    enum encoding encoding;
    struct slice in;
    size_t max; /* bytes of output */
    inflate_space_fn *space;
    void *arg;
};
/* *len is the output's size. ERR_PARSE: not of that encoding; ERR_FULL: more than max;
 * ERR_AGAIN: space returned NULL, or there is no memory. */
enum err inflate_run(struct inflate *i, const struct inflate_job *job, size_t *len) MUST_CHECK;

/* unsnappy.c */
struct inflate_space {
    uint8_t *data;
    size_t size;
};
/* A body of snappy: a block, or frames if it begins as those do. *len is the output's size.
 * ERR_PARSE: it is neither; ERR_FULL: there is more than space for. */
enum err unsnappy(struct slice in, struct inflate_space out, size_t *len) MUST_CHECK;

struct receive {
    struct receive_config config;
    uint64_t now_ns;
    uint8_t *buffer;          /* READ_SIZE */
    uint8_t *plain;           /* the same behind TLS; NULL: nobody came with it yet */
    const uint8_t *input_end; /* of the bytes that are being fed */
    struct receive_request *stage_owner;
    struct inflate *inflate;
    struct buf scratch; /* for encoding answers */
    struct link connections, dirty, requests, paused;
    uint64_t scan_due_ns, scanned_ns;
    uint64_t retry_began_ns; /* while a request is staged again, else 0 */
    size_t least_used;       /* of memory, at any step: what is held without requests */
    uint64_t jitter;         /* state of a small generator */
    struct h2_memory *h2_memory;
    char date[32]; /* of HTTP answers */
    uint64_t date_ns;
    enum receive_refusal refusing; /* what for; REFUSED_COUNT: not */
    bool draining;

    /* One writer; receive_stats may read them from any thread. */
    _Atomic uint64_t answered, refused[REFUSED_COUNT];
    _Atomic uint64_t connection_count, open_bytes, open_requests;
    _Atomic uint64_t accepted, bytes, pauses;
};

/* Adds to a counter that only this thread writes. */
static inline void receive_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Lets the next step look at all connections no later than at `due_ns`. */
static inline void receive_due(struct receive *r, uint64_t due_ns)
{
    if (due_ns < r->scan_due_ns)
        r->scan_due_ns = due_ns;
}

/* Whether new requests of `c` are taken now: REPLY_OK, or why not. */
enum reply_code receive_judge(const struct connection *c);

/* Whether anyone wants a signal. */
static inline bool receive_takes(const struct receive *r, enum otlp_signal signal)
{
    return r->config.signals >> signal & 1;
}

/* The value of the Date header for now. */
const char *receive_date(struct receive *r);
