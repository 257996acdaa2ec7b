#include "export/exporter.h"
#include "otlp/scan.h"
#include "rig.h"

#include <libdeflate.h>
#include <stdio.h>

extern struct exporter_type exporter_otlp; /* linked in, so that it registers itself */
static const struct exporter_type *const linked __attribute__((used)) = &exporter_otlp;

#define HOSTS_MAX 3

/* What endpoints http://a, http://b, http://c answer, and what they got. */
struct backend {
    struct rig *rig;
    int status[HOSTS_MAX];          /* 0: no connection; -1: never answers */
    const char *headers[HOSTS_MAX]; /* "name: value\n" or NULL */
    const uint8_t *body;            /* of every answer */
    size_t body_len;
    unsigned requests[HOSTS_MAX];
    unsigned spans;   /* taken with status 200 */
    unsigned at_once; /* requests since the clock moved */
    unsigned most_at_once;
    uint64_t last_ns;
    char seen[2048]; /* url and headers of the last one */
};

/* The spans of a request, whose encoding its headers say; -1: it is broken. */
static int count_spans(const struct http_request *q)
{
    struct slice body = q->body;
    uint8_t *plain = malloc(8 << 20);
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    struct scan_result r = {.spans = 0};
    bool grpc = strstr(q->url, "Service/Export") != NULL, gzip = false;
    size_t len = 0;
    int spans = -1;

    for (const char *const *h = q->headers; *h; h++)
        gzip |= strstr(*h, "encoding: gzip") != NULL;
    if (grpc) {
        CHECK(body.len > 5 && body.data[0] == gzip);
        CHECK(((size_t)body.data[1] << 24 | (size_t)body.data[2] << 16 | (size_t)body.data[3] << 8 |
               body.data[4]) == body.len - 5);
        body = slice_make(body.data + 5, body.len - 5);
    }
    if (gzip && libdeflate_gzip_decompress(d, body.data, body.len, plain, 8 << 20, &len) == 0)
        body = slice_make(plain, len);
    if (scan_traces(body, NULL, 0, &r) != ERR_PARSE)
        spans = (int)(r.spans + r.rejected); /* a log record looks like a span without ids */
    libdeflate_free_decompressor(d);
    free(plain);
    return spans;
}

static void note(struct backend *b, const struct http_request *q)
{
    size_t len = (size_t)snprintf(b->seen, sizeof(b->seen), "%s\n", q->url);

    for (const char *const *h = q->headers; *h; h++)
        len += (size_t)snprintf(b->seen + len, sizeof(b->seen) - len, "%s\n", *h);
    if (b->last_ns != b->rig->clock.now)
        b->at_once = 0;
    b->last_ns = b->rig->clock.now;
    b->at_once++;
    b->most_at_once = b->at_once > b->most_at_once ? b->at_once : b->most_at_once;
}

static uint64_t serve(void *arg, const struct http_request *q, struct http_answer *a)
{
    struct backend *b = arg;
    size_t host = (size_t)(strstr(q->url, "://")[3] - 'a');
    int spans = count_spans(q);

    CHECK(host < HOSTS_MAX && spans > 0);
    note(b, q);
    b->requests[host]++;
    if (b->status[host] == -1)
        return NEVER_NS;
    if (b->status[host] == 0) {
        a->err = ERR_IO;
        snprintf(a->error, sizeof(a->error), "connection refused");
        return NS_PER_MS;
    }
    a->status = b->status[host];
    if (b->headers[host])
        buf_str(&a->headers, b->headers[host]);
    buf_append(&a->body, b->body, b->body_len);
    if (a->status == 200 && (!b->headers[host] || !strstr(b->headers[host], "grpc-status") ||
                             strstr(b->headers[host], "grpc-status: 0")))
        b->spans += (unsigned)spans;
    return NS_PER_MS;
}

