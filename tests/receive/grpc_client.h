/* grpc_client.h: a gRPC client made of an nghttp2 session, over the fake network. */
#pragma once

#include "bodies.h"
#include "fixture.h"

#include <nghttp2/nghttp2.h>

struct grpc_call {
    int32_t id;
    const uint8_t *request; /* bytes of DATA, borrowed */
    size_t request_len, request_sent;
    bool hold_end;      /* the request never ends */
    char headers[4096]; /* "name: value\n" of all header blocks */
    unsigned header_blocks;
    bool ended_by_first_block;
    uint8_t data[4096];
    size_t data_len;
    bool closed;
    uint32_t reset; /* error code of the close */
};

struct grpc_client {
    struct fixture *f;
    int fd;
    nghttp2_session *session;
    bool goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
};

FN ssize_t grpc_read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
                             uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct grpc_call *call = source->ptr;
    size_t left = call->request_len - call->request_sent;

    (void)session;
    (void)id;
    (void)arg;
    if (left == 0 && call->hold_end)
        return NGHTTP2_ERR_DEFERRED;
    if (len > left)
        len = left;
    memcpy(to, call->request + call->request_sent, len);
    call->request_sent += len;
    if (call->request_sent == call->request_len && !call->hold_end)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

FN int grpc_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                      void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    size_t len;

    (void)flags;
    (void)arg;
    if (!call)
        return 0;
    len = strlen(call->headers);
    snprintf(call->headers + len, sizeof call->headers - len, "%.*s: %.*s\n", (int)name_len, name,
             (int)value_len, value);
    return 0;
}

FN int grpc_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)arg;
    if (frame->hd.type == NGHTTP2_HEADERS && call && call->header_blocks++ == 0)
        call->ended_by_first_block = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    return 0;
}

FN int grpc_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                    size_t len, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    (void)arg;
    if (call && call->data_len + len <= sizeof call->data) {
        memcpy(call->data + call->data_len, data, len);
        call->data_len += len;
    }
    return 0;
}

FN int grpc_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct grpc_call *call = nghttp2_session_get_stream_user_data(session, id);

    (void)arg;
    if (call) {
        call->closed = true;
        call->reset = error;
    }
    return 0;
}

FN uint32_t grpc_number(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Notes GOAWAYs in bytes that hold whole frames: the session stops telling after the first. */
FN void grpc_note(struct grpc_client *g, const char *in, size_t len)
{
    size_t frame;

    for (; len >= 9; in += frame, len -= frame) {
        frame = 9 + (grpc_number(in) >> 8);
        if (frame > len)
            return;
        if (in[3] == NGHTTP2_GOAWAY && frame >= 17) {
            g->goaway = true;
            g->goaway_last = (int32_t)grpc_number(in + 9);
            g->goaway_error = grpc_number(in + 13);
        }
    }
}

/* Sends what the session has to send, and gives it what came. */
FN void grpc_pump(struct grpc_client *g)
{
    char in[65536];

    for (int i = 0; i < 200; i++) {
        const uint8_t *out;
        ssize_t n = nghttp2_session_mem_send(g->session, &out);
        size_t got;

        if (n > 0)
            fixture_send(g->f, g->fd, out, (size_t)n);
        got = fixture_recv(g->f, g->fd, in, sizeof in);
        grpc_note(g, in, got);
        if (got)
            nghttp2_session_mem_recv(g->session, (const uint8_t *)in, got);
        if (n <= 0 && got == 0)
            break;
    }
}

FN void grpc_connect(struct grpc_client *g, struct fixture *f)
{
    nghttp2_session_callbacks *cb;

    memset(g, 0, sizeof *g);
    g->f = f;
    g->fd = fixture_connect(f);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_header_callback(cb, grpc_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, grpc_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, grpc_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, grpc_on_close);
    nghttp2_session_client_new(&g->session, cb, g);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, NULL, 0);
    grpc_pump(g);
}

FN void grpc_close(struct grpc_client *g)
{
    nghttp2_session_del(g->session);
    fake_net_close(g->f->net, g->fd);
    fixture_run(g->f);
}

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value),  \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

#define EXPORT "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

/* Starts a call. `extra`: NULL-terminated names and values of more headers; NULL: none. */
FN void grpc_submit(struct grpc_client *g, struct grpc_call *call, const char *path,
                    const char *const *extra, struct slice request)
{
    nghttp2_nv nv[16] = {NV(":method", "POST"), NV(":scheme", "http"), NV(":authority", "x"),
                         NV(":path", path), NV("te", "trailers")};
    nghttp2_data_provider provider = {.source = {.ptr = call}, .read_callback = grpc_read_request};
    size_t count = 5;
    bool has_type = false;
    bool hold = call->hold_end;

    for (; extra && extra[0]; extra += 2) {
        nv[count++] = (nghttp2_nv)NV(extra[0], extra[1]);
        has_type |= strcmp(extra[0], "content-type") == 0;
    }
    if (!has_type)
        nv[count++] = (nghttp2_nv)NV("content-type", "application/grpc");
    memset(call, 0, sizeof *call);
    call->hold_end = hold;
    call->request = request.data;
    call->request_len = request.len;
    call->id = nghttp2_submit_request(g->session, NULL, nv, count, &provider, call);
}

FN void grpc_send(struct grpc_client *g, struct grpc_call *call, const char *path,
                  const char *const *extra, struct slice request)
{
    memset(call, 0, sizeof *call);
    grpc_submit(g, call, path, extra, request);
    grpc_pump(g);
}

/* Appends a message with its prefix. */
FN void put_message(struct buf *b, bool compressed, struct slice message)
{
    uint8_t prefix[5] = {compressed, (uint8_t)(message.len >> 24), (uint8_t)(message.len >> 16),
                         (uint8_t)(message.len >> 8), (uint8_t)message.len};

    buf_append(b, prefix, 5);
    buf_append(b, message.data, message.len);
}

/* Whether the answer has the line "name: value". */
FN bool call_has(const struct grpc_call *call, const char *line)
{
    const char *at = strstr(call->headers, line);

    return at && at[strlen(line)] == '\n' && (at == call->headers || at[-1] == '\n');
}

/* A refusal as every client understands it. */
FN bool call_is_refused(const struct grpc_call *call, int status)
{
    char line[32];

    snprintf(line, sizeof line, "grpc-status: %d", status);
    return call->closed && call->ended_by_first_block && call->header_blocks == 1 &&
           call->data_len == 0 && call_has(call, ":status: 200") && call_has(call, line) &&
           call_has(call, "content-type: application/grpc");
}

FN bool call_is_ok(const struct grpc_call *call)
{
    return call->closed && call->reset == 0 && call->header_blocks == 2 &&
           call_has(call, ":status: 200") && call_has(call, "content-type: application/grpc") &&
           call_has(call, "grpc-status: 0") && call->data_len >= 5;
}

/* One HTTP/2 frame, for what the session would not send. */
FN size_t put_frame(uint8_t *to, uint8_t type, uint8_t flags, uint32_t id, const void *payload,
                    size_t len)
{
    to[0] = (uint8_t)(len >> 16);
    to[1] = (uint8_t)(len >> 8);
    to[2] = (uint8_t)len;
    to[3] = type;
    to[4] = flags;
    to[5] = (uint8_t)(id >> 24);
    to[6] = (uint8_t)(id >> 16);
    to[7] = (uint8_t)(id >> 8);
    to[8] = (uint8_t)id;
    if (len)
        memcpy(to + 9, payload, len);
    return 9 + len;
}
