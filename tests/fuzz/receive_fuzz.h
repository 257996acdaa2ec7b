/* receive_fuzz.h: feeds an input to a fresh connection of the room over the fake network.
 *
 * The first byte says how: its low bits how the sink answers, its high ones how large the pieces
 * are in which the rest arrives. Time passes between pieces now and then, and at the end the
 * room must have given back everything that it counted.
 */
#pragma once

#include "../receive/fixture.h"

static void answer_open(struct fixture *f)
{
    for (size_t i = 0; i < f->open_count; i++)
        fixture_answer(f, f->open[i], 0);
    f->open_count = 0;
}

static void set_mood(struct fixture *f, uint8_t how)
{
    f->later = how & 1;
    f->no_stage = how & 2;
    f->full = (how & 4) ? 2 : 0;
    if (how & 8)
        memory_add(&f->memory, (size_t)f->memory.limit - 20000);
}

static void feed_pieces(struct fixture *f, int fd, struct slice bytes, size_t piece)
{
    char answers[16384];

    for (size_t at = 0; at < bytes.len;) {
        size_t left = bytes.len - at;
        size_t sent =
            fake_net_send(f->net, fd, slice_make(bytes.data + at, left < piece ? left : piece));

        fixture_run(f);
        fixture_recv(f, fd, answers, sizeof answers);
        if (f->open_count > MAX_OPEN / 2)
            answer_open(f);
        if (sent == 0)
            fixture_advance(f, 500 * NS_PER_MS);
        if (sent == 0 && fake_net_is_closed(f->net, fd))
            break;
        at += sent;
    }
}

static void fuzz_connection(enum receive_protocol protocol, const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1 << 20, 1, 7, 1000};
    struct fixture f;
    int fd;

    if (size == 0)
        return;
    fixture_init(&f, protocol, 0);
    f.signals = 7;
    f.listener.max_body = 65536;
    f.listener.max_inflated = 1 << 18;
    f.listener.max_connection_age_ns = 100 * NS_PER_S;
    set_mood(&f, data[0]);
    fixture_start(&f);
    fd = fixture_connect(&f);
    feed_pieces(&f, fd, slice_make(data + 1, size - 1), pieces[data[0] >> 6]);
    f.later = f.no_stage = false;
    answer_open(&f);
    fixture_advance(&f, 3 * NS_PER_S);
    answer_open(&f);
    fake_net_close(f.net, fd);
    fixture_advance(&f, 30 * NS_PER_S);
    if (fixture_stats(&f).connections || fixture_stats(&f).open_bytes ||
        !receive_is_idle(f.receive))
        abort();
    fixture_fini(&f);
    if (memory_used(&f.memory) != (data[0] & 8 ? (size_t)f.memory.limit - 20000 : 0))
        abort();
}
