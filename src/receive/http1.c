/* http1.c: OTLP/HTTP on one connection (RFC 9112, opentelemetry.io/docs/specs/otlp/#otlphttp).
 *
 * One request at a time: what a client pipelines behind it is held until its answer is written,
 * so answers leave in order. A head is read when all of it is there; a refused request's body is
 * read and dropped, because clients look at the answer when they have sent everything.
 */
#include "receive/http1_answer.h"
#include "receive/http1_head.h"
#include "receive/internal.h"

#include <stdlib.h>

enum phase {
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_ANSWER, /* the request is with the sink, or waits for it */
};

struct http1 {
    llhttp_t parser;
    enum phase phase;
    size_t scanned; /* of the head */
    struct head head;
    struct receive_request *request; /* NULL: refused, or none */
    struct reply refusal;            /* if refused */
    bool refused;
    enum otlp_signal signal;
    bool json, keep_alive;
    bool owes_continue;  /* a 100 (Continue) when there is room for the body */
    bool too_large;      /* more chunks than max_body */
    struct slice whole;  /* the body where it lies in the receive buffer */
    size_t body_left;    /* of a Content-Length */
    size_t body_len;     /* bytes of body seen */
    size_t progress_len; /* of them at progress_ns */
    uint64_t progress_ns;
    uint64_t active_ns; /* end of the last request */
    bool in_head;       /* bytes of a head are held, since progress_ns */
};

static int on_body(llhttp_t *parser, const char *at, size_t len);

static int on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED; /* what follows is the next request */
}

