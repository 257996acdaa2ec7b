/* request.c: one body on its way from a connection to the sink, and its answer back.
 *
 * A body that lies whole in the receive buffer is copied once, into the sink's space. Others are
 * gathered in memory that is reserved before more is read. What can't be had now pauses the
 * request; receive_step asks again until its patience ends.
 */
#include "otlp/json.h"
#include "receive/internal.h"

#include <assert.h>
#include <stdlib.h>

/* The parser copies the text, and its values take as much again at least. */
enum { JSON_SCRATCH_LEAST = 2, JSON_SCRATCH_FACTOR = 32, JSON_SCRATCH_MIN = 64 * 1024 };

static const char beyond_limit[] =
    "the request needs more memory than memory_limiter.limit has for it; send smaller batches";

enum attempt { ATTEMPT_STAGED, ATTEMPT_PAUSE, ATTEMPT_REFUSED };

static const struct receive_listener *listener_of(const struct receive_request *q)
{
    return q->connection->listener;
}

struct receive_request *request_new(struct connection *c)
{
    struct receive_request *q = calloc(1, sizeof *q);

    if (!q)
        return NULL;
    q->receive = c->receive;
    q->connection = c;
    q->patience_ns = c->receive->config.pause_ns;
    link_init(&q->paused);
    link_add(&c->receive->requests, &q->link);
    receive_count(&c->receive->open_requests, 1);
    memory_add(c->receive->config.memory, sizeof *q);
    return q;
}

static void count_open_bytes(struct receive *r, size_t more, size_t less)
{
    receive_count(&r->open_bytes, (uint64_t)more - (uint64_t)less);
}

static void drop_data(struct receive_request *q)
{
    free(q->data);
    memory_release(q->receive->config.memory, q->capacity);
    count_open_bytes(q->receive, 0, q->capacity);
    q->data = NULL;
    q->capacity = 0;
}

static void request_free(struct receive_request *q)
{
    struct receive *r = q->receive;

    if (r->stage_owner == q)
        r->stage_owner = NULL;
    drop_data(q);
    link_remove(&q->paused);
    link_remove(&q->link);
    receive_count(&r->open_requests, (uint64_t)-1);
    memory_release(r->config.memory, sizeof *q);
    free(q);
}

void request_abandon(struct receive_request *q)
{
    q->connection = NULL;
    q->stream = NULL;
    if (q->state != REQUEST_ACCEPTED)
        request_free(q);
}

void request_forget(struct receive_request *q)
{
    request_free(q);
}

bool request_is_paused(const struct receive_request *q)
{
    return !link_is_empty(&q->paused);
}

size_t request_progress(const struct receive_request *q)
{
    size_t part = q ? q->capacity / PROGRESS_PARTS : 0;

    return part > PROGRESS_BYTES ? part : PROGRESS_BYTES;
}

static void pause_request(struct receive_request *q)
{
    struct receive *r = q->receive;

    if (!q->was_paused) {
        q->was_paused = true;
        q->pause_end_ns = r->now_ns + q->patience_ns;
        receive_count(&r->pauses, 1);
    }
    if (!request_is_paused(q))
        link_add(&r->paused, &q->paused);
}

/* `counted`: the memory limiter has counted the difference to the new capacity. */
static bool set_capacity(struct receive_request *q, size_t capacity)
{
    uint8_t *data = realloc(q->data, capacity);

    if (!data) {
        memory_release(q->receive->config.memory, capacity - q->capacity);
        return false;
    }
    count_open_bytes(q->receive, capacity, q->capacity);
    q->data = data;
    q->capacity = capacity;
    return true;
}

static bool try_reserve(struct receive_request *q, size_t capacity)
{
    if (capacity <= q->capacity)
        return true;
    return memory_has_intake_room(q->receive->config.memory, capacity - q->capacity) &&
           memory_reserve(q->receive->config.memory, capacity - q->capacity) &&
           set_capacity(q, capacity);
}