static bool start(struct rig *r, struct backend *b, const char *options)
{
    char config[1024];

    snprintf(config, sizeof(config), "return { exporter 'otlp' { %s } }", options);
    *b = (struct backend){.rig = r, .status = {200, 200, 200}};
    return rig_open(r, config, http_client_fake(serve, b));
}

#define HTTP "protocol = 'http/protobuf', endpoint = 'http://a:4318'"

static void a_batch_waits_for_its_timeout_and_leaves_whole(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", headers = { ['x-key'] = secret('hush') }"));
    rig_keep(&r, 3, 100);
    rig_keep(&r, 4, 100);
    rig_run(&r, 999 * NS_PER_MS);
    CHECK(b.requests[0] == 0 && rig_stats(&r, 0).queued == 7);
    rig_run(&r, 10 * NS_PER_MS);
    CHECK(b.requests[0] == 1 && b.spans == 7);
    CHECK(rig_stats(&r, 0).delivered == 7 && export_is_idle(r.export));
    CHECK(strstr(b.seen, "http://a:4318/v1/traces\n"));
    CHECK(strstr(b.seen, "content-type: application/x-protobuf\n"));
    CHECK(strstr(b.seen, "content-encoding: gzip\n") && strstr(b.seen, "x-key: hush\n"));
    rig_close(&r);
}

static void each_signal_has_its_path_beside_a_base_and_a_path_of_its_own_stays(void)
{
    static const struct {
        const char *endpoint, *logs;
    } rows[] = {
        {"http://a:4318", "http://a:4318/v1/logs\n"},
        {"http://a:4318/", "http://a:4318/v1/logs\n"},
        {"http://a:4318/v1/traces", "http://a:4318/v1/logs\n"},
        {"http://a:4318/otlp/v1/metrics", "http://a:4318/otlp/v1/logs\n"},
        {"http://a:4318/api/push", "http://a:4318/api/push\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig r;
        struct backend b;
        char options[256];
        struct export_stats stats;

        snprintf(options, sizeof(options),
                 "protocol = 'http/protobuf', endpoint = '%s', batch = { timeout = '0s' }",
                 rows[i].endpoint);
        CHECK(start(&r, &b, options));
        rig_pass(&r, OTLP_LOGS, 3);
        rig_run(&r, NS_PER_S);
        CHECK(strncmp(b.seen, rows[i].logs, strlen(rows[i].logs)) == 0);
        export_stats(r.export, 0, OTLP_LOGS, &stats);
        CHECK(stats.enqueued == 3 && stats.delivered == 3 && stats.requests == 1);
        CHECK(rig_stats(&r, 0).enqueued == 0 && rig_stats(&r, 0).requests == 0);
        rig_close(&r);
    }
}

static void grpc_calls_the_service_of_the_signal(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, "endpoint = 'http://a:4317', batch = { timeout = '0s' }"));
    b.headers[0] = "grpc-status: 0\n";
    rig_pass(&r, OTLP_METRICS, 1);
    rig_run(&r, NS_PER_S);
    CHECK(strstr(b.seen, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export\n"));
    rig_pass(&r, OTLP_LOGS, 1);
    rig_run(&r, NS_PER_S);
    CHECK(strstr(b.seen, "/opentelemetry.proto.collector.logs.v1.LogsService/Export\n"));
    rig_close(&r);
}

static void signals_that_are_not_known_are_an_error_of_the_configuration(void)
{
    struct rig r;
    struct backend b;

    CHECK(!start(&r, &b, HTTP ", signals = { 'logs', 'profiles' }"));
    CHECK(strstr(r.info.text, "has the signal 'profiles'; allowed: traces, metrics, logs"));
    rig_close(&r);
    CHECK(!start(&r, &b, HTTP ", signals = {}"));
    rig_close(&r);
}

static void a_full_batch_and_a_flush_do_not_wait(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", compression = 'none', batch = { max_spans = 10, timeout = '1h' }"));
    rig_keep(&r, 6, 100);
    rig_keep(&r, 4, 100);
    rig_keep(&r, 5, 100);
    rig_keep(&r, 6, 100);
    rig_run(&r, 10 * NS_PER_MS);
    CHECK(b.spans == 15 && b.requests[0] == 2 && rig_stats(&r, 0).queued == 6);
    export_flush(r.export);
    rig_run(&r, 10 * NS_PER_MS);
    CHECK(b.spans == 21 && b.requests[0] == 3);
    rig_close(&r);
}

