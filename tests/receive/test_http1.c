#include "check.h"
#include "http_client.h"
#include "receive/receive.h"

static struct slice one_span(void)
{
    static uint8_t space[512];
    struct buf b;

    buf_init(&b, sizeof space, NULL);
    put_traces(&b, 1, 0);
    memcpy(space, b.data, b.len);
    struct slice s = slice_make(space, b.len);
    buf_fini(&b);
    return s;
}

static void a_protobuf_request_is_staged_as_it_came_and_answered_empty(void)
{
    struct fixture f;
    struct http_answer a;
    struct slice body = one_span();

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    send_post(&f, "/v1/traces", PROTOBUF, body, &a);
    CHECK(a.status == 200);
    CHECK(has(&a, "Content-Type: application/x-protobuf\r\n"));
    CHECK(has(&a, "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
    CHECK(a.body_len == 0);
    CHECK(f.accepted == 1 && slice_equal(slice_make(f.body, f.body_len), body));
    CHECK(f.stages == 1);
    CHECK(fixture_stats(&f).requests == 1 && fixture_stats(&f).bytes == body.len);
    fixture_fini(&f);
}

static void an_empty_request_is_a_success(void)
{
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    send_post(&f, "/v1/traces", PROTOBUF, slice_make(NULL, 0), &a);
    CHECK(a.status == 200 && a.body_len == 0 && f.accepted == 1 && f.body_len == 0);
    fixture_fini(&f);
}

static void rejected_spans_are_a_partial_success(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf b;
    ExportResponse *r;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&b, 4096, NULL);
    put_traces(&b, 3, 2);
    send_post(&f, "/v1/traces", PROTOBUF, buf_slice(&b), &a);
    CHECK(a.status == 200);
    r = opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
        NULL, a.body_len, (const uint8_t *)a.body);
    CHECK(r && r->partial_success && r->partial_success->rejected_spans == 2);
    CHECK(r && strlen(r->partial_success->error_message) > 0);
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(r,
                                                                                             NULL);
    buf_fini(&b);
    fixture_fini(&f);
}

static const struct {
    const char *path;
    enum otlp_signal signal;
    const char *json; /* of a partial success */
} endpoints[] = {
    {"/v1/traces", OTLP_TRACES, "{\"partialSuccess\":{\"rejectedSpans\":\"3\","},
    {"/v1/metrics", OTLP_METRICS, "{\"partialSuccess\":{\"rejectedDataPoints\":\"3\","},
    {"/v1/logs", OTLP_LOGS, "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\","},
};

static void each_path_is_a_signal_with_its_own_partial_success(void)
{
    for (size_t i = 0; i < 3; i++) {
        struct fixture f;
        struct http_answer a;

        fixture_init(&f, RECEIVE_HTTP, 0);
        f.signals = 7;
        f.answer = (struct receive_answer){RECEIVE_OK, 3, "why"};
        fixture_start(&f);
        send_post(&f, endpoints[i].path, PROTOBUF, slice_make(NULL, 0), &a);
        CHECK(a.status == 200 && f.signal == endpoints[i].signal);
        CHECK(a.body_len == 9 && memcmp(a.body, "\x0a\x07\x08\x03\x12\x03why", 9) == 0);
        send_post(&f, endpoints[i].path, JSON, slice_str("{}"), &a);
        CHECK(a.status == 200 && f.accepted == 2 && f.signal == endpoints[i].signal);
        CHECK(strncmp(a.body, endpoints[i].json, strlen(endpoints[i].json)) == 0);
        fixture_fini(&f);
    }
}

static void json_is_read_as_its_signal(void)
{
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.signals = 7;
    fixture_start(&f);
    send_post(&f, "/v1/logs", JSON,
              slice_str("{\"resourceLogs\":[{\"schemaUrl\":\"x\"}],\"resourceMetrics\":[7]}"), &a);
    CHECK(a.status == 200 && f.body_len == 5 && memcmp(f.body, "\x0a\x03\x1a\x01x", 5) == 0);
    send_post(&f, "/v1/metrics", JSON, slice_str("{\"resourceMetrics\":[7]}"), &a);
    CHECK(a.status == 400 && f.accepted == 1);
    fixture_fini(&f);
}

