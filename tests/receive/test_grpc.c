#include "check.h"
#include "grpc_client.h"
#include "otlp/wire.h"
#include "receive/receive.h"

#include <google/rpc/error_details.pb-c.h>
#include <google/rpc/status.pb-c.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse ExportResponse;

struct scene {
    struct fixture f;
    struct grpc_client g;
    struct grpc_call call;
    struct buf body, message; /* a request, and with its prefix */
};

static void scene_init(struct scene *s, unsigned spans, unsigned bad)
{
    memset(s, 0, sizeof *s);
    fixture_init(&s->f, RECEIVE_GRPC, 0);
    buf_init(&s->body, 8 << 20, NULL);
    buf_init(&s->message, 8 << 20, NULL);
    put_traces(&s->body, spans, bad);
    put_message(&s->message, false, buf_slice(&s->body));
}

static void scene_start(struct scene *s)
{
    fixture_start(&s->f);
    grpc_connect(&s->g, &s->f);
}

static void scene_fini(struct scene *s)
{
    grpc_close(&s->g);
    CHECK(fixture_stats(&s->f).open_bytes == 0);
    fixture_fini(&s->f);
    CHECK(memory_used(&s->f.memory) == 0);
    buf_fini(&s->body);
    buf_fini(&s->message);
}

static void a_call_is_staged_as_it_came_and_answered_with_an_empty_message(void)
{
    struct scene s;

    scene_init(&s, 3, 0);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call));
    CHECK(s.call.data_len == 5 && memcmp(s.call.data, "\0\0\0\0\0", 5) == 0);
    CHECK(slice_equal(slice_make(s.f.body, s.f.body_len), buf_slice(&s.body)));
    CHECK(s.f.stages == 1);
    CHECK(fixture_stats(&s.f).requests == 1 && receive_is_idle(s.f.receive));
    scene_fini(&s);
}

static void an_empty_message_is_a_success(void)
{
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, slice_make("\0\0\0\0\0", 5));
    CHECK(call_is_ok(&s.call) && s.f.accepted == 1 && s.f.body_len == 0);
    scene_fini(&s);
}

static void rejected_spans_are_a_partial_success(void)
{
    struct scene s;
    ExportResponse *r;

    scene_init(&s, 3, 3);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call) && s.call.data_len > 5);
    CHECK(s.call.data[0] == 0 && s.call.data[4] == s.call.data_len - 5);
    r = opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
        NULL, s.call.data_len - 5, s.call.data + 5);
    CHECK(r && r->partial_success && r->partial_success->rejected_spans == 3);
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(r,
                                                                                             NULL);
    scene_fini(&s);
}

/* The bytes of a "-bin" header; 0 if it is absent. */
static size_t binary_header(const struct grpc_call *call, const char *name, uint8_t *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strstr(call->headers, name);
    uint32_t bits = 0;
    size_t count = 0, len = 0;

    if (!at)
        return 0;
    for (at += strlen(name) + 2; *at != '\n' && *at; at++) {
        const char *digit = strchr(digits, *at);

        if (!digit)
            return 0;
        bits = bits << 6 | (uint32_t)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            to[len++] = (uint8_t)(bits >> count);
        }
    }
    return len;
}

static bool is_one_second(const uint8_t *data, size_t len)
{
    Google__Rpc__RetryInfo *info = google__rpc__retry_info__unpack(NULL, len, data);
    bool ok = info && info->retry_delay && info->retry_delay->seconds == 1 &&
              info->retry_delay->nanos == 0;

    if (info)
        google__rpc__retry_info__free_unpacked(info, NULL);
    return ok;
}

