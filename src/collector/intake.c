#include "collector/intake.h"

#include "collector/decide.h"
#include "collector/door.h"
#include "collector/follow.h"
#include "otlp/scan_logs.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_SPANS = 1024, /* capacity of the scratch array at start */
    ITEMS_A_LOOK = 16,  /* at the clock, of an inbox */
};

/* Then sockets have their turn again. */
static const uint64_t draining_ns = NS_PER_MS / 2;

/* ---- the scan ---- */

static uint8_t *stage(void *arg, size_t size)
{
    struct worker *w = arg;
    size_t most = door_room(w, size);
    uint8_t *space = journal_stage(w->journal, most);

    w->staged = slice_make(space, space ? most : 0);
    return space;
}

static void *new_array(struct memory *memory, size_t bytes, bool forced)
{
    return forced ? counted_realloc_forced(memory, NULL, bytes) : counted_alloc(memory, bytes);
}

static bool grow_spans(struct worker *w, size_t count, bool forced)
{
    struct memory *memory = w->shared->memory;
    size_t capacity = w->span_capacity;
    struct scan_span *spans;
    uint32_t *series;
    uint8_t *owners;

    while (capacity < count)
        capacity *= 2;
    spans = new_array(memory, capacity * sizeof(*spans), forced);
    owners = new_array(memory, capacity, forced);
    series = w->recorder ? new_array(memory, capacity * sizeof(*series), forced) : NULL;
    if (!spans || !owners || (w->recorder && !series)) {
        counted_free(memory, spans);
        counted_free(memory, series);
        counted_free(memory, owners);
        return false;
    }
    counted_free(memory, w->spans);
    counted_free(memory, w->owners);
    counted_free(memory, w->series);
    w->spans = spans;
    w->series = series;
    w->owners = owners;
    w->span_capacity = capacity;
    return true;
}

enum err intake_scan(struct worker *w, struct slice body, bool forced, struct scan_result *result)
{
    enum err err = scan_traces(body, w->spans, w->span_capacity, result);

    if (err != ERR_FULL)
        return err;
    if (!grow_spans(w, result->spans, forced))
        return ERR_FULL;
    return scan_traces(body, w->spans, w->span_capacity, result);
}

enum err intake_find_logs(struct worker *w, struct slice body, bool forced, size_t *count)
{
    *count = scan_logs(body, w->spans, w->span_capacity);
    if (*count <= w->span_capacity)
        return ERR_OK;
    if (!grow_spans(w, *count, forced))
        return ERR_FULL;
    *count = scan_logs(body, w->spans, w->span_capacity);
    return ERR_OK;
}

/* ---- owners and their runs ---- */

/* Finds the owner of each scanned span; spans of one trace often follow each other. */
static void find_owners(struct worker *w, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *id = w->spans[i].trace_id;

        if (i > 0 && memcmp(id, w->spans[i - 1].trace_id, sizeof(w->spans[i].trace_id)) == 0)
            w->owners[i] = w->owners[i - 1];
        else
            w->owners[i] = (uint8_t)trace_owner(w->shared->key, id, w->shared->count);
    }
}

/* Gives a run of a batch to `owner`, whose ring was seen to have room. */
static void send_run(struct worker *w, unsigned owner, struct span_batch *batch, uint32_t from,
                     uint32_t to)
{
    struct worker *to_worker = w->shared->workers[owner];
    struct ring *ring = &to_worker->inboxes[w->index];
    struct inbox_item item = {batch, from, to};
    bool was_empty = ring_count(ring) == 0;

    if (!ring_push(ring, &item))
        abort(); /* only this worker writes to this ring, and it had looked */
    if (was_empty)
        loop_wake(to_worker->loop);
}

/* Room for `count` spans in the table and among the late ones, so that add_spans cannot fail. */
static bool reserve_spans(struct worker *w, size_t count)
{
    return trace_table_reserve(w->table, count) && decider_reserve_late(w->decider, count);
}

/* Room was reserved: the kernel has no memory. */
static void lose(struct worker *w, const struct scan_span *s, frame_id frame)
{
    uint64_t *lost = s->flags & SCAN_LOG ? w->counts.passed[OTLP_LOGS].lost : w->counts.lost;

    lost[LOST_MEMORY]++;
    journal_release(w->journal, frame, 1);
}

static void add_spans(struct worker *w, const struct scan_span *spans, size_t count, frame_id frame,
                      uint64_t now_ns)
{
    struct trace_spans in = {spans, count, frame, now_ns};
    struct trace_decision late;
    enum trace_add result;

    w->added += count;
    for (size_t i = 0; (i = trace_table_add_all(w->table, &in, i, &result, &late)) < count; i++) {
        if (result == TRACE_LATE)
            decider_add_late(w->decider, &spans[i], frame, &late);
        else
            lose(w, &spans[i], frame);
    }
    decider_group_late(w->decider, frame);
}