static void a_signal_that_nobody_takes_is_not_found(void)
{
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.signals = 1u << OTLP_LOGS;
    fixture_start(&f);
    send_post(&f, "/v1/traces", JSON, slice_str("{}"), &a);
    CHECK(a.status == 404 && strstr(a.body, "no exporter takes this signal"));
    send_post(&f, "/v1/logs", JSON, slice_str("{}"), &a);
    CHECK(a.status == 200);
    send_post(&f, "/v1/profiles", JSON, slice_str("{}"), &a);
    CHECK(a.status == 404 && strstr(a.body, "only traces, metrics and logs"));
    CHECK(fixture_stats(&f).refused[REFUSED_NOT_FOUND] == 2);
    fixture_fini(&f);
}

static void every_refusal_has_its_status_and_a_body_in_the_type_of_the_request(void)
{
    static const struct {
        const char *request;
        int status, code;
        const char *header;
    } rows[] = {
        {"POST /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 3\r\n\r\n\x0a\xff\xff",
         400, 3, ""},
        {"POST /v1/metrics HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n", 404, 12,
         ""},
        {"POST /v1/logs HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 2\r\n\r\nxx", 404, 12,
         ""},
        {"PUT /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n", 405, 12,
         "Allow: POST\r\n"},
        {"GET /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "\r\n", 405, 12, "Allow: POST\r\n"},
        {"POST /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF
         "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nxx",
         415, 12, "Accept-Encoding: gzip, deflate, zstd, lz4, snappy\r\n"},
        {"POST /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 1048577\r\n\r\n", 413,
         3, "Connection: close\r\n"},
    };
    struct fixture f;
    size_t details;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct http_answer a;
        int fd = send_text(&f, rows[i].request, &a);

        CHECK(a.status == rows[i].status);
        CHECK(has(&a, "Content-Type: application/x-protobuf\r\n"));
        CHECK(has(&a, rows[i].header));
        CHECK(is_status(&a, rows[i].code, &details) && details == 0);
        if (a.status != rows[i].status)
            printf("  row %zu: %d\n%s\n", i, a.status, a.text);
        fake_net_close(f.net, fd);
    }
    CHECK(fixture_stats(&f).refused[REFUSED_MALFORMED] == 1);
    CHECK(fixture_stats(&f).refused[REFUSED_NOT_FOUND] == 2);
    CHECK(fixture_stats(&f).refused[REFUSED_UNSUPPORTED] == 1);
    CHECK(fixture_stats(&f).refused[REFUSED_METHOD] == 2);
    CHECK(fixture_stats(&f).refused[REFUSED_TOO_LARGE] == 1);
    CHECK(fixture_stats(&f).requests == 0);
    fixture_fini(&f);
}

static void refusals_of_json_and_of_unknown_types_are_json(void)
{
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    send_post(&f, "/v1/logs", JSON, slice_str("{}"), &a);
    CHECK(a.status == 404 && has(&a, "Content-Type: application/json\r\n"));
    CHECK(strncmp(a.body, "{\"code\":12,\"message\":\"", 22) == 0);
    send_post(&f, "/v1/traces", "Content-Type: text/plain\r\n", slice_str("x"), &a);
    CHECK(a.status == 415 && has(&a, "Content-Type: application/json\r\n"));
    send_post(&f, "/v1/traces", "", slice_str("x"), &a);
    CHECK(a.status == 415);
    fixture_fini(&f);
}

static void an_answer_to_head_has_no_body(void)
{
    struct fixture f;
    char text[1024];
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    fd = fixture_connect(&f);
    fixture_send(&f, fd, "HEAD /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n", 37);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 405 ", 13) == 0);
    CHECK(strcmp(text + strlen(text) - 4, "\r\n\r\n") == 0);
    fixture_fini(&f);
}

static void what_is_no_post_has_a_reason_of_its_own(void)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"GET / HTTP/1.1", 404},           {"HEAD / HTTP/1.1", 404},
        {"OPTIONS / HTTP/1.0", 404},       {"GET /healthz?x=1 HTTP/1.1", 404},
        {"HEAD /v1/traces HTTP/1.1", 405}, {"GET /v1/logs HTTP/1.1", 405},
    };
    const size_t count = sizeof rows / sizeof *rows;
    struct fixture f;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.signals = 1u << OTLP_TRACES;
    fixture_start(&f);
    for (size_t i = 0; i < count; i++) {
        int fd = fixture_connect(&f);
        char text[1024];

        snprintf(text, sizeof text, "%s\r\nHost: x\r\n\r\n", rows[i].line);
        fixture_send(&f, fd, text, strlen(text));
        fixture_recv(&f, fd, text, sizeof text);
        CHECK(atoi(text + 9) == rows[i].status);
        CHECK((strstr(text, "Allow: POST\r\n") != NULL) == (rows[i].status == 405));
    }
    CHECK(fixture_stats(&f).refused[REFUSED_METHOD] == count);
    fixture_fini(&f);
}