static void overload_is_unavailable_with_retry_info_in_both_places(void)
{
    struct scene s;
    uint8_t bytes[512];
    size_t len;
    Google__Rpc__Status *status;

    scene_init(&s, 1, 0);
    scene_start(&s);
    receive_set_refusing(s.f.receive, REFUSED_MEMORY);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_refused(&s.call, 14));
    len = binary_header(&s.call, "google.rpc.retryinfo-bin", bytes);
    CHECK(len > 0 && is_one_second(bytes, len));
    len = binary_header(&s.call, "grpc-status-details-bin", bytes);
    status = google__rpc__status__unpack(NULL, len, bytes);
    CHECK(status && status->code == 14 && status->n_details == 1);
    CHECK(status &&
          strcmp(status->details[0]->type_url, "type.googleapis.com/google.rpc.RetryInfo") == 0);
    CHECK(status && is_one_second(status->details[0]->value.data, status->details[0]->value.len));
    if (status)
        google__rpc__status__free_unpacked(status, NULL);
    CHECK(call_has(&s.call, "grpc-message: overloaded, try again"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_MEMORY] == 1);
    scene_fini(&s);
}

struct row {
    const char *path;
    const char *headers[6];
    const char *request;
    size_t request_len;
    int status;
};

static void every_refusal_has_its_status_in_trailers_only(void)
{
    static const struct row rows[] = {
        {EXPORT, {NULL}, "\0\0\0\0\2\xff\xff", 7, 3},
        {EXPORT, {NULL}, "\0\0\x10\0\1", 5, 3},
        {EXPORT, {NULL}, "\0\0\0\0\3ab", 7, 3},
        {EXPORT, {NULL}, "\0\0\0", 3, 3},
        {EXPORT, {NULL}, "\2\0\0\0\0", 5, 3},
        {EXPORT, {NULL}, "\1\0\0\0\1a", 6, 13},
        {EXPORT, {NULL}, "", 0, 12},
        {EXPORT, {NULL}, "\0\0\0\0\0\0\0\0\0\0", 10, 12},
        {EXPORT, {"grpc-encoding", "br", NULL}, "\1\0\0\0\1a", 6, 12},
        {EXPORT, {"grpc-encoding", "gzip", NULL}, "\1\0\0\0\1a", 6, 3},
        {"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
         {NULL},
         "\0\0\0\0\0",
         5,
         12},
        {"/opentelemetry.proto.collector.logs.v1.LogsService/Export", {NULL}, "\0\0\0\0\0", 5, 12},
        {"/grpc.health.v1.Health/Watch", {NULL}, "\0\0\0\0\0", 5, 12},
        {"/grpc.health.v1.Health/Check", {NULL}, "\0\0\0\0\6\x0a\4none", 11, 5},
    };
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];

        grpc_send(&s.g, &s.call, r->path, r->headers, slice_make(r->request, r->request_len));
        CHECK(call_is_refused(&s.call, r->status) && s.call.reset == 0);
        if (!call_is_refused(&s.call, r->status))
            printf("  row %zu closed %d\n%s\n", i, s.call.closed, s.call.headers);
        CHECK((strstr(s.call.headers,
                      "grpc-accept-encoding: identity,gzip,deflate,zstd,lz4,snappy") != NULL) ==
              (i == 8));
        CHECK(strstr(s.call.headers, "retryinfo-bin") == NULL);
    }
    CHECK(fixture_stats(&s.f).requests == 0);
    CHECK(fixture_stats(&s.f).refused[REFUSED_NOT_FOUND] == 3);
    CHECK(fixture_stats(&s.f).refused[REFUSED_TOO_LARGE] == 1);
    CHECK(fixture_stats(&s.f).refused[REFUSED_UNSUPPORTED] == 1);
    CHECK(fixture_stats(&s.f).refused[REFUSED_MALFORMED] == 8);
    scene_fini(&s);
}

static void what_is_no_grpc_gets_an_http_status(void)
{
    const char *json[] = {"content-type", "application/json", NULL};
    const char *similar[] = {"content-type", "application/grpc-web+proto", NULL};
    const char *proto[] = {"content-type", "application/grpc+proto", NULL};
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, json, buf_slice(&s.message));
    CHECK(s.call.closed && call_has(&s.call, ":status: 415"));
    grpc_send(&s.g, &s.call, EXPORT, similar, buf_slice(&s.message));
    CHECK(s.call.closed && call_has(&s.call, ":status: 415"));
    grpc_send(&s.g, &s.call, EXPORT, proto, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call));
    scene_fini(&s);
}

