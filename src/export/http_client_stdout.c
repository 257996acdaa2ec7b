/* Writes the bodies of requests to "stdout:" to a file descriptor, and hands all others to another
 * client. Who reads it may be slow, and other programs may share it, so it is not set to
 * non-blocking: where poll says that there is room, a pipe takes this much without a wait. */
#include "export/own_requests.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4096, STEP_BYTES = 256 << 10 };

struct stdout_client {
    struct http_client base;
    struct http_client *inner; /* owned */
    int fd;
    struct own_requests bodies; /* of each, what is left */
    uint64_t begun;             /* the id of the one of which something is written; 0: none */
    bool in_line;               /* what was written last does not end a line */
};

/* ---- writing ---- */

enum written { WROTE, NOT_NOW, FAILED };

static enum written put(struct stdout_client *c, struct slice piece, size_t *n)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    ssize_t result;

    if (poll(&p, 1, 0) == 0)
        return NOT_NOW;
    result = write(c->fd, piece.data, piece.len);
    if (result < 0)
        return errno == EINTR || errno == EAGAIN ? NOT_NOW : FAILED;
    *n = (size_t)result;
    if (*n > 0)
        c->in_line = piece.data[*n - 1] != '\n';
    return WROTE;
}

/* A line that somebody gave up in its middle is ended. */
static enum written begin(struct stdout_client *c, const struct own_request *r)
{
    size_t n;
    enum written w = c->in_line && c->begun != r->id ? put(c, slice_str("\n"), &n) : WROTE;

    if (w == WROTE)
        c->begun = r->id;
    return w;
}

static enum written put_piece(struct stdout_client *c, struct own_request *r)
{
    size_t n = 0;
    enum written w = begin(c, r);

    if (w != WROTE || r->body.len == 0)
        return w;
    w = put(c, slice_make(r->body.data, r->body.len < PIECE ? r->body.len : PIECE), &n);
    r->body = slice_make(r->body.data + n, r->body.len - n);
    return w;
}

/* The oldest one alone, so that lines are whole. False: it waits, or there is none. */
static bool write_some(struct stdout_client *c, uint64_t now_ns)
{
    struct own_request *r = c->bodies.first;
    bool is_over;

    if (!r)
        return false;
    is_over = own_request_is_over(r, now_ns);
    switch (put_piece(c, r)) {
    case WROTE:
        if (r->body.len == 0)
            own_requests_answer(&c->bodies, r, 200, NULL);
        return true;
    case NOT_NOW:
        if (!is_over)
            return false;
        own_requests_answer(&c->bodies, r, 0, "nobody reads standard output");
        return true;
    default:
        own_requests_answer(&c->bodies, r, 0, strerror(errno));
        return true;
    }
}

/* ---- the client ---- */

static enum err stdout_send(struct http_client *base, const struct http_request *request,
                            http_done_fn *done, void *arg, uint64_t *id)
{
    struct stdout_client *c = (struct stdout_client *)base;

    if (strcmp(request->url, "stdout:") != 0)
        return c->inner->send(c->inner, request, done, arg, id);
    return own_requests_add(&c->bodies, request, done, arg, id) ? ERR_OK : ERR_FULL;
}

static void stdout_cancel(struct http_client *base, uint64_t id)
{
    struct stdout_client *c = (struct stdout_client *)base;
    struct own_request *r;

    if (!own_requests_has_id(&c->bodies, id)) {
        c->inner->cancel(c->inner, id);
        return;
    }
    r = own_requests_find(&c->bodies, id);
    if (r)
        own_requests_forget(&c->bodies, r);
}

static uint64_t stdout_step(struct http_client *base, uint64_t now_ns)
{
    struct stdout_client *c = (struct stdout_client *)base;
    uint64_t due = c->inner->step(c->inner, now_ns);
    int pieces = STEP_BYTES / PIECE;

    while (write_some(c, now_ns)) {
        due = now_ns; /* who got an answer may have more */
        if (--pieces == 0)
            return now_ns;
    }
    return own_requests_due(&c->bodies, due, now_ns);
}

static void stdout_free(struct http_client *base)
{
    struct stdout_client *c = (struct stdout_client *)base;

    own_requests_fini(&c->bodies);
    c->inner->free(c->inner);
    free(c);
}

struct http_client *http_client_stdout(struct http_client *inner, int fd)
{
    struct stdout_client *c = calloc(1, sizeof(*c));

    if (!c)
        err_no_memory("standard output");
    c->base = (struct http_client){
        .send = stdout_send, .cancel = stdout_cancel, .step = stdout_step, .free = stdout_free};
    c->inner = inner;
    c->bodies.bit = OWN_STDOUT;
    c->fd = fd;
    return &c->base;
}
