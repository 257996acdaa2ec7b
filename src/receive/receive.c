/* receive.c: the room: its connections, what each step does, its counters. */
#include "receive/internal.h"

#include <stdlib.h>
#include <time.h>

static void *need(void *p)
{
    if (!p)
        err_no_memory("a receiver");
    return p;
}

struct receive *receive_new(const struct receive_config *config)
{
    struct receive *r = need(calloc(1, sizeof *r));

    r->config = *config;
    r->refusing = REFUSED_COUNT;
    r->buffer = need(malloc(READ_SIZE));
    r->inflate = inflate_new();
    r->h2_memory = h2_memory_new(config->memory);
    buf_init(&r->scratch, 64 * 1024, NULL);
    link_init(&r->connections);
    link_init(&r->dirty);
    link_init(&r->requests);
    link_init(&r->paused);
    r->now_ns = clock_now_ns(loop_clock(config->loop));
    r->scan_due_ns = NEVER_NS;
    r->least_used = memory_used(config->memory);
    r->jitter = (uint64_t)(uintptr_t)r ^ r->now_ns;
    return r;
}

void receive_free(struct receive *r)
{
    if (!r)
        return;
    while (!link_is_empty(&r->connections))
        connection_free(LINK_ITEM(r->connections.next, struct connection, link));
    while (!link_is_empty(&r->requests))
        request_forget(LINK_ITEM(r->requests.next, struct receive_request, link));
    inflate_free(r->inflate);
    h2_memory_free(r->h2_memory);
    buf_fini(&r->scratch);
    free(r->plain);
    free(r->buffer);
    free(r);
}

static void turn_away(struct receive *r, struct receive_port *port, int fd)
{
    if (!r->draining)
        receive_count(&r->refused[REFUSED_CONNECTIONS], 1);
    r->config.net->close(r->config.net, fd);
    receive_port_unref(port);
}

void receive_add(struct receive *r, struct receive_port *port, int fd, uint64_t now_ns)
{
    r->now_ns = now_ns;
    if (r->draining || !port_enter(port)) {
        turn_away(r, port, fd);
        return;
    }
    connection_new(r, port, fd);
    if (port_is_closed(port)) /* meanwhile */
        receive_retire(r, now_ns);
}

void receive_retire(struct receive *r, uint64_t now_ns)
{
    r->now_ns = now_ns;
    for (struct link *l = r->connections.next; l != &r->connections; l = l->next) {
        struct connection *c = LINK_ITEM(l, struct connection, link);

        if (c->leaving || !port_is_closed(c->port))
            continue;
        c->leaving = true;
        c->max_age_ns = now_ns - c->opened_ns;
        if (c->listener->protocol == RECEIVE_HTTP)
            c->max_age_ns += LEAVE_NS;
        receive_due(r, c->opened_ns + c->max_age_ns);
    }
}

/* Those that came to wait while we look wait for the next step. */
static void retry_paused(struct receive *r)
{
    struct link waiting;

    if (link_is_empty(&r->paused))
        return;
    link_init(&waiting);
    while (!link_is_empty(&r->paused)) {
        struct link *l = r->paused.next;

        link_remove(l);
        link_add(&waiting, l);
    }
    while (!link_is_empty(&waiting)) {
        struct link *l = waiting.next;

        link_remove(l);
        link_add(&r->paused, l);
        request_retry(LINK_ITEM(l, struct receive_request, paused));
    }
}

static void continue_dirty(struct receive *r)
{
    while (!link_is_empty(&r->dirty))
        connection_continue(LINK_ITEM(r->dirty.next, struct connection, dirty));
}

/* Looks at every connection, at most every SCAN_STEP_NS. */
static void scan(struct receive *r)
{
    struct link *next;

    r->scanned_ns = r->now_ns;
    r->scan_due_ns = NEVER_NS;
    for (struct link *l = r->connections.next; l != &r->connections; l = next) {
        uint64_t due;

        next = l->next;
        due = connection_tick(LINK_ITEM(l, struct connection, link), r->now_ns);
        receive_due(r, due);
    }
}

