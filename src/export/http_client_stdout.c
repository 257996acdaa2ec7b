/* Writes the bodies of requests to "stdout:" to a file descriptor, and hands all others to another
 * client. Who reads it may be slow, and other programs may share it, so it is not set to
 * non-blocking: where poll says that there is room, a pipe takes this much without a wait. */
#include "export/http_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 4096, STEP_BYTES = 256 << 10, WAITING_MAX = 256, ASK_AGAIN_MS = 10 };
#define OWN_ID (UINT64_C(1) << 61)

struct output {
    struct output *next;
    uint64_t id;
    struct slice left;
    uint64_t timeout_ns, until_ns; /* until_ns 0: not tried yet */
    bool has_begun;
    http_done_fn *done;
    void *arg;
};

struct stdout_client {
    struct http_client base;
    struct http_client *inner; /* owned */
    int fd;
    struct output *first;
    size_t waiting;
    uint64_t last_id;
    bool in_line; /* what was written last does not end a line */
};

static void forget(struct stdout_client *c, struct output *o)
{
    struct output **at = &c->first;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    c->waiting--;
    free(o);
}

static void finish(struct stdout_client *c, struct output *o, const char *why)
{
    struct http_answer a = {.err = why ? ERR_IO : ERR_OK, .status = why ? 0 : 200};
    http_done_fn *done = o->done;
    void *arg = o->arg;

    snprintf(a.error, sizeof(a.error), "%s", why ? why : "");
    buf_init(&a.body, 1, NULL);
    buf_init(&a.headers, 1, NULL);
    forget(c, o);
    done(arg, &a);
    buf_fini(&a.body);
    buf_fini(&a.headers);
}

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
static enum written begin(struct stdout_client *c, struct output *o)
{
    size_t n;
    enum written w = c->in_line && !o->has_begun ? put(c, slice_str("\n"), &n) : WROTE;

    o->has_begun |= w == WROTE;
    return w;
}

static enum written put_piece(struct stdout_client *c, struct output *o)
{
    size_t n = 0;
    enum written w = begin(c, o);

    if (w != WROTE || o->left.len == 0)
        return w;
    w = put(c, slice_make(o->left.data, o->left.len < PIECE ? o->left.len : PIECE), &n);
    o->left = slice_make(o->left.data + n, o->left.len - n);
    return w;
}

/* The oldest one alone, so that lines are whole. False: it waits, or there is none. */
static bool write_some(struct stdout_client *c, uint64_t now_ns)
{
    struct output *o = c->first;

    if (!o)
        return false;
    if (!o->until_ns)
        o->until_ns = now_ns + o->timeout_ns;
    switch (put_piece(c, o)) {
    case WROTE:
        if (o->left.len == 0)
            finish(c, o, NULL);
        return true;
    case NOT_NOW:
        if (now_ns < o->until_ns)
            return false;
        finish(c, o, "nobody reads standard output");
        return true;
    default:
        finish(c, o, strerror(errno));
        return true;
    }
}

/* ---- the client ---- */

static enum err stdout_send(struct http_client *base, const struct http_request *request,
                            http_done_fn *done, void *arg, uint64_t *id)
{
    struct stdout_client *c = (struct stdout_client *)base;
    struct output *o, **at = &c->first;

    if (strcmp(request->url, "stdout:") != 0)
        return c->inner->send(c->inner, request, done, arg, id);
    if (c->waiting >= WAITING_MAX || !(o = malloc(sizeof(*o))))
        return ERR_FULL;
    *o = (struct output){.id = *id = OWN_ID | ++c->last_id,
                         .left = request->body,
                         .timeout_ns = request->timeout_ns,
                         .done = done,
                         .arg = arg};
    while (*at)
        at = &(*at)->next;
    *at = o;
    c->waiting++;
    return ERR_OK;
}

static void stdout_cancel(struct http_client *base, uint64_t id)
{
    struct stdout_client *c = (struct stdout_client *)base;
    struct output *o = c->first;

    if (!(id & OWN_ID)) {
        c->inner->cancel(c->inner, id);
        return;
    }
    while (o && o->id != id)
        o = o->next;
    if (o)
        forget(c, o);
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
    return c->first ? earlier_ns(due, now_ns + ASK_AGAIN_MS * NS_PER_MS) : due;
}

static void stdout_free(struct http_client *base)
{
    struct stdout_client *c = (struct stdout_client *)base;

    for (struct output *o = c->first, *next; o; o = next) {
        next = o->next;
        free(o);
    }
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
    c->fd = fd;
    return &c->base;
}
