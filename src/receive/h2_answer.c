/* h2_answer.c: gRPC's answers. A success is headers, one message and trailers. A refusal is one
 * HEADERS frame with END_STREAM ("Trailers-Only"), because some clients look for grpc-status only
 * there; RetryInfo goes in both places where clients look for it.
 */
#include "base/encode.h"
#include "receive/h2.h"

#include <stdio.h>

#define STATIC_NV(name, value)                                                                     \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,             \
            sizeof(value) - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE        \
    }

enum { NV_MAX = 8 };

struct headers {
    nghttp2_nv nv[NV_MAX];
    size_t count;
};

static void add(struct headers *h, const char *name, struct slice value)
{
    h->nv[h->count++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value.data,
                                     strlen(name), value.len, NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

static nghttp2_session *session_of(const struct h2_stream *s)
{
    return h2_of(s->connection)->session;
}

static void mark_answered(struct h2_stream *s)
{
    const struct connection *c = s->connection;

    s->state = STREAM_ANSWERED;
    s->progress_ns = c->receive->now_ns;
    receive_due(c->receive, s->progress_ns + c->listener->read_timeout_ns);
    if (s->withheld)
        nghttp2_session_consume(session_of(s), s->id, s->withheld);
    s->withheld = 0;
}

static void submit_only(struct h2_stream *s, const struct headers *h)
{
    nghttp2_submit_response(session_of(s), s->id, h->nv, h->count, NULL);
}

/* What HTTP itself answers: the client is no gRPC client, or its headers are too large. */
static void answer_http(struct h2_stream *s, enum reply_code code)
{
    struct headers h = {.count = 0};
    char text[12];

    snprintf(text, sizeof text, "%u", reply_info(code)->http_status);
    add(&h, ":status", slice_str(text));
    if (code == REPLY_BAD_METHOD)
        add(&h, "allow", slice_str("POST"));
    submit_only(s, &h);
}

/* A value that was appended to the scratch buffer from `start` on, found again when no more
 * is appended. */
struct run {
    size_t start, len;
};

static struct run put_message(struct buf *b, const struct reply *reply)
{
    size_t start = b->len;

    reply_put_percent(b, reply_message(reply));
    return (struct run){start, b->len - start};
}

/* The base64 of what `raw` holds, without padding, as gRPC wants for "-bin" metadata. */
static struct run put_binary(struct buf *b, const struct buf *raw)
{
    size_t start = b->len;

    encode_base64(b, buf_slice(raw));
    while (b->len > start && b->data[b->len - 1] == '=')
        b->len--;
    return (struct run){start, b->len - start};
}

static struct slice run_slice(const struct buf *b, struct run run)
{
    return slice_make(b->data + run.start, run.len);
}

static void answer_refusal(struct h2_stream *s, const struct reply *reply)
{
    const struct reply_info *info = reply_info(reply->code);
    struct headers h = {
        .nv = {STATIC_NV(":status", "200"), STATIC_NV("content-type", "application/grpc")},
        .count = 2};
    struct buf *text = &s->connection->receive->scratch;
    struct buf *raw = &s->answer;
    struct run message, details, retry = {0, 0};
    char status[12];

    buf_clear(text);
    message = put_message(text, reply);
    reply_put_protobuf(raw, reply);
    details = put_binary(text, raw);
    if (info->retry) {
        buf_clear(raw);
        reply_put_retry_info(raw);
        retry = put_binary(text, raw);
    }
    if (!buf_ok(text))
        return;
    snprintf(status, sizeof status, "%u", info->grpc_status);
    add(&h, "grpc-status", slice_str(status));
    add(&h, "grpc-message", run_slice(text, message));
    add(&h, "grpc-status-details-bin", run_slice(text, details));
    if (retry.len)
        add(&h, "google.rpc.retryinfo-bin", run_slice(text, retry));
    if (reply->code == REPLY_BAD_ENCODING)
        add(&h, "grpc-accept-encoding", slice_str("identity,gzip,deflate,zstd,lz4,snappy"));
    submit_only(s, &h);
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    static const nghttp2_nv trailers[] = {STATIC_NV("grpc-status", "0")};
    struct h2_stream *s = source->ptr;
    size_t left = s->answer.len - s->answered;

    (void)arg;
    if (len > left)
        len = left;
    memcpy(to, s->answer.data + s->answered, len);
    s->answered += len;
    if (s->answered == s->answer.len) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, trailers, 1);
    }
    return (ssize_t)len;
}

/* s->answer holds the message behind room for the prefix. */
static void submit_message(struct h2_stream *s)
{
    static const nghttp2_nv headers[] = {STATIC_NV(":status", "200"),
                                         STATIC_NV("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.source = {.ptr = s}, .read_callback = read_answer};
    size_t len = s->answer.len - PREFIX_SIZE;

    s->answer.data[1] = (uint8_t)(len >> 24);
    s->answer.data[2] = (uint8_t)(len >> 16);
    s->answer.data[3] = (uint8_t)(len >> 8);
    s->answer.data[4] = (uint8_t)len;
    nghttp2_submit_response(session_of(s), s->id, headers, 2, &provider);
}

static bool begin_answer(struct h2_stream *s)
{
    static const uint8_t prefix[PREFIX_SIZE];

    buf_append(&s->answer, prefix, PREFIX_SIZE);
    return buf_ok(&s->answer);
}

static void reset(struct h2_stream *s)
{
    nghttp2_submit_rst_stream(session_of(s), NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

void h2_answer(struct h2_stream *s, const struct reply *reply)
{
    mark_answered(s);
    switch (reply->code) {
    case REPLY_OK:
        if (begin_answer(s))
            reply_put_protobuf(&s->answer, reply);
        if (buf_ok(&s->answer))
            submit_message(s);
        else
            reset(s);
        break;
    case REPLY_BAD_TYPE:
    case REPLY_BAD_METHOD:
    case REPLY_HEADERS:
        answer_http(s, reply->code);
        break;
    default:
        answer_refusal(s, reply);
        break;
    }
}

void h2_answer_health(struct h2_stream *s, bool serving)
{
    const uint8_t message[] = {0x08, serving ? 1 : 2}; /* HealthCheckResponse.status */

    mark_answered(s);
    if (begin_answer(s))
        buf_append(&s->answer, message, sizeof message);
    if (buf_ok(&s->answer))
        submit_message(s);
    else
        reset(s);
}