static void overload_is_503_with_retry_after_and_retry_info(void)
{
    struct fixture f;
    struct http_answer a;
    size_t details;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    receive_set_refusing(f.receive, REFUSED_MEMORY);
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 503 && has(&a, "Retry-After: 1\r\n") && !has(&a, "Connection: close"));
    CHECK(is_status(&a, 14, &details) && details == 1);
    send_post(&f, "/v1/traces", JSON, slice_str("{}"), &a);
    CHECK(a.status == 503 && has(&a, "\"retryDelay\":\"1s\""));
    receive_set_refusing(f.receive, REFUSED_COUNT);
    f.answer.verdict = RECEIVE_UNAVAILABLE;
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 503 && is_status(&a, 14, &details) && details == 1);
    CHECK(fixture_stats(&f).refused[REFUSED_MEMORY] == 3);
    f.answer.verdict = RECEIVE_DISK;
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 503 && has(&a, "Retry-After: 1\r\n"));
    receive_set_refusing(f.receive, REFUSED_DISK);
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 503 && is_status(&a, 14, &details) && details == 1);
    receive_set_refusing(f.receive, REFUSED_QUEUE_FULL);
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 503 && is_status(&a, 14, &details) && details == 1);
    CHECK(fixture_stats(&f).refused[REFUSED_QUEUE_FULL] == 1);
    CHECK(fixture_stats(&f).refused[REFUSED_DISK] == 2);
    CHECK(fixture_stats(&f).refused[REFUSED_MEMORY] == 3);
    fixture_fini(&f);
}

static void bearer_tokens_are_any_of_the_list(void)
{
    static const char *const tokens[] = {"first", "second", NULL};
    static const struct {
        const char *header;
        int status;
    } rows[] = {
        {PROTOBUF, 401},
        {PROTOBUF "Authorization: Bearer wrong\r\n", 401},
        {PROTOBUF "Authorization: Bearer firs\r\n", 401},
        {PROTOBUF "Authorization: Basic first\r\n", 401},
        {PROTOBUF "Authorization: Bearer first\r\nAuthorization: Bearer first\r\n", 400},
        {PROTOBUF "Authorization: Bearer first\r\n", 200},
        {PROTOBUF "authorization: bearer second\r\n", 200},
    };
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.listener.bearer = tokens;
    fixture_start(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        send_post(&f, "/v1/traces", rows[i].header, one_span(), &a);
        CHECK(a.status == rows[i].status);
    }
    CHECK(fixture_stats(&f).refused[REFUSED_UNAUTHENTICATED] == 4);
    fixture_fini(&f);
}

static void headers_over_the_bound_are_431(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf b;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&b, 16384, NULL);
    buf_str(&b, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < 5000; i++)
        buf_byte(&b, 'a');
    send_raw(&f, b.data, b.len, &a);
    CHECK(a.status == 431 && has(&a, "Connection: close\r\n"));
    buf_str(&b, "\r\n\r\n");
    send_raw(&f, b.data, b.len, &a);
    CHECK(a.status == 431);
    CHECK(fixture_stats(&f).refused[REFUSED_HEADERS] == 2);
    buf_fini(&b);
    fixture_fini(&f);
}

