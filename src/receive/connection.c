/* connection.c: one socket: large reads into a buffer that all connections of a worker share,
 * one send for what a round of reading has answered, and what happens when time passes.
 */
#include "receive/internal.h"

#include <assert.h>
#include <stdlib.h>

enum { OUT_MAX = 4 * 1024 * 1024, OUT_KEPT = 4 * 1024, HELD_MAX = 64 * 1024 * 1024 };

static void ready(void *arg, unsigned events);

/* Between nine and eleven tenths, so that clients that came together don't leave together. */
static uint64_t jittered_age(struct receive *r, uint64_t age_ns)
{
    if (!age_ns)
        return NEVER_NS;
    r->jitter = r->jitter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return age_ns / 10 * 9 + age_ns / 5 * (r->jitter >> 40) / (1 << 24);
}

static bool open_tls(struct connection *c)
{
    struct receive *r = c->receive;

    if (!c->listener->tls.cert_file)
        return true;
    if (!r->plain)
        r->plain = malloc(READ_SIZE);
    c->tls = r->plain ? tls_session_new(c->port) : NULL;
    return c->tls != NULL;
}

static void release(struct connection *c)
{
    struct receive *r = c->receive;

    tls_session_free(c->tls);
    buf_fini(&c->out);
    buf_fini(&c->held);
    loop_watch_free(c->watch);
    r->config.net->close(r->config.net, c->fd);
    port_leave(c->port);
    receive_port_unref(c->port);
    memory_release(r->config.memory, sizeof *c + c->out_counted);
    free(c);
}

static struct connection *make(struct receive *r, struct receive_port *port, int fd)
{
    struct connection *c = calloc(1, sizeof *c);

    if (!c) {
        r->config.net->close(r->config.net, fd);
        port_leave(port);
        receive_port_unref(port);
        return NULL;
    }
    memory_add(r->config.memory, sizeof *c);
    c->receive = r;
    c->port = port;
    c->listener = port_options(port);
    c->protocol = c->listener->protocol == RECEIVE_GRPC ? &h2_protocol : &http1_protocol;
    c->fd = fd;
    c->opened_ns = c->write_ns = r->now_ns;
    c->max_age_ns = jittered_age(r, c->listener->max_connection_age_ns);
    buf_init(&c->out, OUT_MAX, NULL);
    buf_init(&c->held, HELD_MAX, NULL);
    link_init(&c->link);
    link_init(&c->dirty);
    return c;
}

void connection_new(struct receive *r, struct receive_port *port, int fd)
{
    struct connection *c = make(r, port, fd);

    if (!c)
        return;
    c->watch = loop_watch_new(r->config.loop, fd, ready, c);
    if (!c->watch || !open_tls(c) || !c->protocol->open(c)) {
        release(c);
        return;
    }
    link_add(&r->connections, &c->link);
    receive_count(&r->connection_count, 1);
    receive_count(&r->accepted, 1);
    connection_continue(c);
}

void connection_mark(struct connection *c)
{
    if (!c->busy && link_is_empty(&c->dirty))
        link_add(&c->receive->dirty, &c->dirty);
}

/* --- sending --- */

size_t connection_unsent(const struct connection *c)
{
    size_t unsent = c->out.len - c->sent;

    return c->tls ? unsent + tls_session_unsent(c->tls).len : unsent;
}

static struct slice plain_out(const struct connection *c)
{
    size_t len = c->out.len - c->sent;

    return len ? slice_make(c->out.data + c->sent, len) : slice_make(NULL, 0);
}

static void encrypt_out(struct connection *c)
{
    struct slice plain = plain_out(c);

    if (plain.len == 0 || !tls_session_is_open(c->tls))
        return;
    if (tls_session_write(c->tls, plain))
        c->dead = true;
    buf_clear(&c->out);
    c->sent = 0;
}

static struct slice next_out(struct connection *c)
{
    if (!c->tls)
        return plain_out(c);
    if (tls_session_unsent(c->tls).len == 0)
        encrypt_out(c);
    return tls_session_unsent(c->tls);
}

static void drop_out(struct connection *c, size_t len)
{
    if (c->tls) {
        tls_session_sent(c->tls, len);
        return;
    }
    c->sent += len;
    if (c->sent == c->out.len) {
        buf_clear(&c->out);
        c->sent = 0;
    }
}

/* Sends what it can. */
static void flush(struct connection *c)
{
    struct net *net = c->receive->config.net;

    while (!c->dead) {
        struct slice bytes = next_out(c);
        struct iovec iov = {(void *)(uintptr_t)bytes.data, bytes.len};
        size_t sent = 0;
        enum err err;

        if (bytes.len == 0)
            return;
        err = net->sendv(net, c->fd, &iov, 1, &sent);
        if (err == ERR_AGAIN)
            return;
        if (err) {
            c->dead = true;
            return;
        }
        c->write_ns = c->receive->now_ns;
        drop_out(c, sent);
        if (sent < bytes.len)
            return;
    }
}

