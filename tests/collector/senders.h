/* senders.h: those who send to the simulated collector, and what they were answered. */
#pragma once

#include "otlp/write.h"
#include "world.h"

#include <endian.h>

static inline struct test_span make_span(uint64_t trace, uint8_t id, const char *name)
{
    uint64_t duration = kind_of(trace) == 0 ? 1 : kind_of(trace) == 1 ? 900 : 100 * (uint64_t)id;

    return (struct test_span){.trace_high = trace,
                              .trace_low = mix(trace),
                              .id = id,
                              .parent = id == 1 ? 0 : 1,
                              .name = name,
                              .start_ms = now_ms,
                              .duration_ms = duration};
}

/* Spans are as large as bounds need to be reached. */
static inline const char *draw_name(void)
{
    static char name[(96 << 10) + 1];

    if (!has(SMALL_DISK | SMALL_MEMORY | SMALL_QUEUES))
        return NULL;
    memset(name, 'x', sizeof(name) - 1);
    return name + rng_below(&w.rng, chance(20) ? sizeof(name) - 1 : 1000);
}

/* It may be taken from now on, and its trace be decided, whatever the answer is. */
static inline void note_copies(const struct test_span *spans, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t trace = spans[i].trace_high;

        if (!w.since[trace])
            w.since[trace] = w.moment;
        w.copies[trace][spans[i].id - 1]++;
    }
}

static inline void note_acked(const struct test_span *spans, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t trace = spans[i].trace_high;

        w.acked[trace] |= UINT64_C(1) << (spans[i].id - 1);
    }
    w.acked_in_life += count;
    acknowledged += count;
}

/* Draws spans, most of them of traces that are young; at most BATCH. */
static inline unsigned draw_spans(struct test_span *spans, uint64_t newest)
{
    unsigned count = 0;

    for (uint64_t n = 1 + rng_below(&w.rng, BATCH); n > 0; n--) {
        uint64_t trace = 1 + (chance(70) && newest > 8 ? newest - 1 - rng_below(&w.rng, 8)
                                                       : rng_below(&w.rng, newest));

        if (w.sent[trace] < SPANS_MAX)
            spans[count++] = make_span(trace, ++w.sent[trace], draw_name());
    }
    return count;
}

/* A body that is cut in the middle of a field: no part of it may be taken. */
static inline void send_malformed(int fd, const struct test_span *spans, unsigned count)
{
    struct buf body;
    int status;

    buf_init(&body, 64 << 20, NULL);
    spans_put(&body, spans, count);
    buf_append(&body, "\x0a\xff\xff", 3);
    status = sim_post(&w.sim, fd, buf_slice(&body));
    say("malformed: %d", status);
    MUST(status == 400 || status == 503 || status == 0, "a malformed body is answered with %d",
         status);
    buf_fini(&body);
}

/* A connection that ends before the request does. */
static inline void send_half(int fd, const struct test_span *spans, unsigned count)
{
    static const char head[] =
        "POST /v1/traces HTTP/1.1\r\nHost: sim\r\n"
        "Content-Type: application/x-protobuf\r\nContent-Length: %zu\r\n\r\n";
    char text[sizeof(head) + 24];
    struct buf body;

    buf_init(&body, 64 << 20, NULL);
    spans_put(&body, spans, count);
    snprintf(text, sizeof(text), head, body.len);
    fake_net_send(w.sim.net, fd, slice_str(text));
    sim_run(&w.sim, 0);
    fake_net_send(w.sim.net, fd, slice_make(body.data, body.len / 2));
    sim_run(&w.sim, 0);
    say("cut after %zu of %zu", body.len / 2, body.len);
    buf_fini(&body);
}