static void what_another_reader_may_understand_otherwise_is_refused(void)
{
#define POST_ "POST /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF
    static const char *const requests[] = {
        POST_ "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST_ "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        POST_ "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
        POST_ "Content-Length: +0\r\n\r\n",
        POST_ "Content-Length: -1\r\n\r\n",
        POST_ "Content-Length: 0x0\r\n\r\n",
        POST_ "Content-Length: 0, 0\r\n\r\n",
        POST_ "Content-Length: 1 0\r\n\r\n",
        POST_ "Content-Length:\r\n\r\n",
        POST_ "Content-Length: 99999999999999999999999\r\n\r\n",
        POST_ "Content-Length : 0\r\n\r\n",
        POST_ "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST_ "X: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        POST_ "X: a\r\n\tfolded\r\nContent-Length: 0\r\n\r\n",
        POST_ "X: a\nContent-Length: 0\r\n\r\n",
        POST_ "X: a\rContent-Length: 0\r\n\r\n",
        POST_ "Content-Length: 0\r\n\n",
        POST_ "Content-Length: 0\n\r\n",
        POST_ "X: a\x01\r\nContent-Length: 0\r\n\r\n",
        POST_ "X y: a\r\nContent-Length: 0\r\n\r\n",
        POST_ ": a\r\nContent-Length: 0\r\n\r\n",
        POST_ "Content-Length: 0\r\nHost: y\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\na\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
        POST_ "Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
        "POST /v1/traces HTTP/1.1\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "POST /v1/traces HTTP/1.0\r\nHost: x\r\n" PROTOBUF
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/traces HTTP/1.0\r\nHost: x\r\n" PROTOBUF "\r\n",
        "POST /v1/traces HTTP/2.0\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "POST /v1/traces HTTP/1.12\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "POST /v1/traces\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "POST /v1/traces HTTP/1.1 \r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "POST  /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        " POST /v1/traces HTTP/1.1\r\nHost: x\r\n" PROTOBUF "Content-Length: 0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    struct fixture f;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct http_answer a;
        int fd = send_text(&f, requests[i], &a);

        CHECK(a.status == 400 && has(&a, "Connection: close\r\n"));
        CHECK(fake_net_is_closed(f.net, fd));
        if (a.status != 400 || !fake_net_is_closed(f.net, fd))
            printf("  got %d for\n%s\n", a.status, requests[i]);
        fake_net_close(f.net, fd);
    }
    CHECK(f.accepted == 0);
    fixture_fini(&f);
}

/* TLS above all: a port without it answers what its clients understand as that. */
static void a_client_that_speaks_no_http_does_not_wait_for_an_answer(void)
{
    static const char *const hellos[] = {"\x16\x03\x01", "\x16", "{", "\x80"};
    struct fixture f;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        struct http_answer a;
        int fd = send_text(&f, hellos[i], &a);

        CHECK(a.status == 400 && fake_net_is_closed(f.net, fd));
        fake_net_close(f.net, fd);
    }
    CHECK(fixture_stats(&f).refused[REFUSED_MALFORMED] == 4);
    fixture_fini(&f);
}

static void a_missing_request_is_not_smuggled_in_a_body(void)
{
    struct fixture f;
    struct http_answer a;
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    fd = send_text(
        &f, POST_ "Content-Length: 40\r\n\r\nGET /v1/logs HTTP/1.1\r\nHost: x\r\n\r\n      ", &a);
    CHECK(a.status == 400 && f.accepted == 1 && f.body_len == 40);
    CHECK(!fake_net_is_closed(f.net, fd));
    fixture_fini(&f);
}

/* The same stream for several tests: five requests in all forms, one of them refused. */
static void put_stream(struct buf *b, struct slice body)
{
    put_post(b, "/v1/traces", PROTOBUF, body);
    buf_str(b, "\r\n" POST_ "Transfer-Encoding: chunked\r\n\r\n5;ext=\"1\"\r\n");
    buf_append(b, body.data, 5);
    buf_printf(b, "\r\n%zX\r\n", body.len - 5);
    buf_append(b, body.data + 5, body.len - 5);
    buf_str(b, "\r\n0\r\nTrailer: x\r\n\r\n");
    put_post(b, "/v1/metrics", PROTOBUF, body);
    put_post(b, "http://collector/v1/traces?x=1",
             PROTOBUF "Connection: Upgrade\r\nUpgrade: h2c\r\n", body);
    put_post(b, "/v1/traces", PROTOBUF "Connection: close\r\n", slice_make(NULL, 0));
}

static void check_stream(const char *text, size_t len)
{
    static const int statuses[] = {200, 200, 404, 200, 200};
    struct http_answer a;

    for (size_t i = 0; i < 5; i++) {
        if (!parse_answer(&a, text, len)) {
            CHECK(!"an answer");
            return;
        }
        CHECK(a.status == statuses[i]);
        text += a.total;
        len -= a.total;
    }
    CHECK(len == 0);
}

static void pipelined_requests_are_answered_in_order_and_closed_when_asked(void)
{
    struct fixture f;
    struct buf b;
    char text[8192];
    size_t len;
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&b, 65536, NULL);
    put_stream(&b, one_span());
    fd = fixture_connect(&f);
    fixture_send(&f, fd, b.data, b.len);
    len = fixture_recv(&f, fd, text, sizeof text);
    check_stream(text, len);
    CHECK(f.accepted == 4 && fixture_stats(&f).requests == 4);
    CHECK(fake_net_is_closed(f.net, fd));
    fixture_advance(&f, 2 * NS_PER_S);
    CHECK(fixture_stats(&f).connections == 0 && fixture_stats(&f).open_bytes == 0);
    buf_fini(&b);
    fixture_fini(&f);
}

