/* One exporter's way along the outbox: counts what waits, makes batches, and acknowledges what has
 * settled in front. */
#include "export/exporter.h"
#include "export/split.h"

#include <stdlib.h>

static const struct exporter_common *options(const struct exporter *x)
{
    return x->spec->options;
}

static struct journal *outbox(const struct exporter *x)
{
    return x->owner->config.journal;
}

bool queue_is_ours(const struct exporter *x, const struct outbox_item *item)
{
    return item->record.keep && item->record.payload_spans > 0 &&
           (item->record.exporters >> x->index & 1);
}

static enum otlp_signal signal_of(const struct outbox_item *item)
{
    return (enum otlp_signal)decision_signal(&item->record);
}

bool queue_belongs(const struct batch *b, const struct outbox_item *item)
{
    return queue_is_ours(b->exporter, item) && signal_of(item) == b->signal;
}

/* How many items of a signal a record has for the exporter. */
static uint32_t items_of(const struct exporter *x, const struct outbox_item *item,
                         enum otlp_signal signal)
{
    return queue_is_ours(x, item) && signal_of(item) == signal ? item->record.payload_spans : 0;
}

void queue_init(struct exporter *x, uint64_t position)
{
    x->seen = x->cursor = x->acked = position;
    for (int i = 0; i < OTLP_SIGNALS; i++)
        tally_init(&x->tally[i], x->owner->config.memory);
}

void queue_recover(struct exporter *x)
{
    x->seen = x->cursor = x->acked = outbox_acked(outbox(x), x->index);
}

void queue_batch_free(struct batch *b)
{
    free(b->parts);
    free(b);
}

void queue_fini(struct exporter *x)
{
    for (int i = 0; i < OTLP_SIGNALS; i++)
        tally_fini(&x->tally[i]);
    while (x->first) {
        struct batch *next = x->first->next;

        queue_batch_free(x->first);
        x->first = next;
    }
    for (int i = 0; i < OTLP_SIGNALS; i++)
        if (x->open[i])
            queue_batch_free(x->open[i]);
}

static void leave_queue(struct batch *b)
{
    b->exporter->queue_bytes -= b->bytes;
    b->bytes = 0;
}

void queue_part_done(struct part *part)
{
    struct exporter *x = part->batch->exporter;

    queue_unbuild(part);
    if (part->kept && x->spec->type->forget)
        x->spec->type->forget(x->self, part);
    part->done = true;
    if (--part->batch->parts_left == 0)
        leave_queue(part->batch);
}

/* ---- batches ---- */

static bool parts_new(struct batch *b, size_t count)
{
    b->parts = calloc(count, sizeof(*b->parts));
    b->part_count = b->parts_left = count;
    for (size_t i = 0; b->parts && i < count; i++)
        b->parts[i].batch = b;
    return b->parts != NULL;
}

static struct batch *batch_new(struct exporter *x, const struct outbox_item *first, uint64_t now_ns)
{
    struct batch *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->exporter = x;
    b->signal = signal_of(first);
    b->from = first->position;
    b->since_ns = now_ns;
    return b;
}

/* Puts a batch with its parts behind the window. */
static void enter_window(struct exporter *x, struct batch *b, uint64_t to, uint64_t now_ns)
{
    b->to = to;
    b->id = ++x->last_id;
    for (size_t i = 0; i < b->part_count; i++)
        b->parts[i].mark_ns = now_ns;
    if (x->last)
        x->last->next = b;
    else
        x->first = b;
    x->last = b;
    x->window++;
}

/* Closes the open batch of a signal. False without memory: it stays open. */
static bool close_open(struct exporter *x, enum otlp_signal signal, uint64_t now_ns)
{
    struct batch *b = x->open[signal];

    if (!parts_new(b, 1))
        return false;
    b->parts[0].items = b->items;
    enter_window(x, b, x->cursor, now_ns);
    x->open[signal] = NULL;
    return true;
}

static struct split_limits limits_of(const struct exporter *x)
{
    return (struct split_limits){options(x)->batch_bytes, (uint32_t)options(x)->batch_spans};
}