static void what_is_no_post_is_told_what_is(void)
{
    static const char *const paths[] = {"/", EXPORT};
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    for (unsigned i = 0; i < 2; i++) {
        const nghttp2_nv nv[] = {NV(":method", i ? "GET" : "HEAD"), NV(":scheme", "http"),
                                 NV(":authority", "x"), NV(":path", paths[i])};

        memset(&s.call, 0, sizeof s.call);
        nghttp2_submit_request(s.g.session, NULL, nv, 4, NULL, &s.call);
        grpc_pump(&s.g);
        CHECK(s.call.closed && call_has(&s.call, ":status: 405") &&
              call_has(&s.call, "allow: POST"));
        CHECK(fixture_stats(&s.f).refused[REFUSED_METHOD] == i + 1);
    }
    scene_fini(&s);
}

static void headers_over_the_bound_are_431(void)
{
    char value[5000];
    const char *headers[] = {"x-long", value, NULL};
    struct scene s;

    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = 0;
    scene_init(&s, 1, 0);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, headers, buf_slice(&s.message));
    CHECK(s.call.closed && call_has(&s.call, ":status: 431"));
    CHECK(fixture_stats(&s.f).refused[REFUSED_HEADERS] == 1);
    scene_fini(&s);
}

static void tokens_are_wanted_for_export_but_not_for_health(void)
{
    static const char *const tokens[] = {"t1", "t2", NULL};
    const char *wrong[] = {"authorization", "Bearer t3", NULL};
    const char *right[] = {"authorization", "Bearer t2", NULL};
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.listener.bearer = tokens;
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_refused(&s.call, 16));
    grpc_send(&s.g, &s.call, EXPORT, wrong, buf_slice(&s.message));
    CHECK(call_is_refused(&s.call, 16));
    grpc_send(&s.g, &s.call, EXPORT, right, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call));
    grpc_send(&s.g, &s.call, "/grpc.health.v1.Health/Check", NULL, slice_make("\0\0\0\0\0", 5));
    CHECK(call_is_ok(&s.call));
    scene_fini(&s);
}

static const struct {
    const char *path, *service;
} services[OTLP_SIGNALS] = {
    {EXPORT, "opentelemetry.proto.collector.trace.v1.TraceService"},
    {"/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
     "opentelemetry.proto.collector.metrics.v1.MetricsService"},
    {"/opentelemetry.proto.collector.logs.v1.LogsService/Export",
     "opentelemetry.proto.collector.logs.v1.LogsService"},
};

static void each_service_is_a_signal_if_it_is_taken(void)
{
    for (int taken = 0; taken < OTLP_SIGNALS; taken++) {
        struct scene s;

        scene_init(&s, 1, 0);
        s.f.signals = 1u << taken;
        s.f.answer = (struct receive_answer){RECEIVE_OK, 3, "why"};
        scene_start(&s);
        for (int i = 0; i < OTLP_SIGNALS; i++) {
            grpc_send(&s.g, &s.call, services[i].path, NULL, slice_make("\0\0\0\0\0", 5));
            CHECK(i == taken ? call_is_ok(&s.call) : call_is_refused(&s.call, 12));
            if (i != taken)
                continue;
            CHECK(s.f.signal == (enum otlp_signal)i && s.call.data_len == 14);
            CHECK(memcmp(s.call.data + 5, "\x0a\x07\x08\x03\x12\x03why", 9) == 0);
        }
        scene_fini(&s);
    }
}

static void health_knows_the_services_that_are_taken(void)
{
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.signals = 1u << OTLP_LOGS;
    scene_start(&s);
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        struct buf request, message;

        buf_init(&request, 256, NULL);
        buf_init(&message, 256, NULL);
        wire_put_bytes(&request, 1, slice_str(services[i].service));
        put_message(&message, false, buf_slice(&request));
        grpc_send(&s.g, &s.call, "/grpc.health.v1.Health/Check", NULL, buf_slice(&message));
        CHECK(i == OTLP_LOGS ? call_is_ok(&s.call) : call_is_refused(&s.call, 5));
        buf_fini(&request);
        buf_fini(&message);
    }
    scene_fini(&s);
}

