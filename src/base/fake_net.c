#include "base/fake_net.h"

#include "base/err.h"
#include "base/loop_ops.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_FD = 200000, /* never a real descriptor, should one get here by mistake */
    ENDS = 4096,
    QUEUE_BYTES = 65536, /* one direction of a connection */
    BACKLOG = 512,
    ADDRESS_BYTES = 64,
};

/* A listener, or one side of a connection. */
struct end {
    struct end *peer;       /* NULL: the other side has closed */
    bool write_closed;      /* our side sends no more */
    bool peer_write_closed; /* the peer sends no more: by shutdown or close */
    size_t start, len;      /* what waits to be read, in `bytes` */
    uint8_t *bytes;         /* a circle of QUEUE_BYTES; NULL: a listener */
    char address[ADDRESS_BYTES];
    struct end *backlog[BACKLOG];
    size_t waiting;
};

struct fake_net {
    struct net net;
    size_t max_chunk;
    unsigned next_port;
    struct end *ends[ENDS]; /* by fd - FIRST_FD; the lowest free one is given, as a kernel does */
};

static int fd_new(struct fake_net *f, struct end *e)
{
    for (int i = 0; i < ENDS; i++) {
        if (!f->ends[i]) {
            f->ends[i] = e;
            return FIRST_FD + i;
        }
    }
    return -1;
}

/* A descriptor that is not open is a bug of the caller. */
static struct end *end_of(struct fake_net *f, int fd)
{
    if (fd < FIRST_FD || fd >= FIRST_FD + ENDS || !f->ends[fd - FIRST_FD])
        abort();
    return f->ends[fd - FIRST_FD];
}

static struct end *end_new(bool with_queue)
{
    struct end *e = calloc(1, sizeof(*e));

    if (!e || (with_queue && !(e->bytes = malloc(QUEUE_BYTES))))
        err_no_memory("a connection");
    return e;
}

static void end_free(struct end *e)
{
    if (e->peer) {
        e->peer->peer = NULL;
        e->peer->peer_write_closed = true;
    }
    for (size_t i = 0; i < e->waiting; i++)
        end_free(e->backlog[i]);
    free(e->bytes);
    free(e);
}

static size_t queue_put(struct end *e, const uint8_t *data, size_t len)
{
    size_t count = len < QUEUE_BYTES - e->len ? len : QUEUE_BYTES - e->len;
    size_t at = (e->start + e->len) % QUEUE_BYTES;
    size_t first = count < QUEUE_BYTES - at ? count : QUEUE_BYTES - at;

    if (count > 0) {
        memcpy(e->bytes + at, data, first);
        memcpy(e->bytes, data + first, count - first);
    }
    e->len += count;
    return count;
}

static size_t queue_take(struct end *e, uint8_t *data, size_t len)
{
    size_t count = len < e->len ? len : e->len;
    size_t first = count < QUEUE_BYTES - e->start ? count : QUEUE_BYTES - e->start;

    if (count > 0) {
        memcpy(data, e->bytes + e->start, first);
        memcpy(data + first, e->bytes, count - first);
    }
    e->start = (e->start + count) % QUEUE_BYTES;
    e->len -= count;
    return count;
}

static struct end *listener_at(struct fake_net *f, const char *address)
{
    for (int i = 0; i < ENDS; i++) {
        if (f->ends[i] && !f->ends[i]->bytes && strcmp(f->ends[i]->address, address) == 0)
            return f->ends[i];
    }
    return NULL;
}

/* ---- the server's side ---- */

static enum err fake_listen(struct net *n, const char *address, int *fd, char *bound,
                            struct err_info *info)
{
    struct fake_net *f = (struct fake_net *)n;
    const char *colon = strrchr(address, ':');
    char name[ADDRESS_BYTES];
    struct end *e;

