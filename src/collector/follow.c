#include "collector/follow.h"

#include "collector/decide.h"
#include "collector/door.h"
#include "collector/intake.h"
#include "otlp/scan_logs.h"

/* One request on its way. */
struct following {
    struct worker *w;
    struct scan_result result;
    struct slice held, passed; /* what of the body waits, and what passes */
    size_t held_count, passed_count;
    struct buf rest, held_bytes, passed_bytes; /* where these lie, unless they are the body */
    struct buf payload;                        /* what leaves of what passes */
    size_t leaving;                            /* records in it */
    uint64_t number;                           /* of its record; 0: there is none */
    bool refused;                              /* for good, and answered */
};

/* ---- who waits ---- */

static bool has_traced(const struct worker *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (scan_log_is_traced(&w->spans[i]))
            return true;
    return false;
}

static bool is_sampled(const struct worker *w, const struct scan_span *record, struct slice body)
{
    return door_is_head_sampled(record, body, w->rules->head_threshold);
}

/* Counts each; what head_sampling drops goes to the door's tally. */
static void count_fates(struct following *f, struct slice body, size_t count)
{
    struct worker *w = f->w;

    for (size_t i = 0; i < count; i++) {
        if (!scan_log_is_traced(&w->spans[i]))
            f->passed_count++;
        else if (is_sampled(w, &w->spans[i], body))
            f->held_count++;
        else
            door_drop_items(w, w->door.head_label, 1);
    }
}

static void mark(const struct worker *w, struct slice body, size_t count, bool traced, bool *marks)
{
    for (size_t i = 0; i < count; i++) {
        marks[i] = scan_log_is_traced(&w->spans[i]) == traced;
        if (traced && marks[i])
            marks[i] = is_sampled(w, &w->spans[i], body);
    }
}

/* Makes `part` what of the `count` records of the body passes, or waits: `left` of them. */
static enum err take_part(struct following *f, struct slice body, size_t count, size_t left,
                          bool traced)
{
    struct memory *memory = f->w->shared->memory;
    struct buf *bytes = traced ? &f->held_bytes : &f->passed_bytes;
    struct slice *part = traced ? &f->held : &f->passed;
    enum err err;
    bool *marks;

    *part = body;
    if (left == count || left == 0)
        return ERR_OK;
    marks = counted_alloc(memory, count);
    if (!marks)
        return ERR_FULL;
    mark(f->w, body, count, traced, marks);
    err = scan_keep_logs(body, marks, count, bytes);
    counted_free(memory, marks);
    *part = buf_slice(bytes);
    return err;
}

static enum err split(struct following *f, struct slice body)
{
    size_t count;
    enum err err = intake_find_logs(f->w, body, false, &count);

    if (err != ERR_OK)
        return err;
    buf_init(&f->held_bytes, body.len + 1, f->w->shared->memory);
    buf_init(&f->passed_bytes, body.len + 1, f->w->shared->memory);
    count_fates(f, body, count);
    err = take_part(f, body, count, f->held_count, true);
    return err ? err : take_part(f, body, count, f->passed_count, false);
}

/* ---- what of it is ready before anything is taken ---- */

static enum err compose_passed(struct following *f)
{
    struct worker *w = f->w;
    struct slice body = f->passed;
    size_t before = door_items(w);
    enum err err;

    if (f->passed_count == 0)
        return ERR_OK;
    err = pass_process(w, w->rules->kept, OTLP_LOGS, &body);
    f->leaving = f->passed_count - (door_items(w) - before);
    return err ? err : pass_stamp(w, body, &f->payload);
}

static enum err prepare(struct following *f, struct slice body)
{
    struct worker *w = f->w;
    enum err err = ERR_OK;

    door_begin_items(w);
    buf_init(&f->rest, body.len + 1, w->shared->memory);
    if (f->result.cuts > 0) {
        err = scan_cut_out(body, w->pass.cuts, f->result.cuts, &f->rest);
        body = buf_slice(&f->rest);
    }
    if (err == ERR_OK)
        err = pass_process(w, w->rules->received, OTLP_LOGS, &body);
    if (err == ERR_OK)
        err = split(f, body);
    return err ? err : compose_passed(f);
}

/* ---- taking ---- */

static bool has_room(struct following *f)
{
    struct worker *w = f->w;

    if (f->leaving == 0)
        return true;
    return journal_can_decide(w->journal) && answers_have_room(&w->answers, AFTER_DECISION);
}

