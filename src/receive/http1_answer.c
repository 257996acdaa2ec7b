#include "receive/http1_answer.h"

static void put_head(struct connection *c, const struct reply *reply, struct http1_form form,
                     size_t body_len)
{
    const struct reply_info *info = reply_info(reply->code);
    struct buf *out = &c->out;

    if (reply->code == REPLY_OK)
        buf_str(out, "HTTP/1.1 200 OK"); /* formatting costs more than all else of an answer */
    else
        buf_printf(out, "HTTP/1.1 %u %s", info->http_status, info->http_reason);
    buf_str(out, "\r\nDate: ");
    buf_str(out, receive_date(c->receive));
    buf_str(out, form.json ? "\r\nContent-Type: application/json"
                           : "\r\nContent-Type: application/x-protobuf");
    if (body_len == 0)
        buf_str(out, "\r\nContent-Length: 0\r\n");
    else
        buf_printf(out, "\r\nContent-Length: %zu\r\n", body_len);
    if (info->retry)
        buf_str(out, "Retry-After: 1\r\n");
    if (reply->code == REPLY_BAD_METHOD)
        buf_str(out, "Allow: POST\r\n");
    if (reply->code == REPLY_UNAUTHENTICATED)
        buf_str(out, "WWW-Authenticate: Bearer\r\n");
    if (reply->code == REPLY_BAD_ENCODING)
        buf_str(out, "Accept-Encoding: gzip, deflate, zstd, lz4, snappy\r\n");
    if (!form.keep_alive)
        buf_str(out, "Connection: close\r\n");
    else if (form.is_1_0)
        buf_str(out, "Connection: keep-alive\r\n");
    buf_str(out, "\r\n");
}

void http1_put_answer(struct connection *c, const struct reply *reply, struct http1_form form)
{
    struct buf *body = &c->receive->scratch;

    buf_clear(body);
    if (form.json)
        reply_put_json(body, reply);
    else
        reply_put_protobuf(body, reply);
    put_head(c, reply, form, body->len);
    if (body->len && !form.without_body)
        buf_append(&c->out, body->data, body->len);
}
