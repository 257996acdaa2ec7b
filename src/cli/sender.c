#include "cli/sender_link.h"
#include "otlp/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, RECEIVE_CHUNK = 64 << 10, OUT_MAX = 1 << 20 };

#define RECONNECT_NS (500 * NS_PER_MS)

/* ---- latency: 16 buckets for each power of two of microseconds ---- */

static size_t latency_bucket(uint64_t ns)
{
    uint64_t us = ns / 1000;
    unsigned log = 63 - (unsigned)__builtin_clzll(us | 16);
    size_t bucket = (size_t)(log - 4) * 16 + (us >> (log - 4)) % 16 + (us < 16 ? 0 : 16);

    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t bucket_ns(size_t bucket)
{
    if (bucket < 16)
        return bucket * 1000;
    return ((16 + bucket % 16) << (bucket / 16 - 1)) * 1000;
}

uint64_t sender_quantile_ns(const struct sender *s, double q)
{
    uint64_t total = 0, seen = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        total += s->stats.latency[i];
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += s->stats.latency[i];
        if (seen && (double)seen >= q * (double)total)
            return bucket_ns(i);
    }
    return 0;
}

/* ---- slots ---- */

uint64_t response_rejected(struct slice body)
{
    struct wire w = wire_of(body);
    struct wire_field f;
    uint64_t rejected = 0;

    while (wire_next(&w, &f)) {
        struct wire partial = wire_of(f.bytes);
        struct wire_field inner;

        while (f.number == 1 && f.type == WIRE_LEN && wire_next(&partial, &inner))
            if (inner.number == 1 && inner.type == WIRE_VARINT)
                rejected = inner.value;
    }
    return rejected;
}

static void slot_settle(struct sender *s, struct slot *slot)
{
    slot->state = SLOT_FREE;
    s->open--;
}

static void slot_repeat(struct sender *s, struct slot *slot, uint64_t after_ns, const char *error)
{
    snprintf(s->stats.last_error, sizeof(s->stats.last_error), "%s", error);
    slot->link = NULL;
    if (slot->attempt >= s->options.attempts) {
        s->stats.failed++;
        s->stats.failed_items += slot->items;
        slot_settle(s, slot);
        return;
    }
    s->stats.retried++;
    slot->state = SLOT_WAITING;
    slot->due_ns = s->now_ns + after_ns;
}

void sender_answer(struct sender *s, struct slot *slot, const struct answer *a)
{
    s->stats.latency[latency_bucket(s->now_ns - slot->started_ns)]++;
    slot->link->busy--;
    if (a->ok) {
        s->stats.sent++;
        s->stats.bytes += slot->body.len;
        s->stats.rejected_spans += a->rejected;
        slot_settle(s, slot);
    } else {
        s->stats.refused += a->retry;
        slot->attempt = a->retry ? slot->attempt : s->options.attempts;
        slot_repeat(s, slot, a->retry_after_ns, a->error);
    }
}

struct buf *sender_slot(struct sender *s)
{
    for (size_t i = 0; i < s->slot_count && !s->filling; i++)
        if (s->slots[i].state == SLOT_FREE)
            s->filling = &s->slots[i];
    if (!s->filling)
        return NULL;
    s->filling->state = SLOT_FILLING;
    buf_clear(&s->filling->body);
    return &s->filling->body;
}

void sender_submit(struct sender *s, uint64_t items)
{
    struct slot *slot = s->filling;

    s->filling = NULL;
    s->open++;
    slot->items = items;
    slot->attempt = 0;
    slot->state = SLOT_WAITING;
    slot->due_ns = 0;
}

/* ---- links ---- */

static void link_close(struct link *l, const char *why)
{
    struct sender *s = l->sender;

    if (l->fd < 0)
        return;
    if (l->connected)
        s->protocol->close(l);
    close(l->fd);
    buf_clear(&l->out);
    l->out_sent = 0;
    l->tail = slice_make(NULL, 0);
    l->fd = -1;
    l->connected = false;
    l->busy = 0;
    l->connect_at_ns = s->now_ns + RECONNECT_NS;
    s->stats.broken++;
    for (size_t i = 0; i < s->slot_count; i++)
        if (s->slots[i].state == SLOT_SENT && s->slots[i].link == l)
            slot_repeat(s, &s->slots[i], RECONNECT_NS, why);
}

