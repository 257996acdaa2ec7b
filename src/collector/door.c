#include "collector/door.h"

#include <stdlib.h>

enum { ROOM_FOR_MASKS = 1024 }; /* beside twice the size: for small bodies */

bool door_is_head_sampled(const struct scan_span *s, struct slice body, uint64_t threshold)
{
    struct span_fields f;
    uint64_t r = 0;

    if (threshold == 0)
        return true;
    if (s->flags & SCAN_TRACE_STATE) {
        view_span_fields(slice_make(body.data + s->offset, s->len), &f);
        if (sampling_rv(f.trace_state, &r))
            return r >= threshold;
    }
    return sampling_randomness_of_id(s->trace_id) >= threshold;
}

/* What is held is written where it was staged. */
static bool may_grow(const struct rules *rules)
{
    return processor_set_has_bodies(rules->received) ||
           (rules->config->follow_traces && processor_set_has_items(rules->received, OTLP_LOGS));
}

size_t door_room(const struct worker *w, size_t size)
{
    return may_grow(w->rules) ? 2 * size + ROOM_FOR_MASKS : size;
}

static bool is_dropped(struct worker *w, const struct scan_span *s, struct slice body,
                       uint64_t now_ns, uint16_t *label)
{
    struct span_view view = span_view_of(body, s);

    return processor_set_drops(w->rules->received, s->trace_id, &view, now_ns, label);
}

static void note(struct door *d, uint16_t label)
{
    if (d->tally[label]++ == 0)
        d->labels[d->label_count++] = label;
}

static void clear_tally(struct door *d)
{
    while (d->label_count > 0)
        d->tally[d->labels[--d->label_count]] = 0;
}

/* Moves span i to where the next one that comes in belongs. Who counts all spans wants to have the
 * others behind them. */
static void let_in(struct worker *w, size_t to, size_t i)
{
    struct scan_span s = w->spans[to];

    if (to == i)
        return;
    w->spans[to] = w->spans[i];
    if (w->recorder)
        w->spans[i] = s;
}

size_t door_filter(struct worker *w, struct slice body, size_t count, uint64_t now_ns)
{
    uint64_t threshold = w->rules->head_threshold;
    uint16_t label = w->door.head_label;
    size_t left = 0;

    clear_tally(&w->door);
    if (threshold == 0 && !w->rules->received)
        return count;
    for (size_t i = 0; i < count; i++) {
        const struct scan_span *s = &w->spans[i];

        if (!door_is_head_sampled(s, body, threshold))
            note(&w->door, w->door.head_label);
        else if (w->rules->received && is_dropped(w, s, body, now_ns, &label))
            note(&w->door, label);
        else
            let_in(w, left++, i);
    }
    return left;
}

void door_count(struct worker *w)
{
    for (size_t i = 0; i < w->door.label_count; i++)
        w->counts.filtered[w->door.labels[i]] += w->door.tally[w->door.labels[i]];
}

void door_begin_items(struct worker *w)
{
    clear_tally(&w->door);
}

void door_drop_items(void *worker, uint16_t label, size_t items)
{
    struct door *d = &((struct worker *)worker)->door;

    note(d, label);
    d->tally[label] += (uint32_t)items - 1;
}

size_t door_items(const struct worker *w)
{
    size_t items = 0;

    for (size_t i = 0; i < w->door.label_count; i++)
        items += w->door.tally[w->door.labels[i]];
    return items;
}

void door_count_items(struct worker *w, enum otlp_signal signal)
{
    for (size_t i = 0; i < w->door.label_count; i++)
        w->counts.passed[signal].filtered[w->door.labels[i]] += w->door.tally[w->door.labels[i]];
}

void door_init(struct worker *w)
{
    struct door *d = &w->door;

    d->tally = calloc(LABEL_MAX, sizeof(*d->tally));
    d->labels = calloc(LABEL_MAX, sizeof(*d->labels));
    if (!d->tally || !d->labels)
        err_no_memory("what is dropped at the door");
    d->head_label = labels_intern(w->shared->policies->filters, slice_str("head_sampling"),
                                  slice_str("sampling_percentage"));
}

void door_fini(struct worker *w)
{
    free(w->door.tally);
    free(w->door.labels);
}