static void health_says_serving_until_requests_are_refused(void)
{
    static const char named[] = "\0\0\0\0\x35\x0a\x33"
                                "opentelemetry.proto.collector.trace.v1.TraceService";
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    grpc_send(&s.g, &s.call, "/grpc.health.v1.Health/Check", NULL, slice_make("\0\0\0\0\0", 5));
    CHECK(call_is_ok(&s.call) && s.call.data_len == 7 && s.call.data[5] == 8 &&
          s.call.data[6] == 1);
    grpc_send(&s.g, &s.call, "/grpc.health.v1.Health/Check", NULL,
              slice_make(named, sizeof named - 1));
    CHECK(call_is_ok(&s.call) && s.call.data[6] == 1);
    receive_set_refusing(s.f.receive, REFUSED_MEMORY);
    grpc_send(&s.g, &s.call, "/grpc.health.v1.Health/Check", NULL, slice_make("\0\0\0\0\0", 5));
    CHECK(call_is_ok(&s.call) && s.call.data[6] == 2);
    CHECK(fixture_stats(&s.f).requests == 0);
    scene_fini(&s);
}

static void a_message_larger_than_the_window_gets_a_window_with_its_memory(void)
{
    struct scene s;

    scene_init(&s, 9000, 0);
    CHECK(s.body.len > 800000 && s.body.len < 1 << 20);
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call));
    CHECK(slice_equal(slice_make(s.f.body, s.f.body_len), buf_slice(&s.body)));
    scene_fini(&s);
}

static void calls_beside_each_other_do_not_mix(void)
{
    struct grpc_call calls[16];
    struct scene s;

    scene_init(&s, 1000, 0); /* several frames each; nghttp2 sends them in turn */
    scene_start(&s);
    memset(calls, 0, sizeof calls);
    for (int i = 0; i < 16; i++)
        grpc_submit(&s.g, &calls[i], EXPORT, NULL, buf_slice(&s.message));
    grpc_pump(&s.g);
    for (int i = 0; i < 16; i++)
        CHECK(call_is_ok(&calls[i]));
    CHECK(s.f.accepted == 16 && fixture_stats(&s.f).requests == 16);
    CHECK(fixture_stats(&s.f).bytes == 16 * s.body.len);
    scene_fini(&s);
}

static void answers_are_the_same_when_bytes_come_one_by_one(void)
{
    struct scene s;

    scene_init(&s, 3, 1);
    fake_net_free(s.f.net);
    loop_free(s.f.loop);
    s.f.net = fake_net_new(1);
    s.f.loop = fake_loop_new(s.f.net, &s.f.clock.clock);
    scene_start(&s);
    memset(&s.call, 0, sizeof s.call);
    grpc_submit(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    for (int i = 0; i < 1000; i++)
        grpc_pump(&s.g);
    CHECK(call_is_ok(&s.call) && s.call.data_len > 5);
    CHECK(slice_equal(slice_make(s.f.body, s.f.body_len), buf_slice(&s.body)));
    scene_fini(&s);
}

static void later_answers_find_their_streams_or_nothing(void)
{
    struct grpc_call calls[2];
    struct receive_answer ok = {RECEIVE_OK, 0, NULL}, bad = {RECEIVE_BAD, 0, "what\nis %that"};
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.later = true;
    scene_start(&s);
    memset(calls, 0, sizeof calls);
    grpc_send(&s.g, &calls[0], EXPORT, NULL, buf_slice(&s.message));
    grpc_send(&s.g, &calls[1], EXPORT, NULL, buf_slice(&s.message));
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(s.f.open_count == 3);
    nghttp2_submit_rst_stream(s.g.session, NGHTTP2_FLAG_NONE, s.call.id, NGHTTP2_CANCEL);
    grpc_pump(&s.g);
    receive_answer(s.f.open[1], &ok);
    receive_answer(s.f.open[0], &bad);
    receive_answer(s.f.open[2], &ok); /* its stream is gone */
    grpc_pump(&s.g);
    CHECK(call_is_refused(&calls[0], 3));
    CHECK(call_has(&calls[0], "grpc-message: what%0Ais %25that"));
    CHECK(call_is_ok(&calls[1]));
    CHECK(receive_is_idle(s.f.receive));
    scene_fini(&s);
}

static void an_early_refusal_stops_the_rest_of_the_request(void)
{
    struct scene s;

    scene_init(&s, 9000, 0);
    scene_start(&s);
    s.call.hold_end = true;
    grpc_submit(&s.g, &s.call, "/x/Y", NULL, buf_slice(&s.message));
    grpc_pump(&s.g);
    CHECK(call_is_refused(&s.call, 12) && s.call.reset == NGHTTP2_NO_ERROR);
    CHECK(s.call.request_sent < s.message.len);
    for (int i = 0; i < 60; i++) { /* the connection's window does not leak away */
        s.call.hold_end = true;
        grpc_submit(&s.g, &s.call, "/x/Y", NULL, buf_slice(&s.message));
        grpc_pump(&s.g);
    }
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call));
    scene_fini(&s);
}