/* Where each owner's run begins once the scanned spans are sorted: starts[o] .. starts[o + 1]. */
static void find_runs(const struct worker *w, size_t count, uint32_t starts[MAX_WORKERS + 1])
{
    unsigned n = w->shared->count;

    memset(starts, 0, (n + 1) * sizeof(*starts));
    for (size_t i = 0; i < count; i++)
        starts[w->owners[i] + 1]++;
    for (unsigned o = 0; o < n; o++)
        starts[o + 1] += starts[o];
}

static bool inboxes_have_room(struct worker *w, const uint32_t *starts)
{
    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != w->index && starts[o] < starts[o + 1] &&
            ring_space(&w->shared->workers[o]->inboxes[w->index]) == 0)
            return false;
    return true;
}

static void copy_runs(const struct worker *w, size_t count, const uint32_t *starts,
                      struct scan_span *to)
{
    uint32_t at[MAX_WORKERS];

    memcpy(at, starts, w->shared->count * sizeof(*at));
    for (size_t i = 0; i < count; i++)
        to[at[w->owners[i]]++] = w->spans[i];
}

void intake_sort(struct worker *w, size_t count, uint32_t starts[MAX_WORKERS + 1],
                 struct scan_span *to)
{
    find_owners(w, count);
    find_runs(w, count, starts);
    copy_runs(w, count, starts, to);
}

static void hand_out(struct worker *w, struct span_batch *batch, const uint32_t *starts,
                     uint64_t now_ns)
{
    unsigned own = w->index;
    uint32_t owners = 1; /* this worker, whether or not a span is its own */

    for (unsigned o = 0; o < w->shared->count; o++)
        owners += o != own && starts[o] < starts[o + 1];
    atomic_store_explicit(&batch->owners, owners, memory_order_relaxed);
    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != own && starts[o] < starts[o + 1])
            send_run(w, o, batch, starts[o], starts[o + 1]);
    add_spans(w, batch->spans + starts[own], starts[own + 1] - starts[own], batch->frame, now_ns);
    span_batch_done(batch);
}

/* What was staged is what came until here: who sends it again after ERR_FULL reads it there. */
static frame_id commit(struct worker *w, struct slice body, size_t count, enum signal_kind signal,
                       uint64_t now_ns)
{
    if (body.data != w->staged.data)
        memcpy((uint8_t *)(uintptr_t)w->staged.data, body.data, body.len);
    return journal_commit(w->journal, body.len, (uint32_t)count, signal, now_ns);
}

enum err intake_take(struct worker *w, struct slice body, size_t count, enum signal_kind signal,
                     uint64_t now_ns)
{
    uint32_t starts[MAX_WORKERS + 1];
    struct span_batch *batch;

    if (!answers_have_room(&w->answers, AFTER_FRAME))
        return ERR_FULL;
    if (w->shared->count == 1) {
        if (!reserve_spans(w, count))
            return ERR_FULL;
        add_spans(w, w->spans, count, commit(w, body, count, signal, now_ns), now_ns);
        return ERR_OK;
    }
    find_owners(w, count);
    find_runs(w, count, starts);
    if (!inboxes_have_room(w, starts) || !reserve_spans(w, starts[w->index + 1] - starts[w->index]))
        return ERR_FULL;
    batch = span_batch_new(w->shared->memory, count);
    if (!batch)
        return ERR_FULL;
    copy_runs(w, count, starts, batch->spans);
    batch->frame = commit(w, body, count, signal, now_ns);
    hand_out(w, batch, starts, now_ns);
    return ERR_OK;
}

/* ---- one request ---- */

enum err intake_refuse_malformed(struct receive_request *request, const struct scan_result *result)
{
    char message[128];

    snprintf(message, sizeof(message), "%s at byte %zu", result->error, result->error_offset);
    receive_answer(request, &(struct receive_answer){.verdict = RECEIVE_BAD, .message = message});
    return ERR_OK;
}

/* Short secrets may come out longer; only a body of little else becomes so long. */
enum err intake_refuse_grown(struct receive_request *request)
{
    receive_answer(
        request, &(struct receive_answer){.verdict = RECEIVE_BAD,
                                          .message = "processed, the body would be twice as long"});
    return ERR_OK;
}

/* Nothing of a request without spans that come in is held: it is answered at once. */
static void answer_taken(struct worker *w, struct receive_request *request,
                         const struct scan_result *result, uint64_t now_ns)
{
    struct receive_answer answer = {
        .verdict = RECEIVE_OK, .rejected = result->rejected, .message = result->reject_reason};

    if (result->spans > 0)
        answers_add(&w->answers, AFTER_FRAME, journal_ticket(w->journal), request, &answer, now_ns);
    else
        receive_answer(request, &answer);
}