/* Answers are counted, but never refused: a refusal must get out when memory is spent. */
static void count_out(struct connection *c)
{
    struct memory *m = c->receive->config.memory;

    if (c->out.len == 0 && c->out.cap > OUT_KEPT) {
        buf_fini(&c->out);
        c->sent = 0;
    }
    if (c->out.cap > c->out_counted)
        memory_add(m, c->out.cap - c->out_counted);
    else if (c->out.cap < c->out_counted)
        memory_release(m, c->out_counted - c->out.cap);
    c->out_counted = c->out.cap;
}

static void pull(struct connection *c)
{
    bool was_empty = connection_unsent(c) == 0;

    if (c->protocol->pull)
        c->protocol->pull(c);
    if (!buf_ok(&c->out))
        c->dead = true;
    if (was_empty)
        c->write_ns = c->receive->now_ns;
}

/* --- receiving --- */

static size_t feed(struct connection *c, struct slice bytes)
{
    size_t used;

    if (c->stuck || c->closing || c->dead)
        return 0;
    c->receive->input_end = bytes.data + bytes.len;
    used = c->protocol->feed(c, bytes);
    request_unstage(c->receive); /* the next read overwrites nothing of it, the next stage would */
    assert(used <= bytes.len);
    return used;
}

/* What is held is counted, but never refused: it has been received already. */
static void hold(struct connection *c, struct slice rest)
{
    size_t before = c->held.cap;

    if (rest.len == 0)
        return;
    buf_append(&c->held, rest.data, rest.len);
    memory_add(c->receive->config.memory, c->held.cap - before);
    receive_count(&c->receive->open_bytes, c->held.cap - before);
    if (!buf_ok(&c->held))
        c->dead = true;
}

static void unhold(struct connection *c, size_t used)
{
    size_t rest = c->held.len - used;

    if (used == 0)
        return;
    if (rest) {
        memmove(c->held.data, c->held.data + used, rest);
        c->held.len = rest;
        return;
    }
    memory_release(c->receive->config.memory, c->held.cap);
    receive_count(&c->receive->open_bytes, (uint64_t)0 - c->held.cap);
    buf_fini(&c->held);
    buf_init(&c->held, HELD_MAX, NULL);
}

void connection_free(struct connection *c)
{
    c->protocol->close(c);
    unhold(c, c->held.len);
    link_remove(&c->link);
    link_remove(&c->dirty);
    receive_count(&c->receive->connection_count, (uint64_t)-1);
    release(c);
}

static void input(struct connection *c, struct slice bytes)
{
    size_t used;

    if (c->closing || c->dead)
        return;
    if (c->held.len) {
        hold(c, bytes);
        unhold(c, feed(c, buf_slice(&c->held)));
        return;
    }
    used = feed(c, bytes);
    hold(c, slice_make(bytes.data + used, bytes.len - used));
}

static void end_tls(struct connection *c)
{
    if (!tls_session_is_open(c->tls)) /* often plain text, or no certificate that we trust */
        request_count(c->receive, REPLY_MALFORMED);
    c->closing = true;
}

static void input_tls(struct connection *c, struct slice cipher)
{
    struct receive *r = c->receive;
    size_t len = 0, got = 0;
    enum err err;

    tls_session_give(c->tls, cipher);
    do {
        err = tls_session_read(c->tls, r->plain + len, READ_SIZE - len, &got);
        len += got;
        if (len == READ_SIZE || (err && len)) {
            input(c, slice_make(r->plain, len));
            len = 0;
        }
    } while (err == ERR_OK && got);
    if (len)
        input(c, slice_make(r->plain, len));
    if (err == ERR_OK)
        c->eof = true;
    else if (err == ERR_IO)
        end_tls(c);
}

static size_t read_size(const struct connection *c)
{
    const struct receive *r = c->receive;

    return c->stuck || !link_is_empty(&r->paused) ? READ_SIZE_PAUSED : READ_SIZE;
}

/* While the protocol is stuck a little is taken, so that a client that pipelines doesn't cost two
 * changes of interest for each request. */
static bool wants_read(const struct connection *c)
{
    if (c->eof || c->dead)
        return false;
    if (c->linger_ns)
        return true;
    if (connection_unsent(c) > OUT_BOUND || c->closing)
        return false;
    return !c->stuck || c->held.len < READ_SIZE_PAUSED;
}