bool request_reserve(struct receive_request *q, size_t capacity)
{
    if (try_reserve(q, capacity))
        return true;
    q->wanted = capacity - q->capacity;
    pause_request(q);
    return false;
}

/* Room that can't wait: what is to be stored has been received already. */
static bool force_capacity(struct receive_request *q, size_t capacity)
{
    if (try_reserve(q, capacity))
        return true;
    memory_add(q->receive->config.memory, capacity - q->capacity);
    return set_capacity(q, capacity);
}

static uint8_t *take_stage(struct receive_request *q, size_t size)
{
    struct receive *r = q->receive;
    const struct receive_sink *sink = r->config.sink;

    if (r->stage_owner != q)
        request_unstage(r);
    return sink->stage(sink->arg, size ? size : 1);
}

bool request_stage_early(struct receive_request *q, size_t size)
{
    struct receive *r = q->receive;

    if (r->stage_owner)
        return false;
    q->staged = take_stage(q, size);
    if (q->staged)
        r->stage_owner = q;
    return q->staged != NULL;
}

void request_unstage(struct receive *r)
{
    struct receive_request *q = r->stage_owner;
    uint8_t *staged;

    if (!q)
        return;
    r->stage_owner = NULL;
    staged = q->staged;
    q->staged = NULL;
    if (q->len == 0)
        return;
    if (force_capacity(q, q->len))
        memcpy(q->data, staged, q->len);
    else
        q->len = 0; /* its end will not fit: refused there */
}

bool request_append(struct receive_request *q, struct slice bytes)
{
    uint8_t *to = q->staged;

    if (!to) {
        size_t need = q->len + bytes.len;

        if (need > q->capacity && !force_capacity(q, need))
            return false;
        to = q->data;
    }
    if (bytes.len)
        memcpy(to + q->len, bytes.data, bytes.len);
    q->len += bytes.len;
    return true;
}

static enum attempt stage_copy(struct receive_request *q, struct slice body, size_t *len)
{
    uint8_t *space = take_stage(q, body.len);

    if (!space) {
        q->wanted = body.len;
        return ATTEMPT_PAUSE;
    }
    if (body.len)
        memcpy(space, body.data, body.len);
    *len = body.len;
    return ATTEMPT_STAGED;
}

static uint8_t *stage_space(void *arg, size_t size)
{
    struct receive_request *q = arg;
    uint8_t *space = take_stage(q, size);

    q->wanted = space ? 0 : size;
    return space;
}

struct inflated {
    struct receive_request *request;
    struct buf json;
};

static uint8_t *buf_space(void *arg, size_t size)
{
    struct inflated *to = arg;
    uint8_t *space;

    buf_clear(&to->json);
    space = buf_reserve(&to->json, size);
    to->request->wanted = space ? 0 : size;
    return space;
}

static enum attempt inflate_into(struct receive_request *q, struct slice body,
                                 inflate_space_fn *space, void *arg, size_t *len,
                                 struct reply *reply)
{
    struct inflate_job job = {q->encoding, body, listener_of(q)->max_inflated, space, arg};
    enum err err = inflate_run(q->receive->inflate, &job, len);

    if (err == ERR_AGAIN)
        return ATTEMPT_PAUSE;
    if (err == ERR_OK)
        return ATTEMPT_STAGED;
    *reply = err == ERR_FULL
                 ? (struct reply){.code = REPLY_TOO_LARGE,
                                  .message = "the inflated body is larger than allowed"}
                 : (struct reply){.code = REPLY_MALFORMED, .message = "the body can't be inflated"};
    return ATTEMPT_REFUSED;
}

static size_t most_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* `reply->message` points into `info`. */
static enum attempt stage_json(struct receive_request *q, struct slice json, size_t *len,
                               struct reply *reply, struct err_info *info)
{
    struct json_scratch scratch = {.limit = JSON_SCRATCH_MIN + JSON_SCRATCH_FACTOR * json.len};
    struct buf out;
    enum attempt result;
    enum err err;