static void a_client_of_http_1_0_that_asks_for_it_is_told_that_the_connection_stays(void)
{
#define POST_1_0 "POST /v1/traces HTTP/1.0\r\n" PROTOBUF "Content-Length: 0\r\n"
    struct fixture f;
    struct http_answer a;
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    fd = send_text(&f, POST_1_0 "Connection: Keep-Alive\r\n\r\n", &a);
    CHECK(a.status == 200 && has(&a, "Connection: keep-alive\r\n"));
    CHECK(!fake_net_is_closed(f.net, fd));
    fd = send_text(&f, POST_1_0 "\r\n", &a);
    CHECK(a.status == 200 && has(&a, "Connection: close\r\n") && fake_net_is_closed(f.net, fd));
    send_post(&f, "/v1/traces", PROTOBUF, one_span(), &a);
    CHECK(a.status == 200 && !has(&a, "Connection: "));
    fixture_fini(&f);
}

static void a_query_is_no_path(void)
{
    static const struct {
        const char *target;
        int status;
    } rows[] = {
        {"/v1/traces?", 200},
        {"/v1/traces?x=/y", 200},
        {"http://c/v1/traces?x=/y", 200},
        {"HTTPS://c:1/v1/traces", 200},
        {"http://c?/v1/traces", 404},
        {"/?x=http://c/v1/traces", 404},
    };
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        send_post(&f, rows[i].target, PROTOBUF, one_span(), &a);
        CHECK(a.status == rows[i].status);
    }
    fixture_fini(&f);
}

static void answers_are_the_same_wherever_the_bytes_are_split(void)
{
    struct buf b;

    buf_init(&b, 65536, NULL);
    put_stream(&b, one_span());
    for (size_t at = 0; at <= b.len; at++) {
        struct fixture f;
        char text[8192];
        size_t len;
        int fd;

        fixture_init(&f, RECEIVE_HTTP, at == 0 ? 1 : 0); /* first: byte by byte, both ways */
        fixture_start(&f);
        fd = fixture_connect(&f);
        if (at == 0) {
            for (size_t i = 0; i < b.len; i++)
                fixture_send(&f, fd, b.data + i, 1);
            for (int i = 0; i < 1000; i++)
                fixture_run(&f);
        } else {
            fixture_send(&f, fd, b.data, at);
            fixture_send(&f, fd, b.data + at, b.len - at);
        }
        len = fixture_recv(&f, fd, text, sizeof text);
        check_stream(text, len);
        CHECK(f.accepted == 4);
        fixture_advance(&f, 2 * NS_PER_S);
        CHECK(fixture_stats(&f).open_bytes == 0);
        fixture_fini(&f);
        CHECK(memory_used(&f.memory) == 0);
    }
    buf_fini(&b);
}

static void later_answers_leave_in_the_order_of_the_requests(void)
{
    struct fixture f;
    struct buf b;
    char text[8192];
    struct receive_answer ok = {RECEIVE_OK, 0, NULL}, some = {RECEIVE_OK, 7, "odd"};
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.later = true;
    fixture_start(&f);
    buf_init(&b, 65536, NULL);
    put_post(&b, "/v1/traces", PROTOBUF, one_span());
    put_post(&b, "/v1/traces", PROTOBUF, one_span());
    fd = fixture_connect(&f);
    fixture_send(&f, fd, b.data, b.len);
    CHECK(f.open_count == 1); /* the second waits behind the first */
    CHECK(!receive_is_idle(f.receive));
    receive_answer(f.open[0], &some);
    fixture_run(&f);
    CHECK(f.open_count == 2);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strstr(text, "odd") != NULL);
    receive_answer(f.open[1], &ok);
    receive_step(f.receive, f.clock.now);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && !strstr(text, "odd"));
    CHECK(receive_is_idle(f.receive));
    buf_fini(&b);
    fixture_fini(&f);
}

static void a_request_outlives_its_connection_until_it_is_answered(void)
{
    struct fixture f;
    struct buf b;
    struct receive_answer ok = {RECEIVE_OK, 0, NULL};
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.later = true;
    fixture_start(&f);
    buf_init(&b, 65536, NULL);
    put_post(&b, "/v1/traces", PROTOBUF, one_span());
    fd = fixture_connect(&f);
    fixture_send(&f, fd, b.data, b.len);
    fake_net_close(f.net, fd);
    fixture_run(&f);
    CHECK(!receive_is_idle(f.receive));
    receive_answer(f.open[0], &ok);
    fixture_run(&f);
    CHECK(receive_is_idle(f.receive) && fixture_stats(&f).connections == 0);
    buf_fini(&b);
    fixture_fini(&f);
    CHECK(memory_used(&f.memory) == 0);
}