static void draining_says_goaway_and_answers_what_is_open(void)
{
    struct receive_answer ok = {RECEIVE_OK, 0, NULL};
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.later = true;
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    receive_drain(s.f.receive, s.f.clock.now);
    grpc_pump(&s.g);
    CHECK(s.g.goaway && s.g.goaway_error == 0 && s.g.goaway_last == s.call.id);
    CHECK(!receive_is_idle(s.f.receive) && !fake_net_is_closed(s.f.net, s.g.fd));
    receive_answer(s.f.open[0], &ok);
    grpc_pump(&s.g);
    CHECK(call_is_ok(&s.call) && receive_is_idle(s.f.receive));
    CHECK(fake_net_is_closed(s.f.net, s.g.fd));
    scene_fini(&s);
}

static void a_request_on_its_way_while_draining_begins_is_taken(void)
{
    struct scene s;

    scene_init(&s, 1, 0);
    scene_start(&s);
    grpc_submit(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    receive_drain(s.f.receive, s.f.clock.now);
    CHECK(!receive_is_idle(s.f.receive));
    grpc_pump(&s.g);
    CHECK(call_is_ok(&s.call) && s.g.goaway_last == s.call.id);
    CHECK(receive_is_idle(s.f.receive) && fake_net_is_closed(s.f.net, s.g.fd));
    scene_fini(&s);
}

static void draining_waits_a_second_for_a_client_that_says_nothing(void)
{
    struct scene s;
    int mute;

    scene_init(&s, 1, 0);
    scene_start(&s);
    mute = fixture_connect(&s.f);
    receive_drain(s.f.receive, s.f.clock.now);
    fixture_advance(&s.f, 900 * NS_PER_MS);
    CHECK(!receive_is_idle(s.f.receive) && fixture_stats(&s.f).connections == 2);
    fixture_advance(&s.f, 200 * NS_PER_MS);
    CHECK(receive_is_idle(s.f.receive));
    fake_net_close(s.f.net, mute);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(s.g.goaway && s.g.goaway_last == 0 && fixture_stats(&s.f).requests == 0);
    scene_fini(&s);
}

static void an_old_connection_is_told_and_then_closed(void)
{
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.listener.max_connection_age_ns = 60 * NS_PER_S;
    scene_start(&s);
    fixture_advance(&s.f, 50 * NS_PER_S);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    CHECK(call_is_ok(&s.call) && !s.g.goaway);
    fixture_advance(&s.f, 17 * NS_PER_S); /* 60 s and a tenth */
    grpc_pump(&s.g);
    CHECK(s.g.goaway && s.g.goaway_last == 0x7fffffff && s.g.goaway_error == 0);
    CHECK(!fake_net_is_closed(s.f.net, s.g.fd));
    fixture_advance(&s.f, 2 * NS_PER_S);
    grpc_pump(&s.g);
    CHECK(s.g.goaway_last == s.call.id && fake_net_is_closed(s.f.net, s.g.fd));
    scene_fini(&s);
}

static void clients_of_a_port_that_was_closed_are_told_and_what_is_open_is_answered(void)
{
    struct scene s;

    scene_init(&s, 1, 0);
    s.f.later = true;
    scene_start(&s);
    grpc_send(&s.g, &s.call, EXPORT, NULL, buf_slice(&s.message));
    grpc_pump(&s.g);
    receive_port_close(s.f.port);
    receive_retire(s.f.receive, s.f.clock.now);
    fixture_advance(&s.f, 100 * NS_PER_MS);
    grpc_pump(&s.g);
    CHECK(s.g.goaway && s.g.goaway_last == 0x7fffffff && s.g.goaway_error == 0);
    fixture_advance(&s.f, 2 * NS_PER_S);
    grpc_pump(&s.g);
    CHECK(s.g.goaway_last == s.call.id && !fake_net_is_closed(s.f.net, s.g.fd));
    CHECK(s.f.open_count == 1);
    receive_answer(s.f.open[0], &(struct receive_answer){RECEIVE_OK, 0, NULL});
    fixture_advance(&s.f, 100 * NS_PER_MS);
    grpc_pump(&s.g);
    CHECK(call_is_ok(&s.call) && fake_net_is_closed(s.f.net, s.g.fd));
    scene_fini(&s);
}

static void slow_and_idle_clients_are_sent_away(void)
{
    struct scene s;
    int mute;

    scene_init(&s, 9000, 0);
    scene_start(&s);
    mute = fixture_connect(&s.f);
    s.call.hold_end = true;
    grpc_submit(&s.g, &s.call, EXPORT, NULL, slice_make(s.message.data, 1000));
    grpc_pump(&s.g);
    CHECK(fixture_stats(&s.f).open_bytes > 800000);
    fixture_advance(&s.f, 11 * NS_PER_S);
    grpc_pump(&s.g);
    CHECK(call_is_refused(&s.call, 4) && fixture_stats(&s.f).open_bytes == 0);
    CHECK(fixture_stats(&s.f).refused[REFUSED_TIMEOUT] == 1);
    CHECK(fake_net_is_closed(s.f.net, mute) || fixture_stats(&s.f).connections == 2);
    fixture_advance(&s.f, 301 * NS_PER_S);
    grpc_pump(&s.g);
    CHECK(s.g.goaway && fake_net_is_closed(s.f.net, s.g.fd));
    fixture_advance(&s.f, 2 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 0);
    scene_fini(&s);
}

static void floods_end_in_enhance_your_calm(void)
{
    static const struct {
        uint8_t type;
        size_t len;
        const char *payload;
        uint32_t id;
    } floods[] = {
        {NGHTTP2_PING, 8, "12345678", 0},
        {NGHTTP2_SETTINGS, 0, "", 0},
        {NGHTTP2_WINDOW_UPDATE, 4, "\0\0\0\1", 0},
        {NGHTTP2_PRIORITY, 5, "\0\0\0\0\1", 1},
    };
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        struct scene s;
        uint8_t frame[32];
        size_t len =
            put_frame(frame, floods[i].type, 0, floods[i].id, floods[i].payload, floods[i].len);

        scene_init(&s, 1, 0);
        scene_start(&s);
        for (int n = 0; n < 4000 && !s.g.goaway; n++) {
            char answers[4096];

            fixture_send(&s.f, s.g.fd, frame, len);
            grpc_note(&s.g, answers, fixture_recv(&s.f, s.g.fd, answers, sizeof answers));
        }
        CHECK(s.g.goaway && s.g.goaway_error == NGHTTP2_ENHANCE_YOUR_CALM);
        CHECK(fake_net_is_closed(s.f.net, s.g.fd));
        scene_fini(&s);
    }
}