    buf_init(&out, listener_of(q)->max_inflated + 1, q->receive->config.memory);
    err = json_to_body_in(q->signal, json, &out, &scratch, info);
    if (err == ERR_OK) {
        result = stage_copy(q, buf_slice(&out), len);
    } else if (out.too_long) {
        *reply = (struct reply){.code = REPLY_TOO_LARGE,
                                .message = "the body as protobuf is larger than allowed"};
        result = ATTEMPT_REFUSED;
    } else if (err == ERR_FULL) {
        q->wanted = out.cap + most_of(scratch.used, JSON_SCRATCH_LEAST * json.len);
        result = ATTEMPT_PAUSE;
    } else {
        *reply = (struct reply){.code = REPLY_MALFORMED, .message = info->text};
        result = ATTEMPT_REFUSED;
    }
    buf_fini(&out);
    return result;
}

static enum attempt stage_inflated_json(struct receive_request *q, struct slice body, size_t *len,
                                        struct reply *reply, struct err_info *info)
{
    struct inflated to = {.request = q};
    enum attempt result;
    size_t json_len = 0;

    buf_init(&to.json, listener_of(q)->max_inflated, q->receive->config.memory);
    result = inflate_into(q, body, buf_space, &to, &json_len, reply);
    if (result == ATTEMPT_STAGED) {
        result = stage_json(q, slice_make(to.json.data, json_len), len, reply, info);
        q->wanted += q->wanted ? to.json.cap : 0;
    }
    buf_fini(&to.json);
    return result;
}

static enum attempt stage_body(struct receive_request *q, struct slice body, size_t *len,
                               struct reply *reply, struct err_info *info)
{
    if (q->encoding == ENCODING_IDENTITY)
        return q->json ? stage_json(q, body, len, reply, info) : stage_copy(q, body, len);
    if (q->json)
        return stage_inflated_json(q, body, len, reply, info);
    return inflate_into(q, body, stage_space, q, len, reply);
}

/* Keeps a body that lies elsewhere until the next try. */
static bool keep(struct receive_request *q, struct slice body)
{
    if (body.data == q->data)
        return true;
    q->staged = NULL;
    q->len = 0;
    if (q->receive->stage_owner == q)
        q->receive->stage_owner = NULL;
    return request_append(q, body);
}

/* What is short may be there at the next step, or for a long time not: each try copies and scans
 * all of the body, or inflates or parses it. */
static void pace_staging(struct receive_request *q)
{
    const struct receive *r = q->receive;
    uint64_t least = 0;

    if (r->retry_began_ns)
        least = RETRY_COST_FACTOR * (clock_now_ns(loop_clock(r->config.loop)) - r->retry_began_ns);
    q->retry_ns = r->now_ns + (q->retry_gap_ns > least ? q->retry_gap_ns : least);
    q->retry_gap_ns = q->retry_gap_ns ? q->retry_gap_ns * 2 : FIRST_GAP_NS;
    if (q->retry_gap_ns > PAUSE_STEP_NS)
        q->retry_gap_ns = PAUSE_STEP_NS;
}

static void pause_staging(struct receive_request *q, struct slice body)
{
    q->state = REQUEST_STAGING;
    pace_staging(q);
    if (keep(q, body))
        pause_request(q);
    else
        request_reply(q, &(struct reply){.code = REPLY_NO_MEMORY});
}

/* Gives `len` staged bytes to the sink. `body` is where they can be had again. */
static void give(struct receive_request *q, struct slice body, size_t len)
{
    struct receive *r = q->receive;
    const struct receive_sink *sink = r->config.sink;
    enum err err;

    if (r->stage_owner == q)
        r->stage_owner = NULL;
    q->staged = NULL;
    q->state = REQUEST_ACCEPTED;
    err = sink->accept(sink->arg, q->signal, len, q); /* after success q may be answered and gone */
    if (err == ERR_FULL)
        pause_staging(q, body);
    else if (err)
        request_reply(q, &(struct reply){.code = REPLY_NO_MEMORY});
}

