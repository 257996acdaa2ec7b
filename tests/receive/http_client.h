/* http_client.h: requests and answers of HTTP/1.1 as the tests write and read them. */
#pragma once

#include "bodies.h"
#include "fixture.h"

#include <google/rpc/status.pb-c.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h>

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse ExportResponse;

struct http_answer {
    int status;
    char text[8192]; /* all of it */
    const char *body;
    size_t body_len;
    size_t total; /* head and body */
};

/* Reads the answer at the start of `text`; false if it is not whole. */
FN bool parse_answer(struct http_answer *a, const char *text, size_t len)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");

    memset(a, 0, sizeof *a);
    if (!end || strncmp(text, "HTTP/1.1 ", 9) != 0)
        return false;
    a->status = atoi(text + 9);
    a->total = (size_t)(end - text) + 4;
    if (length && length < end)
        a->body_len = (size_t)atoi(length + 16);
    if (a->total + a->body_len > len || a->total + a->body_len >= sizeof a->text)
        return false;
    a->total += a->body_len;
    memcpy(a->text, text, a->total);
    a->body = a->text + a->total - a->body_len;
    return true;
}

FN bool read_answer(struct fixture *f, int fd, struct http_answer *a)
{
    char text[8192];
    size_t len = fixture_recv(f, fd, text, sizeof text);

    return parse_answer(a, text, len) && a->total == len;
}

/* A POST with the headers given and a Content-Length. */
FN void put_post(struct buf *b, const char *path, const char *headers, struct slice body)
{
    buf_printf(b, "POST %s HTTP/1.1\r\nHost: collector:4318\r\n%sContent-Length: %zu\r\n\r\n", path,
               headers, body.len);
    buf_append(b, body.data, body.len);
}

#define PROTOBUF "Content-Type: application/x-protobuf\r\n"
#define JSON     "Content-Type: application/json\r\n"

/* Sends raw bytes on a new connection and reads one answer. */
FN int send_raw(struct fixture *f, const void *bytes, size_t len, struct http_answer *a)
{
    int fd = fixture_connect(f);

    fixture_send(f, fd, bytes, len);
    if (!read_answer(f, fd, a))
        a->status = -1;
    return fd;
}

FN int send_text(struct fixture *f, const char *text, struct http_answer *a)
{
    return send_raw(f, text, strlen(text), a);
}

FN int send_post(struct fixture *f, const char *path, const char *headers, struct slice body,
                 struct http_answer *a)
{
    struct buf b;
    int fd;

    buf_init(&b, 64 << 20, NULL);
    put_post(&b, path, headers, body);
    fd = send_raw(f, b.data, b.len, a);
    buf_fini(&b);
    return fd;
}

/* The google.rpc.Status in a protobuf answer has this code and a message; its details are counted
 * in *details. */
FN bool is_status(const struct http_answer *a, int code, size_t *details)
{
    Google__Rpc__Status *s =
        google__rpc__status__unpack(NULL, a->body_len, (const uint8_t *)a->body);
    bool ok = s && s->code == code && s->message && s->message[0];

    *details = s ? s->n_details : 0;
    if (s)
        google__rpc__status__free_unpacked(s, NULL);
    return ok;
}

FN bool has(const struct http_answer *a, const char *text)
{
    return strstr(a->text, text) != NULL;
}