/* One record that is too large for a request becomes a batch of several parts. */
static bool split_record(struct exporter *x, const struct outbox_item *item, uint64_t now_ns)
{
    const struct split_limits limits = limits_of(x);
    struct batch *b = batch_new(x, item, now_ns);
    struct split_position at = {0};
    size_t count = 0;

    if (!b)
        return false;
    while (split_next(b->signal, item->payload, &at, &limits, NULL))
        count++;
    if (!parts_new(b, count ? count : 1)) {
        queue_batch_free(b);
        return false;
    }
    at = (struct split_position){0};
    for (size_t i = 0; i < count; i++) {
        b->parts[i].start = at;
        b->parts[i].items = split_next(b->signal, item->payload, &at, &limits, NULL);
        b->items += b->parts[i].items;
    }
    b->split = true;
    b->limits = limits;
    b->bytes = item->payload.len;
    queue_pass(x, item);
    enter_window(x, b, item->next, now_ns);
    return true;
}

/* Adds the record at the cursor to the batches. False: not now (window or memory). */
static bool take_record(struct exporter *x, const struct outbox_item *item, uint64_t now_ns)
{
    const struct exporter_common *o = options(x);
    enum otlp_signal signal = signal_of(item);
    struct batch *open = x->open[signal];
    uint32_t items = item->record.payload_spans;
    size_t bytes = item->payload.len;
    bool large = bytes > o->batch_bytes || items > o->batch_spans;

    if (open && (open->bytes + bytes > o->batch_bytes || open->items + items > o->batch_spans))
        return close_open(x, signal, now_ns); /* and come again */
    if (large)
        return split_record(x, item, now_ns);
    if (!open && !(open = x->open[signal] = batch_new(x, item, now_ns)))
        return false;
    open->items += items;
    open->bytes += bytes;
    queue_pass(x, item);
    return true;
}

/* ---- along the outbox ---- */

static uint64_t ordinal_of(uint64_t position)
{
    return position >> 32;
}

void queue_see(struct exporter *x, const struct outbox_item *item)
{
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        uint32_t items = items_of(x, item, (enum otlp_signal)i);

        tally_add(&x->tally[i], item->position, items);
        if (ordinal_of(item->position) == ordinal_of(x->cursor))
            x->rest[i] += items;
    }
    if (queue_is_ours(x, item))
        x->queue_bytes += item->payload.len;
    x->seen = item->next;
}

bool queue_look(struct exporter *x, uint64_t position, struct outbox_item *item)
{
    enum outbox_found found = outbox_look(outbox(x), position, item);

    x->is_away |= found == OUTBOX_AWAY;
    return found == OUTBOX_HERE;
}

static void look_ahead(struct exporter *x)
{
    struct outbox_item item;

    while (queue_look(x, x->seen, &item))
        queue_see(x, &item);
}

/* The cursor comes to another segment. */
static void enter_segment(struct exporter *x, uint64_t position)
{
    uint64_t next = (ordinal_of(x->cursor) + 1) << 32, here = ordinal_of(position) << 32;

    for (int i = 0; i < OTLP_SIGNALS; i++) {
        x->stats[i].lost_damaged += x->rest[i] + tally_between(&x->tally[i], next, here);
        x->rest[i] = tally_between(&x->tally[i], here, here + ((uint64_t)1 << 32));
    }
    x->cursor = position;
}

/* Nothing is behind the cursor: what was seen there was damaged on disk, to the end. */
static void reach_end(struct exporter *x)
{
    uint64_t next = (ordinal_of(x->cursor) + 1) << 32;

    x->queue_bytes = 0;
    for (const struct batch *b = x->first; b; b = b->next)
        x->queue_bytes += b->bytes;
    for (int i = 0; i < OTLP_SIGNALS; i++) {
        x->stats[i].lost_damaged += x->rest[i] + tally_between(&x->tally[i], next, UINT64_MAX);
        x->rest[i] = 0;
        x->queue_bytes += x->open[i] ? x->open[i]->bytes : 0;
    }
    x->cursor = x->seen;
}

bool queue_next(struct exporter *x, struct outbox_item *item)
{
    enum outbox_found found;

    if (x->cursor >= x->seen)
        return false;
    found = outbox_look(outbox(x), x->cursor, item);
    x->is_away |= found == OUTBOX_AWAY;
    if (found == OUTBOX_END)
        reach_end(x);
    if (found != OUTBOX_HERE)
        return false;
    if (ordinal_of(item->position) != ordinal_of(x->cursor))
        enter_segment(x, item->position);
    return true;
}