static void link_connect(struct link *l)
{
    struct sender *s = l->sender;
    const struct addrinfo *a = s->address;

    l->connect_at_ns = s->now_ns + RECONNECT_NS;
    l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return;
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(l->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS) {
        snprintf(s->stats.last_error, sizeof(s->stats.last_error), "%s", strerror(errno));
        close(l->fd);
        l->fd = -1;
    }
}

/* The socket is writable for the first time: it stands, or it never will. */
static void link_connected(struct link *l)
{
    struct sender *s = l->sender;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
        snprintf(s->stats.last_error, sizeof(s->stats.last_error), "%s", strerror(error));
        close(l->fd);
        l->fd = -1;
        return;
    }
    l->connected = true;
    if (!s->protocol->open(l))
        link_close(l, "out of memory");
}

static bool link_has_output(const struct link *l)
{
    return l->out_sent < l->out.len || l->tail.len;
}

/* Sends what is queued. False: broken. */
static bool link_flush(struct link *l)
{
    for (;;) {
        struct iovec iov[2];
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
        size_t left;
        ssize_t n;

        if (!link_has_output(l)) {
            buf_clear(&l->out);
            l->out_sent = 0;
            if (!l->sender->protocol->output(l))
                return false;
            if (!link_has_output(l))
                return true;
        }
        left = l->out.len - l->out_sent;
        iov[0] = (struct iovec){l->out.data + l->out_sent, left};
        iov[1] = (struct iovec){(void *)l->tail.data, l->tail.len};
        n = sendmsg(l->fd, &message, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        l->out_sent += (size_t)n < left ? (size_t)n : left;
        if ((size_t)n > left)
            l->tail =
                slice_make(l->tail.data + ((size_t)n - left), l->tail.len - ((size_t)n - left));
    }
}

static bool link_read(struct link *l)
{
    static _Thread_local uint8_t chunk[RECEIVE_CHUNK];

    for (;;) {
        ssize_t n = recv(l->fd, chunk, sizeof(chunk), 0);

        if (n == 0)
            return false;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (!l->sender->protocol->input(l, slice_make(chunk, (size_t)n)))
            return false;
        if ((size_t)n < sizeof(chunk))
            return true;
    }
}

/* ---- the whole ---- */

/* The next connection with room, in turn. */
static struct link *pick_link(struct sender *s)
{
    for (unsigned i = 0; i < s->options.connections; i++) {
        struct link *l = &s->links[s->next_link];

        s->next_link = (s->next_link + 1) % s->options.connections;
        if (l->connected && l->busy < s->options.in_flight && s->protocol->usable(l))
            return l;
    }
    return NULL;
}

static void dispatch(struct sender *s)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        struct slot *slot = &s->slots[i];
        struct link *l;

        if (slot->state != SLOT_WAITING || slot->due_ns > s->now_ns)
            continue;
        l = pick_link(s);
        if (!l)
            return;
        slot->state = SLOT_SENT;
        slot->attempt++;
        slot->link = l;
        slot->started_ns = s->now_ns;
        l->busy++;
        if (!s->protocol->request(l, slot) || !link_flush(l))
            link_close(l, "the connection was closed");
    }
}

static void link_ready(struct link *l, short events)
{
    if (!l->connected) {
        link_connected(l);
        return;
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) && !link_read(l))
        link_close(l, "the connection was closed");
    if (l->fd >= 0 && !link_flush(l))
        link_close(l, "the connection was closed");
}

/* The earliest repeat or reconnect, as a bound for poll. */
static uint64_t next_due_ns(const struct sender *s)
{
    uint64_t due = NEVER_NS;

    for (size_t i = 0; i < s->slot_count; i++)
        if (s->slots[i].state == SLOT_WAITING && s->slots[i].due_ns > s->now_ns &&
            s->slots[i].due_ns < due)
            due = s->slots[i].due_ns;
    for (unsigned i = 0; i < s->options.connections; i++)
        if (s->links[i].fd < 0 && s->links[i].connect_at_ns < due)
            due = s->links[i].connect_at_ns;
    return due;
}