/* Sends until it is taken, as exporters of real SDKs do, or gives up. */
static inline void send_spans(int fd, const struct test_span *spans, unsigned count)
{
    for (int tries = 0; tries < 3; tries++) {
        int status;

        note_copies(spans, count);
        status = post_status(&w.sim, fd, spans, count);
        say("%u spans: %d", count, status);
        MUST(status == 200 || status == 503 || status == 0, "a good body is answered with %d",
             status);
        if (status == 200)
            note_acked(spans, count);
        if (status != 503 || chance(50))
            return;
        sim_run(&w.sim, NS_PER_S);
    }
}

static inline void send_batch(uint64_t newest)
{
    struct test_span spans[BATCH];
    unsigned count = draw_spans(spans, newest);
    int fd = sim_connect(&w.sim);

    if (count == 0 || fd < 0)
        return;
    if (has(BAD_SENDERS) && chance(10))
        send_malformed(fd, spans, count);
    else if (has(BAD_SENDERS) && chance(10))
        send_half(fd, spans, count);
    else
        send_spans(fd, spans, count);
    fake_net_close(w.sim.net, fd);
}

/* ---- metrics and logs ---- */

static inline const char *item_name(enum otlp_signal signal, unsigned item)
{
    static char name[16];

    snprintf(name, sizeof(name), "%s-%05u", signal == OTLP_METRICS ? "met" : "log", item);
    return name;
}

/* That of its spans, in a LogRecord. */
static inline void put_trace_id(struct buf *b, uint64_t trace)
{
    uint64_t id[2] = {htobe64(trace), htobe64(mix(trace))};

    if (trace)
        wire_put_bytes(b, 9, slice_make((const uint8_t *)id, sizeof(id)));
}

/* Of traces that are young, which have spans or will. */
static inline void draw_item_traces(unsigned first, unsigned count, uint64_t newest)
{
    for (unsigned i = first; has(FOLLOWING) && i < first + count; i++)
        if (chance(70))
            w.item_trace[i] = (uint16_t)(newest > 8 ? newest - rng_below(&w.rng, 8)
                                                    : 1 + rng_below(&w.rng, newest));
}

static inline void put_items(struct buf *b, enum otlp_signal signal, unsigned first, unsigned count)
{
    size_t resource = otlp_write_begin(b, 1), scope = otlp_write_begin(b, 2);

    for (unsigned i = first; i < first + count; i++) {
        size_t item = otlp_write_begin(b, 2), gauge, point;

        if (signal == OTLP_LOGS) {
            wire_put_bytes(b, 3, slice_str(item_name(signal, i)));
            put_trace_id(b, w.item_trace[i]);
        } else {
            wire_put_bytes(b, 1, slice_str("cpu"));
            gauge = otlp_write_begin(b, 5);
            point = otlp_write_begin(b, 1);
            wire_put_fixed64(b, 6, i);
            otlp_write_attr_str(b, 7, "host", slice_str(item_name(signal, i)));
            otlp_write_end(b, point);
            otlp_write_end(b, gauge);
        }
        otlp_write_end(b, item);
    }
    otlp_write_end(b, scope);
    otlp_write_end(b, resource);
}

static inline void send_items(enum otlp_signal signal, uint64_t newest)
{
    unsigned first = w.items[signal], count = 1 + (unsigned)rng_below(&w.rng, 5);
    int fd = sim_connect(&w.sim), status;
    struct buf body;

    if (fd < 0 || first + count > ITEMS_MAX)
        return;
    w.items[signal] += count;
    if (signal == OTLP_LOGS)
        draw_item_traces(first, count, newest);
    buf_init(&body, 1 << 20, NULL);
    put_items(&body, signal, first, count);
    status =
        sim_post_to(&w.sim, fd, signal == OTLP_LOGS ? "/v1/logs" : "/v1/metrics", buf_slice(&body));
    say("%u %s: %d", count, item_name(signal, first), status);
    for (unsigned i = first; i < first + count && status == 200; i++)
        w.item_acked[signal][i] = w.moment;
    buf_fini(&body);
    fake_net_close(w.sim.net, fd);
}