static const llhttp_settings_t head_settings = {
    .on_url = head_on_url,
    .on_header_field = head_on_field,
    .on_header_value = head_on_value,
    .on_headers_complete = head_on_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static const llhttp_settings_t body_settings = {
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static bool http1_open(struct connection *c)
{
    struct http1 *h = calloc(1, sizeof *h);

    if (!h)
        return false;
    memory_add(c->receive->config.memory, sizeof *h);
    h->active_ns = c->receive->now_ns;
    c->state = h;
    receive_due(c->receive, h->active_ns + c->listener->read_timeout_ns);
    return true;
}

static void http1_close(struct connection *c)
{
    struct http1 *h = c->state;

    if (h->request)
        request_abandon(h->request);
    memory_release(c->receive->config.memory, sizeof *h);
    free(h);
}

/* --- answers --- */

/* The present request is over; the next may come. */
static void end_request(struct connection *c, const struct reply *reply)
{
    struct http1 *h = c->state;

    if (c->receive->draining || c->leaving || c->receive->now_ns - c->opened_ns >= c->max_age_ns)
        h->keep_alive = false;
    http1_put_answer(c, reply,
                     (struct http1_form){.json = h->json,
                                         .is_1_0 = h->head.is_1_0,
                                         .keep_alive = h->keep_alive,
                                         .without_body = h->head.is_head});
    if (!h->keep_alive)
        c->closing = true;
    h->request = NULL;
    h->refused = false;
    h->phase = PHASE_HEAD;
    h->scanned = 0;
    h->active_ns = c->receive->now_ns;
    c->stuck = false;
}

/* Answers now although the request has not been read to its end, which can't be found again. */
static void refuse_and_close(struct connection *c, const struct reply *reply)
{
    struct http1 *h = c->state;

    h->keep_alive = false;
    end_request(c, reply);
}

static void fail(struct connection *c, enum reply_code code)
{
    struct http1 *h = c->state;
    struct reply reply = {.code = code};

    if (h->request) {
        h->keep_alive = false;
        h->phase = PHASE_ANSWER;
        request_reply(h->request, &reply);
        return;
    }
    if (!h->refused)
        request_count(c->receive, reply.code);
    refuse_and_close(c, &reply);
}

/* From here on the body is read only to find its end. */
static void refuse(struct connection *c, const struct reply *reply)
{
    struct http1 *h = c->state;

    h->refused = true;
    h->refusal = *reply;
    c->stuck = false;
    if (h->owes_continue)
        refuse_and_close(c, reply); /* the client waits for this before it sends the body */
}

static void http1_answer(struct connection *c, struct receive_request *q, const struct reply *reply)
{
    struct http1 *h = c->state;

    (void)q;
    h->request = NULL;
    if (h->phase == PHASE_BODY)
        refuse(c, reply);
    else
        end_request(c, reply);
}

/* --- heads --- */

static enum reply_code judge(struct connection *c, const struct head *head,
                             enum otlp_signal *signal)
{
    const struct receive *r = c->receive;

    if (!endpoint_of_path(head->path, signal))
        return head->is_post ? REPLY_NOT_FOUND : REPLY_NO_PAGE;
    if (!head->is_post)
        return REPLY_BAD_METHOD;
    if (!receive_takes(r, *signal))
        return REPLY_NOT_TAKEN;
    if (!port_authorizes(c->port, head->authorization))
        return REPLY_UNAUTHENTICATED;
    if (!media_type_is(head->content_type, "application/x-protobuf") &&
        !media_type_is(head->content_type, "application/json"))
        return REPLY_BAD_TYPE;
    if (encoding_of(head->content_encoding) == ENCODING_UNKNOWN)
        return REPLY_BAD_ENCODING;
    if (head->content_length > c->listener->max_body)
        return REPLY_TOO_LARGE;
    return receive_judge(c);
}

/* Makes the request. A body that is not all in the receive buffer needs memory first. */
static void begin_request(struct connection *c, size_t available)
{
    struct http1 *h = c->state;
    struct reply reply = {.code = REPLY_NO_MEMORY};

    h->request = request_new(c);
    if (!h->request) {
        request_count(c->receive, reply.code);
        refuse(c, &reply);
        return;
    }
    h->request->encoding = encoding_of(h->head.content_encoding);
    h->request->signal = h->signal;
    h->request->json = h->json;
    if (h->head.content_length > available && !request_reserve(h->request, h->head.content_length))
        c->stuck = true;
}

static void send_continue(struct connection *c)
{
    struct http1 *h = c->state;

    if (h->owes_continue && h->body_len == 0 && !c->stuck)
        buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    if (!c->stuck)
        h->owes_continue = false;
}

static void note_progress(struct connection *c)
{
    struct http1 *h = c->state;

    h->progress_ns = c->receive->now_ns;
    h->progress_len = h->body_len;
    receive_due(c->receive, h->progress_ns + c->listener->read_timeout_ns);
}

static void take_head(struct connection *c, size_t available)
{
    struct http1 *h = c->state;
    struct reply reply = {.code = judge(c, &h->head, &h->signal)};

    h->json = !media_type_is(h->head.content_type, "application/x-protobuf");
    h->keep_alive = h->head.keep_alive;
    h->owes_continue = h->head.expects_continue && h->head.has_body && available == 0;
    h->too_large = false;
    h->whole = slice_make(NULL, 0);
    h->body_len = 0;
    h->body_left = h->head.content_length;
    h->phase = PHASE_BODY;
    note_progress(c);
    if (reply.code == REPLY_OK) {
        begin_request(c, available);
        send_continue(c);
        return;
    }
    request_count(c->receive, reply.code);
    h->refused = true;
    if (reply.code == REPLY_TOO_LARGE)
        refuse_and_close(c, &reply);
    else
        refuse(c, &reply);
}

static void finish_body(struct connection *c)
{
    struct http1 *h = c->state;

    h->phase = PHASE_ANSWER;
    h->owes_continue = false;
    if (h->request) {
        c->stuck = true;
        request_complete(h->request, h->whole);
    } else {
        end_request(c, &h->refusal);
    }
}

static void begin_head(struct connection *c)
{
    struct http1 *h = c->state;

    if (h->in_head)
        return;
    h->in_head = true;
    h->json = true; /* the form of an answer to what can't be read */
    h->head.is_head = false;
    h->body_len = 0;
    note_progress(c);
}

/* Reads a head, or as much of its bytes as there is. Returns how many were used. */
static size_t feed_head(struct connection *c, struct slice bytes)
{
    struct http1 *h = c->state;
    size_t end = 0;

    begin_head(c);
    if (h->scanned == 0 && bytes.len >= 2 && memcmp(bytes.data, "\r\n", 2) == 0) {
        h->in_head = false;
        return 2; /* RFC 9112 section 2.2 */
    }
    switch (head_find(bytes, c->listener->max_headers, &h->scanned, &end)) {
    case HEAD_MORE:
        return 0;
    case HEAD_BAD:
        fail(c, REPLY_MALFORMED);
        return bytes.len;
    case HEAD_TOO_LARGE:
        fail(c, REPLY_HEADERS);
        return bytes.len;
    case HEAD_DONE:
        break;
    }
    h->in_head = false;
    h->scanned = 0;
    if (!head_parse(&h->parser, &head_settings, slice_make(bytes.data, end), &h->head)) {
        fail(c, REPLY_MALFORMED);
        return bytes.len;
    }
    h->parser.data = c;
    h->parser.settings = (void *)(uintptr_t)&body_settings;
    take_head(c, bytes.len - end);
    if (h->head.complete && h->phase == PHASE_BODY)
        finish_body(c);
    return end;
}

/* --- bodies --- */

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *c = parser->data;
    struct http1 *h = c->state;
    struct slice bytes = slice_make(at, len);

    h->body_len += len;
    if (h->body_len >= h->progress_len + request_progress(h->request))
        note_progress(c);
    if (h->body_len > c->listener->max_body)
        h->too_large = true;
    if (!h->request || h->too_large)
        return 0;
    if (!h->head.chunked && len == h->head.content_length) {
        h->whole = bytes;
        return 0;
    }
    return request_append(h->request, bytes) ? 0 : -1;
}

/* Chunks come without a length: room for what is about to be read is reserved in steps. */
static bool reserve_chunks(struct http1 *h, size_t len)
{
    struct receive_request *q = h->request;
    size_t need, twice;

    if (!q || !h->head.chunked)
        return true;
    need = q->len + len;
    twice = 2 * q->capacity;
    if (need <= q->capacity)
        return true;
    return request_reserve(q, need > twice ? need : twice);
}

static size_t feed_body(struct connection *c, struct slice bytes)
{
    struct http1 *h = c->state;
    const char *start = (const char *)bytes.data;
    enum llhttp_errno err;

    if (!reserve_chunks(h, bytes.len)) {
        c->stuck = true;
        return 0;
    }
    err = llhttp_execute(&h->parser, start, bytes.len);
    if (h->too_large) {
        fail(c, REPLY_TOO_LARGE);
        return bytes.len;
    }
    if (err == HPE_OK)
        return bytes.len;
    if (err != HPE_PAUSED) {
        fail(c, REPLY_MALFORMED);
        return bytes.len;
    }
    bytes.len = (size_t)(llhttp_get_error_pos(&h->parser) - start);
    finish_body(c);
    return bytes.len;
}

static bool takes_more(const struct connection *c)
{
    return !c->stuck && !c->closing && !c->dead && connection_unsent(c) <= OUT_BOUND;
}

static size_t http1_feed(struct connection *c, struct slice bytes)
{
    struct http1 *h = c->state;
    size_t used = 0;

    while (takes_more(c)) {
        struct slice rest = slice_make(bytes.data + used, bytes.len - used);
        enum phase phase = h->phase;
        size_t n;

        if (rest.len == 0)
            break;
        n = phase == PHASE_HEAD ? feed_head(c, rest) : feed_body(c, rest);
        used += n;
        if (n == 0 && h->phase == phase)
            break;
    }
    return used;
}

static void http1_resume(struct connection *c, struct receive_request *q)
{
    (void)q;
    c->stuck = false;
    note_progress(c);
    send_continue(c);
}

/* --- time --- */

static bool is_waiting_for_us(const struct http1 *h)
{
    return h->phase == PHASE_ANSWER || (h->request && request_is_paused(h->request));
}

static bool http1_is_busy(const struct connection *c)
{
    return is_waiting_for_us(c->state);
}

static bool is_idle(const struct http1 *h)
{
    return h->phase == PHASE_HEAD && !h->in_head;
}

/* Who is at work is told with the next answer: closed between two requests it may lose the second.
 */
static uint64_t age_end_of(const struct connection *c)
{
    const struct http1 *h = c->state;
    uint64_t quiet_ns = h->active_ns + LEAVE_NS;

    if (c->max_age_ns == NEVER_NS)
        return NEVER_NS;
    return c->opened_ns + c->max_age_ns > quiet_ns ? c->opened_ns + c->max_age_ns : quiet_ns;
}

static uint64_t due_of(const struct connection *c)
{
    const struct http1 *h = c->state;
    uint64_t age_end = age_end_of(c);
    uint64_t idle_end = h->active_ns + c->listener->idle_timeout_ns;

    if (is_idle(h))
        return age_end < idle_end ? age_end : idle_end;
    return h->progress_ns + c->listener->read_timeout_ns;
}

static uint64_t http1_tick(struct connection *c, uint64_t now_ns)
{
    const struct http1 *h = c->state;
    uint64_t due = due_of(c);

    if (c->closing)
        return NEVER_NS;
    if (is_waiting_for_us(h)) /* looked at again: its answer tells nobody what is due then */
        return now_ns + c->listener->read_timeout_ns;
    if (now_ns < due)
        return due;
    if (is_idle(h))
        c->closing = true;
    else
        fail(c, REPLY_TIMEOUT);
    connection_mark(c);
    return NEVER_NS;
}

static void http1_drain(struct connection *c)
{
    struct http1 *h = c->state;

    if (is_idle(h))
        c->closing = true;
}

const struct protocol http1_protocol = {
    .open = http1_open,
    .close = http1_close,
    .feed = http1_feed,
    .answer = http1_answer,
    .resume = http1_resume,
    .tick = http1_tick,
    .drain = http1_drain,
    .is_busy = http1_is_busy,
};
