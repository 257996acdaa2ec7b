/* Sends requests to udp://HOST:PORT as datagrams, and hands all others to another client. */
#include "export/own_requests.h"
#include "export/udp_peer.h"

#include <stdio.h>
#include <stdlib.h>

enum { PEERS_MAX = 16 };

struct udp_client {
    struct http_client base;
    struct http_client *inner; /* owned */
    struct udp_peer peers[PEERS_MAX];
    size_t next_peer;              /* the one to give up first */
    struct own_requests datagrams; /* peer: a struct udp_peer; NULL: the address is none */
};

static bool is_udp(const char *url)
{
    return strncmp(url, "udp://", 6) == 0;
}

/* ---- peers ---- */

static bool is_at(const struct udp_peer *p, const char *address)
{
    char text[300];

    if (!p->host)
        return false;
    snprintf(text, sizeof(text), strchr(p->host, ':') ? "[%s]:%s" : "%s:%s", p->host, p->port);
    return strcmp(text, address) == 0;
}

/* A place for another peer; NULL: all are in use. */
static struct udp_peer *place(struct udp_client *c)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct udp_peer *p = &c->peers[c->next_peer++ % PEERS_MAX];

        if (p->users == 0 && !p->lookup) {
            udp_peer_fini(p);
            return p;
        }
    }
    return NULL;
}

/* False: not now. *peer is NULL if the address is none. */
static bool find_peer(struct udp_client *c, const char *address, struct udp_peer **peer)
{
    for (*peer = c->peers; *peer < c->peers + PEERS_MAX; ++*peer)
        if (is_at(*peer, address))
            return true;
    *peer = place(c);
    if (!*peer)
        return false;
    if (!udp_peer_init(*peer, address))
        *peer = NULL;
    return true;
}

/* ---- datagrams ---- */

static void leave_peer(const struct own_request *d)
{
    struct udp_peer *peer = d->peer;

    if (peer)
        peer->users--;
}

/* status 0: it failed. */
static void finish(struct udp_client *c, struct own_request *d, int status, const char *why)
{
    leave_peer(d);
    own_requests_answer(&c->datagrams, d, status, why);
}

/* False: it waits. */
static bool try_one(struct udp_client *c, struct own_request *d, uint64_t now_ns)
{
    char why[256] = "not udp://HOST:PORT";
    enum udp_sent sent = UDP_TOO_LARGE;
    bool is_over = own_request_is_over(d, now_ns);

    if (d->peer)
        sent = udp_peer_send(d->peer, d->body, now_ns, why, sizeof(why));
    switch (sent) {
    case UDP_SENT:
        finish(c, d, 200, NULL);
        return true;
    case UDP_TOO_LARGE:
        finish(c, d, d->peer ? 413 : 400, d->peer ? "too large for a datagram" : why);
        return true;
    case UDP_LATER:
        if (!is_over)
            return false;
        finish(c, d, 0, "its name was not found in time");
        return true;
    default:
        finish(c, d, 0, why);
        return true;
    }
}

/* Sends one that can be sent, in order. False: there is none. */
static bool send_one(struct udp_client *c, uint64_t now_ns)
{
    for (struct own_request *d = c->datagrams.first; d; d = d->next)
        if (try_one(c, d, now_ns))
            return true;
    return false;
}

/* ---- the client ---- */

static enum err udp_send(struct http_client *base, const struct http_request *request,
                         http_done_fn *done, void *arg, uint64_t *id)
{
    struct udp_client *c = (struct udp_client *)base;
    struct own_request *d;
    struct udp_peer *peer;

    if (!is_udp(request->url))
        return c->inner->send(c->inner, request, done, arg, id);
    d = own_requests_add(&c->datagrams, request, done, arg, id);
    if (!d)
        return ERR_FULL;
    if (!find_peer(c, request->url + 6, &peer)) {
        own_requests_forget(&c->datagrams, d);
        return ERR_FULL;
    }
    d->peer = peer;
    if (peer)
        peer->users++;
    return ERR_OK;
}

static void udp_cancel(struct http_client *base, uint64_t id)
{
    struct udp_client *c = (struct udp_client *)base;
    struct own_request *d;

    if (!own_requests_has_id(&c->datagrams, id)) {
        c->inner->cancel(c->inner, id);
        return;
    }
    d = own_requests_find(&c->datagrams, id);
    if (!d)
        return;
    leave_peer(d);
    own_requests_forget(&c->datagrams, d);
}

static uint64_t udp_step(struct http_client *base, uint64_t now_ns)
{
    struct udp_client *c = (struct udp_client *)base;
    uint64_t due = c->inner->step(c->inner, now_ns);

    while (send_one(c, now_ns))
        due = now_ns; /* who got an answer may have more */
    return own_requests_due(&c->datagrams, due, now_ns);
}

static void udp_free(struct http_client *base)
{
    struct udp_client *c = (struct udp_client *)base;

    own_requests_fini(&c->datagrams);
    for (size_t i = 0; i < PEERS_MAX; i++)
        udp_peer_fini(&c->peers[i]);
    c->inner->free(c->inner);
    free(c);
}

struct http_client *http_client_udp(struct http_client *inner)
{
    struct udp_client *c = calloc(1, sizeof(*c));

    if (!c)
        err_no_memory("datagrams");
    c->base = (struct http_client){
        .send = udp_send, .cancel = udp_cancel, .step = udp_step, .free = udp_free};
    c->inner = inner;
    c->datagrams.bit = OWN_UDP;
    return &c->base;
}