static void a_client_that_asks_is_told_to_continue(void)
{
    struct fixture f;
    char text[1024];
    struct slice body = one_span();
    struct buf b;
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&b, 4096, NULL);
    buf_printf(&b, POST_ "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n", body.len);
    fd = fixture_connect(&f);
    fixture_send(&f, fd, b.data, b.len);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strcmp(text, "HTTP/1.1 100 Continue\r\n\r\n") == 0);
    fixture_send(&f, fd, body.data, body.len);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 200 OK\r\n", 17) == 0);

    buf_clear(&b);
    buf_str(
        &b,
        "POST /v1/logs HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    fixture_send(&f, fd, b.data, b.len);
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 404 ", 13) == 0 && strstr(text, "Connection: close"));
    buf_fini(&b);
    fixture_fini(&f);
}

static void a_large_body_is_gathered_and_released(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf b;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&b, 1 << 20, NULL);
    put_traces(&b, 8000, 0);
    CHECK(buf_ok(&b) && b.len > 500000);
    send_post(&f, "/v1/traces", PROTOBUF, buf_slice(&b), &a);
    CHECK(a.status == 200 && slice_equal(slice_make(f.body, f.body_len), buf_slice(&b)));
    CHECK(fixture_stats(&f).open_bytes == 0);
    buf_fini(&b);
    fixture_fini(&f);
    CHECK(memory_used(&f.memory) == 0);
}

static void chunks_over_the_bound_are_413(void)
{
    struct fixture f;
    char text[1024];
    uint8_t chunk[4096] = {0};
    int fd;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.listener.max_body = 10000;
    fixture_start(&f);
    fd = fixture_connect(&f);
    fixture_send(&f, fd, POST_ "Transfer-Encoding: chunked\r\n\r\n",
                 strlen(POST_ "Transfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 3; i++) {
        fixture_send(&f, fd, "1000\r\n", 6);
        fixture_send(&f, fd, chunk, sizeof chunk);
        fixture_send(&f, fd, "\r\n", 2);
    }
    fixture_recv(&f, fd, text, sizeof text);
    CHECK(strncmp(text, "HTTP/1.1 413 ", 13) == 0 && strstr(text, "Connection: close"));
    CHECK(fixture_stats(&f).refused[REFUSED_TOO_LARGE] == 1 && f.accepted == 0);
    fixture_fini(&f);
}

int main(void)
{
    RUN(a_protobuf_request_is_staged_as_it_came_and_answered_empty);
    RUN(an_empty_request_is_a_success);
    RUN(rejected_spans_are_a_partial_success);
    RUN(each_path_is_a_signal_with_its_own_partial_success);
    RUN(json_is_read_as_its_signal);
    RUN(a_signal_that_nobody_takes_is_not_found);
    RUN(every_refusal_has_its_status_and_a_body_in_the_type_of_the_request);
    RUN(refusals_of_json_and_of_unknown_types_are_json);
    RUN(an_answer_to_head_has_no_body);
    RUN(what_is_no_post_has_a_reason_of_its_own);
    RUN(overload_is_503_with_retry_after_and_retry_info);
    RUN(bearer_tokens_are_any_of_the_list);
    RUN(headers_over_the_bound_are_431);
    RUN(what_another_reader_may_understand_otherwise_is_refused);
    RUN(a_client_that_speaks_no_http_does_not_wait_for_an_answer);
    RUN(a_missing_request_is_not_smuggled_in_a_body);
    RUN(pipelined_requests_are_answered_in_order_and_closed_when_asked);
    RUN(a_client_of_http_1_0_that_asks_for_it_is_told_that_the_connection_stays);
    RUN(a_query_is_no_path);
    RUN(answers_are_the_same_wherever_the_bytes_are_split);
    RUN(later_answers_leave_in_the_order_of_the_requests);
    RUN(a_request_outlives_its_connection_until_it_is_answered);
    RUN(a_client_that_asks_is_told_to_continue);
    RUN(a_large_body_is_gathered_and_released);
    RUN(chunks_over_the_bound_are_413);
    return DONE();
}
