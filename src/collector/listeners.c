/* Another set of listeners, while they serve: the builder binds, main takes. */
#include "base/log.h"
#include "collector/parts.h"
#include "collector/restart.h"

#include <stdlib.h>

/* What becomes of one receiver. */
struct listener_next {
    bool stays;                /* as it is; its certificates were read again */
    struct receive_port *port; /* NULL: it stays, or it is off */
    char *listen;
    int from; /* the listener whose socket it takes over; -1: fd */
    int fd;
    char bound[ADDRESS_MAX];
};

struct listeners_change {
    struct collector *collector;
    struct listener_next next[MAX_LISTENERS];
    bool admin_moves;
    int admin_fd; /* -1: none */
    char admin_bound[ADDRESS_MAX];
};

/* ---- receivers: the builder ---- */

static const struct config_listener *wanted_of(const struct config *config, unsigned protocol)
{
    return protocol == RECEIVE_GRPC ? &config->grpc : &config->http;
}

static bool is_same(const struct setup_loaded *running, const struct setup_loaded *loaded,
                    unsigned protocol)
{
    return restart_same(running->description, loaded->description,
                        protocol == RECEIVE_GRPC ? "receivers.otlp.grpc" : "receivers.otlp.http");
}

/* A socket of its own: also on the port of one that is about to go. */
static enum err bind_new(const struct listeners_change *change, struct listener_next *next,
                         struct err_info *info)
{
    const struct collector *c = change->collector;
    struct net *net = c->host.net;
    const char *address = c->host.any_port ? "127.0.0.1:0" : next->listen;
    enum err err = net->listen(net, address, &next->fd, next->bound, info);

    for (unsigned p = 0; err != ERR_OK && p < MAX_LISTENERS; p++)
        if (c->listeners[p].port && !change->next[p].stays)
            err =
                net->listen_beside(net, address, c->listeners[p].fd, &next->fd, next->bound, info);
    if (err != ERR_OK)
        next->fd = -1;
    return err;
}

/* A socket at that address goes, and its receiver does not want it itself (with port 0 several have
 * one address). */
static bool may_take_over(const struct listeners_change *change, const struct config *config,
                          unsigned protocol, unsigned from)
{
    const struct listener *l = &change->collector->listeners[from];
    const char *address = change->next[protocol].listen;
    const struct config_listener *other = wanted_of(config, from);

    if (!l->port || change->next[from].stays || strcmp(l->listen, address) != 0)
        return false;
    return from == protocol || !other->enabled || strcmp(other->listen, address) != 0;
}

/* Its own socket or that of another, at the same address; else a new one. */
static enum err find_socket(struct listeners_change *change, const struct config *config,
                            unsigned protocol, struct err_info *info)
{
    struct listener_next *next = &change->next[protocol];

    for (unsigned i = 0; i < MAX_LISTENERS; i++) {
        unsigned from = (protocol + i) % MAX_LISTENERS;

        if (!may_take_over(change, config, protocol, from))
            continue;
        next->from = (int)from;
        memcpy(next->bound, change->collector->listeners[from].bound, sizeof(next->bound));
        return ERR_OK;
    }
    return bind_new(change, next, info);
}

static enum err find_next(struct listeners_change *change, const struct config *config,
                          unsigned protocol, struct err_info *info)
{
    struct listener_next *next = &change->next[protocol];
    struct receive_listener options = accept_options(config, (enum receive_protocol)protocol);
    enum err err;

    if (next->stays)
        return receive_port_renew(change->collector->listeners[protocol].port, info);
    if (!wanted_of(config, protocol)->enabled)
        return ERR_OK;
    next->listen = strdup(wanted_of(config, protocol)->listen);
    if (!next->listen)
        err_no_memory("a listener");
    err = receive_port_new(&options, &next->port, info);
    return err == ERR_OK ? find_socket(change, config, protocol, info) : err;
}

static enum err prepare_receiver(struct listeners_change *change, const struct config *config,
                                 unsigned protocol, struct err_info *info)
{
    struct err_info why;
    enum err err = find_next(change, config, protocol, &why);

    return err == ERR_OK ? ERR_OK : accept_fail(protocol, err, &why, info);
}

/* ---- the admin listener: the builder ---- */

