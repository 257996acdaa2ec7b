/* What happens when memory, room or patience is short: all on virtual time. */
#include "check.h"
#include "grpc_client.h"
#include "http_client.h"
#include "receive/receive.h"

struct scene {
    struct fixture f;
    struct buf body, request;
    int fd;
};

enum { SPANS = 9000 }; /* some 900 KiB */

static void scene_init(struct scene *s, enum receive_protocol protocol, unsigned spans)
{
    memset(s, 0, sizeof *s);
    fixture_init(&s->f, protocol, 0);
    buf_init(&s->body, 8 << 20, NULL);
    buf_init(&s->request, 8 << 20, NULL);
    put_traces(&s->body, spans, 0);
    if (protocol == RECEIVE_HTTP)
        put_post(&s->request, "/v1/traces", PROTOBUF, buf_slice(&s->body));
    else
        put_message(&s->request, false, buf_slice(&s->body));
}

/* With one connection of a client. */
static void scene_connected(struct scene *s, unsigned spans)
{
    scene_init(s, RECEIVE_HTTP, spans);
    fixture_start(&s->f);
    s->fd = fixture_connect(&s->f);
}

static void scene_grpc(struct scene *s, unsigned spans, struct grpc_client *g)
{
    scene_init(s, RECEIVE_GRPC, spans);
    fixture_start(&s->f);
    grpc_connect(g, &s->f);
}

static void scene_fini(struct scene *s)
{
    buf_fini(&s->body);
    buf_fini(&s->request);
    fixture_fini(&s->f);
    CHECK(memory_used(&s->f.memory) == 0);
}

/* Leaves `left` bytes of the limiter. */
static size_t fill(struct scene *s, size_t left)
{
    size_t bytes = (size_t)s->f.memory.limit - memory_used(&s->f.memory) - left;

    memory_add(&s->f.memory, bytes);
    return bytes;
}

static bool arrived(const struct scene *s)
{
    return slice_equal(slice_make(s->f.body, s->f.body_len), buf_slice(&s->body));
}

static void a_body_waits_for_memory_before_it_is_read(void)
{
    struct scene s;
    struct http_answer a;
    size_t filled, sent;

    scene_connected(&s, SPANS);
    filled = fill(&s, 100000);
    sent = fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    CHECK(sent < 300000); /* the socket's queues and one read */
    CHECK(fixture_stats(&s.f).paused == 1 && s.f.accepted == 0);
    fixture_advance(&s.f, 1900 * NS_PER_MS);
    memory_release(&s.f.memory, filled);
    fixture_advance(&s.f, 10 * NS_PER_MS);
    fixture_send(&s.f, s.fd, s.request.data + sent, s.request.len - sent);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    CHECK(arrived(&s) && fixture_stats(&s.f).open_bytes == 0);
    scene_fini(&s);
}

static void a_body_that_waits_too_long_is_refused_and_may_come_again(void)
{
    struct scene s;
    struct http_answer a;
    size_t filled, sent;

    scene_connected(&s, SPANS);
    filled = fill(&s, 100000);
    sent = fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fixture_advance(&s.f, 2 * NS_PER_S);
    fixture_send(&s.f, s.fd, s.request.data + sent, s.request.len - sent);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 503 && has(&a, "Retry-After: 1\r\n"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_MEMORY] == 1 && receive_is_idle(s.f.receive));
    memory_release(&s.f.memory, filled);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && arrived(&s));
    scene_fini(&s);
}

static void a_request_waits_for_the_space_of_the_sink(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, 10);
    s.f.no_stage = true;
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fixture_advance(&s.f, NS_PER_S);
    CHECK(s.f.accepted == 0 && !receive_is_idle(s.f.receive));
    s.f.no_stage = false;
    fixture_advance(&s.f, 10 * NS_PER_MS);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && arrived(&s));
    CHECK(fixture_stats(&s.f).paused == 1);
    scene_fini(&s);
}