/* Makes what waits a frame of its own. */
static enum err hold(struct following *f, uint64_t now_ns)
{
    struct worker *w = f->w;
    size_t count;
    enum err err = intake_find_logs(w, f->held, false, &count);

    return err ? err : intake_take(w, f->held, count, SIGNAL_LOGS, now_ns);
}

/* False: there is no memory, and nothing is taken yet. */
static bool hand_on(struct following *f)
{
    f->number = pass_hand_on(f->w, OTLP_LOGS, f->leaving, &f->payload);
    if (f->number > 0 || f->held_count == 0)
        return f->number > 0;
    /* there was room: the kernel has no memory, and what waits is taken already */
    f->w->counts.passed[OTLP_LOGS].lost[LOST_MEMORY] += f->leaving;
    f->leaving = 0;
    return true;
}

static void count_taken(const struct following *f)
{
    struct passed_counts *counts = &f->w->counts.passed[OTLP_LOGS];

    counts->received += f->result.items + f->result.rejected;
    counts->rejected += f->result.rejected;
    counts->kept += f->leaving;
    door_count_items(f->w, OTLP_LOGS);
}

static enum err take(struct following *f, uint64_t now_ns)
{
    if (!has_room(f) || (f->held_count > 0 && hold(f, now_ns) != ERR_OK))
        return ERR_FULL;
    if (f->leaving > 0 && !hand_on(f))
        return ERR_FULL;
    count_taken(f);
    return ERR_OK;
}

static void answer(struct following *f, struct receive_request *request, uint64_t now_ns)
{
    struct worker *w = f->w;
    struct receive_answer a = {
        .verdict = RECEIVE_OK, .rejected = f->result.rejected, .message = f->result.reject_reason};
    uint64_t ticket = journal_ticket(w->journal);

    if (f->number > 0 && f->held_count > 0)
        answers_add_both(&w->answers, f->number, ticket, request, &a, now_ns);
    else if (f->number > 0)
        answers_add(&w->answers, AFTER_DECISION, f->number, request, &a, now_ns);
    else if (f->held_count > 0)
        answers_add(&w->answers, AFTER_FRAME, ticket, request, &a, now_ns);
    else
        receive_answer(request, &a);
}

/* ---- one request ---- */

static enum err refuse_grown(struct following *f, struct receive_request *request)
{
    f->refused = true;
    return intake_refuse_grown(request);
}

/* Held where the body was staged, and that may be too small for what processors made of it. */
static enum err take_and_answer(struct following *f, struct slice came,
                                struct receive_request *request)
{
    struct worker *w = f->w;
    uint64_t now_ns = clock_now_ns(w->shared->clock);

    if (f->held_count > 0 && f->held.len > door_room(w, came.len))
        return refuse_grown(f, request);
    if (f->held_count > 0 && f->held.len > w->staged.len)
        return ERR_FULL; /* staged by other rules */
    if (take(f, now_ns) != ERR_OK)
        return ERR_FULL;
    answer(f, request, now_ns);
    return ERR_OK;
}

static enum err follow_scanned(struct following *f, struct slice body,
                               struct receive_request *request)
{
    struct worker *w = f->w;
    enum err err = prepare(f, body);

    if (err == ERR_OK)
        err = take_and_answer(f, body, request);
    else if (err == ERR_PARSE)
        err = refuse_grown(f, request);
    pass_end_processors(w, OTLP_LOGS, err == ERR_OK && !f->refused);
    buf_fini(&f->rest);
    buf_fini(&f->held_bytes);
    buf_fini(&f->passed_bytes);
    buf_fini(&f->payload);
    return err == ERR_OK ? ERR_OK : ERR_FULL;
}

enum err follow_body(struct worker *w, struct slice body, struct receive_request *request)
{
    struct following f = {.w = w};
    size_t count;
    enum err err;

    if (intake_find_logs(w, body, false, &count) != ERR_OK)
        return ERR_FULL;
    if (!has_traced(w, count))
        return pass_body(w, OTLP_LOGS, body, request);
    err = pass_scan(w, OTLP_LOGS, body, &f.result);
    if (err == ERR_PARSE)
        return intake_refuse_malformed(request, &f.result);
    return err == ERR_OK ? follow_scanned(&f, body, request) : ERR_FULL;
}