static void grpc_frames_its_message_and_reads_the_trailers(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, "endpoint = 'http://a:4317/', batch = { timeout = '0s' }"));
    b.headers[0] = "grpc-status: 0\n";
    rig_keep(&r, 5, 100);
    rig_run(&r, NS_PER_S);
    CHECK(b.spans == 5 && rig_stats(&r, 0).delivered == 5);
    CHECK(strstr(b.seen, "http://a:4317/opentelemetry.proto.collector.trace.v1.TraceService/"
                         "Export\ncontent-type: application/grpc\nte: trailers\n"
                         "grpc-encoding: gzip\n"));
    rig_close(&r);
}

static void a_large_record_is_split_and_settles_as_one(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { max_bytes = 4096, timeout = '0s' }"));
    rig_keep(&r, 100, 200);
    rig_keep(&r, 2, 200);
    rig_run(&r, NS_PER_S);
    CHECK(b.requests[0] >= 6 && b.spans == 102);
    CHECK(rig_stats(&r, 0).delivered == 102 && export_is_idle(r.export));
    rig_close(&r);
}

static void a_retry_waits_longer_each_time_and_then_succeeds(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }"));
    b.status[0] = 503;
    rig_keep(&r, 3, 100);
    rig_run(&r, 400 * NS_PER_MS);
    CHECK(b.requests[0] == 1 && rig_stats(&r, 0).queued == 3);
    rig_run(&r, 1200 * NS_PER_MS);
    CHECK(b.requests[0] == 2);
    b.status[0] = 200;
    rig_run(&r, 3 * NS_PER_S);
    CHECK(b.requests[0] == 3 && b.spans == 3);
    CHECK(rig_stats(&r, 0).delivered == 3 && rig_stats(&r, 0).failures == 2);
    CHECK(rig_stats(&r, 0).redelivered == 0);
    rig_close(&r);
}

static void a_retry_after_is_obeyed_and_not_counted_by_the_circuit(void)
{
    static const char *const said[] = {"retry-after: 7\n",
                                       "retry-after: Tue, 14 Nov 2023 22:13:27 GMT\n"};

    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        struct backend b;

        CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }, circuit = { failures = 1 }"));
        b.status[0] = 429;
        b.headers[0] = said[i];
        rig_keep(&r, 3, 100);
        rig_run(&r, 6900 * NS_PER_MS);
        CHECK(b.requests[0] == 1 && !rig_stats(&r, 0).circuit_open);
        b.status[0] = 200;
        rig_run(&r, 200 * NS_PER_MS);
        CHECK(b.requests[0] == 2 && b.spans == 3);
        rig_close(&r);
    }
}

/* A date that has passed is one of a server whose clock is behind. */
static void a_retry_after_of_no_time_leaves_it_to_the_backoff(void)
{
    static const struct {
        const char *options, *headers;
        int status;
    } said[] = {
        {HTTP, "retry-after: 0\n", 429},
        {HTTP, "retry-after: Tue, 14 Nov 2023 22:13:19 GMT\n", 503},
        {"endpoint = 'http://a'", "grpc-status: 8\ngoogle.rpc.retryinfo-bin: CgIIAA\n", 200},
        {"endpoint = 'http://a'", "grpc-status: 14\ngoogle.rpc.retryinfo-bin: CgIIAA\n", 200},
    };

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        struct rig r;
        struct backend b;
        char options[256];

        snprintf(options, sizeof(options),
                 "%s, batch = { timeout = '0s' }, circuit = { failures = 3 }", said[i].options);
        CHECK(start(&r, &b, options));
        b.status[0] = said[i].status;
        b.headers[0] = said[i].headers;
        rig_keep(&r, 3, 100);
        rig_run(&r, 400 * NS_PER_MS);
        CHECK(b.requests[0] == 1);
        rig_run(&r, 15 * NS_PER_S);
        CHECK(b.requests[0] == 3 && rig_stats(&r, 0).circuit_open);
        CHECK(rig_stats(&r, 0).queued == 3);
        rig_close(&r);
    }
}

