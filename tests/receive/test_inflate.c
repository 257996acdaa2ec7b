#include "base/crc32c.h"
#include "check.h"
#include "grpc_client.h"
#include "http_client.h"
#include "otlp/json.h"
#include "receive/receive.h"

#include <libdeflate.h>
#include <lz4frame.h>
#include <snappy-c.h>
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

static void put_lz4(struct buf *to, struct slice bytes)
{
    size_t room = LZ4F_compressFrameBound(bytes.len, NULL);

    to->len += LZ4F_compressFrame(buf_reserve(to, room), room, bytes.data, bytes.len, NULL);
}

static void put_snappy(struct buf *to, struct slice bytes)
{
    size_t room = snappy_max_compressed_length(bytes.len);
    uint8_t *at = buf_reserve(to, room);

    snappy_compress((const char *)bytes.data, bytes.len, (char *)at, &room);
    to->len += room;
}

static void put_le(struct buf *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_byte(to, (uint8_t)(value >> 8 * i));
}

/* A chunk of a stream of snappy, its data as it is. */
static void put_chunk(struct buf *to, uint8_t type, struct slice data)
{
    buf_byte(to, type);
    put_le(to, (uint32_t)data.len, 3);
    buf_append(to, data.data, data.len);
}

/* Chunks of data compressed and not in turn, and one between them that is to be skipped. */
static void put_snappy_frames(struct buf *to, struct slice bytes)
{
    enum { CHUNK = 65536 };

    put_chunk(to, 0xff, slice_str("sNaPpY"));
    for (size_t at = 0; at < bytes.len; at += CHUNK) {
        size_t len = bytes.len - at < CHUNK ? bytes.len - at : CHUNK;
        struct slice data = slice_make(bytes.data + at, len);
        uint32_t crc = crc32c(0, data.data, data.len);
        bool plain = at / CHUNK % 2;
        struct buf chunk;

        buf_init(&chunk, 2 * CHUNK, NULL);
        put_le(&chunk, (crc >> 15 | crc << 17) + 0xa282ead8, 4);
        if (plain)
            buf_append(&chunk, data.data, data.len);
        else
            put_snappy(&chunk, data);
        put_chunk(to, plain, buf_slice(&chunk));
        put_chunk(to, 0xfe, slice_str("padding"));
        buf_fini(&chunk);
    }
}

typedef void put_fn(struct buf *to, struct slice bytes);

static const struct {
    const char *name; /* of the encoding */
    put_fn *put;
} encodings[] = {
    {"gzip", put_gzip},
    {"deflate", put_zlib},
    {"deflate", put_raw_deflate},
    {"zstd", put_zstd},
    {"zstd", put_zstd_stream},
    {"lz4", put_lz4},
    {"snappy", put_snappy},
    {"snappy", put_snappy_frames},
    {"x-snappy-framed", put_snappy_frames},
    {"x-gzip", put_gzip},
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
        f.listener.max_body = 8 << 20;
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

/* A block that says it is large is no reason to look for space. */
static void a_block_of_snappy_that_lies_about_its_size_is_400(void)
{
    static const uint8_t lie[] = {0xff, 0xff, 0xff, 0x01, 0x00, 'x'}; /* 4 MiB, but one byte */
    struct fixture f;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    post_encoded(&f, PROTOBUF, "snappy", slice_make(lie, sizeof lie), &a);
    CHECK(a.status == 400 && f.staged_size <= 4096);
    fixture_fini(&f);
}

/* `change` of the first chunk of data of a good stream. */
static int status_of_stream(void (*change)(struct buf *stream))
{
    struct fixture f;
    struct buf body, packed;
    struct http_answer a;

    fixture_init(&f, RECEIVE_HTTP, 0);
    fixture_start(&f);
    buf_init(&body, 8 << 20, NULL);
    buf_init(&packed, 8 << 20, NULL);
    put_traces(&body, 50, 0);
    put_snappy_frames(&packed, buf_slice(&body));
    change(&packed);
    post_encoded(&f, PROTOBUF, "snappy", buf_slice(&packed), &a);
    buf_fini(&body);
    buf_fini(&packed);
    fixture_fini(&f);
    return a.status;
}

static void nothing(struct buf *stream)
{
    (void)stream;
}

static void checksum(struct buf *stream)
{
    stream->data[10 + 4]++;
}

static void kind_that_nobody_knows(struct buf *stream)
{
    stream->data[10] = 0x02;
}

static void another_identifier(struct buf *stream)
{
    put_chunk(stream, 0xff, slice_str("sNaPpX"));
}

static void the_identifier_again(struct buf *stream)
{
    put_chunk(stream, 0xff, slice_str("sNaPpY"));
}

static void a_chunk_without_a_checksum(struct buf *stream)
{
    put_chunk(stream, 1, slice_str("xyz"));
}

static void a_chunk_that_may_be_skipped(struct buf *stream)
{
    put_chunk(stream, 0x80, slice_str("xyz"));
}

static void chunks_of_snappy_are_checked(void)
{
    CHECK(status_of_stream(nothing) == 200);
    CHECK(status_of_stream(the_identifier_again) == 200);
    CHECK(status_of_stream(a_chunk_that_may_be_skipped) == 200);
    CHECK(status_of_stream(checksum) == 400);
    CHECK(status_of_stream(kind_that_nobody_knows) == 400);
    CHECK(status_of_stream(another_identifier) == 400);
    CHECK(status_of_stream(a_chunk_without_a_checksum) == 400);
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
    RUN(a_block_of_snappy_that_lies_about_its_size_is_400);
    RUN(chunks_of_snappy_are_checked);
    RUN(a_wrong_isize_costs_time_only);
    RUN(json_is_staged_as_protobuf_and_answered_in_json);
    RUN(json_that_is_none_is_400_and_says_where);
    RUN(json_of_many_small_values_is_taken);
    RUN(json_whose_protobuf_is_too_large_is_413);
    RUN(json_that_never_fits_into_memory_is_413_and_names_the_limit);
    RUN(a_rejected_json_span_is_a_partial_success_in_json);
    return DONE();
}
