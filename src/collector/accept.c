/* Listening, and handing each connection to the worker with the least to do. */
#include "base/log.h"
#include "collector/parts.h"

#include <stdlib.h>

/* Who waits stays in the queue meanwhile, and the listener stays ready: without a pause the main
 * thread would spin. */
#define PAUSE_NS      (100 * NS_PER_MS) /* until there are descriptors */
#define ROOM_PAUSE_NS (5 * NS_PER_MS)   /* until a worker has taken over what it was handed */
#define SAY_EVERY_NS  (10 * NS_PER_S)

struct receive_listener accept_options(const struct config *config, enum receive_protocol protocol)
{
    const struct config_listener *from = protocol == RECEIVE_GRPC ? &config->grpc : &config->http;

    return (struct receive_listener){
        .protocol = protocol,
        .max_body = from->max_body,
        .max_inflated = from->max_inflated,
        .max_headers = from->max_headers,
        .max_connections = (unsigned)from->max_connections,
        .max_streams = (unsigned)from->max_streams,
        .max_connection_age_ns = from->max_connection_age_ns,
        .idle_timeout_ns = from->idle_timeout_ns,
        .read_timeout_ns = from->read_timeout_ns,
        .bearer = from->bearer,
        .tls = {from->tls.cert_file, from->tls.key_file, from->tls.client_ca_file,
                from->tls.min_version},
    };
}

enum err accept_fail(unsigned protocol, enum err err, const struct err_info *why,
                     struct err_info *info)
{
    return err_fail(info, err, "receivers.otlp.%s: %.900s",
                    protocol == RECEIVE_GRPC ? "grpc" : "http", why->text);
}

enum err accept_choose(struct collector *c, struct err_info *info)
{
    const struct config *config = c->loaded.config;
    struct err_info why;

    for (unsigned p = 0; p < MAX_LISTENERS; p++) {
        struct receive_listener options = accept_options(config, (enum receive_protocol)p);
        const struct config_listener *from = p == RECEIVE_GRPC ? &config->grpc : &config->http;
        struct listener *l = &c->listeners[p];
        enum err err;

        if (!from->enabled)
            continue;
        l->listen = strdup(from->listen);
        if (!l->listen)
            err_no_memory("a listener");
        err = receive_port_new(&options, &l->port, &why);
        if (err != ERR_OK)
            return accept_fail(p, err, &why, info);
    }
    return ERR_OK;
}

/* Of the workers that can be handed one more. NULL: there is none now. */
static struct worker *least_loaded(struct collector *c)
{
    struct worker *best = NULL;
    uint64_t best_bytes = 0, best_open = 0;

    for (unsigned i = 0; i < c->shared.count; i++) {
        struct worker *w = c->workers[i];
        uint64_t bytes = atomic_load_explicit(&w->open_bytes, memory_order_relaxed);
        uint64_t open = atomic_load_explicit(&w->open_connections, memory_order_relaxed);

        if (ring_space(&w->accepted) == 0)
            continue;
        if (!best || bytes < best_bytes || (bytes == best_bytes && open < best_open)) {
            best = w;
            best_bytes = bytes;
            best_open = open;
        }
    }
    return best;
}

static void hand_over(struct worker *w, struct receive_port *port, int fd)
{
    struct accepted a = {fd, receive_port_ref(port)};

    (void)ring_push(&w->accepted, &a); /* least_loaded saw that it fits */
    /* Counted at once, so that a burst of connections spreads; the worker corrects it. */
    atomic_fetch_add_explicit(&w->open_connections, 1, memory_order_relaxed);
    loop_wake(w->loop);
}

/* Until nobody waits, no worker has room, or something fails. */
static enum err take_waiting(const struct listener *l)
{
    struct net *net = l->collector->host.net;
    struct worker *w;
    enum err err = ERR_AGAIN;
    int fd;

    while ((w = least_loaded(l->collector)) && (err = net->accept(net, l->fd, &fd)) == ERR_OK) {
        if (fd >= l->collector->descriptors.connections) {
            net->close(net, fd);
            return ERR_FULL;
        }
        hand_over(w, l->port, fd);
    }
    return err;
}

