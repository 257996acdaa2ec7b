/* sender_grpc.c: OTLP/gRPC on nghttp2: a stream is one request. */
#include "cli/sender_link.h"

#include <stdio.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>

enum { RESPONSE_MAX = 64 << 10, OUT_CHUNK = 256 << 10 };

struct stream {
    struct link *link;
    struct slot *slot;
    size_t sent; /* of prefix and body */
    uint8_t prefix[5];
    int http_status, grpc_status;
    struct buf response;
    char message[64];
};

// NOLINTNEXTLINE(readability-function-size): the callback is as nghttp2 wants it
static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct stream *st = source->ptr;
    const struct buf *body = &st->slot->body;
    size_t done = 0, left;

    (void)session, (void)id, (void)user;
    while (done < len && st->sent < sizeof(st->prefix))
        to[done++] = st->prefix[st->sent++];
    left = body->len + sizeof(st->prefix) - st->sent;
    if (left > len - done)
        left = len - done;
    memcpy(to + done, body->data + st->sent - sizeof(st->prefix), left);
    st->sent += left;
    if (st->sent == body->len + sizeof(st->prefix))
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(done + left);
}

// NOLINTNEXTLINE(readability-function-size)
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct slice n = slice_make(name, name_len);

    (void)flags, (void)user;
    if (!st) /* nghttp2 ends names and values with a NUL */
        return 0;
    if (slice_is(n, ":status"))
        st->http_status = (int)strtol((const char *)value, NULL, 10);
    else if (slice_is(n, "grpc-status"))
        st->grpc_status = (int)strtol((const char *)value, NULL, 10);
    else if (slice_is(n, "grpc-message"))
        snprintf(st->message, sizeof(st->message), "%.*s", (int)value_len, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, id);

    (void)flags, (void)user;
    if (st)
        buf_append(&st->response, data, len);
    return 0;
}

static struct answer answer_of(const struct stream *st, uint32_t error_code)
{
    struct answer a = {.ok = st->grpc_status == 0, .retry_after_ns = NS_PER_S};
    struct slice message = buf_slice(&st->response);

    /* UNAVAILABLE, or a stream that was refused or cut off before a status came */
    a.retry = st->grpc_status == 14 || st->grpc_status < 0;
    if (a.ok && message.len > 5)
        a.rejected = response_rejected(slice_make(message.data + 5, message.len - 5));
    if (st->grpc_status < 0)
        snprintf(a.error, sizeof(a.error), "no grpc-status (HTTP status %d, HTTP/2 error %u)",
                 st->http_status, error_code);
    else
        snprintf(a.error, sizeof(a.error), "grpc-status %d %s", st->grpc_status, st->message);
    return a;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, id);
    struct link *l = user;
    struct answer a;

    if (!st)
        return 0;
    a = answer_of(st, error_code);
    if (st->slot->state == SLOT_SENT && st->slot->link == l)
        sender_answer(l->sender, st->slot, &a);
    nghttp2_session_set_stream_user_data(session, id, NULL);
    buf_fini(&st->response);
    free(st);
    return 0;
}

static bool grpc_open(struct link *l)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session = NULL;
    bool ok;

    if (nghttp2_session_callbacks_new(&callbacks))
        return false;
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    ok = !nghttp2_session_client_new(&session, callbacks, l) &&
         !nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_session_callbacks_del(callbacks);
    l->protocol = session;
    return ok;
}

static void stream_free(nghttp2_session *session, int32_t id)
{
    struct stream *st = nghttp2_session_get_stream_user_data(session, id);

    if (!st)
        return;
    buf_fini(&st->response);
    free(st);
}

/* nghttp2_session_del calls no callback for open streams; ours are those of the slots in flight. */
static void grpc_close(struct link *l)
{
    nghttp2_session *session = l->protocol;

    if (!session)
        return;
    for (int32_t id = 1; id < (int32_t)nghttp2_session_get_next_stream_id(session); id += 2)
        stream_free(session, id);
    nghttp2_session_del(session);
    l->protocol = NULL;
}

static nghttp2_nv header(const char *name, size_t name_len, const char *value)
{
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, name_len, strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static int32_t submit(struct link *l, struct stream *st)
{
    const struct sender *s = l->sender;
    const char *extra = s->options.header, *colon = extra ? strchr(extra, ':') : NULL;
    nghttp2_nv headers[] = {
        header(":method", 7, "POST"),
        header(":scheme", 7, "http"),
        header(":path", 5, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        header(":authority", 10, s->host_header),
        header("content-type", 12, "application/grpc"),
        header("te", 2, "trailers"),
        header("user-agent", 10, "moontail-load/" MOONTAIL_VERSION),
        {0},
        {0},
    };
    size_t count = sizeof(headers) / sizeof(headers[0]) - 2;
    nghttp2_data_provider body = {.source = {.ptr = st}, .read_callback = read_body};

    if (s->options.gzip)
        headers[count++] = header("grpc-encoding", 13, "gzip");
    if (colon)
        headers[count++] =
            header(extra, (size_t)(colon - extra), colon + 1 + strspn(colon + 1, " "));
    return nghttp2_submit_request(l->protocol, NULL, headers, count, &body, st);
}

/* False after a GOAWAY: what is on its way goes on, and then the connection ends. */
static bool grpc_usable(const struct link *l)
{
    return nghttp2_session_check_request_allowed(l->protocol);
}

static bool grpc_request(struct link *l, struct slot *slot)
{
    struct stream *st = calloc(1, sizeof(*st));
    uint32_t len = (uint32_t)slot->body.len;

    if (!st)
        return false;
    *st = (struct stream){.link = l, .slot = slot, .grpc_status = -1};
    st->prefix[0] = l->sender->options.gzip;
    st->prefix[1] = (uint8_t)(len >> 24);
    st->prefix[2] = (uint8_t)(len >> 16);
    st->prefix[3] = (uint8_t)(len >> 8);
    st->prefix[4] = (uint8_t)len;
    buf_init(&st->response, RESPONSE_MAX, NULL);
    if (submit(l, st) >= 0)
        return true;
    free(st);
    return false;
}

static bool grpc_input(struct link *l, struct slice bytes)
{
    return nghttp2_session_mem_recv(l->protocol, bytes.data, bytes.len) == (ssize_t)bytes.len &&
           (nghttp2_session_want_read(l->protocol) || nghttp2_session_want_write(l->protocol));
}

static bool grpc_output(struct link *l)
{
    while (l->out.len < OUT_CHUNK) {
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(l->protocol, &data);

        if (n <= 0)
            return n == 0;
        buf_append(&l->out, data, (size_t)n);
    }
    return buf_ok(&l->out);
}

const struct link_protocol link_grpc = {grpc_open,    grpc_close, grpc_usable,
                                        grpc_request, grpc_input, grpc_output};
