/* http.c: the admin listener's HTTP/1.1 (RFC 9112) on llhttp: GET and HEAD of four paths. */
#include "admin/conn.h"

#include <llhttp.h>
#include <strings.h>

enum { REQUEST_MAX = 16 << 10, URL_MAX = 1024, ACCEPT_MAX = 1024 };

struct http_state {
    llhttp_t parser;
    struct conn *conn;
    size_t received; /* bytes of this request */
    char url[URL_MAX];
    size_t url_len;
    char field[16]; /* a header's name, cut off where it can no longer be one of ours */
    size_t field_len;
    bool in_accept;
    char accept[ACCEPT_MAX];
    size_t accept_len;
    bool url_too_long;
};

static void append_bounded(char *to, size_t *len, size_t max, const char *at, size_t n)
{
    if (n > max - *len)
        n = max - *len;
    memcpy(to + *len, at, n);
    *len += n;
}

static int on_begin(llhttp_t *p)
{
    struct http_state *s = p->data;

    s->url_len = s->field_len = s->accept_len = 0;
    s->in_accept = s->url_too_long = false;
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct http_state *s = p->data;

    s->url_too_long = s->url_too_long || n > URL_MAX - s->url_len;
    append_bounded(s->url, &s->url_len, URL_MAX, at, n);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_state *s = p->data;

    append_bounded(s->field, &s->field_len, sizeof(s->field), at, n);
    return 0;
}

static int on_field_end(llhttp_t *p)
{
    struct http_state *s = p->data;

    s->in_accept = s->field_len == 6 && strncasecmp(s->field, "accept", 6) == 0;
    s->field_len = 0;
    if (s->in_accept && s->accept_len) /* repeated headers are one list (RFC 9110, 5.3) */
        append_bounded(s->accept, &s->accept_len, ACCEPT_MAX, ",", 1);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_state *s = p->data;

    if (s->in_accept)
        append_bounded(s->accept, &s->accept_len, ACCEPT_MAX, at, n);
    return 0;
}

static int on_headers(llhttp_t *p)
{
    p->upgrade = 0; /* nothing to upgrade to: RFC 9110 section 7.8 lets us go on */
    return 0;
}

static int on_complete(llhttp_t *p)
{
    (void)p;
    return HPE_PAUSED; /* one request, one answer; the rest of the input waits */
}

static const llhttp_settings_t http_settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_end,
    .on_header_value = on_value,
    .on_headers_complete = on_headers,
    .on_message_complete = on_complete,
};

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void http_response_write(struct buf *out, const struct http_response *r)
{
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s%s\r\n",
               r->status, reason_phrase(r->status), r->content_type, r->body.len,
               r->status == 405 ? "Allow: GET, HEAD\r\n" : "",
               r->keep_alive ? "" : "Connection: close\r\n");
    if (!r->head_only)
        buf_append(out, r->body.data, r->body.len);
}

static const char text_plain[] = "text/plain; charset=utf-8";

static void answer_text(struct http_state *s, int status, const char *text)
{
    http_response_write(&s->conn->out, &(struct http_response){
                                           .status = status,
                                           .content_type = text_plain,
                                           .body = slice_str(text),
                                       });
}

/* True if the query has the key `name`, with or without a value. */
static bool query_has(struct slice query, const char *name)
{
    size_t len = strlen(name);

    for (size_t at = 0; at < query.len;) {
        const uint8_t *amp = memchr(query.data + at, '&', query.len - at);
        size_t end = amp ? (size_t)(amp - query.data) : query.len;

        if (end - at >= len && memcmp(query.data + at, name, len) == 0 &&
            (end - at == len || query.data[at + len] == '='))
            return true;
        at = end + 1;
    }
    return false;
}

/* Fills `body` and the content type. Returns the status; 404 for every path that is not ours. */
static int route(struct http_state *s, struct buf *body, const char **content_type)
{
    const struct admin_callbacks *cb = s->conn->listener->callbacks;
    const char *mark = memchr(s->url, '?', s->url_len);
    struct slice path = slice_make(s->url, mark ? (size_t)(mark - s->url) : s->url_len);
    struct slice query = mark ? slice_make(mark + 1, s->url_len - path.len - 1) : slice_make("", 0);
    bool openmetrics, spans = cb->span_metrics && slice_is(path, "/metrics/spans");

    if (slice_is(path, "/livez"))
        return cb->livez(cb->arg, body);
    if (slice_is(path, "/readyz"))
        return cb->readyz(cb->arg, query_has(query, "verbose"), body);
    if (!spans && !slice_is(path, "/metrics")) {
        buf_str(body, "not found\n");
        return 404;
    }
    openmetrics = accept_prefers_openmetrics(slice_make(s->accept, s->accept_len));
    *content_type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                : "text/plain; version=0.0.4; charset=utf-8";
    return spans ? cb->span_metrics(cb->arg, openmetrics, body)
                 : cb->metrics(cb->arg, openmetrics, body);
}

/* True if the connection goes on. */
static bool answer(struct http_state *s)
{
    uint8_t method = llhttp_get_method(&s->parser);
    bool keep_alive = llhttp_should_keep_alive(&s->parser);
    struct http_response r = {.content_type = text_plain, .keep_alive = keep_alive};
    struct buf body;

    if (s->url_too_long)
        return answer_text(s, 414, "the target is too long\n"), false;
    if (method != HTTP_GET && method != HTTP_HEAD)
        return answer_text(s, 405, "only GET and HEAD\n"), false;
    buf_init(&body, ANSWER_MAX / 2, NULL);
    r.status = route(s, &body, &r.content_type);
    r.head_only = method == HTTP_HEAD;
    r.body = buf_slice(&body);
    if (buf_ok(&body))
        http_response_write(&s->conn->out, &r);
    else
        answer_text(s, 500, "the answer is larger than its bound\n");
    keep_alive = keep_alive && buf_ok(&body);
    buf_fini(&body);
    return keep_alive;
}

static void http_open(struct conn *c)
{
    struct http_state *s = (struct http_state *)c->state;

    llhttp_init(&s->parser, HTTP_REQUEST, &http_settings);
    s->parser.data = s;
    s->conn = c;
}

static bool http_input(struct conn *c)
{
    struct http_state *s = (struct http_state *)c->state;
    size_t len = c->in_len, used = len;
    llhttp_errno_t e = llhttp_execute(&s->parser, (const char *)c->in, len);

    if (e == HPE_PAUSED)
        used = (size_t)(llhttp_get_error_pos(&s->parser) - (const char *)c->in);
    else if (e)
        return answer_text(s, 400, "not an HTTP request\n"), false;
    s->received += used;
    conn_consume(c, used);
    if (s->received > REQUEST_MAX)
        return answer_text(s, 431, "the request is larger than 16 KiB\n"), false;
    if (e != HPE_PAUSED)
        return true;
    s->received = 0;
    llhttp_resume(&s->parser);
    return answer(s);
}

const struct conn_type http_conn_type = {
    .state_size = sizeof(struct http_state),
    .open = http_open,
    .input = http_input,
};