static enum err prepare_admin(struct listeners_change *change, const struct setup_loaded *loaded,
                              const struct setup_loaded *running, struct err_info *info)
{
    const struct collector *c = change->collector;

    if (!c->admin || c->host.any_port ||
        restart_same(running->description, loaded->description, "admin.listen"))
        return ERR_OK;
    change->admin_moves = true;
    if (!loaded->config->admin_listen)
        return ERR_OK;
    return admin_bind(c->admin, loaded->config->admin_listen, change->admin_bound,
                      &change->admin_fd, info);
}

enum err listeners_prepare(struct collector *c, const struct setup_loaded *loaded,
                           const struct setup_loaded *running, struct listeners_change **out,
                           struct err_info *info)
{
    struct listeners_change *change = calloc(1, sizeof(*change));
    enum err err = ERR_OK;

    if (!change)
        err_no_memory("a listener");
    change->collector = c;
    change->admin_fd = -1;
    for (unsigned p = 0; p < MAX_LISTENERS; p++)
        change->next[p] = (struct listener_next){
            .stays = c->listeners[p].port && is_same(running, loaded, p), .from = -1, .fd = -1};
    for (unsigned p = 0; err == ERR_OK && p < MAX_LISTENERS; p++)
        err = prepare_receiver(change, loaded->config, p, info);
    if (err == ERR_OK)
        err = prepare_admin(change, loaded, running, info);
    if (err == ERR_OK)
        *out = change;
    else
        listeners_abandon(change);
    return err;
}

void listeners_abandon(struct listeners_change *change)
{
    if (!change)
        return;
    for (unsigned p = 0; p < MAX_LISTENERS; p++) {
        struct listener_next *next = &change->next[p];
        struct net *net = change->collector->host.net;

        if (next->stays)
            receive_port_renewed(change->collector->listeners[p].port, false);
        if (next->fd >= 0)
            net->close(net, next->fd);
        receive_port_unref(next->port);
        free(next->listen);
    }
    if (change->admin_fd >= 0)
        net_system()->close(net_system(), change->admin_fd);
    free(change);
}

/* ---- main ---- */

static bool is_taken_over(const struct listeners_change *change, unsigned protocol)
{
    for (unsigned p = 0; p < MAX_LISTENERS; p++)
        if (change->next[p].from == (int)protocol)
            return true;
    return false;
}

/* Ends those that go; what the others take over is in *next then. */
static bool end_past(struct listeners_change *change)
{
    struct collector *c = change->collector;
    int fds[MAX_LISTENERS];
    bool any = false;

    for (unsigned p = 0; p < MAX_LISTENERS; p++) {
        struct listener *l = &c->listeners[p];

        fds[p] = l->fd;
        if (!l->port || change->next[p].stays)
            continue;
        if (!is_taken_over(change, p))
            log_event(LOG_INFO, "not listening any more", "address", l->bound);
        receive_port_close(l->port);
        accept_end(c, l, is_taken_over(change, p));
        any = true;
    }
    for (unsigned p = 0; p < MAX_LISTENERS; p++)
        if (change->next[p].from >= 0)
            change->next[p].fd = fds[change->next[p].from];
    return any;
}

static void begin_next(struct collector *c, unsigned protocol, struct listener_next *next)
{
    struct listener *l = &c->listeners[protocol];

    if (next->stays)
        receive_port_renewed(l->port, true);
    if (!next->port)
        return;
    *l = (struct listener){.port = next->port, .listen = next->listen, .fd = next->fd};
    memcpy(l->bound, next->bound, sizeof(l->bound));
    accept_begin(c, l);
}

static void take_admin(const struct listeners_change *change)
{
    struct collector *c = change->collector;

    if (!change->admin_moves)
        return;
    if (admin_move(c->admin, change->admin_fd) != ERR_OK)
        log_event(LOG_ERROR, "no memory for admin.listen: nobody listens there");
    memcpy(c->admin_bound, change->admin_bound, sizeof(c->admin_bound));
    if (change->admin_fd >= 0)
        log_event(LOG_INFO, "listening", "admin", c->admin_bound);
}

void listeners_take(struct listeners_change *change)
{
    struct collector *c = change->collector;
    bool any_past;

    if (collector_phase(c) != PHASE_RUNNING) {
        listeners_abandon(change);
        return;
    }
    any_past = end_past(change);
    for (unsigned p = 0; p < MAX_LISTENERS; p++)
        begin_next(c, p, &change->next[p]);
    take_admin(change);
    free(change);
    if (!any_past)
        return;
    atomic_fetch_add_explicit(&c->shared.closed, 1, memory_order_release);
    for (unsigned i = 0; i < c->shared.count; i++)
        loop_wake(c->workers[i]->loop);
}