static void a_request_that_finds_no_space_is_refused_after_its_patience(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, 10);
    s.f.no_stage = true;
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fixture_advance(&s.f, 1990 * NS_PER_MS);
    CHECK(!read_answer(&s.f, s.fd, &a));
    fixture_advance(&s.f, 20 * NS_PER_MS);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 503);
    CHECK(s.f.accepted == 0 && receive_is_idle(s.f.receive));
    scene_fini(&s);
}

static void a_full_inbox_is_asked_again_with_the_same_bytes(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, 10);
    s.f.full = 3;
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    for (int i = 0; i < 10; i++)
        fixture_advance(&s.f, NS_PER_MS);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    CHECK(s.f.accepted == 1 && arrived(&s));
    scene_fini(&s);
}

/* Each time costs a copy and a scan of all of it, and a worker steps often. */
static void a_body_for_which_there_is_no_room_is_not_staged_at_every_step(void)
{
    enum { MANY = 1 << 20 };
    struct http_answer a;
    struct scene s;

    scene_connected(&s, 10);
    s.f.full = MANY;
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    for (int i = 0; i < 1000; i++)
        fixture_advance(&s.f, 10 * NS_PER_US);
    CHECK(MANY - s.f.full >= 5 && MANY - s.f.full <= 12);
    s.f.full = 0;
    fixture_advance(&s.f, 5 * NS_PER_MS);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    CHECK(s.f.accepted == 1 && arrived(&s));
    scene_fini(&s);
}

/* Others that are answered by the worker must not wait for what is tried in vain. */
static void tries_that_take_long_are_few_and_the_answer_comes_in_time(void)
{
    struct http_answer a;
    struct scene s;
    uint64_t began;

    scene_connected(&s, 10);
    s.f.no_stage = true;
    s.f.stage_ns = 10 * NS_PER_MS;
    began = s.f.clock.now;
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    while (!read_answer(&s.f, s.fd, &a) && s.f.clock.now - began < 4 * NS_PER_S)
        fixture_advance(&s.f, NS_PER_MS);
    CHECK(a.status == 503 && s.f.stages <= 10);
    CHECK(s.f.clock.now - began <= 2050 * NS_PER_MS);
    scene_fini(&s);
}

static void a_grpc_message_gathered_in_the_sinks_space_survives_a_full_inbox(void)
{
    struct scene s;
    struct grpc_client g;
    struct grpc_call call;

    scene_grpc(&s, 400, &g);
    s.f.full = 1;
    grpc_send(&g, &call, EXPORT, NULL, buf_slice(&s.request));
    fixture_advance(&s.f, 100 * NS_PER_MS);
    grpc_pump(&g);
    CHECK(call_is_ok(&call) && s.f.accepted == 1 && arrived(&s));
    grpc_close(&g);
    scene_fini(&s);
}

static void a_stream_without_memory_gets_no_more_window(void)
{
    struct scene s;
    struct grpc_client g;
    struct grpc_call call, small;
    struct buf traces, message;
    size_t filled;

    scene_grpc(&s, SPANS, &g);
    filled = fill(&s, 200000);
    grpc_send(&g, &call, EXPORT, NULL, buf_slice(&s.request));
    CHECK(call.request_sent == 256 * 1024); /* the first window */
    buf_init(&traces, 65536, NULL);
    buf_init(&message, 65536, NULL);
    put_traces(&traces, 3, 0);
    put_message(&message, false, buf_slice(&traces));
    grpc_send(&g, &small, EXPORT, NULL, buf_slice(&message));
    CHECK(call_is_ok(&small)); /* others on the connection go on */
    memory_release(&s.f.memory, filled);
    fixture_advance(&s.f, 10 * NS_PER_MS);
    grpc_pump(&g);
    CHECK(call_is_ok(&call) && arrived(&s));
    buf_fini(&traces);
    buf_fini(&message);
    grpc_close(&g);
    scene_fini(&s);
}