static void retry_info_of_grpc_is_obeyed_in_both_places(void)
{
    /* RetryInfo { retry_delay { seconds: 4 } }, alone and in google.rpc.Status.details */
    static const char *const said[] = {
        "grpc-status: 8\ngoogle.rpc.retryinfo-bin: CgIIBA\n",
        "grpc-status: 14\ngrpc-status-details-bin: "
        "CA4SBGJ1c3kaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIBA==\n"};

    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        struct backend b;

        CHECK(start(&r, &b, "endpoint = 'http://a', batch = { timeout = '0s' }"));
        b.headers[0] = said[i];
        rig_keep(&r, 3, 100);
        rig_run(&r, 3900 * NS_PER_MS);
        CHECK(b.requests[0] == 1);
        b.headers[0] = "grpc-status: 0\n";
        rig_run(&r, 200 * NS_PER_MS);
        CHECK(b.requests[0] == 2 && b.spans == 3);
        rig_close(&r);
    }
}

/* What becomes of 3 spans with one answer: d delivered, r retried, h held, p lost for good. */
static char fate(const char *options, int status, const char *headers)
{
    struct rig r;
    struct backend b;
    struct export_stats s;

    CHECK(start(&r, &b, options));
    b.status[0] = status;
    b.headers[0] = headers;
    rig_keep(&r, 3, 100);
    rig_run(&r, 200 * NS_PER_MS);
    s = rig_stats(&r, 0);
    rig_close(&r);
    return (char)(s.delivered == 3        ? 'd'
                  : s.lost_permanent == 3 ? 'p'
                  : s.circuit_open        ? 'h'
                  : s.queued == 3         ? 'r'
                                          : '?');
}

static void every_status_has_the_fate_that_the_protocol_says(void)
{
    static const struct {
        int status;
        char fate;
    } http[] = {{200, 'd'}, {202, 'd'}, {400, 'p'}, {401, 'h'}, {403, 'h'}, {404, 'p'},
                {408, 'p'}, {413, 'p'}, {429, 'r'}, {500, 'p'}, {501, 'p'}, {502, 'r'},
                {503, 'r'}, {504, 'r'}, {301, 'p'}, {0, 'r'}};

    for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
        CHECK(fate(HTTP ", batch = { timeout = '0s' }", http[i].status, NULL) == http[i].fate);
}

static void every_grpc_code_has_the_fate_that_the_protocol_says(void)
{
    /* OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS
     * PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED
     * INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED */
    static const char fates[] = "drpprpphpprrpprrh";
    static const char options[] = "endpoint = 'http://a', batch = { timeout = '0s' }";
    char header[64];

    for (int code = 0; code <= 16; code++) {
        snprintf(header, sizeof(header), "grpc-status: %d\ngrpc-message: no\n", code);
        CHECK(fate(options, 200, header) == fates[code]);
    }
    CHECK(fate(options, 503, NULL) == 'r'); /* a proxy's answer */
    CHECK(fate(options, 401, NULL) == 'h');
    CHECK(fate(options, 404, NULL) == 'p');
    CHECK(fate(options, 200, "content-type: text/html\n") == 'p');
}

