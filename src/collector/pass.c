#include "collector/pass.h"

#include "collector/decide.h"
#include "collector/door.h"
#include "collector/intake.h"

enum {
    FIRST_CUTS = 64,
    GROWTH = 64 << 20, /* bytes that stamping may add to a body */
};

_Static_assert(SIGNAL_METRICS - SIGNAL_TRACES == OTLP_METRICS - OTLP_TRACES &&
                   SIGNAL_LOGS - SIGNAL_TRACES == OTLP_LOGS - OTLP_TRACES,
               "signals of the journal and of OTLP are in one order");

static bool grow_cuts(struct worker *w, size_t count)
{
    struct memory *memory = w->shared->memory;
    size_t capacity = w->pass.cut_capacity ? w->pass.cut_capacity : FIRST_CUTS;
    struct scan_cut *cuts;

    while (capacity < count)
        capacity *= 2;
    cuts = counted_alloc(memory, capacity * sizeof(*cuts));
    if (!cuts)
        return false;
    counted_free(memory, w->pass.cuts);
    w->pass.cuts = cuts;
    w->pass.cut_capacity = capacity;
    return true;
}

enum err pass_scan(struct worker *w, enum otlp_signal signal, struct slice body,
                   struct scan_result *result)
{
    enum err err = scan_items(signal, body, w->pass.cuts, w->pass.cut_capacity, result);

    if (err != ERR_FULL)
        return err;
    if (!grow_cuts(w, result->cuts))
        return ERR_FULL;
    return scan_items(signal, body, w->pass.cuts, w->pass.cut_capacity, result);
}

/* ---- processors ---- */

static bool has_processors(const struct worker *w, enum otlp_signal signal)
{
    return processor_set_has_items(w->rules->received, signal) ||
           processor_set_has_items(w->rules->kept, signal);
}

enum err pass_process(struct worker *w, struct processor_set *processors, enum otlp_signal signal,
                      struct slice *body)
{
    struct item_sink sink = {.dropped = door_drop_items, .arg = w};

    if (!processor_set_has_items(processors, signal))
        return ERR_OK;
    return processor_set_items(processors, signal, *body, clock_now_ns(w->shared->clock), &sink,
                               body);
}

/* Both lists, one behind the other, as nothing is decided in between. */
static enum err process(struct worker *w, enum otlp_signal signal, struct slice *body)
{
    enum err err;

    door_begin_items(w);
    if (!has_processors(w, signal))
        return ERR_OK;
    err = pass_process(w, w->rules->received, signal, body);
    return err ? err : pass_process(w, w->rules->kept, signal, body);
}

void pass_end_processors(struct worker *w, enum otlp_signal signal, bool taken)
{
    if (processor_set_has_items(w->rules->received, signal))
        processor_set_items_end(w->rules->received, taken);
    if (processor_set_has_items(w->rules->kept, signal))
        processor_set_items_end(w->rules->kept, taken);
}

/* ---- to the outbox ---- */

/* It may become much longer: each resource is stamped, however small it is. */
enum err pass_stamp(struct worker *w, struct slice body, struct buf *payload)
{
    struct compose_edits edits = {.entry = SIZE_MAX};
    enum err err;

    decider_edit_resource(w->decider, &edits);
    buf_init(payload, body.len + GROWTH, w->shared->memory);
    err = compose_body(body, &edits, payload);
    return payload->too_long ? ERR_PARSE : err;
}

/* Makes `payload` of what leaves of a body. */
static enum err compose(struct worker *w, enum otlp_signal signal, struct slice body,
                        const struct scan_result *result, struct buf *payload)
{
    enum err err = ERR_OK;
    struct buf rest;

    buf_init(payload, 1, w->shared->memory);
    buf_init(&rest, body.len, w->shared->memory);
    if (result->cuts > 0) {
        err = scan_cut_out(body, w->pass.cuts, result->cuts, &rest);
        body = buf_slice(&rest);
    }
    if (err == ERR_OK)
        err = process(w, signal, &body);
    if (err == ERR_OK)
        err = pass_stamp(w, body, payload);
    buf_fini(&rest);
    return err;
}

uint64_t pass_hand_on(struct worker *w, enum otlp_signal signal, size_t items, struct buf *payload)
{
    const struct decision_record r = {
        .keep = true,
        .signal = (uint8_t)(SIGNAL_TRACES + signal),
        .label = decider_label_none(w->decider),
        .config_version = w->rules->version,
        .threshold = UINT64_MAX,
        .probability = -1,
        .unix_ns = clock_unix_ns(w->shared->clock),
        .exporters = w->rules->takers[signal],
        .payload_spans = (uint32_t)items,
    };

    return journal_decide(w->journal, &r, NULL, payload);
}

/* Hands what is left of the body to the outbox. *number: of its record; 0: nothing was left.
 * ERR_FULL: no room; ERR_PARSE: as of pass_stamp. */
static enum err hand_on(struct worker *w, enum otlp_signal signal, struct slice body,
                        const struct scan_result *result, uint64_t *number)
{
    struct buf payload;
    size_t left;
    enum err err;

    *number = 0;
    err = compose(w, signal, body, result, &payload);
    left = result->items - door_items(w);
    if (err == ERR_OK && left > 0) {
        *number = pass_hand_on(w, signal, left, &payload);
        err = *number > 0 ? ERR_OK : ERR_FULL;
    }
    buf_fini(&payload);
    pass_end_processors(w, signal, err == ERR_OK);
    return err;
}

bool pass_own(struct worker *w, enum otlp_signal signal, struct slice body, size_t items)
{
    struct scan_result result = {.items = items};
    uint64_t number;

    if (w->rules->takers[signal] == 0)
        return true;
    return journal_can_decide(w->journal) && hand_on(w, signal, body, &result, &number) == ERR_OK;
}

static void count(struct worker *w, enum otlp_signal signal, const struct scan_result *result)
{
    struct passed_counts *counts = &w->counts.passed[signal];

    counts->received += result->items + result->rejected;
    counts->rejected += result->rejected;
    counts->kept += result->items - door_items(w);
    door_count_items(w, signal);
}

enum err pass_body(struct worker *w, enum otlp_signal signal, struct slice body,
                   struct receive_request *request)
{
    struct receive_answer answer = {.verdict = RECEIVE_OK};
    struct scan_result result;
    uint64_t number = 0;
    enum err err = pass_scan(w, signal, body, &result);

    if (err == ERR_PARSE)
        return intake_refuse_malformed(request, &result);
    if (err != ERR_OK || !answers_have_room(&w->answers, AFTER_DECISION))
        return ERR_FULL;
    door_begin_items(w);
    if (result.items > 0)
        err =
            journal_can_decide(w->journal) ? hand_on(w, signal, body, &result, &number) : ERR_FULL;
    if (err == ERR_PARSE)
        return intake_refuse_grown(request);
    if (err != ERR_OK)
        return ERR_FULL;
    count(w, signal, &result);
    answer.rejected = result.rejected;
    answer.message = result.reject_reason;
    if (number > 0)
        answers_add(&w->answers, AFTER_DECISION, number, request, &answer,
                    clock_now_ns(w->shared->clock));
    else
        receive_answer(request, &answer);
    return ERR_OK;
}

void pass_fini(struct worker *w)
{
    counted_free(w->shared->memory, w->pass.cuts);
}

unsigned pass_signals(const struct worker *w)
{
    unsigned signals = 0;

    for (int s = 0; s < OTLP_SIGNALS; s++)
        if (w->rules->takers[s])
            signals |= 1u << s;
    return signals;
}
