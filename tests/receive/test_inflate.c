#include "check.h"
#include "grpc_client.h"
#include "http_client.h"
#include "otlp/json.h"
#include "receive/receive.h"

#include <libdeflate.h>
#include <zstd.h>

typedef size_t bound_fn(struct libdeflate_compressor *c, size_t len);
typedef size_t compress_fn(struct libdeflate_compressor *c, const void *in, size_t len, void *out,
                           size_t room);

static void put_deflated(struct buf *to, struct slice bytes, bound_fn *bound, compress_fn *compress)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t room = bound(c, bytes.len);

    to->len += compress(c, bytes.data, bytes.len, buf_reserve(to, room), room);
    libdeflate_free_compressor(c);
}

static void put_gzip(struct buf *to, struct slice bytes)
{
    put_deflated(to, bytes, libdeflate_gzip_compress_bound, libdeflate_gzip_compress);
}

static void put_zlib(struct buf *to, struct slice bytes)
{
    put_deflated(to, bytes, libdeflate_zlib_compress_bound, libdeflate_zlib_compress);
}

static void put_raw_deflate(struct buf *to, struct slice bytes)
{
    put_deflated(to, bytes, libdeflate_deflate_compress_bound, libdeflate_deflate_compress);
}

static void put_zstd(struct buf *to, struct slice bytes)
{
    size_t room = ZSTD_compressBound(bytes.len);

    to->len += ZSTD_compress(buf_reserve(to, room), room, bytes.data, bytes.len, 3);
}

/* Without a content size in its header, as a streaming client makes it. */
static void put_zstd_stream(struct buf *to, struct slice bytes)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(bytes.len);
    ZSTD_outBuffer out = {buf_reserve(to, room), room, 0};
    ZSTD_inBuffer in = {bytes.data, bytes.len, 0};

    ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue);
    ZSTD_compressStream2(c, &out, &in, ZSTD_e_end);
    to->len += out.pos;
    ZSTD_freeCCtx(c);
}

typedef void put_fn(struct buf *to, struct slice bytes);

static const struct {
    const char *name; /* of the encoding */
    put_fn *put;
} encodings[] = {
    {"gzip", put_gzip}, {"deflate", put_zlib},     {"deflate", put_raw_deflate},
    {"zstd", put_zstd}, {"zstd", put_zstd_stream}, {"x-gzip", put_gzip},
    {"zlib", put_zlib},
};

enum { ENCODINGS = sizeof encodings / sizeof *encodings };

static int post_encoded(struct fixture *f, const char *type, const char *encoding,
                        struct slice body, struct http_answer *a)
{
    char headers[200];

    snprintf(headers, sizeof headers, "%sContent-Encoding: %s\r\n", type, encoding);
    return send_post(f, "/v1/traces", headers, body, a);
}

static bool accepted(const struct fixture *f, const struct buf *body)
{
    return slice_equal(slice_make(f->body, f->body_len), buf_slice(body));
}

static void every_encoding_arrives_as_what_was_sent(void)
{
    static const unsigned sizes[] = {0, 1, 100, 20000};

    for (size_t i = 0; i < ENCODINGS * 4; i++) {
        struct fixture f;
        struct buf body, packed;
        struct http_answer a;

        fixture_init(&f, RECEIVE_HTTP, 0);
        fixture_start(&f);
        buf_init(&body, 8 << 20, NULL);
        buf_init(&packed, 8 << 20, NULL);
        if (sizes[i % 4])
            put_traces(&body, sizes[i % 4], 0);
        encodings[i / 4].put(&packed, buf_slice(&body));
        post_encoded(&f, PROTOBUF, encodings[i / 4].name, buf_slice(&packed), &a);
        CHECK(a.status == 200 && f.accepted == 1 && accepted(&f, &body));
        if (a.status != 200)
            printf("  %s of %u: %d\n", encodings[i / 4].name, sizes[i % 4], a.status);
        buf_fini(&body);
        buf_fini(&packed);
        fixture_fini(&f);
        CHECK(memory_used(&f.memory) == 0);
    }
}

