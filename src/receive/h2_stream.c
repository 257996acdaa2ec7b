#include "otlp/wire.h"
#include "receive/h2.h"
#include "receive/http1_head.h"

#include <stdlib.h>

/* --- life --- */

struct h2_stream *h2_stream_new(struct connection *c, int32_t id)
{
    struct h2_stream *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    memory_add(c->receive->config.memory, sizeof *s);
    s->connection = c;
    s->id = id;
    s->is_authorized = port_authorizes(c->port, slice_make(NULL, 0));
    s->timeout_ns = NEVER_NS;
    s->progress_ns = c->receive->now_ns;
    buf_init(&s->health, HEALTH_MAX, NULL);
    buf_init(&s->answer, 4096, NULL);
    link_add(&h2_of(c)->streams, &s->link);
    receive_due(c->receive, s->progress_ns + c->listener->read_timeout_ns);
    return s;
}

void h2_stream_free(struct h2_stream *s)
{
    if (s->request)
        request_abandon(s->request);
    link_remove(&s->link);
    buf_fini(&s->health);
    buf_fini(&s->answer);
    memory_release(s->connection->receive->config.memory, sizeof *s);
    free(s);
}

static void enter(struct h2_stream *s, enum h2_state state)
{
    s->state = state;
    s->progress_ns = s->connection->receive->now_ns;
}

/* --- headers --- */

/* grpc-timeout: at most 8 digits and a unit. What can't be read is no timeout. */
static uint64_t timeout_of(struct slice value)
{
    static const char units[] = "HMSmun";
    static const uint64_t unit_ns[] = {3600 * NS_PER_S, 60 * NS_PER_S, NS_PER_S,
                                       NS_PER_MS,       NS_PER_US,     1};
    const char *unit;
    uint64_t n = 0;

    if (value.len < 2 || value.len > 9)
        return NEVER_NS;
    for (size_t i = 0; i + 1 < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return NEVER_NS;
        n = n * 10 + (value.data[i] - '0');
    }
    unit = memchr(units, value.data[value.len - 1], sizeof units - 1);
    return unit ? n * unit_ns[unit - units] : NEVER_NS;
}

static enum h2_method method_of(struct slice path, enum otlp_signal *signal)
{
    if (endpoint_of_method(path, signal))
        return METHOD_EXPORT;
    if (slice_is(path, "/grpc.health.v1.Health/Check"))
        return METHOD_HEALTH;
    return METHOD_UNKNOWN;
}

/* application/grpc, application/grpc+proto, either with parameters. */
static bool is_grpc_type(struct slice value)
{
    return media_type_is(value, "application/grpc") ||
           media_type_is(value, "application/grpc+proto");
}

void h2_stream_header(struct h2_stream *s, struct slice name, struct slice value)
{
    const struct connection *c = s->connection;

    if (slice_is(name, ":path"))
        s->method = method_of(value, &s->signal);
    else if (slice_is(name, ":method"))
        s->is_post = slice_is(value, "POST");
    else if (slice_is(name, "content-type"))
        s->is_grpc = is_grpc_type(value);
    else if (slice_is(name, "grpc-encoding"))
        s->encoding = encoding_of(value);
    else if (slice_is(name, "grpc-timeout"))
        s->timeout_ns = timeout_of(value);
    else if (slice_is(name, "authorization"))
        s->is_authorized = port_authorizes(c->port, value);
}

static enum reply_code judge(const struct h2_stream *s)
{
    const struct receive *r = s->connection->receive;