static void a_priority_of_no_stream_ends_the_connection(void)
{
    struct scene s;
    uint8_t frame[32];
    char answers[4096];
    size_t len = put_frame(frame, NGHTTP2_PRIORITY, 0, 0, "\0\0\0\0\1", 5);

    scene_init(&s, 1, 0);
    scene_start(&s);
    fixture_send(&s.f, s.g.fd, frame, len);
    grpc_note(&s.g, answers, fixture_recv(&s.f, s.g.fd, answers, sizeof answers));
    CHECK(s.g.goaway && s.g.goaway_error == NGHTTP2_PROTOCOL_ERROR);
    CHECK(fake_net_is_closed(s.f.net, s.g.fd));
    scene_fini(&s);
}

static void rapid_resets_end_in_enhance_your_calm(void)
{
    struct scene s;
    int n;

    scene_init(&s, 1, 0);
    s.f.later = true;
    scene_start(&s);
    for (n = 0; n < 2000 && !s.g.goaway; n++) {
        s.call.hold_end = true;
        grpc_submit(&s.g, &s.call, EXPORT, NULL, slice_make("\0", 1));
        grpc_pump(&s.g);
        nghttp2_submit_rst_stream(s.g.session, NGHTTP2_FLAG_NONE, s.call.id, NGHTTP2_CANCEL);
        grpc_pump(&s.g);
    }
    CHECK(n > 20 && n < 1000);
    CHECK(s.g.goaway_error == NGHTTP2_ENHANCE_YOUR_CALM);
    scene_fini(&s);
}

