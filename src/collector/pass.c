#include "collector/pass.h"

#include "collector/decide.h"
#include "collector/intake.h"

enum {
    FIRST_CUTS = 64,
    GROWTH = 1 << 20, /* bytes that stamping may add to a body */
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

static enum err scan(struct worker *w, enum otlp_signal signal, struct slice body,
                     struct scan_result *result)
{
    enum err err = scan_items(signal, body, w->pass.cuts, w->pass.cut_capacity, result);

    if (err != ERR_FULL)
        return err;
    if (!grow_cuts(w, result->cuts))
        return ERR_FULL;
    return scan_items(signal, body, w->pass.cuts, w->pass.cut_capacity, result);
}

/* Appends what leaves of a body. */
static enum err compose(struct worker *w, struct slice body, const struct scan_result *result,
                        struct buf *payload)
{
    struct compose_edits edits = {.entry = SIZE_MAX};
    struct buf rest;
    enum err err;

    decider_edit_resource(w->decider, &edits);
    if (result->cuts == 0)
        return compose_body(body, &edits, payload);
    buf_init(&rest, body.len, w->shared->memory);
    err = scan_cut_out(body, w->pass.cuts, result->cuts, &rest);
    if (err == ERR_OK)
        err = compose_body(buf_slice(&rest), &edits, payload);
    buf_fini(&rest);
    return err;
}

/* Hands what is left of the body to the outbox. Returns the record's number; 0: no room. */
static uint64_t hand_on(struct worker *w, enum otlp_signal signal, struct slice body,
                        const struct scan_result *result)
{
    struct decision_record r = {
        .keep = true,
        .signal = (uint8_t)(SIGNAL_TRACES + signal),
        .label = decider_label_none(w->decider),
        .config_version = w->rules->version,
        .threshold = UINT64_MAX,
        .probability = -1,
        .unix_ns = clock_unix_ns(w->shared->clock),
        .exporters = w->rules->takers[signal],
        .payload_spans = (uint32_t)result->items,
    };
    struct buf payload;
    uint64_t number = 0;

    buf_init(&payload, body.len * 2 + GROWTH, w->shared->memory);
    if (compose(w, body, result, &payload) == ERR_OK)
        number = journal_decide(w->journal, &r, NULL, &payload);
    buf_fini(&payload);
    return number;
}

bool pass_own(struct worker *w, enum otlp_signal signal, struct slice body, size_t items)
{
    struct scan_result result = {.items = items};

    if (w->rules->takers[signal] == 0)
        return true;
    return journal_can_decide(w->journal) && hand_on(w, signal, body, &result) != 0;
}

enum err pass_body(struct worker *w, enum otlp_signal signal, struct slice body,
                   struct receive_request *request)
{
    struct passed_counts *counts = &w->counts.passed[signal];
    struct receive_answer answer = {.verdict = RECEIVE_OK};
    struct scan_result result;
    uint64_t number = 0;
    enum err err = scan(w, signal, body, &result);

    if (err == ERR_PARSE)
        return intake_refuse_malformed(request, &result);
    if (err != ERR_OK || !answers_have_room(&w->answers, AFTER_DECISION))
        return ERR_FULL;
    if (result.items > 0) {
        number = journal_can_decide(w->journal) ? hand_on(w, signal, body, &result) : 0;
        if (number == 0)
            return ERR_FULL;
    }
    counts->received += result.items + result.rejected;
    counts->rejected += result.rejected;
    counts->kept += result.items;
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