/* One line in ten seconds. */
static void say_full(struct collector *c, const struct listener *l, uint64_t now_ns)
{
    if (c->accept_said_ns && now_ns - c->accept_said_ns < SAY_EVERY_NS)
        return;
    c->accept_said_ns = now_ns;
    log_event(LOG_WARN, "cannot accept: out of file descriptors", "address", l->bound);
}

static void pause_accepting(struct listener *l, uint64_t until_ns)
{
    loop_watch_set(l->watch, 0);
    l->collector->accept_again_ns = until_ns;
}

static void on_acceptable(void *arg, unsigned ready)
{
    struct listener *l = arg;
    uint64_t now_ns = collector_now_ns(l->collector);

    (void)ready;
    if (take_waiting(l) == ERR_FULL) {
        say_full(l->collector, l, now_ns);
        pause_accepting(l, now_ns + PAUSE_NS);
    } else if (!least_loaded(l->collector)) {
        pause_accepting(l, now_ns + ROOM_PAUSE_NS);
    }
}

/* Senders of a signal that nobody takes are told so at each request; the operator here. */
static void say_what_is_not_taken(const struct collector *c)
{
    for (int s = 0; s < OTLP_SIGNALS; s++)
        if (!exporter_specs_mask(c->exporters, (enum otlp_signal)s))
            log_event(LOG_INFO, "no exporter takes this signal: requests with it are refused",
                      "signal", otlp_signal_name((enum otlp_signal)s));
}

void accept_begin(struct collector *c, struct listener *l)
{
    l->collector = c;
    l->watch = loop_watch_new(c->tasks[0].loop, l->fd, on_acceptable, l);
    if (!l->watch)
        err_no_memory("a listener");
    loop_watch_set(l->watch, LOOP_READ);
    log_event(LOG_INFO, "listening", "receiver",
              l - c->listeners == RECEIVE_GRPC ? "otlp/grpc" : "otlp/http", "address", l->bound);
}

enum err accept_listen(struct collector *c, struct err_info *info)
{
    for (unsigned i = 0; i < MAX_LISTENERS; i++) {
        struct listener *l = &c->listeners[i];
        struct err_info why;
        enum err err;

        if (!l->port)
            continue;
        err = c->host.net->listen(c->host.net, c->host.any_port ? "127.0.0.1:0" : l->listen, &l->fd,
                                  l->bound, &why);
        if (err != ERR_OK)
            return accept_fail(i, err, &why, info);
        accept_begin(c, l);
    }
    say_what_is_not_taken(c);
    return ERR_OK;
}

uint64_t accept_resume(struct collector *c, uint64_t now_ns)
{
    if (c->accept_again_ns == 0)
        return NEVER_NS;
    if (now_ns < c->accept_again_ns)
        return c->accept_again_ns;
    c->accept_again_ns = 0;
    for (unsigned i = 0; i < MAX_LISTENERS; i++)
        if (c->listeners[i].watch)
            loop_watch_set(c->listeners[i].watch, LOOP_READ);
    return NEVER_NS;
}

void accept_end(struct collector *c, struct listener *l, bool keeps_socket)
{
    if (l->watch) {
        (void)take_waiting(l);
        loop_watch_free(l->watch);
        if (!keeps_socket)
            c->host.net->close(c->host.net, l->fd);
    }
    free(l->listen);
    receive_port_unref(l->port);
    *l = (struct listener){0};
}

void accept_close(struct collector *c)
{
    for (unsigned i = 0; i < MAX_LISTENERS; i++) {
        struct listener *l = &c->listeners[i];

        if (!l->watch)
            continue;
        loop_watch_free(l->watch);
        c->host.net->close(c->host.net, l->fd);
        l->watch = NULL;
    }
}

void accept_free(struct collector *c)
{
    accept_close(c);
    for (unsigned i = 0; i < MAX_LISTENERS; i++) {
        free(c->listeners[i].listen);
        receive_port_unref(c->listeners[i].port);
    }
}
