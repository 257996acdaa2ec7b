#include "receive/h2.h"

#include <stdlib.h>

enum {
    CREDIT_MAX = 2000,
    CREDIT_PER_SECOND = 200,
    CREDIT_PER_REQUEST = 4, /* pings and window updates that a request brings with it */
    COST_FRAME = 1,
    COST_RESET = 10,
    SMALL_DATA = 64, /* bytes of DATA that cost more to handle than they bring */
    MAX_ACKS = 200,  /* of SETTINGS and PING, unsent */
};

#define NOTICE_NS (1 * NS_PER_S) /* from "no new streams soon" to "no new streams" */

/* --- floods --- */

static void refill(struct connection *c)
{
    struct h2 *h = h2_of(c);
    uint64_t per_credit = NS_PER_S / CREDIT_PER_SECOND;
    uint64_t credits = (c->receive->now_ns - h->credit_ns) / per_credit;

    if (credits == 0)
        return;
    h->credit_ns += credits * per_credit;
    h->credit = h->credit + credits < CREDIT_MAX ? h->credit + credits : CREDIT_MAX;
}

void h2_earn(struct connection *c)
{
    struct h2 *h = h2_of(c);

    if (h->credit < CREDIT_MAX)
        h->credit += CREDIT_PER_REQUEST;
}

void h2_charge(struct connection *c, unsigned cost)
{
    struct h2 *h = h2_of(c);

    if (h->credit < cost)
        refill(c);
    if (h->credit >= cost) {
        h->credit -= cost;
        return;
    }
    h->credit = 0;
    if (h->leaving && h->goaway_ns == 0 && c->closing)
        return;
    h->leaving = true;
    nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
}

static bool brings_nothing(const nghttp2_frame_hd *hd)
{
    if (hd->type == NGHTTP2_HEADERS)
        return false;
    if (hd->type == NGHTTP2_DATA)
        return hd->length < SMALL_DATA && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
    return true;
}

/* No new streams from here on; the open ones end, then the connection. */
static void say_goodbye(struct connection *c)
{
    struct h2 *h = h2_of(c);
    int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);

    h->leaving = true;
    h->goaway_ns = 0;
    c->parting = false;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    connection_mark(c);
}

/* --- callbacks of nghttp2; `arg` is the connection --- */

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    /* nghttp2 does not look at frames of a scheme that is off; RFC 9113 section 6.3 does. */
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) {
        h2_of(arg)->leaving = true;
        return nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
    }
    if (brings_nothing(hd))
        h2_charge(arg, COST_FRAME);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *arg)
{
    (void)session;
    (void)frame;
    (void)code;
    h2_charge(arg, COST_RESET);
    return 0;
}

static bool is_request(const nghttp2_frame *frame)
{
    return frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_stream *s;

    if (!is_request(frame))
        return 0;
    s = h2_stream_new(arg, frame->hd.stream_id);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): as nghttp2 wants it */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
    const struct connection *c = arg;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    (void)flags;
    if (!s)
        return 0;
    s->header_bytes += name_len + value_len + 32; /* RFC 9113 section 6.5.2 */
    if (s->header_bytes > 4 * c->listener->max_headers)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (is_request(frame) && s->header_bytes <= c->listener->max_headers)
        h2_stream_header(s, slice_make(name, name_len), slice_make(value, value_len));
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct connection *c = arg;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (frame->hd.type == NGHTTP2_SETTINGS)
        h2_of(c)->greeted = true;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) && c->parting)
        say_goodbye(c);
    if (!s || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    if (is_request(frame))
        h2_stream_begin(s);
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_stream_end(s);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    (void)arg;
    if (s)
        h2_stream_data(s, slice_make(data, len));
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

/* An answer that ends before its request does: tell the client to stop sending
 * (RFC 9113 section 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    int32_t id = frame->hd.stream_id;

    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
        h2_charge(arg, COST_RESET);
    if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
        nghttp2_session_get_stream_remote_close(session, id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct connection *c = arg;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    (void)error;
    if (!s)
        return 0;
    if (s->state == STREAM_ANSWERED)
        h2_earn(c);
    else
        h2_charge(c, COST_RESET);
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (s->withheld)
        nghttp2_session_consume_connection(session, s->withheld);
    h2_stream_free(s);
    h2_of(c)->active_ns = c->receive->now_ns;
    return 0;
}

/* --- the session --- */

static nghttp2_session_callbacks *new_callbacks(void)
{
    nghttp2_session_callbacks *cb = NULL;

    if (nghttp2_session_callbacks_new(&cb))
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    return cb;
}

static nghttp2_option *new_options(void)
{
    nghttp2_option *options = NULL;

    if (nghttp2_option_new(&options))
        return NULL;
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_outbound_ack(options, MAX_ACKS);
    nghttp2_option_set_server_fallback_rfc7540_priorities(options, 0);
    return options;
}

static bool make_session(struct connection *c)
{
    nghttp2_session_callbacks *callbacks = new_callbacks();
    nghttp2_option *options = new_options();
    bool ok = callbacks && options &&
              nghttp2_session_server_new3(&h2_of(c)->session, callbacks, c, options,
                                          h2_memory_hooks(c->receive->h2_memory)) == 0;

    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    return ok;
}

static bool greet(struct connection *c)
{
    const struct receive_listener *l = c->listener;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, l->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->max_headers},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_session *session = h2_of(c)->session;

    return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 4) == 0 &&
           nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW) == 0;
}