void queue_pass(struct exporter *x, const struct outbox_item *item)
{
    for (int i = 0; i < OTLP_SIGNALS; i++)
        x->rest[i] -= items_of(x, item, (enum otlp_signal)i);
    x->cursor = item->next;
}

/* Whether the batch is not to wait any longer. */
static bool is_ripe(const struct exporter *x, const struct batch *open, uint64_t now_ns)
{
    return atomic_load_explicit(&x->owner->flushing, memory_order_relaxed) ||
           open->items >= options(x)->batch_spans ||
           now_ns - open->since_ns >= options(x)->batch_timeout_ns;
}

bool queue_fill(struct exporter *x, uint64_t now_ns)
{
    struct outbox_item item;
    bool changed;

    look_ahead(x);
    changed = queue_keep_bound(x);
    while (x->window < WINDOW_MAX && !x->is_away && queue_next(x, &item)) {
        if (!queue_is_ours(x, &item))
            queue_pass(x, &item);
        else if (!take_record(x, &item, now_ns))
            return changed;
        changed = true;
    }
    for (int i = 0; i < OTLP_SIGNALS && x->window < WINDOW_MAX; i++)
        if (x->open[i] && is_ripe(x, x->open[i], now_ns))
            changed |= close_open(x, (enum otlp_signal)i, now_ns);
    return changed;
}

struct batch *queue_oldest_open(const struct exporter *x)
{
    struct batch *oldest = NULL;

    for (int i = 0; i < OTLP_SIGNALS; i++)
        if (x->open[i] && (!oldest || x->open[i]->from < oldest->from))
            oldest = x->open[i];
    return oldest;
}

/* Where what has not settled begins. Batches of different signals lie in each other. */
static uint64_t unsettled_from(const struct exporter *x)
{
    const struct batch *open = queue_oldest_open(x);
    uint64_t from = open ? open->from : x->cursor;

    for (const struct batch *b = x->first; b; b = b->next)
        from = b->from < from ? b->from : from;
    return from;
}

bool queue_settle(struct exporter *x)
{
    uint64_t to;

    while (x->first && x->first->parts_left == 0) {
        struct batch *b = x->first;

        x->first = b->next;
        if (!x->first)
            x->last = NULL;
        x->window--;
        queue_batch_free(b);
    }
    to = unsettled_from(x);
    if (to <= x->acked)
        return false;
    x->acked = to;
    for (int i = 0; i < OTLP_SIGNALS; i++)
        tally_forget(&x->tally[i], to);
    outbox_ack(outbox(x), x->index, to);
    return true;
}

/* ---- what batches hold ---- */

uint64_t queue_due_ns(const struct exporter *x)
{
    uint64_t due = NEVER_NS;

    for (int i = 0; i < OTLP_SIGNALS && x->window < WINDOW_MAX; i++)
        if (x->open[i])
            due = earlier_ns(due, x->open[i]->since_ns + options(x)->batch_timeout_ns);
    return due;
}

/* The items of records from `at` on that begin before `end`. Those are in memory: outbox_hold. */
static uint64_t items_between(const struct exporter *x, enum otlp_signal signal, uint64_t at,
                              uint64_t end)
{
    struct outbox_item item;
    uint64_t items = 0;

    for (; outbox_read(outbox(x), at, &item) && item.position < end; at = item.next)
        items += items_of(x, &item, signal);
    return items;
}

uint64_t queue_items(const struct exporter *x, enum otlp_signal signal)
{
    uint64_t items = x->open[signal] ? x->open[signal]->items : 0, begin;

    for (const struct batch *b = x->first; b; b = b->next)
        for (size_t i = 0; b->signal == signal && i < b->part_count; i++)
            items += b->parts[i].done ? 0 : b->parts[i].items;
    items += tally_beyond(&x->tally[signal], x->cursor, &begin);
    items += items_between(x, signal, x->cursor, begin);
    if (begin != UINT64_MAX)
        items += items_between(x, signal, x->seen, UINT64_MAX);
    return items;
}

bool queue_is_empty(const struct exporter *x)
{
    return !x->first && !queue_oldest_open(x) && outbox_ends_at(outbox(x), x->cursor);
}