    if (s->header_bytes > s->connection->listener->max_headers)
        return REPLY_HEADERS;
    if (!s->is_post)
        return REPLY_BAD_METHOD;
    if (!s->is_grpc)
        return REPLY_BAD_TYPE;
    if (s->method == METHOD_UNKNOWN)
        return REPLY_NOT_FOUND;
    if (s->method == METHOD_EXPORT && !receive_takes(r, s->signal))
        return REPLY_NOT_TAKEN;
    if (s->method == METHOD_HEALTH) /* probes carry no token */
        return s->encoding == ENCODING_UNKNOWN ? REPLY_BAD_ENCODING : REPLY_OK;
    if (!s->is_authorized)
        return REPLY_UNAUTHENTICATED;
    if (s->encoding == ENCODING_UNKNOWN)
        return REPLY_BAD_ENCODING;
    return receive_judge(s->connection);
}

static void answer(struct h2_stream *s, enum reply_code code)
{
    struct reply reply = {.code = code};

    if (s->request) {
        request_reply(s->request, &reply);
        return;
    }
    if (s->method != METHOD_HEALTH)
        request_count(s->connection->receive, code);
    h2_answer(s, &reply);
}

void h2_stream_begin(struct h2_stream *s)
{
    enum reply_code code = judge(s);

    enter(s, STREAM_BODY);
    if (code != REPLY_OK) {
        answer(s, code);
        return;
    }
    if (s->method != METHOD_EXPORT)
        return;
    s->request = request_new(s->connection);
    if (!s->request) {
        answer(s, REPLY_NO_MEMORY);
        return;
    }
    s->request->signal = s->signal;
    s->request->stream = s;
    if (s->timeout_ns < s->request->patience_ns)
        s->request->patience_ns = s->timeout_ns;
}

/* --- messages --- */

static void give_back(struct h2_stream *s)
{
    if (s->withheld)
        nghttp2_session_consume(h2_of(s->connection)->session, s->id, s->withheld);
    s->withheld = 0;
}

/* There is memory for all of the message: let it come. */
static void open_window(const struct h2_stream *s)
{
    uint64_t window = (uint64_t)s->length + PREFIX_SIZE;

    if (window <= STREAM_WINDOW)
        return;
    if (window > STREAM_WINDOW_MAX)
        window = STREAM_WINDOW_MAX;
    nghttp2_session_set_local_window_size(h2_of(s->connection)->session, NGHTTP2_FLAG_NONE, s->id,
                                          (int32_t)window);
}

static void begin_export(struct h2_stream *s, size_t available)
{
    struct receive_request *q = s->request;

    q->encoding = s->prefix[0] ? s->encoding : ENCODING_IDENTITY;
    if (q->encoding == ENCODING_IDENTITY && available >= s->length && s->length &&
        request_stage_early(q, s->length))
        return;
    if (request_reserve(q, s->length))
        open_window(s);
}

/* The prefix is there. `available`: bytes behind it in the receive buffer. */
static void begin_message(struct h2_stream *s, size_t available)
{
    const uint8_t *p = s->prefix;

    s->length = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | (uint32_t)p[4];
    if (p[0] > 1)
        answer(s, REPLY_MALFORMED);
    else if (p[0] == 1 && s->encoding == ENCODING_IDENTITY)
        answer(s, REPLY_NO_ENCODING);
    else if (s->length > s->connection->listener->max_body)
        answer(s, REPLY_TOO_LARGE);
    else if (s->method == METHOD_EXPORT)
        begin_export(s, available);
}

static size_t take_prefix(struct h2_stream *s, struct slice bytes)
{
    size_t n = PREFIX_SIZE - s->prefix_len;

    if (n > bytes.len)
        n = bytes.len;
    memcpy(s->prefix + s->prefix_len, bytes.data, n);
    s->prefix_len += n;
    if (s->prefix_len == PREFIX_SIZE)
        begin_message(s, (size_t)(s->connection->receive->input_end - bytes.data) - n);
    return n;
}

static void note_progress(struct h2_stream *s)
{
    const struct connection *c = s->connection;

    if (s->got < s->progress_got + request_progress(s->request))
        return;
    s->progress_got = s->got;
    s->progress_ns = c->receive->now_ns;
}