void sender_step(struct sender *s, uint64_t now_ns, uint64_t wait_ns)
{
    struct pollfd fds[CONNECTIONS_MAX];
    uint64_t due;

    s->now_ns = now_ns;
    dispatch(s);
    for (unsigned i = 0; i < s->options.connections; i++) {
        struct link *l = &s->links[i];

        if (l->fd < 0 && l->connect_at_ns <= now_ns)
            link_connect(l);
        fds[i] = (struct pollfd){l->fd, POLLIN, 0};
        if (l->fd >= 0 && (!l->connected || link_has_output(l)))
            fds[i].events |= POLLOUT;
    }
    due = next_due_ns(s);
    if (due < now_ns + wait_ns)
        wait_ns = due > now_ns ? due - now_ns : 0;
    if (poll(fds, s->options.connections, (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS)) <= 0)
        return;
    s->now_ns = clock_now_ns(clock_system()); /* answers are timed when they came */
    for (unsigned i = 0; i < s->options.connections; i++)
        if (fds[i].revents && s->links[i].fd >= 0)
            link_ready(&s->links[i], fds[i].revents);
}

void sender_give_up(struct sender *s)
{
    for (size_t i = 0; i < s->slot_count; i++) {
        struct slot *slot = &s->slots[i];

        if (slot->state != SLOT_SENT && slot->state != SLOT_WAITING)
            continue;
        s->stats.failed++;
        s->stats.failed_items += slot->items;
        slot_settle(s, slot);
    }
}

size_t sender_open(const struct sender *s)
{
    return s->open;
}

const struct sender_stats *sender_stats(const struct sender *s)
{
    return &s->stats;
}

static enum err resolve(struct sender *s, struct err_info *info)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int e = getaddrinfo(s->options.host, s->options.port, &hints, &found);

    if (e)
        return err_fail(info, ERR_IO, "%s: %s", s->options.host, gai_strerror(e));
    s->address = found;
    snprintf(s->host_header, sizeof(s->host_header),
             strchr(s->options.host, ':') ? "[%s]:%s" : "%s:%s", s->options.host, s->options.port);
    return ERR_OK;
}

static enum err wait_connected(struct sender *s, struct err_info *info)
{
    uint64_t start = clock_now_ns(clock_system()), now = start;

    while (now < start + 5 * NS_PER_S) {
        sender_step(s, now, 100 * NS_PER_MS);
        for (unsigned i = 0; i < s->options.connections; i++)
            if (s->links[i].connected)
                return ERR_OK;
        now = clock_now_ns(clock_system());
    }
    return err_fail(info, ERR_IO, "%s: %s", s->host_header,
                    *s->stats.last_error ? s->stats.last_error : "no connection within 5 s");
}

enum err sender_new(const struct sender_options *o, struct sender **out, struct err_info *info)
{
    struct sender *s = calloc(1, sizeof(*s));
    enum err e;

    if (!s)
        return err_fail(info, ERR_FULL, "out of memory");
    s->options = *o;
    s->protocol = o->grpc ? &link_grpc : &link_http;
    if (!o->grpc)
        s->options.in_flight = 1;
    /* twice what can be in flight: while one half is on its way, the other half is written */
    s->slot_count = (size_t)o->connections * s->options.in_flight * 2;
    s->links = calloc(o->connections, sizeof(*s->links));
    s->slots = calloc(s->slot_count, sizeof(*s->slots));
    if (!s->links || !s->slots) {
        sender_free(s);
        return err_fail(info, ERR_FULL, "out of memory");
    }
    for (unsigned i = 0; i < o->connections; i++) {
        s->links[i] = (struct link){.sender = s, .fd = -1};
        buf_init(&s->links[i].out, OUT_MAX, NULL);
    }
    for (size_t i = 0; i < s->slot_count; i++)
        buf_init(&s->slots[i].body, o->max_body, NULL);
    e = resolve(s, info);
    if (!e)
        e = wait_connected(s, info);
    if (e)
        sender_free(s);
    else
        *out = s;
    return e;
}

void sender_free(struct sender *s)
{
    if (!s)
        return;
    for (unsigned i = 0; s->links && i < s->options.connections; i++) {
        if (s->links[i].connected)
            s->protocol->close(&s->links[i]);
        if (s->links[i].fd >= 0)
            close(s->links[i].fd);
        buf_fini(&s->links[i].out);
    }
    for (size_t i = 0; s->slots && i < s->slot_count; i++)
        buf_fini(&s->slots[i].body);
    if (s->address)
        freeaddrinfo(s->address);
    free(s->links);
    free(s->slots);
    free(s);
}