/* Takes what the door left of a body that was scanned. */
static enum err accept_scanned(struct worker *w, struct slice body, struct scan_result result,
                               struct receive_request *request)
{
    uint64_t now_ns = clock_now_ns(w->shared->clock);
    size_t scanned = result.spans;
    enum err err = ERR_OK;

    result.spans = door_filter(w, body, scanned, now_ns);
    if (w->recorder)
        spanmetrics_find(w->recorder, body, w->spans, scanned, w->series);
    if (result.spans > 0)
        err = intake_take(w, body, result.spans, SIGNAL_TRACES, now_ns);
    if (err != ERR_OK)
        return ERR_FULL;
    if (w->recorder) /* what is read of the body has been: it may be gone by now */
        spanmetrics_count(w->recorder, w->spans, scanned, w->series);
    w->counts.received += scanned + result.rejected;
    door_count(w);
    w->counts.rejected += result.rejected;
    answer_taken(w, request, &result, now_ns);
    return ERR_OK;
}

/* What is redacted at the door is scanned again: all else that holds the body never saw what came.
 */
static enum err accept_redacted(struct worker *w, struct slice came, struct scan_result *result,
                                struct receive_request *request)
{
    struct slice body;
    enum err err = processor_set_body(w->rules->received, came, &body);

    if (err == ERR_OK && body.len > door_room(w, came.len))
        return intake_refuse_grown(request);
    if (err == ERR_OK && body.len > w->staged.len)
        err = ERR_FULL; /* staged by rules that did not redact */
    if (err == ERR_OK && body.data != came.data)
        err = intake_scan(w, body, false, result);
    if (err == ERR_PARSE)
        return intake_refuse_malformed(request, result);
    if (err == ERR_OK)
        err = accept_scanned(w, body, *result, request);
    if (err == ERR_OK)
        processor_set_body_count(w->rules->received);
    return err;
}

static enum err accept_spans(struct worker *w, size_t len, struct receive_request *request)
{
    struct slice body = slice_make(w->staged.data, len);
    struct scan_result result;
    enum err err = intake_scan(w, body, false, &result);

    if (err == ERR_PARSE)
        return intake_refuse_malformed(request, &result);
    if (err != ERR_OK)
        return ERR_FULL;
    if (!processor_set_has_bodies(w->rules->received))
        return accept_scanned(w, body, result, request);
    err = accept_redacted(w, body, &result, request);
    processor_set_body_end(w->rules->received);
    return err;
}

static enum err accept_body(void *arg, enum otlp_signal signal, size_t len,
                            struct receive_request *request)
{
    struct worker *w = arg;

    if (signal == OTLP_TRACES)
        return accept_spans(w, len, request);
    if (signal == OTLP_LOGS && w->rules->config->follow_traces)
        return follow_body(w, slice_make(w->staged.data, len), request);
    return pass_body(w, signal, slice_make(w->staged.data, len), request);
}

/* ---- what others sent ---- */

/* True: something was left, for want of memory or of time. */
static bool drain_inbox(struct worker *w, struct ring *inbox, uint64_t now_ns, uint64_t until_ns)
{
    struct inbox_item item;

    for (size_t i = 1; ring_peek(inbox, &item); i++) {
        if ((i % ITEMS_A_LOOK == 0 && clock_now_ns(w->shared->clock) > until_ns) ||
            !reserve_spans(w, item.to - item.from))
            return true;
        add_spans(w, item.batch->spans + item.from, item.to - item.from, item.batch->frame, now_ns);
        w->counts.crossed += inbox_has_logs(&item) ? 0 : item.to - item.from;
        span_batch_done(item.batch);
        ring_pop(inbox, &item);
    }
    return false;
}

bool intake_drain(struct worker *w, uint64_t now_ns)
{
    bool left = false;
    uint64_t until_ns;

    if (w->shared->count == 1)
        return false;
    until_ns = clock_now_ns(w->shared->clock) + draining_ns;
    for (unsigned o = 0; o < w->shared->count; o++)
        if (o != w->index)
            left |= drain_inbox(w, &w->inboxes[o], now_ns, until_ns);
    return left;
}

/* ---- life ---- */

bool intake_init(struct worker *w)
{
    w->span_capacity = FIRST_SPANS;
    return grow_spans(w, FIRST_SPANS, false);
}

void intake_fini(struct worker *w)
{
    counted_free(w->shared->memory, w->spans);
    counted_free(w->shared->memory, w->owners);
    counted_free(w->shared->memory, w->series);
}

struct receive_sink intake_sink(struct worker *w)
{
    return (struct receive_sink){.arg = w, .stage = stage, .accept = accept_body};
}