static void a_grpc_answer_that_was_cut_off_may_have_been_one_of_success(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b,
                "endpoint = 'http://a', batch = { timeout = '0s' }, "
                "retry = { max_elapsed = '10m' }"));
    b.headers[0] = "content-type: application/grpc\n";
    rig_keep(&r, 3, 100);
    rig_run(&r, NS_PER_S);
    CHECK(rig_stats(&r, 0).queued == 3 && rig_stats(&r, 0).lost_permanent == 0);
    b.headers[0] = "content-type: application/grpc\ngrpc-status: 0\n";
    rig_run(&r, 60 * NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 3 && rig_stats(&r, 0).redelivered == 3);
    b.headers[0] = "content-type: application/grpc+proto\n";
    rig_keep(&r, 3, 100);
    rig_run(&r, 700 * NS_PER_S);
    CHECK(rig_stats(&r, 0).lost_retry_exhausted == 3 && export_is_idle(r.export));
    rig_close(&r);
}

static void a_401_holds_the_queue_and_loses_nothing(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }, retry = { max_elapsed = '1m' }"));
    b.status[0] = 401;
    for (int i = 0; i < 100; i++) {
        rig_keep(&r, 1, 10);
        rig_run(&r, 60 * NS_PER_S);
    }
    CHECK(rig_stats(&r, 0).queued == 100 && rig_stats(&r, 0).circuit_open);
    CHECK(b.requests[0] <= 6000 / 30 + 1);
    b.status[0] = 200;
    rig_run(&r, 31 * NS_PER_S);
    CHECK(b.spans == 100 && rig_stats(&r, 0).delivered == 100 && !rig_stats(&r, 0).circuit_open);
    rig_close(&r);
}

static void an_open_circuit_sends_one_request_each_probe_however_many_batches_wait(void)
{
    struct rig r;
    struct backend b;
    unsigned before;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s', max_spans = 1 }"));
    b.status[0] = 503;
    for (int i = 0; i < 1000; i++)
        rig_keep(&r, 1, 10);
    rig_run(&r, 60 * NS_PER_S);
    CHECK(rig_stats(&r, 0).circuit_open);
    before = b.requests[0];
    b.most_at_once = 0;
    rig_run(&r, 3000 * NS_PER_S);
    CHECK(b.requests[0] - before >= 99 && b.requests[0] - before <= 100);
    CHECK(b.most_at_once == 1);
    CHECK(rig_stats(&r, 0).queued == 1000);
    b.status[0] = 200;
    rig_run(&r, 31 * NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 1000);
    rig_close(&r);
}

/* 0: the endpoint is down; its circuit opens after so many failures. */
static void flush_to_one_that_comes_back(int status, const char *failures)
{
    char options[256];
    struct rig r;
    struct backend b;
    unsigned before;

    snprintf(options, sizeof(options),
             HTTP ", batch = { timeout = '0s' }, circuit = { failures = %s }", failures);
    CHECK(start(&r, &b, options));
    b.status[0] = status;
    rig_keep(&r, 7, 10);
    rig_run(&r, 200 * NS_PER_S);
    before = b.requests[0];
    export_flush(r.export);
    rig_run(&r, 10 * NS_PER_MS);
    CHECK(b.requests[0] == before + 1);
    rig_run(&r, NS_PER_S);
    CHECK(b.requests[0] > before + 3 && b.requests[0] < before + 8);
    b.status[0] = 200;
    rig_run(&r, 300 * NS_PER_MS);
    CHECK(rig_stats(&r, 0).delivered == 7 && export_is_idle(r.export));
    rig_close(&r);
}

static void a_flush_tries_at_once_and_then_often(void)
{
    flush_to_one_that_comes_back(0, "1");
    flush_to_one_that_comes_back(0, "1000000");
    flush_to_one_that_comes_back(503, "1");
    flush_to_one_that_comes_back(503, "1000000");
    flush_to_one_that_comes_back(401, "5");
}