static void a_stream_without_memory_is_refused_when_its_client_or_we_lose_patience(void)
{
    const char *hurry[] = {"grpc-timeout", "500m", NULL};
    struct scene s;
    struct grpc_client g;
    struct grpc_call patient, hasty;
    size_t filled;

    scene_grpc(&s, SPANS, &g);
    filled = fill(&s, 100000);
    grpc_send(&g, &patient, EXPORT, NULL, buf_slice(&s.request));
    grpc_send(&g, &hasty, EXPORT, hurry, buf_slice(&s.request));
    fixture_advance(&s.f, 510 * NS_PER_MS);
    grpc_pump(&g);
    CHECK(call_is_refused(&hasty, 14) && !patient.closed);
    fixture_advance(&s.f, 1500 * NS_PER_MS);
    grpc_pump(&g);
    CHECK(call_is_refused(&patient, 14) && strstr(patient.headers, "google.rpc.retryinfo-bin"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_MEMORY] == 2);
    memory_release(&s.f.memory, filled);
    for (int i = 0; i < 20; i++) { /* the connection's window came back */
        grpc_send(&g, &patient, EXPORT, NULL, buf_slice(&s.request));
        CHECK(call_is_ok(&patient));
    }
    grpc_close(&g);
    scene_fini(&s);
}

static void a_message_that_is_larger_than_memory_is_refused_for_good(void)
{
    struct scene s;
    struct grpc_client g;
    struct grpc_call call;

    scene_init(&s, RECEIVE_GRPC, SPANS);
    memory_init(&s.f.memory, 512 << 10, 128 << 10);
    fixture_start(&s.f);
    grpc_connect(&g, &s.f);
    grpc_send(&g, &call, EXPORT, NULL, buf_slice(&s.request));
    fixture_advance(&s.f, 10 * NS_PER_MS);
    grpc_pump(&g);
    CHECK(call_is_refused(&call, 3) && strstr(call.headers, "memory_limiter.limit"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_TOO_LARGE] == 1);
    grpc_close(&g);
    scene_fini(&s);
}

static void a_reservation_without_progress_is_taken_back(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, SPANS);
    fixture_send(&s.f, s.fd, s.request.data, 1000);
    CHECK(fixture_stats(&s.f).open_bytes >= s.body.len);
    fixture_advance(&s.f, 10 * NS_PER_S);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 503 && has(&a, "Connection: close") &&
          has(&a, "Retry-After: 1"));
    CHECK(fixture_stats(&s.f).open_bytes == 0);
    CHECK(fixture_stats(&s.f).refused[REFUSED_TIMEOUT] == 1);
    scene_fini(&s);
}

static void dripping_bytes_are_no_progress(void)
{
    struct scene s;
    struct http_answer a;
    bool closed = false;
    int seconds = 0;

    scene_init(&s, RECEIVE_HTTP, SPANS);
    fixture_start(&s.f);
    for (int body = 0; body < 2; body++) {
        size_t at = body ? 300 : 0;

        s.fd = fixture_connect(&s.f);
        if (body)
            fixture_send(&s.f, s.fd, s.request.data, 300);
        for (seconds = 0, closed = false; seconds < 60 && !closed; seconds++) {
            fixture_send(&s.f, s.fd, s.request.data + at++, 1);
            fixture_advance(&s.f, NS_PER_S);
            closed = read_answer(&s.f, s.fd, &a);
        }
        CHECK(closed && a.status == 503 && seconds <= 11);
    }
    scene_fini(&s);
}