static size_t take_message(struct h2_stream *s, struct slice bytes)
{
    size_t left = s->length - s->got;
    bool kept = true;

    if (left == 0) { /* a second message */
        answer(s, REPLY_CARDINALITY);
        return bytes.len;
    }
    if (bytes.len > left)
        bytes.len = left;
    s->got += (uint32_t)bytes.len;
    note_progress(s);
    if (s->method == METHOD_EXPORT)
        kept = request_append(s->request, bytes);
    else
        buf_append(&s->health, bytes.data, bytes.len);
    if (!kept)
        answer(s, REPLY_NO_MEMORY);
    return bytes.len;
}

void h2_stream_data(struct h2_stream *s, struct slice bytes)
{
    s->withheld += bytes.len;
    while (bytes.len && s->state == STREAM_BODY) {
        size_t n = s->prefix_len < PREFIX_SIZE ? take_prefix(s, bytes) : take_message(s, bytes);

        bytes = slice_make(bytes.data + n, bytes.len - n);
    }
    if (!s->request || !request_is_paused(s->request))
        give_back(s);
}

static void end_export(struct h2_stream *s)
{
    struct receive_request *q = s->request;

    if (q->len != s->length) { /* lost where it was moved aside without memory */
        answer(s, REPLY_NO_MEMORY);
        return;
    }
    enter(s, STREAM_DONE);
    request_complete(q, slice_make(NULL, 0));
}

static bool knows_service(const struct receive *r, const struct buf *message)
{
    struct wire w = wire_of(buf_slice(message));
    struct wire_field f;
    struct slice service = slice_make("", 0);
    enum otlp_signal signal;

    while (wire_next(&w, &f))
        if (f.number == 1 && f.type == WIRE_LEN)
            service = f.bytes;
    return service.len == 0 || (endpoint_of_service(service, &signal) && receive_takes(r, signal));
}

static void end_health(struct h2_stream *s)
{
    const struct receive *r = s->connection->receive;

    if (s->prefix[0] || !buf_ok(&s->health))
        answer(s, REPLY_MALFORMED);
    else if (!knows_service(r, &s->health))
        answer(s, REPLY_UNKNOWN_SERVICE);
    else
        h2_answer_health(s, receive_judge(s->connection) == REPLY_OK);
}

void h2_stream_end(struct h2_stream *s)
{
    if (s->state != STREAM_BODY)
        return;
    if (s->prefix_len == 0)
        answer(s, REPLY_CARDINALITY);
    else if (s->prefix_len < PREFIX_SIZE || s->got < s->length)
        answer(s, REPLY_MALFORMED);
    else if (s->method == METHOD_EXPORT)
        end_export(s);
    else
        end_health(s);
}

void h2_stream_resume(struct h2_stream *s)
{
    s->progress_ns = s->connection->receive->now_ns;
    open_window(s);
    give_back(s);
}

/* --- time --- */

static bool is_waiting_for_us(const struct h2_stream *s)
{
    return s->state == STREAM_DONE || (s->request && request_is_paused(s->request));
}

static void time_out(struct h2_stream *s)
{
    struct connection *c = s->connection;
    nghttp2_session *session = h2_of(c)->session;

    if (s->state == STREAM_BODY) {
        answer(s, REPLY_TIMEOUT);
    } else if (s->state == STREAM_ANSWERED) { /* the client's window stays shut */
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        enter(s, STREAM_ANSWERED);
    } else { /* headers without an end hold the whole connection */
        request_count(c->receive, REPLY_TIMEOUT);
        enter(s, STREAM_ANSWERED);
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    connection_mark(c);
}

uint64_t h2_stream_tick(struct h2_stream *s, uint64_t now_ns)
{
    uint64_t patience_ns = s->connection->listener->read_timeout_ns;
    uint64_t due = s->progress_ns + patience_ns;

    if (is_waiting_for_us(s)) /* looked at again: its end tells nobody what is due then */
        return now_ns + patience_ns;
    if (now_ns < due)
        return due;
    time_out(s);
    return now_ns + patience_ns;
}