static void time_counts_for_max_elapsed_only_while_the_endpoint_answers(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }, retry = { max_elapsed = '10m' }"));
    b.status[0] = 0;
    rig_keep(&r, 3, 100);
    rig_run(&r, 7200 * NS_PER_S);
    CHECK(rig_stats(&r, 0).queued == 3);
    b.status[0] = 503;
    rig_run(&r, 500 * NS_PER_S);
    CHECK(rig_stats(&r, 0).queued == 3);
    rig_run(&r, 200 * NS_PER_S);
    CHECK(rig_stats(&r, 0).lost_retry_exhausted == 3 && export_is_idle(r.export));
    rig_close(&r);
}

#define THREE "protocol = 'http/protobuf', endpoints = { 'http://a', 'http://b', 'http://c' }"

static void a_dead_endpoint_is_replaced_at_once_and_taken_back_when_it_works(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, THREE ", batch = { timeout = '0s' }"));
    b.status[0] = 0;
    rig_keep(&r, 3, 100);
    rig_run(&r, NS_PER_S);
    CHECK(b.spans == 3 && b.requests[0] == 1 && b.requests[1] == 1);
    for (int i = 0; i < 20; i++) {
        rig_keep(&r, 1, 100);
        rig_run(&r, NS_PER_S);
    }
    CHECK(b.requests[0] == 1 && b.requests[1] == 21 && b.requests[2] == 0);
    rig_run(&r, 30 * NS_PER_S);
    b.status[0] = 200;
    for (int i = 0; i < 20; i++) {
        rig_keep(&r, 1, 100);
        rig_run(&r, NS_PER_S);
    }
    CHECK(b.requests[0] == 21 && b.requests[1] == 21);
    CHECK(rig_stats(&r, 0).delivered == 43 && !rig_stats(&r, 0).circuit_open);
    rig_close(&r);
}

static void a_hanging_endpoint_is_replaced_within_one_timeout(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, THREE ", batch = { timeout = '0s' }, timeout = '5s'"));
    b.status[0] = -1;
    b.status[1] = 500;
    rig_keep(&r, 3, 100);
    rig_run(&r, 4900 * NS_PER_MS);
    CHECK(b.spans == 0);
    rig_run(&r, 200 * NS_PER_MS);
    CHECK(b.spans == 3 && b.requests[1] == 1 && b.requests[2] == 1);
    CHECK(rig_stats(&r, 0).redelivered == 3);
    rig_close(&r);
}

static void a_probe_of_a_set_is_one_request_and_goes_round(void)
{
    struct rig r;
    struct backend b;
    unsigned before;

    CHECK(start(&r, &b, THREE ", batch = { timeout = '0s' }"));
    b.status[0] = b.status[1] = b.status[2] = 0;
    rig_keep(&r, 3, 100);
    rig_run(&r, 200 * NS_PER_S);
    CHECK(rig_stats(&r, 0).circuit_open);
    before = b.requests[0] + b.requests[1] + b.requests[2];
    rig_run(&r, 300 * NS_PER_S);
    CHECK(b.requests[0] + b.requests[1] + b.requests[2] == before + 10);
    b.status[2] = 200;
    rig_run(&r, 90 * NS_PER_S);
    CHECK(b.spans == 3);
    rig_keep(&r, 3, 100);
    rig_run(&r, NS_PER_S);
    CHECK(b.spans == 6);
    rig_close(&r);
}

static void refused_spans_of_a_partial_success_are_lost_and_counted(void)
{
    /* partial_success { rejected_spans: 2, error_message: "no" } */
    static const uint8_t answer[] = {0x0a, 6, 0x08, 2, 0x12, 2, 'n', 'o'};
    static const uint8_t framed[] = {0, 0, 0, 0, 8, 0x0a, 6, 0x08, 2, 0x12, 2, 'n', 'o'};
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }"));
    b.body = answer;
    b.body_len = sizeof(answer);
    rig_keep(&r, 5, 100);
    rig_run(&r, NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 3 && rig_stats(&r, 0).lost_permanent == 2);
    rig_close(&r);
    CHECK(start(&r, &b, "endpoint = 'http://a', batch = { timeout = '0s' }"));
    b.body = framed;
    b.body_len = sizeof(framed);
    b.headers[0] = "grpc-status: 0\n";
    rig_keep(&r, 1, 100);
    rig_run(&r, NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == 0 && rig_stats(&r, 0).lost_permanent == 1);
    rig_close(&r);
}