/* Sends `step` bytes of a body of some 3.9 MiB a second; the status. */
static int send_slowly(size_t step, int *seconds)
{
    struct http_answer a = {0};
    struct scene s;
    bool closed = false;

    memset(&s, 0, sizeof s);
    scene_init(&s, RECEIVE_HTTP, 41000);
    s.f.listener.max_body = 8 << 20;
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    *seconds = 0;
    for (size_t at = 0; !closed && *seconds < 600; at += step, (*seconds)++) {
        size_t left = at < s.request.len ? s.request.len - at : 0;

        fixture_send(&s.f, s.fd, s.request.data + at, left < step ? left : step);
        fixture_advance(&s.f, NS_PER_S);
        closed = read_answer(&s.f, s.fd, &a);
    }
    scene_fini(&s);
    return a.status;
}

/* A thirty-second in 10 s is asked for: 13 kB/s here, a tenth of 1 Mbit/s. */
static void a_large_body_must_come_in_a_time_that_its_length_allows(void)
{
    int seconds;

    CHECK(send_slowly(125000, &seconds) == 200 && seconds < 40);
    CHECK(send_slowly(28000, &seconds) == 200);
    CHECK(send_slowly(5000, &seconds) == 503 && seconds <= 11);
}

/* 900 KiB, of which 28 are asked for in 10 s; 15 come. */
static void a_large_message_must_come_in_a_time_that_its_length_allows(void)
{
    struct grpc_call call = {.hold_end = true};
    struct grpc_client g;
    struct scene s;

    scene_grpc(&s, SPANS, &g);
    grpc_submit(&g, &call, EXPORT, NULL, slice_make(s.request.data, 1000));
    grpc_pump(&g);
    for (int i = 0; i < 12 && !call.closed; i++) {
        call.request_len += 1500;
        CHECK(nghttp2_session_resume_data(g.session, call.id) == 0);
        grpc_pump(&g);
        CHECK(i > 8 || fixture_stats(&s.f).open_bytes > 0);
        fixture_advance(&s.f, NS_PER_S);
        grpc_pump(&g);
    }
    CHECK(call_is_refused(&call, 4) && fixture_stats(&s.f).open_bytes == 0);
    grpc_close(&g);
    scene_fini(&s);
}

static void a_slow_but_steady_body_arrives(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, 1000);
    for (size_t at = 0; at < s.request.len; at += 5000) {
        size_t left = s.request.len - at;

        fixture_send(&s.f, s.fd, s.request.data + at, left < 5000 ? left : 5000);
        fixture_advance(&s.f, 5 * NS_PER_S);
    }
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && arrived(&s));
    scene_fini(&s);
}

static void a_client_that_reads_no_answers_is_closed(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct scene s;
    size_t sent = 0, before = SIZE_MAX;

    scene_connected(&s, 1);
    while (sent != before) {
        before = sent;
        for (int i = 0; i < 1000; i++)
            sent += fake_net_send(s.f.net, s.fd, slice_str(request)) == strlen(request);
        fixture_run(&s.f);
    }
    CHECK(memory_used(&s.f.memory) < 1 << 20); /* it is not read on */
    fixture_advance(&s.f, 9 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 1);
    fixture_advance(&s.f, 2 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 0);
    scene_fini(&s);
}

static void connections_over_the_bound_are_closed_at_once_and_counted(void)
{
    struct scene s;
    int fds[4];

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.listener.max_connections = 3;
    fixture_start(&s.f);
    for (int i = 0; i < 4; i++)
        fds[i] = fixture_connect(&s.f);
    CHECK(fixture_stats(&s.f).connections == 3 && fixture_stats(&s.f).accepted_connections == 3);
    CHECK(!fake_net_is_closed(s.f.net, fds[2]) && fake_net_is_closed(s.f.net, fds[3]));
    CHECK(fixture_stats(&s.f).refused[REFUSED_CONNECTIONS] == 1);
    fake_net_close(s.f.net, fds[0]);
    fixture_run(&s.f);
    fds[0] = fixture_connect(&s.f);
    CHECK(fixture_stats(&s.f).connections == 3 && !fake_net_is_closed(s.f.net, fds[0]));
    scene_fini(&s);
}