static void stage(struct receive_request *q, struct slice body)
{
    struct reply reply = {.code = REPLY_NO_MEMORY};
    struct err_info info;
    size_t len = 0;

    q->wanted = 0;
    switch (stage_body(q, body, &len, &reply, &info)) {
    case ATTEMPT_STAGED:
        give(q, body, len);
        break;
    case ATTEMPT_PAUSE:
        pause_staging(q, body);
        break;
    case ATTEMPT_REFUSED:
        request_reply(q, &reply);
        break;
    }
}

void request_complete(struct receive_request *q, struct slice whole)
{
    link_remove(&q->paused);
    receive_count(&q->receive->bytes, whole.data ? whole.len : q->len);
    if (whole.data)
        stage(q, whole);
    else if (q->staged)
        give(q, slice_make(q->staged, q->len), q->len);
    else
        stage(q, slice_make(q->data, q->len));
}

void request_count(struct receive *r, enum reply_code code)
{
    if (code == REPLY_OK)
        receive_count(&r->answered, 1);
    else
        receive_count(&r->refused[reply_info(code)->refusal], 1);
}

void request_reply(struct receive_request *q, const struct reply *reply)
{
    request_count(q->receive, reply->code);
    if (q->connection)
        q->connection->protocol->answer(q->connection, q, reply);
    request_free(q);
}

/* Whether what it lacks can't be had though no other request held anything: that stays so. */
static bool is_beyond_limit(const struct receive_request *q)
{
    const struct memory *m = q->receive->config.memory;
    size_t most = q->state == REQUEST_READING ? memory_intake_most(m) : memory_most(m);

    return q->receive->least_used + q->capacity + q->wanted > most;
}

static void resume(struct receive_request *q)
{
    link_remove(&q->paused);
    q->wanted = 0;
    q->connection->protocol->resume(q->connection, q);
}

static void restage(struct receive_request *q)
{
    struct receive *r = q->receive;

    r->retry_began_ns = clock_now_ns(loop_clock(r->config.loop));
    link_remove(&q->paused);
    stage(q, slice_make(q->data, q->len)); /* it may be answered and gone */
    r->retry_began_ns = 0;
}

void request_retry(struct receive_request *q)
{
    struct connection *c = q->connection;

    if (q->state == REQUEST_READING && try_reserve(q, q->capacity + q->wanted)) {
        resume(q);
    } else if (is_beyond_limit(q)) {
        request_reply(q, &(struct reply){.code = REPLY_TOO_LARGE, .message = beyond_limit});
    } else if (q->receive->now_ns >= q->pause_end_ns) {
        request_reply(q, &(struct reply){.code = REPLY_NO_MEMORY});
    } else if (q->state == REQUEST_STAGING && q->receive->now_ns >= q->retry_ns) {
        restage(q);
    } else {
        return;
    }
    connection_mark(c);
}

void receive_answer_later(struct receive_request *request)
{
    assert(request->state == REQUEST_ACCEPTED);
    drop_data(request);
}

void receive_answer(struct receive_request *request, const struct receive_answer *answer)
{
    struct connection *c = request->connection;
    struct reply reply = {REPLY_OK, answer->rejected, answer->message, request->signal};

    assert(request->state == REQUEST_ACCEPTED);
    if (answer->verdict == RECEIVE_BAD)
        reply.code = REPLY_MALFORMED;
    else if (answer->verdict == RECEIVE_UNAVAILABLE)
        reply.code = REPLY_NO_MEMORY;
    else if (answer->verdict == RECEIVE_DISK)
        reply.code = REPLY_DISK;
    request_reply(request, &reply);
    if (c)
        connection_mark(c);
}