static void read_some(struct connection *c)
{
    struct receive *r = c->receive;
    struct net *net = r->config.net;
    size_t got = 0;
    enum err err;

    if (!wants_read(c))
        return;
    err = net->recv(net, c->fd, r->buffer, read_size(c), &got);
    if (err == ERR_AGAIN)
        return;
    if (err)
        c->dead = true;
    else if (got == 0)
        c->eof = true;
    else if (c->tls && !c->linger_ns)
        input_tls(c, slice_make(r->buffer, got));
    else
        input(c, slice_make(r->buffer, got));
}

/* --- the end --- */

/* Everything is sent: say so, and read on for a moment, because a reset for unread bytes would
 * take the last answer away from the peer. */
static void start_linger(struct connection *c)
{
    struct net *net = c->receive->config.net;

    if (c->tls) {
        tls_session_shutdown(c->tls);
        flush(c);
    }
    net->shutdown_write(net, c->fd);
    c->linger_ns = c->receive->now_ns + LINGER_NS;
    receive_due(c->receive, c->linger_ns);
}

static void decide_end(struct connection *c)
{
    if (c->eof && (c->linger_ns || (connection_unsent(c) == 0 && !c->protocol->is_busy(c))))
        c->closing = true;
    if (!c->closing || c->dead || connection_unsent(c) > 0)
        return;
    if (c->eof || (c->tls && !tls_session_is_open(c->tls)))
        c->dead = true;
    else if (!c->linger_ns)
        start_linger(c);
}

static void update_interest(struct connection *c)
{
    unsigned interest = wants_read(c) ? LOOP_READ : 0;

    if (connection_unsent(c) > 0)
        interest |= LOOP_WRITE;
    if (interest == c->interest)
        return;
    c->interest = interest;
    loop_watch_set(c->watch, interest);
    if (interest & LOOP_WRITE)
        receive_due(c->receive, c->write_ns + c->listener->read_timeout_ns);
}

static void send_all(struct connection *c)
{
    size_t before;

    do {
        pull(c);
        before = connection_unsent(c);
        flush(c);
    } while (before && connection_unsent(c) == 0 && !c->dead);
}

/* Feeds what is held as long as the protocol takes it, and sends. */
static void settle(struct connection *c)
{
    size_t before;

    do {
        send_all(c);
        before = c->held.len;
        if (before && connection_unsent(c) <= OUT_BOUND)
            unhold(c, feed(c, buf_slice(&c->held)));
    } while (c->held.len < before && !c->dead);
    decide_end(c);
    count_out(c);
    c->busy = false;
    if (c->dead)
        connection_free(c);
    else
        update_interest(c);
}

void connection_continue(struct connection *c)
{
    link_remove(&c->dirty);
    c->busy = true;
    settle(c);
}

/* What a round of reading has answered is sent in the next step, for all connections together: a
 * peer on this machine wakes up once for several answers, not for each. */
void connection_read(struct connection *c)
{
    link_remove(&c->dirty);
    c->busy = true;
    read_some(c);
    c->busy = false;
    connection_mark(c);
}

static void ready(void *arg, unsigned events)
{
    struct connection *c = arg;

    c->receive->now_ns = clock_now_ns(loop_clock(c->receive->config.loop));
    if (events & LOOP_READ)
        connection_read(c);
    else
        connection_mark(c);
}

static bool is_overdue(const struct connection *c, uint64_t now_ns)
{
    uint64_t patience = c->listener->read_timeout_ns;

    if (c->linger_ns)
        return now_ns >= c->linger_ns;
    if (connection_unsent(c) > 0 && now_ns >= c->write_ns + patience)
        return true;
    return c->tls && !tls_session_is_open(c->tls) && now_ns >= c->opened_ns + patience;
}

static uint64_t next_due(const struct connection *c)
{
    uint64_t patience = c->listener->read_timeout_ns;
    uint64_t due = NEVER_NS;

    if (c->linger_ns)
        return c->linger_ns;
    if (connection_unsent(c) > 0)
        due = c->write_ns + patience;
    if (c->tls && !tls_session_is_open(c->tls) && c->opened_ns + patience < due)
        due = c->opened_ns + patience;
    return due;
}

uint64_t connection_tick(struct connection *c, uint64_t now_ns)
{
    uint64_t due, protocol_due;

    if (is_overdue(c, now_ns)) {
        connection_free(c);
        return NEVER_NS;
    }
    due = next_due(c);
    if (c->linger_ns || (c->tls && !tls_session_is_open(c->tls)))
        return due;
    protocol_due = c->protocol->tick(c, now_ns);
    return protocol_due < due ? protocol_due : due;
}