static void a_full_queue_gives_up_its_oldest_spans(void)
{
    struct rig r;
    struct backend b;
    struct export_stats s;

    CHECK(start(&r, &b,
                HTTP ", batch = { timeout = '0s', max_spans = 10 }, "
                     "queue = { max_size = '64KiB' }"));
    b.status[0] = 0;
    for (int i = 0; i < 1000; i++) {
        rig_keep(&r, 1, 1000);
        rig_step(&r);
    }
    rig_run(&r, NS_PER_S);
    s = rig_stats(&r, 0);
    CHECK(s.queue_bytes <= 64 << 10 && s.queued >= 60 && s.lost_outbox_full == 1000 - s.queued);
    CHECK(!export_is_refusing(r.export));
    b.status[0] = 200;
    rig_run(&r, 60 * NS_PER_S);
    CHECK(rig_stats(&r, 0).delivered == s.queued && rig_stats(&r, 0).queue_bytes == 0);
    rig_close(&r);
}

static void what_is_in_flight_is_not_given_up_before_what_came_later(void)
{
    struct rig r;
    struct backend b;
    struct export_stats s;

    CHECK(start(&r, &b,
                HTTP ", timeout = '10s', batch = { timeout = '0s', max_spans = 1 }, "
                     "queue = { max_size = '64KiB' }"));
    b.status[0] = -1;
    for (int i = 0; i < 8; i++) {
        rig_keep(&r, 1, 60000);
        rig_step(&r);
    }
    rig_keep(&r, 2, 1000);
    rig_step(&r);
    CHECK(rig_stats(&r, 0).queued == 10 && rig_stats(&r, 0).lost_outbox_full == 0);
    rig_run(&r, 11 * NS_PER_S); /* they come back, and are the oldest */
    s = rig_stats(&r, 0);
    CHECK(s.queue_bytes <= 64 << 10 && s.queued >= 2 && s.lost_outbox_full >= 7);
    rig_close(&r);
}

static void a_full_queue_can_refuse_instead(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b,
                HTTP ", batch = { timeout = '0s', max_spans = 10 }, "
                     "queue = { max_size = '64KiB', on_full = 'refuse' }"));
    b.status[0] = 0;
    for (int i = 0; i < 100; i++)
        rig_keep(&r, 1, 1000);
    rig_step(&r);
    CHECK(export_is_refusing(r.export) && rig_stats(&r, 0).queued == 100);
    b.status[0] = 200;
    rig_run(&r, 60 * NS_PER_S);
    CHECK(!export_is_refusing(r.export) && rig_stats(&r, 0).delivered == 100);
    rig_close(&r);
}

static void only_what_its_mask_selects_reaches_an_exporter(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s' }"));
    rig_keep_mask(&r, 3, 100, 2);
    rig_keep_mask(&r, 2, 100, 3);
    rig_keep_mask(&r, 3, 100, 0);
    rig_run(&r, NS_PER_S);
    CHECK(b.spans == 2 && export_is_idle(r.export));
    rig_close(&r);
}

static void an_export_can_end_with_requests_in_flight(void)
{
    struct rig r;
    struct backend b;

    CHECK(start(&r, &b, HTTP ", batch = { timeout = '0s', max_spans = 1 }"));
    b.status[0] = -1;
    for (int i = 0; i < 20; i++)
        rig_keep(&r, 1, 100);
    rig_run(&r, NS_PER_S);
    CHECK(b.requests[0] == 8 && rig_stats(&r, 0).queued == 20);
    rig_close(&r);
}

