#include "admin/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void conn_free(struct conn *c)
{
    struct listener *l = c->listener;
    struct conn *last = l->conns[--l->count];

    last->index = c->index;
    l->conns[last->index] = last;
    loop_watch_free(c->watch);
    l->net->close(l->net, c->fd);
    buf_fini(&c->out);
    free(c);
}

static struct conn *quietest(const struct listener *l)
{
    struct conn *found = l->conns[0];

    for (size_t i = 1; i < l->count; i++)
        if (l->conns[i]->last_turn < found->last_turn)
            found = l->conns[i];
    return found;
}

void conn_consume(struct conn *c, size_t n)
{
    c->in_len -= n;
    memmove(c->in, c->in + n, c->in_len);
}

/* Sends what stands in c->out. ERR_OK: all of it is gone. */
static enum err send_out(struct conn *c)
{
    struct net *net = c->listener->net;

    while (c->sent < c->out.len) {
        struct iovec iov = {c->out.data + c->sent, c->out.len - c->sent};
        size_t n = 0;
        enum err e = net->sendv(net, c->fd, &iov, 1, &n);

        if (e)
            return e;
        c->sent += n;
    }
    buf_fini(&c->out); /* a large answer is not kept for an idle connection */
    buf_init(&c->out, ANSWER_MAX, NULL);
    c->sent = 0;
    return ERR_OK;
}

static enum err fill_input(struct conn *c)
{
    struct net *net = c->listener->net;
    size_t got = 0;
    enum err e;

    if (c->in_len == CONN_INPUT)
        return ERR_FULL; /* a protocol that leaves a full buffer is stuck */
    e = net->recv(net, c->fd, c->in + c->in_len, CONN_INPUT - c->in_len, &got);
    if (!e && got == 0)
        return ERR_IO;
    c->in_len += got;
    return e;
}

/* Gives the input to the protocol. True if that changed anything. */
static bool work_on_input(struct conn *c)
{
    size_t before = c->in_len;

    if (before == 0)
        return false;
    c->closing = !c->listener->type->input(c);
    return c->closing || c->out.len || c->in_len < before;
}

/* Works until the connection would block. Any other error ends it. */
static enum err conn_run(struct conn *c)
{
    for (;;) {
        enum err e = send_out(c);

        if (!e && c->closing)
            e = ERR_IO;
        if (!e && !work_on_input(c))
            e = fill_input(c);
        if (!e && !buf_ok(&c->out))
            e = ERR_FULL;
        if (e)
            return e;
    }
}

static void conn_ready(void *arg, unsigned ready)
{
    struct conn *c = arg;
    enum err e;

    (void)ready;
    c->last_turn = ++c->listener->turn;
    e = conn_run(c);
    if (e != ERR_AGAIN)
        conn_free(c);
    else
        loop_watch_set(c->watch, c->out.len > c->sent ? LOOP_WRITE : LOOP_READ);
}

static void conn_new(struct listener *l, int fd)
{
    struct conn *c = calloc(1, sizeof(*c) + l->type->state_size);

    if (c)
        c->watch = loop_watch_new(l->loop, fd, conn_ready, c);
    if (!c || !c->watch) {
        free(c);
        l->net->close(l->net, fd);
        return;
    }
    c->listener = l;
    c->fd = fd;
    buf_init(&c->out, ANSWER_MAX, NULL);
    c->index = l->count;
    c->last_turn = ++l->turn;
    l->conns[l->count++] = c;
    l->type->open(c);
    loop_watch_set(c->watch, LOOP_READ);
}

/* Out of descriptors: takes one connection off the queue with the spare one, and closes it, so
 * that the loop does not spin on a listener that stays ready. */
static void turn_away(struct listener *l)
{
    int fd;

    if (l->spare_fd < 0)
        return;
    close(l->spare_fd);
    if (!l->net->accept(l->net, l->fd, &fd))
        l->net->close(l->net, fd);
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_ready(void *arg, unsigned ready)
{
    struct listener *l = arg;
    int fd;
    enum err e;

    (void)ready;
    while (!(e = l->net->accept(l->net, l->fd, &fd))) {
        if (l->count == CONN_MAX)
            conn_free(quietest(l));
        conn_new(l, fd);
    }
    if (e == ERR_FULL)
        turn_away(l);
}

enum err listener_init(struct listener *l, struct loop *loop, int fd, const struct conn_type *type,
                       const struct admin_callbacks *callbacks)
{
    *l = (struct listener){
        .net = net_system(),
        .loop = loop,
        .type = type,
        .callbacks = callbacks,
        .fd = fd,
        .spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
    };
    l->watch = loop_watch_new(loop, fd, listener_ready, l);
    if (!l->watch) {
        listener_fini(l);
        return ERR_FULL;
    }
    loop_watch_set(l->watch, LOOP_READ);
    return ERR_OK;
}

void listener_fini(struct listener *l)
{
    if (!l->net)
        return;
    for (size_t i = l->count; i-- > 0;)
        conn_free(l->conns[i]);
    loop_watch_free(l->watch);
    l->net->close(l->net, l->fd);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    *l = (struct listener){0};
}