static void idle_connections_end_after_their_time(void)
{
    struct scene s;
    struct http_answer a;

    scene_connected(&s, 1);
    fixture_advance(&s.f, 200 * NS_PER_S);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    fixture_advance(&s.f, 299 * NS_PER_S);
    CHECK(!fake_net_is_closed(s.f.net, s.fd));
    fixture_advance(&s.f, 2 * NS_PER_S);
    CHECK(fake_net_is_closed(s.f.net, s.fd));
    fixture_advance(&s.f, 2 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 0);
    scene_fini(&s);
}

static void draining_answers_what_is_open_and_closes_the_rest(void)
{
    struct scene s;
    struct http_answer a;
    struct receive_answer ok = {RECEIVE_OK, 0, NULL};
    int idle, half;

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.later = true;
    fixture_start(&s.f);
    idle = fixture_connect(&s.f);
    half = fixture_connect(&s.f);
    s.fd = fixture_connect(&s.f);
    fixture_send(&s.f, half, s.request.data, 50);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    receive_drain(s.f.receive, s.f.clock.now);
    fixture_run(&s.f);
    CHECK(fake_net_is_closed(s.f.net, idle) && !receive_is_idle(s.f.receive));
    fixture_send(&s.f, half, s.request.data + 50, s.request.len - 50);
    CHECK(read_answer(&s.f, half, &a) && a.status == 503 && has(&a, "Connection: close"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_DRAINING] == 1);
    receive_answer(s.f.open[0], &ok);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && has(&a, "Connection: close"));
    CHECK(receive_is_idle(s.f.receive));
    CHECK(fake_net_is_closed(s.f.net, s.fd) && fake_net_is_closed(s.f.net, half));
    scene_fini(&s);
}

static void what_has_come_when_draining_begins_is_taken(void)
{
    struct scene s;
    struct http_answer a;

    scene_init(&s, RECEIVE_HTTP, 1);
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    CHECK(fake_net_send(s.f.net, s.fd, buf_slice(&s.request)) == s.request.len);
    receive_drain(s.f.receive, s.f.clock.now);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    CHECK(fake_net_is_closed(s.f.net, s.fd));
    scene_fini(&s);
}

static void an_old_http_connection_is_closed_with_an_answer_or_when_idle(void)
{
    struct scene s;
    struct http_answer a;
    int idle;

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.listener.max_connection_age_ns = 60 * NS_PER_S;
    s.f.later = true;
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    idle = fixture_connect(&s.f);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fixture_advance(&s.f, 67 * NS_PER_S);
    CHECK(fake_net_is_closed(s.f.net, idle) && !fake_net_is_closed(s.f.net, s.fd));
    receive_answer(s.f.open[0], &(struct receive_answer){RECEIVE_OK, 0, NULL});
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && has(&a, "Connection: close"));
    scene_fini(&s);
}

static void an_old_connection_at_work_is_not_closed_between_two_requests(void)
{
    struct scene s;
    struct http_answer a;
    int quiet;

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.listener.max_connection_age_ns = 10 * NS_PER_S;
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    quiet = fixture_connect(&s.f);
    fixture_advance(&s.f, 8 * NS_PER_S);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && !has(&a, "Connection: close"));
    fixture_advance(&s.f, 4 * NS_PER_S);
    CHECK(fake_net_is_closed(s.f.net, quiet) && !fake_net_is_closed(s.f.net, s.fd));
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200 && has(&a, "Connection: close"));
    scene_fini(&s);
}

static void a_client_that_only_stops_sending_still_gets_its_answer(void)
{
    struct scene s;
    struct http_answer a;

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.later = true;
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fake_net_shutdown(s.f.net, s.fd);
    fixture_run(&s.f);
    receive_answer(s.f.open[0], &(struct receive_answer){RECEIVE_OK, 0, NULL});
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    CHECK(fixture_stats(&s.f).connections == 0);
    scene_fini(&s);
}

