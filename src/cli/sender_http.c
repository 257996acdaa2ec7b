/* sender_http.c: OTLP/HTTP with HTTP/1.1: one request at a time on a connection. */
#include "cli/sender_link.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { RESPONSE_MAX = 64 << 10 };

struct http_link {
    llhttp_t parser;
    struct link *link;
    struct slot *slot; /* in flight; NULL: none */
    char field[16];
    size_t field_len;
    char value[32];
    size_t value_len;
    uint64_t retry_after_ns;
    struct buf body;
    bool close;
};

static int on_begin(llhttp_t *p)
{
    struct http_link *h = p->data;

    h->retry_after_ns = NS_PER_S;
    h->field_len = h->value_len = 0;
    buf_clear(&h->body);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_link *h = p->data;

    for (size_t i = 0; i < n && h->field_len < sizeof(h->field); i++)
        h->field[h->field_len++] = at[i];
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_link *h = p->data;

    for (size_t i = 0; i < n && h->value_len < sizeof(h->value) - 1; i++)
        h->value[h->value_len++] = at[i];
    return 0;
}

/* Retry-After in seconds (RFC 9110, 10.2.3); a date is taken as the default second. */
static int on_value_end(llhttp_t *p)
{
    struct http_link *h = p->data;

    h->value[h->value_len] = '\0';
    if (h->field_len == 11 && strncasecmp(h->field, "retry-after", 11) == 0) {
        unsigned long seconds = strtoul(h->value, NULL, 10);

        h->retry_after_ns = (seconds < 60 ? seconds : 60) * NS_PER_S;
    }
    h->field_len = h->value_len = 0;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_link *h = p->data;

    buf_append(&h->body, at, n);
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct http_link *h = p->data;
    int status = llhttp_get_status_code(p);
    struct answer a = {
        .ok = status == 200,
        .retry = status == 429 || (status >= 502 && status <= 504),
        .retry_after_ns = h->retry_after_ns,
    };
    struct slot *slot = h->slot;

    if (!slot)
        return -1; /* an answer that nobody asked for */
    if (a.ok)
        a.rejected = response_rejected(buf_slice(&h->body));
    snprintf(a.error, sizeof(a.error), "HTTP status %d", status);
    h->slot = NULL;
    /* an answer before all of the body has gone leaves the connection in the middle of it */
    h->close = !llhttp_should_keep_alive(p) || h->link->tail.len || h->link->out.len;
    sender_answer(h->link->sender, slot, &a);
    return 0;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_end,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

static bool http_open(struct link *l)
{
    struct http_link *h = calloc(1, sizeof(*h));

    if (!h)
        return false;
    llhttp_init(&h->parser, HTTP_RESPONSE, &settings);
    h->parser.data = h;
    h->link = l;
    buf_init(&h->body, RESPONSE_MAX, NULL);
    l->protocol = h;
    return true;
}

static void http_close(struct link *l)
{
    struct http_link *h = l->protocol;

    if (!h)
        return;
    buf_fini(&h->body);
    free(h);
    l->protocol = NULL;
}

static bool http_usable(const struct link *l)
{
    (void)l;
    return true;
}

static bool http_request(struct link *l, struct slot *slot)
{
    struct http_link *h = l->protocol;
    const struct sender *s = l->sender;

    h->slot = slot;
    buf_printf(&l->out,
               "POST /v1/traces HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-protobuf\r\n"
               "Content-Length: %zu\r\n%s%s%s\r\n",
               s->host_header, slot->body.len, s->options.gzip ? "Content-Encoding: gzip\r\n" : "",
               s->options.header ? s->options.header : "", s->options.header ? "\r\n" : "");
    l->tail = buf_slice(&slot->body);
    return buf_ok(&l->out);
}

static bool http_input(struct link *l, struct slice bytes)
{
    struct http_link *h = l->protocol;
    llhttp_errno_t e = llhttp_execute(&h->parser, (const char *)bytes.data, bytes.len);

    return e == HPE_OK && !h->close;
}

static bool http_output(struct link *l)
{
    (void)l;
    return true;
}

const struct link_protocol link_http = {http_open,    http_close, http_usable,
                                        http_request, http_input, http_output};