    if (!colon || strlen(address) + 8 > sizeof(name))
        return err_fail(info, ERR_IO, "'%s' is not IP:PORT", address);
    if (strcmp(colon, ":0") == 0)
        snprintf(name, sizeof(name), "%.*s:%u", (int)(colon - address), address, ++f->next_port);
    else
        snprintf(name, sizeof(name), "%s", address);
    if (listener_at(f, name))
        return err_fail(info, ERR_IO, "cannot listen on %s: it is in use", name);
    e = end_new(false);
    memcpy(e->address, name, sizeof(name));
    *fd = fd_new(f, e);
    if (*fd < 0) {
        end_free(e);
        return err_fail(info, ERR_IO, "cannot listen on %s: too many descriptors", name);
    }
    memcpy(bound, name, sizeof(name));
    return ERR_OK;
}

static enum err fake_listen_beside(struct net *n, const char *address, int beside, int *fd,
                                   char *bound, struct err_info *info)
{
    (void)beside;
    return fake_listen(n, address, fd, bound, info);
}

static enum err fake_accept(struct net *n, int listener, int *fd)
{
    struct fake_net *f = (struct fake_net *)n;
    struct end *l = end_of(f, listener);

    if (l->waiting == 0)
        return ERR_AGAIN;
    *fd = fd_new(f, l->backlog[0]);
    if (*fd < 0)
        return ERR_FULL;
    l->waiting--;
    memmove(&l->backlog[0], &l->backlog[1], l->waiting * sizeof(struct end *));
    return ERR_OK;
}

static size_t chunk(const struct fake_net *f, size_t len)
{
    return f->max_chunk && len > f->max_chunk ? f->max_chunk : len;
}

static enum err fake_recv(struct net *n, int fd, void *buf, size_t len, size_t *got)
{
    struct fake_net *f = (struct fake_net *)n;
    struct end *e = end_of(f, fd);

    *got = queue_take(e, buf, chunk(f, len));
    return *got || len == 0 || e->peer_write_closed ? ERR_OK : ERR_AGAIN;
}

static enum err fake_sendv(struct net *n, int fd, const struct iovec *iov, int count, size_t *sent)
{
    struct fake_net *f = (struct fake_net *)n;
    struct end *e = end_of(f, fd);
    size_t wanted = 0;

    *sent = 0;
    if (!e->peer || e->write_closed)
        return ERR_IO;
    for (int i = 0; i < count; i++) {
        size_t len = chunk(f, wanted + iov[i].iov_len) - wanted;

        *sent += queue_put(e->peer, iov[i].iov_base, len);
        wanted += len;
    }
    return *sent || wanted == 0 ? ERR_OK : ERR_AGAIN;
}

static void fake_shutdown_write(struct net *n, int fd)
{
    struct end *e = end_of((struct fake_net *)n, fd);

    e->write_closed = true;
    if (e->peer)
        e->peer->peer_write_closed = true;
}

static void fake_close(struct net *n, int fd)
{
    struct fake_net *f = (struct fake_net *)n;

    end_free(end_of(f, fd));
    f->ends[fd - FIRST_FD] = NULL;
}

struct fake_net *fake_net_new(size_t max_chunk)
{
    struct fake_net *f = calloc(1, sizeof(*f));

    if (!f)
        err_no_memory("a network");
    f->net = (struct net){
        .listen = fake_listen,
        .listen_beside = fake_listen_beside,
        .accept = fake_accept,
        .recv = fake_recv,
        .sendv = fake_sendv,
        .shutdown_write = fake_shutdown_write,
        .close = fake_close,
    };
    f->max_chunk = max_chunk;
    return f;
}

void fake_net_free(struct fake_net *f)
{
    if (!f)
        return;
    for (int i = 0; i < ENDS; i++) {
        if (f->ends[i])
            fake_close(&f->net, FIRST_FD + i);
    }
    free(f);
}

struct net *fake_net_net(struct fake_net *f)
{
    return &f->net;
}

/* ---- the client's side ---- */

int fake_net_connect(struct fake_net *f, const char *address)
{
    struct end *l = listener_at(f, address);
    struct end *client, *server;
    int fd;

    if (!l || l->waiting == BACKLOG)
        return -1;
    client = end_new(true);
    fd = fd_new(f, client);
    if (fd < 0) {
        end_free(client);
        return -1;
    }
    server = end_new(true);
    client->peer = server;
    server->peer = client;
    l->backlog[l->waiting++] = server;
    return fd;
}