static void a_client_that_stops_sending_while_its_body_waits_for_memory_gets_its_answer(void)
{
    struct scene s;
    struct http_answer a;
    size_t filled, head;

    for (int has_room = 0; has_room < 2; has_room++) {
        scene_connected(&s, 10);
        filled = fill(&s, 0);
        head = s.request.len - s.body.len;
        fixture_send(&s.f, s.fd, s.request.data, head);
        fixture_send(&s.f, s.fd, s.request.data + head, s.body.len);
        fake_net_shutdown(s.f.net, s.fd);
        fixture_advance(&s.f, NS_PER_S);
        if (has_room)
            memory_release(&s.f.memory, filled);
        fixture_advance(&s.f, 2 * NS_PER_S);
        CHECK(read_answer(&s.f, s.fd, &a) && a.status == (has_room ? 200 : 503));
        CHECK(fixture_stats(&s.f).connections == 0);
        if (!has_room)
            memory_release(&s.f.memory, filled);
        scene_fini(&s);
    }
}

static void pipelined_requests_are_all_answered_after_the_client_stops_sending(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct scene s;
    char text[8192];
    size_t sent = 0, received = 0;

    scene_connected(&s, 1);
    for (int i = 0; i < 2000; i++)
        sent += fake_net_send(s.f.net, s.fd, slice_str(request)) == strlen(request);
    CHECK(sent == 2000);
    fake_net_shutdown(s.f.net, s.fd);
    while (fixture_recv(&s.f, s.fd, text, sizeof text) > 0) {
        for (const char *at = text; (at = strstr(at, "HTTP/1.1 404")); at++)
            received++;
    }
    CHECK(received >= 1950); /* those cut by the end of a read are not seen */
    CHECK(fixture_stats(&s.f).refused[REFUSED_METHOD] == 2000);
    CHECK(fixture_stats(&s.f).connections == 0);
    scene_fini(&s);
}

/* An answer that its client's window holds back must not hold the stream for ever. */
static void a_client_with_a_shut_window_loses_the_stream(void)
{
    nghttp2_settings_entry shut = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
    struct scene s;
    struct grpc_client g;
    struct grpc_call call;

    scene_grpc(&s, 3, &g);
    nghttp2_submit_settings(g.session, NGHTTP2_FLAG_NONE, &shut, 1);
    grpc_pump(&g);
    grpc_send(&g, &call, EXPORT, NULL, buf_slice(&s.request));
    CHECK(s.f.accepted == 1 && !call.closed);
    fixture_advance(&s.f, 11 * NS_PER_S);
    grpc_pump(&g);
    CHECK(call.closed && call.reset == NGHTTP2_CANCEL);
    grpc_close(&g);
    scene_fini(&s);
}

/* A look at all connections while a request waits for the sink must not be the last one. */
static void a_connection_that_was_looked_at_while_it_waited_still_ends_when_idle(void)
{
    struct scene s;
    struct http_answer a;

    scene_init(&s, RECEIVE_HTTP, 1);
    s.f.later = true;
    fixture_start(&s.f);
    s.fd = fixture_connect(&s.f);
    fixture_advance(&s.f, 9 * NS_PER_S);
    fixture_send(&s.f, s.fd, s.request.data, s.request.len);
    fixture_advance(&s.f, 2 * NS_PER_S);
    receive_answer(s.f.open[0], &(struct receive_answer){RECEIVE_OK, 0, NULL});
    CHECK(read_answer(&s.f, s.fd, &a) && a.status == 200);
    fixture_advance(&s.f, 301 * NS_PER_S);
    CHECK(fake_net_is_closed(s.f.net, s.fd));
    scene_fini(&s);
}