static void grpc_messages_are_inflated_by_their_flag(void)
{
    for (size_t i = 0; i < ENCODINGS - 1; i++) {
        const char *headers[] = {"grpc-encoding", encodings[i].name, NULL};
        struct fixture f;
        struct grpc_client g;
        struct grpc_call call;
        struct buf body, packed, message;

        fixture_init(&f, RECEIVE_GRPC, 0);
        fixture_start(&f);
        grpc_connect(&g, &f);
        buf_init(&body, 8 << 20, NULL);
        buf_init(&packed, 8 << 20, NULL);
        buf_init(&message, 8 << 20, NULL);
        put_traces(&body, 3000, 0);
        encodings[i].put(&packed, buf_slice(&body));
        put_message(&message, true, buf_slice(&packed));
        grpc_send(&g, &call, EXPORT, headers, buf_slice(&message));
        CHECK(call_is_ok(&call) && accepted(&f, &body));
        buf_clear(&message);
        put_message(&message, false, buf_slice(&body)); /* not every message is compressed */
        grpc_send(&g, &call, EXPORT, headers, buf_slice(&message));
        CHECK(call_is_ok(&call) && f.accepted == 2 && accepted(&f, &body));
        buf_fini(&body);
        buf_fini(&packed);
        buf_fini(&message);
        grpc_close(&g);
        fixture_fini(&f);
    }
}

static void members_and_frames_one_after_the_other_are_one_body(void)
{
    struct fixture f;
    struct buf body, packed;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&body, 8 << 20, NULL);
    buf_init(&packed, 8 << 20, NULL);
    for (int i = 0; i < 3; i++) {
        size_t start = body.len;

        put_traces(&body, 500, 0);
        put_gzip(&packed, slice_make(body.data + start, body.len - start));
    }
    post_encoded(&f, PROTOBUF, "gzip", buf_slice(&packed), &a);
    CHECK(a.status == 200 && accepted(&f, &body));
    buf_clear(&packed);
    put_zstd(&packed, slice_make(body.data, body.len / 3));
    put_zstd_stream(&packed, slice_make(body.data + body.len / 3, body.len - body.len / 3));
    post_encoded(&f, PROTOBUF, "zstd", buf_slice(&packed), &a);
    CHECK(a.status == 200 && f.accepted == 2 && accepted(&f, &body));
    buf_fini(&body);
    buf_fini(&packed);
    fixture_fini(&f);
}

static void damage_and_leftovers_are_400(void)
{
    for (size_t i = 0; i < ENCODINGS; i++) {
        struct fixture f;
        struct buf body, packed;
        struct http_answer a;

        fixture_init(&f, RECEIVE_HTTP, 0);
        fixture_start(&f);
        buf_init(&body, 8 << 20, NULL);
        buf_init(&packed, 8 << 20, NULL);
        put_traces(&body, 50, 0);
        post_encoded(&f, PROTOBUF, encodings[i].name, buf_slice(&body), &a);
        CHECK(a.status == 400);
        post_encoded(&f, PROTOBUF, encodings[i].name, slice_make("", 0), &a);
        CHECK(a.status == 400);
        encodings[i].put(&packed, buf_slice(&body));
        post_encoded(&f, PROTOBUF, encodings[i].name, slice_make(packed.data, packed.len - 1), &a);
        CHECK(a.status == 400);
        buf_str(&packed, "garbage");
        post_encoded(&f, PROTOBUF, encodings[i].name, buf_slice(&packed), &a);
        CHECK(a.status == 400);
        CHECK(f.accepted == 0 && fixture_stats(&f).refused[REFUSED_MALFORMED] == 4);
        buf_fini(&body);
        buf_fini(&packed);
        fixture_fini(&f);
    }
}

