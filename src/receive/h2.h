/* h2.h: OTLP/gRPC on one connection, through nghttp2 (RFC 9113, gRPC over HTTP/2).
 *
 * h2.c: the session: frames, windows, floods, age. h2_stream.c: one call from its headers to its
 * message. h2_answer.c: what goes back. Windows are opened by hand: a stream begins with
 * STREAM_WINDOW, gets the rest when its message's memory is reserved, and what can't be reserved
 * is not acknowledged, so that CONNECTION_WINDOW bounds what a client makes us hold.
 */
#pragma once

#include "receive/internal.h"

#include <nghttp2/nghttp2.h>

enum {
    STREAM_WINDOW = 256 * 1024,
    CONNECTION_WINDOW = 4 * 1024 * 1024,
    STREAM_WINDOW_MAX = 16 * 1024 * 1024,
    PREFIX_SIZE = 5, /* compressed flag, length */
    HEALTH_MAX = 1024,
};

struct h2 {
    nghttp2_session *session;
    struct link streams;
    uint64_t active_ns; /* end of the last stream */
    uint64_t credit;    /* for frames that bring no request forward */
    uint64_t credit_ns;
    uint64_t goaway_ns; /* when the final GOAWAY is due after a notice; 0: none */
    bool greeted;       /* the client's SETTINGS came */
    bool leaving;       /* a GOAWAY is sent or due */
};

enum h2_method { METHOD_UNKNOWN, METHOD_EXPORT, METHOD_HEALTH };
enum h2_state { STREAM_HEADERS, STREAM_BODY, STREAM_DONE, STREAM_ANSWERED };

struct h2_stream {
    struct link link;
    struct connection *connection;
    int32_t id;
    enum h2_state state;
    enum h2_method method;
    enum otlp_signal signal;         /* of an export */
    struct receive_request *request; /* export, until it is answered */
    enum encoding encoding;
    bool is_post, is_grpc, is_authorized;
    size_t header_bytes;
    uint64_t timeout_ns; /* grpc-timeout; NEVER_NS: none */
    uint8_t prefix[PREFIX_SIZE];
    size_t prefix_len;
    uint32_t length, got; /* of the message */
    size_t withheld;      /* bytes received whose window has not been given back */
    uint64_t progress_ns; /* of the state */
    uint32_t progress_got;
    struct buf health; /* the message of a health check */
    struct buf answer; /* DATA to send, from `answered` on */
    size_t answered;
};

nghttp2_mem *h2_memory_hooks(struct h2_memory *m);

/* h2.c */
static inline struct h2 *h2_of(const struct connection *c)
{
    return c->state;
}
/* Takes `cost` of what floods use up; without credit the connection is told to leave. */
void h2_charge(struct connection *c, unsigned cost);
void h2_earn(struct connection *c);

/* h2_stream.c */
struct h2_stream *h2_stream_new(struct connection *c, int32_t id); /* NULL without memory */
void h2_stream_free(struct h2_stream *s);
void h2_stream_header(struct h2_stream *s, struct slice name, struct slice value);
void h2_stream_begin(struct h2_stream *s); /* all headers are there */
/* Message bytes. Gives windows back, now or when there is memory. */
void h2_stream_data(struct h2_stream *s, struct slice bytes);
void h2_stream_end(struct h2_stream *s); /* the client has sent everything */
void h2_stream_resume(struct h2_stream *s);
uint64_t h2_stream_tick(struct h2_stream *s, uint64_t now_ns);

/* h2_answer.c: submits; the stream's state becomes STREAM_ANSWERED. */
void h2_answer(struct h2_stream *s, const struct reply *reply);
void h2_answer_health(struct h2_stream *s, bool serving);