static uint64_t scan_at(const struct receive *r)
{
    uint64_t soonest = r->scanned_ns + SCAN_STEP_NS;

    return r->scan_due_ns > soonest ? r->scan_due_ns : soonest;
}

uint64_t receive_step(struct receive *r, uint64_t now_ns)
{
    size_t used = memory_used(r->config.memory);
    uint64_t due;

    r->now_ns = now_ns;
    if (used < r->least_used)
        r->least_used = used;
    retry_paused(r);
    if (now_ns >= scan_at(r))
        scan(r);
    continue_dirty(r);
    due = r->scan_due_ns == NEVER_NS ? NEVER_NS : scan_at(r);
    if (!link_is_empty(&r->paused) && now_ns + PAUSE_STEP_NS < due)
        due = now_ns + PAUSE_STEP_NS;
    return due;
}

/* What has come is taken first: who hears the end behind a request may lose it. */
static void drain_connection(struct connection *c)
{
    c->parting = true;
    connection_read(c);
    c->parting = false;
    c->protocol->drain(c);
    connection_continue(c);
}

void receive_drain(struct receive *r, uint64_t now_ns)
{
    struct link *next;

    r->now_ns = now_ns;
    r->draining = true;
    for (struct link *l = r->connections.next; l != &r->connections; l = next) {
        next = l->next;
        drain_connection(LINK_ITEM(l, struct connection, link));
    }
}

bool receive_is_idle(const struct receive *r)
{
    for (const struct link *l = r->connections.next; l != &r->connections; l = l->next)
        if (LINK_ITEM(l, const struct connection, link)->parting)
            return false;
    return link_is_empty(&r->requests);
}

void receive_set_refusing(struct receive *r, enum receive_refusal why)
{
    r->refusing = why;
}

void receive_set_signals(struct receive *r, unsigned signals)
{
    r->config.signals = signals;
}

enum reply_code receive_judge(const struct connection *c)
{
    const struct receive *r = c->receive;

    if (r->draining && !c->parting)
        return REPLY_DRAINING;
    switch (r->refusing) {
    case REFUSED_COUNT:
        return REPLY_OK;
    case REFUSED_DISK:
        return REPLY_DISK;
    case REFUSED_QUEUE_FULL:
        return REPLY_QUEUE_FULL;
    default:
        return REPLY_NO_MEMORY;
    }
}

const char *receive_date(struct receive *r)
{
    const struct clock *clock = loop_clock(r->config.loop);
    time_t seconds;
    struct tm tm;

    if (r->date[0] && r->now_ns - r->date_ns < NS_PER_S)
        return r->date;
    r->date_ns = r->now_ns;
    seconds = (time_t)(clock_unix_ns(clock) / NS_PER_S);
    gmtime_r(&seconds, &tm);
    strftime(r->date, sizeof r->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return r->date;
}

const char *receive_refusal_name(enum receive_refusal r)
{
    static const char *const names[REFUSED_COUNT] = {
        [REFUSED_MEMORY] = "memory",
        [REFUSED_DISK] = "disk",
        [REFUSED_QUEUE_FULL] = "queue_full",
        [REFUSED_DRAINING] = "draining",
        [REFUSED_MALFORMED] = "malformed",
        [REFUSED_TOO_LARGE] = "too_large",
        [REFUSED_UNAUTHENTICATED] = "unauthenticated",
        [REFUSED_UNSUPPORTED] = "unsupported",
        [REFUSED_TIMEOUT] = "timeout",
        [REFUSED_HEADERS] = "headers",
        [REFUSED_NOT_FOUND] = "not_found",
        [REFUSED_METHOD] = "method",
        [REFUSED_CONNECTIONS] = "connections",
    };

    return names[r];
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void receive_stats(const struct receive *r, struct receive_stats *s)
{
    s->requests = read_counter(&r->answered);
    for (int i = 0; i < REFUSED_COUNT; i++)
        s->refused[i] = read_counter(&r->refused[i]);
    s->connections = read_counter(&r->connection_count);
    s->open_bytes = read_counter(&r->open_bytes);
    s->accepted_connections = read_counter(&r->accepted);
    s->bytes = read_counter(&r->bytes);
    s->paused = read_counter(&r->pauses);
}
