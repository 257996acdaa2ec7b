/* backends.h: where the simulated exporters send to: port 1 + i of http://h is place[i]. */
#pragma once

#include "world.h"

static inline enum otlp_signal signal_of_url(const char *url)
{
    const char *name = strrchr(url, '/') + 1;
    enum otlp_signal signal;

    if (!otlp_signal_find(name, strlen(name), &signal))
        abort();
    return signal;
}

/* A span came once more than it was sent: allowed where it was taken without an answer, and for
 * what was on its way at the end of a process: with what had settled before it, up to the last
 * moment at which nothing was queued and that was noted. After a power cut that is only known of
 * what is synced. */
static inline void check_again(const struct place *p, const struct taken *t, const char *what,
                               uint64_t number)
{
    delivered_again++;
    if (t->is_unsure || (has(POWER_CUTS) && w.level != LEVEL_FSYNC))
        return;
    MUST(t->ns <= w.killed_ns && t->ns >= p->noted_ns,
         "%s %llu is sent again: taken at %llu, all was settled at %llu, the last end was at %llu",
         what, (unsigned long long)number, (unsigned long long)t->ns,
         (unsigned long long)p->noted_ns, (unsigned long long)w.killed_ns);
}

static inline void note_taken(struct place *p, struct taken *t)
{
    t->count++;
    t->ns = world_ns();
    t->is_unsure = p->mood == UNSURE;
}

static inline void take_span(struct place *p, uint64_t trace, uint64_t id)
{
    struct taken *t;

    if (trace == 0 || trace > TRACES || id == 0 || id > w.sent[trace] || kind_of(trace) == 0) {
        MUST(false, "span %llu of trace %llu arrives, which was never sent, or is to be dropped",
             (unsigned long long)id, (unsigned long long)trace);
        return;
    }
    t = &p->spans[trace][id - 1];
    if (t->count >= w.copies[trace][id - 1])
        check_again(p, t, "a span of trace", trace);
    note_taken(p, t);
}

/* Takes all but the first `refused`; returns how many there are. */
static inline size_t take_spans(struct place *p, struct slice body, bool takes, uint64_t *refused)
{
    struct scan_result result;
    struct scan_span *spans;

    if (scan_traces(body, NULL, 0, &result) == ERR_PARSE)
        abort();
    MUST(result.rejected == 0, "an exporter sends %zu spans that are not valid",
         (size_t)result.rejected);
    spans = calloc(result.spans + 1, sizeof(*spans));
    if (!spans || scan_traces(body, spans, result.spans, &result) != ERR_OK)
        abort();
    if (*refused > result.spans)
        *refused = result.spans;
    for (size_t i = *refused; takes && i < result.spans; i++)
        take_span(p, view_id(slice_make(spans[i].trace_id, 8)), spans[i].span_id);
    free(spans);
    return result.spans;
}

/* What counts spans sends data points, which nobody sent in. */
static inline size_t count_points(struct slice body)
{
    struct scan_result result;

    if (scan_items(OTLP_METRICS, body, NULL, 0, &result) != ERR_OK)
        abort();
    MUST(result.rejected == 0, "an exporter sends data points that are not valid");
    return result.items;
}

/* Items are found by their names. */
static inline size_t take_items(struct place *p, enum otlp_signal signal, struct slice body,
                                bool takes)
{
    const uint8_t *at = body.data, *end = body.data + body.len;
    size_t found = 0;

    while ((at = memmem(at, (size_t)(end - at), signal == OTLP_LOGS ? "log-" : "met-", 4))) {
        char digits[6] = {0};
        unsigned item;

        memcpy(digits, at + 4, 5);
        item = (unsigned)atoi(digits);
        found++;
        at += 9;
        MUST(item < w.items[signal], "item %u arrives, which was never sent", item);
        if (!takes || item >= w.items[signal])
            continue;
        if (p->items[signal][item].count > 0)
            check_again(p, &p->items[signal][item], otlp_signal_name(signal), item);
        note_taken(p, &p->items[signal][item]);
    }
    return has(COUNTING) && signal == OTLP_METRICS ? count_points(body) : found;
}

/* Export...ServiceResponse { partial_success = 1 { rejected_... = 1 } } */
static inline void answer_partly(struct http_answer *answer, uint64_t refused)
{
    const uint8_t bytes[] = {0x0a, 2, 8, (uint8_t)refused};

    buf_append(&answer->body, bytes, sizeof(bytes));
}

static inline uint64_t answer_in(struct place *p, const struct http_request *request,
                                 struct http_answer *answer)
{
    enum otlp_signal signal = signal_of_url(request->url);
    bool takes = p->mood == GOOD || p->mood == SLOW || p->mood == UNSURE || p->mood == PARTIAL;
    uint64_t refused = p->mood == PARTIAL && signal == OTLP_TRACES ? 1 + rng_below(&w.rng, 3) : 0;
    size_t items = signal == OTLP_TRACES ? take_spans(p, request->body, takes, &refused)
                                         : take_items(p, signal, request->body, takes);

    answer->status = p->mood == BUSY       ? chance(50) ? 503 : 429
                     : p->mood == DENYING  ? 401
                     : p->mood == REFUSING ? 400
                                           : 200;
    if (p->mood == REFUSING)
        refused = items;
    if (p->mood == PARTIAL && refused)
        answer_partly(answer, refused);
    if (p->mood == DOWN || p->mood == UNSURE) {
        answer->err = ERR_IO;
        snprintf(answer->error, sizeof(answer->error), "connection %s",
                 p->mood == DOWN ? "refused" : "reset");
    }
    if (p->mood == BUSY && chance(50))
        buf_append(&answer->headers, "retry-after: 2\n", 15);
    p->refused += refused;
    if (takes && p->mood != UNSURE)
        p->taken_in_life[signal] += items - refused;
    return p->mood == SLOW ? rng_below(&w.rng, 3 * NS_PER_S) : 0;
}

static inline uint64_t serve_world(void *arg, const struct http_request *request,
                                   struct http_answer *answer)
{
    unsigned port = (unsigned)(request->url[strlen("http://h:")] - '1');
    struct place *p = &w.place[port];
    uint64_t delay;

    (void)arg;
    if (port >= EXPORTERS)
        abort();
    delay = answer_in(p, request, answer);
    say("%c gets %zu bytes: %d", 'a' + port, request->body.len, answer->err ? 0 : answer->status);
    return delay;
}