static void a_bomb_is_413_and_never_larger_than_the_bound(void)
{
    for (size_t i = 0; i < ENCODINGS; i++) {
        const char *headers[] = {"grpc-encoding", encodings[i].name, NULL};
        size_t size = 64 << 20;
        uint8_t *zeros = calloc(1, size);
        struct fixture f;
        struct buf packed, message;
        struct http_answer a;
        struct grpc_client g;
        struct grpc_call call;

        fixture_init(&f, RECEIVE_HTTP, 0);
        fixture_start(&f);
        buf_init(&packed, 80 << 20, NULL);
        buf_init(&message, 80 << 20, NULL);
        encodings[i].put(&packed, slice_make(zeros, size));
        post_encoded(&f, PROTOBUF, encodings[i].name, buf_slice(&packed), &a);
        CHECK(a.status == 413 && f.accepted == 0);
        CHECK(f.staged_size <= f.listener.max_inflated);
        post_encoded(&f, JSON, encodings[i].name, buf_slice(&packed), &a);
        CHECK(a.status == 413);
        CHECK((size_t)f.memory.peak < 8 << 20);
        fixture_fini(&f);

        fixture_init(&f, RECEIVE_GRPC, 0);
        fixture_start(&f);
        grpc_connect(&g, &f);
        put_message(&message, true, buf_slice(&packed));
        grpc_send(&g, &call, EXPORT, headers, buf_slice(&message));
        CHECK(call_is_refused(&call, 3));
        grpc_close(&g);
        fixture_fini(&f);
        buf_fini(&packed);
        buf_fini(&message);
        free(zeros);
    }
}

/* What the trailer says is used as a hint and then found out. */
static void a_wrong_isize_costs_time_only(void)
{
    struct fixture f;
    struct buf body, packed;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&body, 8 << 20, NULL);
    buf_init(&packed, 8 << 20, NULL);
    put_traces(&body, 5000, 0);
    put_gzip(&packed, buf_slice(&body));
    put_gzip(&packed, slice_make("", 0)); /* a last member whose size is 0 */
    post_encoded(&f, PROTOBUF, "gzip", buf_slice(&packed), &a);
    CHECK(a.status == 200 && accepted(&f, &body));
    memset(packed.data + packed.len - 4, 0xff, 4);
    post_encoded(&f, PROTOBUF, "gzip", buf_slice(&packed), &a);
    CHECK(a.status == 400);
    buf_fini(&body);
    buf_fini(&packed);
    fixture_fini(&f);
}

static const char span_json[] =
    "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
    "\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"name\":\"x\"}]}]}]}";

static void json_is_staged_as_protobuf_and_answered_in_json(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf packed;
    struct scan_span span;
    struct scan_result result;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    send_post(&f, "/v1/traces", JSON, slice_str(span_json), &a);
    CHECK(a.status == 200 && has(&a, "Content-Type: application/json\r\n"));
    CHECK(a.body_len == 2 && memcmp(a.body, "{}", 2) == 0);
    CHECK(scan_traces(slice_make(f.body, f.body_len), &span, 1, &result) == ERR_OK);
    CHECK(result.spans == 1 && span.span_id == UINT64_C(0xeee19b7ec3c1b174));
    buf_init(&packed, 65536, NULL);
    put_gzip(&packed, slice_str(span_json));
    post_encoded(&f, "Content-Type: Application/JSON; charset=utf-8\r\n", "gzip",
                 buf_slice(&packed), &a);
    CHECK(a.status == 200 && f.accepted == 2);
    send_post(&f, "/v1/traces", JSON, slice_str("{}"), &a);
    CHECK(a.status == 200 && f.accepted == 3 && f.body_len == 0);
    buf_fini(&packed);
    fixture_fini(&f);
    CHECK(memory_used(&f.memory) == 0);
}

static void json_that_is_none_is_400_and_says_where(void)
{
    static const char *const bodies[] = {"", "{", "[]", "{\"resourceSpans\":7}",
                                         "{\"resourceSpans\":[]}x"};
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        send_post(&f, "/v1/traces", JSON, slice_str(bodies[i]), &a);
        CHECK(a.status == 400 && strncmp(a.body, "{\"code\":3,\"message\":\"", 21) == 0);
    }
    CHECK(f.accepted == 0);
    fixture_fini(&f);
}