/* The same for a message that waited for memory, got it, and does not come. */
static void a_message_that_stops_after_it_waited_for_memory_is_timed_out(void)
{
    struct scene s;
    struct grpc_client g;
    struct grpc_call call = {.hold_end = true};
    size_t filled;

    scene_grpc(&s, SPANS, &g);
    fixture_advance(&s.f, 9 * NS_PER_S);
    filled = fill(&s, 200000);
    grpc_submit(&g, &call, EXPORT, NULL, slice_make(s.request.data, 1000));
    grpc_pump(&g);
    fixture_advance(&s.f, 1500 * NS_PER_MS);
    memory_release(&s.f.memory, filled);
    fixture_advance(&s.f, 100 * NS_PER_MS);
    fixture_advance(&s.f, 11 * NS_PER_S);
    grpc_pump(&g);
    CHECK(call_is_refused(&call, 4) && fixture_stats(&s.f).open_bytes == 0);
    grpc_close(&g);
    scene_fini(&s);
}

static void the_due_time_is_when_something_happens(void)
{
    struct scene s;
    uint64_t due;

    scene_init(&s, RECEIVE_HTTP, SPANS);
    fixture_start(&s.f);
    CHECK(receive_step(s.f.receive, s.f.clock.now) == NEVER_NS);
    s.fd = fixture_connect(&s.f);
    fixture_advance(&s.f, NS_PER_S);
    due = receive_step(s.f.receive, s.f.clock.now);
    CHECK(due > s.f.clock.now && due <= s.f.clock.now + 300 * NS_PER_S);
    fixture_send(&s.f, s.fd, s.request.data, 100);
    due = receive_step(s.f.receive, s.f.clock.now);
    CHECK(due <= s.f.clock.now + 10 * NS_PER_S);
    scene_fini(&s);
}

int main(void)
{
    RUN(a_body_waits_for_memory_before_it_is_read);
    RUN(a_body_that_waits_too_long_is_refused_and_may_come_again);
    RUN(a_request_waits_for_the_space_of_the_sink);
    RUN(a_request_that_finds_no_space_is_refused_after_its_patience);
    RUN(a_full_inbox_is_asked_again_with_the_same_bytes);
    RUN(a_body_for_which_there_is_no_room_is_not_staged_at_every_step);
    RUN(tries_that_take_long_are_few_and_the_answer_comes_in_time);
    RUN(a_grpc_message_gathered_in_the_sinks_space_survives_a_full_inbox);
    RUN(a_stream_without_memory_gets_no_more_window);
    RUN(a_stream_without_memory_is_refused_when_its_client_or_we_lose_patience);
    RUN(a_message_that_is_larger_than_memory_is_refused_for_good);
    RUN(a_reservation_without_progress_is_taken_back);
    RUN(dripping_bytes_are_no_progress);
    RUN(a_large_body_must_come_in_a_time_that_its_length_allows);
    RUN(a_large_message_must_come_in_a_time_that_its_length_allows);
    RUN(a_slow_but_steady_body_arrives);
    RUN(a_client_that_reads_no_answers_is_closed);
    RUN(connections_over_the_bound_are_closed_at_once_and_counted);
    RUN(idle_connections_end_after_their_time);
    RUN(draining_answers_what_is_open_and_closes_the_rest);
    RUN(what_has_come_when_draining_begins_is_taken);
    RUN(an_old_http_connection_is_closed_with_an_answer_or_when_idle);
    RUN(an_old_connection_at_work_is_not_closed_between_two_requests);
    RUN(a_client_that_only_stops_sending_still_gets_its_answer);
    RUN(a_client_that_stops_sending_while_its_body_waits_for_memory_gets_its_answer);
    RUN(pipelined_requests_are_all_answered_after_the_client_stops_sending);
    RUN(a_client_with_a_shut_window_loses_the_stream);
    RUN(a_connection_that_was_looked_at_while_it_waited_still_ends_when_idle);
    RUN(a_message_that_stops_after_it_waited_for_memory_is_timed_out);
    RUN(the_due_time_is_when_something_happens);
    return DONE();
}