static void h2_close(struct connection *c)
{
    struct h2 *h = c->state;

    while (!link_is_empty(&h->streams))
        h2_stream_free(LINK_ITEM(h->streams.next, struct h2_stream, link));
    nghttp2_session_del(h->session);
    memory_release(c->receive->config.memory, sizeof *h);
    free(h);
    c->state = NULL;
}

static bool h2_open(struct connection *c)
{
    struct h2 *h = calloc(1, sizeof *h);

    if (!h)
        return false;
    memory_add(c->receive->config.memory, sizeof *h);
    link_init(&h->streams);
    h->active_ns = h->credit_ns = c->receive->now_ns;
    h->credit = CREDIT_MAX;
    c->state = h;
    if (!make_session(c) || !greet(c)) {
        h2_close(c);
        return false;
    }
    receive_due(c->receive, c->receive->now_ns + c->listener->read_timeout_ns);
    return true;
}

static size_t h2_feed(struct connection *c, struct slice bytes)
{
    ssize_t n = nghttp2_session_mem_recv(h2_of(c)->session, bytes.data, bytes.len);

    if (n >= 0)
        return bytes.len;
    if (!h2_of(c)->greeted) /* no HTTP/2: often OTLP/HTTP, with the wrong port */
        request_count(c->receive, REPLY_MALFORMED);
    c->closing = true; /* or a flood that nghttp2 saw */
    return bytes.len;
}

static void h2_pull(struct connection *c)
{
    nghttp2_session *session = h2_of(c)->session;

    while (c->out.len - c->sent < OUT_BOUND) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(session, &data);

        if (n < 0)
            c->dead = true;
        if (n <= 0)
            break;
        buf_append(&c->out, data, (size_t)n);
    }
    if (!nghttp2_session_want_read(session) && !nghttp2_session_want_write(session))
        c->closing = true;
}

static void h2_protocol_answer(struct connection *c, struct receive_request *q,
                               const struct reply *reply)
{
    struct h2_stream *s = q->stream;

    (void)c;
    s->request = NULL;
    h2_answer(s, reply);
}

static void h2_resume(struct connection *c, struct receive_request *q)
{
    (void)c;
    h2_stream_resume(q->stream);
}

/* --- time --- */

static bool h2_is_busy(const struct connection *c)
{
    const struct link *streams = &h2_of(c)->streams;

    for (const struct link *l = streams->next; l != streams; l = l->next)
        if (LINK_ITEM(l, const struct h2_stream, link)->state == STREAM_DONE)
            return true;
    return false;
}

static uint64_t tick_streams(struct connection *c, uint64_t now_ns)
{
    struct link *streams = &h2_of(c)->streams;
    uint64_t due = NEVER_NS;
    struct link *next;

    for (struct link *l = streams->next; l != streams; l = next) {
        uint64_t d;

        next = l->next;
        d = h2_stream_tick(LINK_ITEM(l, struct h2_stream, link), now_ns);
        due = d < due ? d : due;
    }
    return due;
}

/* When an idle client is sent away, or one that has not said hello. */
static uint64_t idle_end(const struct connection *c)
{
    const struct h2 *h = h2_of(c);

    if (!link_is_empty(&h->streams) || h->leaving)
        return NEVER_NS;
    if (!h->greeted)
        return c->opened_ns + c->listener->read_timeout_ns;
    return h->active_ns + c->listener->idle_timeout_ns;
}

static uint64_t age_end(const struct connection *c)
{
    const struct h2 *h = h2_of(c);

    if (h->goaway_ns)
        return h->goaway_ns;
    if (h->leaving || c->max_age_ns == NEVER_NS)
        return NEVER_NS;
    return c->opened_ns + c->max_age_ns;
}

static void give_notice(struct connection *c, uint64_t now_ns)
{
    struct h2 *h = h2_of(c);

    h->leaving = true;
    h->goaway_ns = now_ns + NOTICE_NS;
    nghttp2_submit_shutdown_notice(h->session);
    connection_mark(c);
}

static void end_age(struct connection *c, uint64_t now_ns)
{
    if (h2_of(c)->goaway_ns)
        say_goodbye(c);
    else
        give_notice(c, now_ns);
}

/* A notice, and a ping: what the client sent before it knew is there when it answers. */
static void h2_drain(struct connection *c)
{
    struct h2 *h = h2_of(c);

    if (!h->leaving)
        give_notice(c, c->receive->now_ns);
    c->parting = h->goaway_ns != 0;
    if (!c->parting)
        return;
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    receive_due(c->receive, h->goaway_ns);
}

static uint64_t h2_tick(struct connection *c, uint64_t now_ns)
{
    uint64_t due = tick_streams(c, now_ns);
    uint64_t end;

    if (now_ns >= age_end(c))
        end_age(c, now_ns);
    if (now_ns >= idle_end(c))
        say_goodbye(c);
    end = age_end(c);
    due = end < due ? end : due;
    end = idle_end(c);
    return end < due ? end : due;
}

const struct protocol h2_protocol = {
    .open = h2_open,
    .close = h2_close,
    .feed = h2_feed,
    .pull = h2_pull,
    .answer = h2_protocol_answer,
    .resume = h2_resume,
    .tick = h2_tick,
    .drain = h2_drain,
    .is_busy = h2_is_busy,
};
