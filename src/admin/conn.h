/* conn.h: the connections of the admin listeners; private to this room.
 *
 * A listener has at most CONN_MAX connections: one more closes the one that has been quiet for
 * longest, so that nobody can keep the operator out by holding connections open. No timer is
 * needed for that. A connection reads, answers, sends all of it, and only then reads on.
 */
#pragma once

#include "admin/admin.h"
#include "base/net.h"

#include <stddef.h>
#include <stdint.h>

enum { CONN_MAX = 32, CONN_INPUT = 4096, ANSWER_MAX = 16 << 20 };

struct conn;

/* A protocol. */
struct conn_type {
    size_t state_size;
    void (*open)(struct conn *c);
    /* Consumes input (c->in, c->in_len) until an answer stands in c->out or all is consumed.
     * False: close, once c->out is sent. */
    bool (*input)(struct conn *c);
};

struct listener {
    struct net *net;
    struct loop *loop;
    const struct conn_type *type;
    const struct admin_callbacks *callbacks;
    int fd;
    int spare_fd; /* given up to accept and close when descriptors run out */
    struct loop_watch *watch;
    struct conn *conns[CONN_MAX];
    size_t count;
    uint64_t turn; /* counts what happens */
};

struct conn {
    struct listener *listener;
    size_t index;       /* in the listener's conns */
    uint64_t last_turn; /* when something happened here */
    struct loop_watch *watch;
    int fd;
    bool closing; /* after c->out is sent */
    uint8_t in[CONN_INPUT];
    size_t in_len;
    struct buf out;
    size_t sent;
    _Alignas(max_align_t) unsigned char state[]; /* of the protocol */
};

/* Takes the listening `fd`. ERR_FULL without memory; fd is closed then. */
enum err listener_init(struct listener *l, struct loop *loop, int fd, const struct conn_type *type,
                       const struct admin_callbacks *callbacks) MUST_CHECK;
/* Closes the listener and its connections. A zeroed one is allowed. */
void listener_fini(struct listener *l);

/* Drops the first `n` bytes of the input. */
void conn_consume(struct conn *c, size_t n);

extern const struct conn_type http_conn_type;
extern const struct conn_type control_conn_type;

/* Listens on a unix socket of mode 0600 at `path`; see admin_new. */
enum err control_listen(const char *path, int *fd, struct err_info *info) MUST_CHECK;

/* Appends `body` to `out` as the answer to an HTTP request. */
struct http_response {
    int status;
    const char *content_type;
    struct slice body;
    bool head_only, keep_alive;
};
void http_response_write(struct buf *out, const struct http_response *r);

/* True if an Accept header prefers OpenMetrics to the text format (RFC 9110, 12.5.1). */
bool accept_prefers_openmetrics(struct slice accept);