size_t fake_net_send(struct fake_net *f, int fd, struct slice bytes)
{
    struct end *e = end_of(f, fd);

    return e->peer && !e->write_closed ? queue_put(e->peer, bytes.data, bytes.len) : 0;
}

size_t fake_net_recv(struct fake_net *f, int fd, void *buf, size_t len)
{
    return queue_take(end_of(f, fd), buf, len);
}

int fake_net_is_closed(struct fake_net *f, int fd)
{
    const struct end *e = end_of(f, fd);

    return e->peer_write_closed && e->len == 0;
}

void fake_net_shutdown(struct fake_net *f, int fd)
{
    fake_shutdown_write(&f->net, fd);
}

void fake_net_close(struct fake_net *f, int fd)
{
    fake_close(&f->net, fd);
}

/* ---- the loop ---- */

struct fake_watch {
    struct loop_watch watch;
    struct fake_watch *next, *previous;
    int fd;
    unsigned interest;
    uint64_t round; /* visited in it */
    loop_ready_fn *ready;
    void *arg;
};

struct fake_loop {
    struct loop loop;
    struct fake_net *net;
    struct fake_watch list;    /* of all watches, a ring in order of their making */
    struct fake_watch *cursor; /* the next to visit in a wait */
    uint64_t round;
};

static unsigned ready_now(const struct end *e)
{
    unsigned ready = 0;

    if (!e->bytes)
        return e->waiting ? LOOP_READ : 0;
    if (e->len || e->peer_write_closed)
        ready |= LOOP_READ;
    if (!e->peer || e->peer->len < QUEUE_BYTES)
        ready |= LOOP_WRITE;
    return ready;
}

static struct loop_watch *fake_watch_new(struct loop *l, int fd, loop_ready_fn *ready, void *arg)
{
    struct fake_loop *s = (struct fake_loop *)l;
    struct fake_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    *w = (struct fake_watch){.watch = {l},
                             .next = &s->list,
                             .previous = s->list.previous,
                             .fd = fd,
                             .round = s->round, /* a round does not visit what it makes */
                             .ready = ready,
                             .arg = arg};
    w->previous->next = w;
    s->list.previous = w;
    return &w->watch;
}

static void fake_watch_set(struct loop_watch *w, unsigned interest)
{
    ((struct fake_watch *)w)->interest = interest;
}

static void fake_watch_free(struct loop_watch *watch)
{
    struct fake_watch *w = (struct fake_watch *)watch;
    struct fake_loop *s = (struct fake_loop *)watch->loop;

    if (s->cursor == w)
        s->cursor = w->next;
    w->previous->next = w->next;
    w->next->previous = w->previous;
    free(w);
}

static void fake_wake(struct loop *l)
{
    (void)l; /* no wait is long */
}

static void fake_wait(struct loop *l, uint64_t until_ns)
{
    struct fake_loop *s = (struct fake_loop *)l;

    (void)until_ns;
    s->round++;
    for (s->cursor = s->list.next; s->cursor != &s->list;) {
        struct fake_watch *w = s->cursor;
        unsigned ready;

        s->cursor = w->next; /* the callback may free either */
        if (!w->interest || w->round == s->round)
            continue;
        w->round = s->round;
        ready = ready_now(end_of(s->net, w->fd)) & w->interest;
        if (ready)
            w->ready(w->arg, ready);
    }
}

static void fake_loop_free(struct loop *l)
{
    struct fake_loop *s = (struct fake_loop *)l;

    assert(s->list.next == &s->list); /* watches are freed first */
    free(s);
}

struct loop *fake_loop_new(struct fake_net *f, const struct clock *clock)
{
    static const struct loop_ops ops = {
        .watch_new = fake_watch_new,
        .watch_set = fake_watch_set,
        .watch_free = fake_watch_free,
        .wake = fake_wake,
        .wait = fake_wait,
        .free = fake_loop_free,
    };
    struct fake_loop *s = calloc(1, sizeof(*s));

    if (!s)
        err_no_memory("a loop");
    s->loop = (struct loop){.ops = &ops, .clock = clock};
    s->net = f;
    s->list.next = s->list.previous = &s->list;
    return &s->loop;
}