static void what_is_no_http2_is_counted_and_closed(void)
{
    struct scene s;
    int fd;

    scene_init(&s, 1, 0);
    scene_start(&s);
    fd = fixture_connect(&s.f);
    fixture_send(&s.f, fd, "POST / HTTP/1.1\r\nHost: x\r\n\r\n", 28);
    fixture_advance(&s.f, 2 * NS_PER_S);
    CHECK(fixture_stats(&s.f).connections == 1);
    CHECK(fixture_stats(&s.f).refused[REFUSED_MALFORMED] == 1);
    scene_fini(&s);
}

int main(void)
{
    RUN(a_call_is_staged_as_it_came_and_answered_with_an_empty_message);
    RUN(an_empty_message_is_a_success);
    RUN(rejected_spans_are_a_partial_success);
    RUN(overload_is_unavailable_with_retry_info_in_both_places);
    RUN(every_refusal_has_its_status_in_trailers_only);
    RUN(what_is_no_grpc_gets_an_http_status);
    RUN(what_is_no_post_is_told_what_is);
    RUN(headers_over_the_bound_are_431);
    RUN(tokens_are_wanted_for_export_but_not_for_health);
    RUN(each_service_is_a_signal_if_it_is_taken);
    RUN(health_knows_the_services_that_are_taken);
    RUN(health_says_serving_until_requests_are_refused);
    RUN(a_message_larger_than_the_window_gets_a_window_with_its_memory);
    RUN(calls_beside_each_other_do_not_mix);
    RUN(answers_are_the_same_when_bytes_come_one_by_one);
    RUN(later_answers_find_their_streams_or_nothing);
    RUN(an_early_refusal_stops_the_rest_of_the_request);
    RUN(draining_says_goaway_and_answers_what_is_open);
    RUN(a_request_on_its_way_while_draining_begins_is_taken);
    RUN(draining_waits_a_second_for_a_client_that_says_nothing);
    RUN(an_old_connection_is_told_and_then_closed);
    RUN(clients_of_a_port_that_was_closed_are_told_and_what_is_open_is_answered);
    RUN(slow_and_idle_clients_are_sent_away);
    RUN(floods_end_in_enhance_your_calm);
    RUN(a_priority_of_no_stream_ends_the_connection);
    RUN(rapid_resets_end_in_enhance_your_calm);
    RUN(what_is_no_http2_is_counted_and_closed);
    return DONE();
}