/* Small values are what a parser's memory grows with. */
static void json_of_many_small_values_is_taken(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf json;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&json, 1 << 20, NULL);
    buf_str(&json, "{\"unknown\":[1");
    while (json.len < 900000)
        buf_str(&json, ",1");
    buf_str(&json, "]}");
    send_post(&f, "/v1/traces", JSON, buf_slice(&json), &a);
    CHECK(a.status == 200 && f.accepted == 1);
    buf_fini(&json);
    fixture_fini(&f);
}

/* Each "1," becomes eight bytes. A sender that is told to try again would do so for ever. */
static void json_whose_protobuf_is_too_large_is_413(void)
{
    struct fixture f;
    struct http_answer a;
    struct buf json;

    fixture_init(&f, RECEIVE_HTTP, 0);
    f.signals = 1u << OTLP_METRICS;
    f.listener.max_inflated = 2 << 20;
    fixture_start(&f);
    buf_init(&json, 1 << 20, NULL);
    buf_str(&json, "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[{\"histogram\":"
                   "{\"dataPoints\":[{\"bucketCounts\":[1");
    while (json.len < 900000)
        buf_str(&json, ",1");
    buf_str(&json, "]}]}}]}]}]}");
    send_post(&f, "/v1/metrics", JSON, buf_slice(&json), &a);
    CHECK(a.status == 413 && f.accepted == 0);
    CHECK(fixture_stats(&f).refused[REFUSED_TOO_LARGE] == 1);
    buf_fini(&json);
    fixture_fini(&f);
    CHECK(memory_used(&f.memory) == 0);
}

static void a_rejected_json_span_is_a_partial_success_in_json(void)
{
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    send_post(
        &f, "/v1/traces", JSON,
        slice_str("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":"
                  "\"00000000000000000000000000000000\",\"spanId\":\"eee19b7ec3c1b174\"}]}]}]}"),
        &a);
    CHECK(a.status == 200);
    CHECK(strncmp(a.body, "{\"partialSuccess\":{\"rejectedSpans\":\"1\",\"errorMessage\":\"", 55) ==
          0);
    fixture_fini(&f);
}

/* Told to try again, its sender would do so for ever: all of memory is not enough. */
static void json_that_never_fits_into_memory_is_413_and_names_the_limit(void)
{
    enum { SPANS = 2000 };
    struct fixture f;
    struct buf traces, json;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    memory_init(&f.memory, 2 << 20, 512 << 10);
    buf_init(&traces, 8 << 20, NULL);
    buf_init(&json, 8 << 20, NULL);
    put_traces(&traces, SPANS, 0);
    CHECK(json_from_traces(buf_slice(&traces), &json) == ERR_OK && json.len < 1 << 20);
    fixture_start(&f);
    send_post(&f, "/v1/traces", JSON, buf_slice(&json), &a);
    fixture_advance(&f, 10 * NS_PER_MS);
    CHECK(a.status == 413 && strstr(a.text, "memory_limiter.limit"));
    CHECK(fixture_stats(&f).refused[REFUSED_TOO_LARGE] == 1 && f.accepted == 0);
    buf_fini(&traces);
    buf_fini(&json);
    fixture_fini(&f);
}

int main(void)
{
    RUN(every_encoding_arrives_as_what_was_sent);
    RUN(grpc_messages_are_inflated_by_their_flag);
    RUN(members_and_frames_one_after_the_other_are_one_body);
    RUN(damage_and_leftovers_are_400);
    RUN(a_bomb_is_413_and_never_larger_than_the_bound);
    RUN(a_wrong_isize_costs_time_only);
    RUN(json_is_staged_as_protobuf_and_answered_in_json);
    RUN(json_that_is_none_is_400_and_says_where);
    RUN(json_of_many_small_values_is_taken);
    RUN(json_whose_protobuf_is_too_large_is_413);
    RUN(json_that_never_fits_into_memory_is_413_and_names_the_limit);
    RUN(a_rejected_json_span_is_a_partial_success_in_json);
    return DONE();
}