static void wrong_options_are_said_all_at_once(void)
{
    struct rig r;

    rig_base(&r);
    CHECK(rig_specs(&r, "return { exporter 'otlp' { endpoint = 'a:4317' }, exporter 'otlp/b' {},\n"
                        "exporter 'otlp/c' { endpoint = 'http://x', compresion = 'gzip' },\n"
                        "exporter 'otlp/d' { endpoint = 'http://x', timeout = 5 },\n"
                        "exporter 'otlp/d' { endpoint = 'http://x' }, exporter 'otlpp' {} }") ==
          ERR_CONFIG);
    CHECK(strstr(r.info.text, "'a:4317'") && strstr(r.info.text, "has no endpoint"));
    CHECK(strstr(r.info.text, "compresion; did you mean compression"));
    CHECK(strstr(r.info.text, "timeout is 5") && strstr(r.info.text, "is there twice"));
    CHECK(strstr(r.info.text, "exporter \"otlpp\" is not known (did you mean \"otlp\"?); allowed: "
                              "awsemf, debug, prometheus_remote_write, xray, "));
    CHECK(strstr(r.info.text, "otlp, or exporters/otlpp.lua of yours"));
    rig_close(&r);
}

static void an_exporter_that_others_name_otherwise_gets_a_hint(void)
{
    struct rig r;

    rig_base(&r);
    CHECK(rig_specs(&r, "return { exporter 'otlphttp/b' { endpoint = 'http://x' },\n"
                        "exporter 'logging' }") == ERR_CONFIG);
    CHECK(strstr(r.info.text, "exporter \"otlphttp/b\" is not known; write exporter \"otlp\" { "
                              "protocol = \"http/protobuf\" }\n"));
    CHECK(strstr(r.info.text, "exporter \"logging\" is not known; write exporter \"debug\""));
    rig_close(&r);
}

int main(void)
{
    RUN(a_batch_waits_for_its_timeout_and_leaves_whole);
    RUN(each_signal_has_its_path_beside_a_base_and_a_path_of_its_own_stays);
    RUN(grpc_calls_the_service_of_the_signal);
    RUN(signals_that_are_not_known_are_an_error_of_the_configuration);
    RUN(a_full_batch_and_a_flush_do_not_wait);
    RUN(grpc_frames_its_message_and_reads_the_trailers);
    RUN(a_large_record_is_split_and_settles_as_one);
    RUN(a_retry_waits_longer_each_time_and_then_succeeds);
    RUN(a_retry_after_is_obeyed_and_not_counted_by_the_circuit);
    RUN(a_retry_after_of_no_time_leaves_it_to_the_backoff);
    RUN(retry_info_of_grpc_is_obeyed_in_both_places);
    RUN(every_status_has_the_fate_that_the_protocol_says);
    RUN(every_grpc_code_has_the_fate_that_the_protocol_says);
    RUN(a_grpc_answer_that_was_cut_off_may_have_been_one_of_success);
    RUN(a_401_holds_the_queue_and_loses_nothing);
    RUN(an_open_circuit_sends_one_request_each_probe_however_many_batches_wait);
    RUN(a_flush_tries_at_once_and_then_often);
    RUN(time_counts_for_max_elapsed_only_while_the_endpoint_answers);
    RUN(a_dead_endpoint_is_replaced_at_once_and_taken_back_when_it_works);
    RUN(a_hanging_endpoint_is_replaced_within_one_timeout);
    RUN(a_probe_of_a_set_is_one_request_and_goes_round);
    RUN(refused_spans_of_a_partial_success_are_lost_and_counted);
    RUN(a_full_queue_gives_up_its_oldest_spans);
    RUN(what_is_in_flight_is_not_given_up_before_what_came_later);
    RUN(a_full_queue_can_refuse_instead);
    RUN(only_what_its_mask_selects_reaches_an_exporter);
    RUN(an_export_can_end_with_requests_in_flight);
    RUN(wrong_options_are_said_all_at_once);
    RUN(an_exporter_that_others_name_otherwise_gets_a_hint);
    return DONE();
}
