/* fixture.h: a struct receive over the fake network on virtual time, with a sink whose moods the
 * tests set, and clients that send and read bytes.
 */
#pragma once

#include "base/fake_net.h"
#include "otlp/scan.h"
#include "receive/receive.h"

#include <stdio.h>
#include <stdlib.h>

#define FN static __attribute__((unused))

enum { MAX_OPEN = 64 };

struct fixture {
    struct fake_clock clock;
    struct fake_net *net;
    struct loop *loop;
    struct memory memory;
    struct receive_listener listener;
    struct receive_port *port;
    struct receive_sink sink;
    unsigned signals;        /* taken; traces */
    enum otlp_signal signal; /* of the last body */
    struct receive *receive;
    int listen_fd;
    char address[64];

    /* The sink. */
    uint8_t *staged;
    size_t staged_size;
    bool no_stage;     /* stage gives nothing */
    uint64_t stage_ns; /* what it takes */
    int full;          /* accept says ERR_FULL so often */
    bool later;        /* accept answers nothing now */
    struct receive_request *open[MAX_OPEN];
    size_t open_count;
    unsigned stages, accepted;
    uint8_t *body; /* the last one accepted */
    size_t body_len;
    struct receive_answer answer; /* when the scan finds nothing wrong */
};

FN uint8_t *fixture_stage(void *arg, size_t size)
{
    struct fixture *f = arg;

    f->stages++;
    fake_clock_advance(&f->clock, f->stage_ns);
    free(f->staged); /* what an earlier stage gave is gone */
    f->staged = NULL;
    if (f->no_stage)
        return NULL;
    f->staged = malloc(size);
    f->staged_size = size;
    return f->staged;
}

FN void fixture_answer(struct fixture *f, struct receive_request *request, size_t len)
{
    struct receive_answer answer = f->answer;
    struct scan_result result;

    (void)len;
    if (scan_items(f->signal, slice_make(f->body, f->body_len), NULL, 0, &result) == ERR_PARSE)
        answer = (struct receive_answer){RECEIVE_BAD, 0, result.error};
    else if (result.rejected)
        answer = (struct receive_answer){RECEIVE_OK, result.rejected, result.reject_reason};
    receive_answer(request, &answer);
}

FN enum err fixture_accept(void *arg, enum otlp_signal signal, size_t len,
                           struct receive_request *request)
{
    struct fixture *f = arg;

    if (f->full > 0) {
        f->full--;
        return ERR_FULL;
    }
    f->accepted++;
    f->signal = signal;
    free(f->body);
    f->body = malloc(len + 1);
    memcpy(f->body, f->staged, len);
    f->body_len = len;
    free(f->staged);
    f->staged = NULL;
    if (f->later)
        f->open[f->open_count++] = request;
    else
        fixture_answer(f, request, len);
    return ERR_OK;
}

/* Sets what most tests want; change f->listener and f->memory before fixture_start. */
FN void fixture_init(struct fixture *f, enum receive_protocol protocol, size_t max_chunk)
{
    memset(f, 0, sizeof *f);
    fake_clock_init(&f->clock, 1000 * NS_PER_S, UINT64_C(1700000000) * NS_PER_S);
    f->net = fake_net_new(max_chunk);
    f->loop = fake_loop_new(f->net, &f->clock.clock);
    memory_init(&f->memory, 256 << 20, 16 << 20);
    f->listener = (struct receive_listener){
        .protocol = protocol,
        .max_body = 1 << 20,
        .max_inflated = 4 << 20,
        .max_headers = 4096,
        .max_connections = 100,
        .max_streams = 32,
        .idle_timeout_ns = 300 * NS_PER_S,
        .read_timeout_ns = 10 * NS_PER_S,
    };
    f->signals = 1u << OTLP_TRACES;
    f->sink = (struct receive_sink){f, fixture_stage, fixture_accept};
}

FN enum err fixture_try_start(struct fixture *f, struct err_info *info)
{
    struct receive_config config = {
        .loop = f->loop,
        .net = fake_net_net(f->net),
        .memory = &f->memory,
        .sink = &f->sink,
        .signals = f->signals,
        .pause_ns = 2 * NS_PER_S,
    };
    enum err err = receive_port_new(&f->listener, &f->port, info);

    if (err)
        return err;
    f->receive = receive_new(&config);
    return fake_net_net(f->net)->listen(fake_net_net(f->net), "127.0.0.1:0", &f->listen_fd,
                                        f->address, info);
}

FN void fixture_start(struct fixture *f)
{
    struct err_info info;

    if (fixture_try_start(f, &info)) {
        printf("%s\n", info.text);
        abort();
    }
}

FN void fixture_fini(struct fixture *f)
{
    receive_free(f->receive);
    receive_port_unref(f->port);
    loop_free(f->loop);
    fake_net_free(f->net);
    free(f->staged);
    free(f->body);
}

/* Lets the room work on what has arrived. */
FN void fixture_run(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        loop_wait(f->loop, f->clock.now);
        receive_step(f->receive, f->clock.now);
    }
}

FN void fixture_advance(struct fixture *f, uint64_t ns)
{
    fake_clock_advance(&f->clock, ns);
    receive_step(f->receive, f->clock.now);
    fixture_run(f);
}

FN int fixture_connect(struct fixture *f)
{
    int fd = fake_net_connect(f->net, f->address);
    int server;

    if (fake_net_net(f->net)->accept(fake_net_net(f->net), f->listen_fd, &server) == ERR_OK)
        receive_add(f->receive, receive_port_ref(f->port), server, f->clock.now);
    return fd;
}

/* Sends all, as far as the room takes it. Returns how much it took. */
FN size_t fixture_send(struct fixture *f, int fd, const void *data, size_t len)
{
    size_t sent = 0;

    for (int idle = 0; sent < len && idle < 8;) {
        size_t n = fake_net_send(f->net, fd, slice_make((const uint8_t *)data + sent, len - sent));

        sent += n;
        idle = n ? 0 : idle + 1;
        fixture_run(f);
    }
    fixture_run(f);
    return sent;
}

/* What the room has sent, with a NUL behind it. */
FN size_t fixture_recv(struct fixture *f, int fd, char *to, size_t capacity)
{
    size_t len = 0, n;

    fixture_run(f);
    do {
        n = fake_net_recv(f->net, fd, to + len, capacity - 1 - len);
        len += n;
        fixture_run(f);
    } while (n && len < capacity - 1);
    to[len] = 0;
    return len;
}

FN struct receive_stats fixture_stats(const struct fixture *f)
{
    struct receive_stats s;

    receive_stats(f->receive, &s);
    return s;
}
