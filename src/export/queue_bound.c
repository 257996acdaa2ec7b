/* queue.max_size: what goes when an exporter's queue is full, or that senders are refused. */
#include "export/exporter.h"

#include <stdlib.h>

/* What is given up counts as lost, by whose bound it was. */
static uint64_t *lost_of(struct exporter *x, unsigned signal)
{
    if (x->is_removed)
        return &x->stats[signal].lost_removed;
    return x->disk_is_full ? &x->stats[signal].lost_disk_full : &x->stats[signal].lost_outbox_full;
}

/* Gives up what of a batch is not in flight. False: there is nothing. */
static bool drop_parts(struct batch *b)
{
    bool dropped = false;

    for (size_t i = 0; i < b->part_count; i++) {
        struct part *p = &b->parts[i];

        if (p->done || p->in_flight)
            continue;
        *lost_of(b->exporter, b->signal) += p->items;
        queue_part_done(p);
        dropped = true;
    }
    return dropped;
}

static void take_off(struct batch *b, uint32_t items, size_t bytes)
{
    b->exporter->queue_bytes -= bytes;
    b->bytes -= bytes;
    b->items -= items;
}

/* Gives up the first record of a batch of records. False: it is on disk only, not now. */
static bool drop_first(struct batch *b)
{
    struct exporter *x = b->exporter;
    uint64_t to = b->to ? b->to : x->cursor;
    struct outbox_item item;

    while (b->from < to) {
        if (!queue_look(x, b->from, &item))
            return false;
        if (item.position >= to)
            break;
        b->from = item.next;
        if (!queue_belongs(b, &item))
            continue;
        *lost_of(x, b->signal) += item.record.payload_spans;
        take_off(b, item.record.payload_spans, item.payload.len);
        return true;
    }
    x->stats[b->signal].lost_damaged += b->items; /* they were here before */
    take_off(b, b->items, b->bytes);
    return true;
}

/* Gives up a little of a batch in the window. False: there is nothing that is not in flight. */
static bool drop_of_batch(struct batch *b)
{
    struct part *p = &b->parts[0];

    if (b->split || p->kept) /* pieces of one record; or encoded already */
        return drop_parts(b);
    if (p->done || p->in_flight)
        return false;
    queue_unbuild(p);
    if (!drop_first(b))
        return false;
    p->items = b->items;
    if (b->items == 0)
        queue_part_done(p);
    return true;
}

/* False: not now. */
static bool drop_of_open(struct exporter *x, struct batch *open)
{
    if (!drop_first(open))
        return false;
    if (open->items)
        return true;
    x->open[open->signal] = NULL;
    queue_batch_free(open);
    return true;
}

/* The next record of ours beyond the batches. */
static bool drop_record(struct exporter *x)
{
    struct outbox_item item;

    while (queue_next(x, &item)) {
        queue_pass(x, &item);
        if (!queue_is_ours(x, &item))
            continue;
        *lost_of(x, decision_signal(&item.record)) += item.record.payload_spans;
        x->queue_bytes -= item.payload.len;
        return true;
    }
    return false;
}

static bool drop_oldest(struct exporter *x)
{
    struct batch *open = queue_oldest_open(x);

    for (struct batch *b = x->first; b && !x->is_away; b = b->next)
        if (drop_of_batch(b))
            return true;
    if (x->is_away)
        return false; /* one segment after the other comes back */
    if (!open)
        return drop_record(x);
    return drop_of_open(x, open);
}

/* Gives up a little of what lies before `to` and is not in flight. False: there is nothing. */
static bool drop_before(struct exporter *x, uint64_t to)
{
    struct batch *open = queue_oldest_open(x);

    for (struct batch *b = x->first; b && b->from < to && !x->is_away; b = b->next)
        if (b->parts_left > 0 && drop_of_batch(b))
            return true;
    if (x->is_away)
        return false;
    if (!open)
        return x->cursor < to && drop_record(x);
    if (open->from >= to)
        return false;
    return drop_of_open(x, open);
}

/* The journal's disk is nearly full: the oldest segment of the outbox goes. */
static bool make_space(struct exporter *x, uint64_t to)
{
    bool dropped = false;

    x->disk_is_full = true;
    while (drop_before(x, to))
        dropped = true;
    x->disk_is_full = false;
    return dropped;
}

bool queue_keep_bound(struct exporter *x)
{
    const struct exporter_common *o = x->spec->options;
    uint64_t shed_to = outbox_shed_to(x->owner->config.journal);
    bool dropped = false;

    if (x->is_removed) {
        while (x->queue_bytes > 0 && drop_oldest(x))
            dropped = true;
        return dropped;
    }
    if (strcmp(o->on_full, "refuse") == 0) {
        x->refusing = x->queue_bytes > (x->refusing ? o->queue_bytes / 8 * 7 : o->queue_bytes) ||
                      x->acked < shed_to;
        return false;
    }
    dropped = make_space(x, shed_to);
    /* What is in flight is the oldest, but may arrive: it counts again when it comes back. */
    while (x->queue_bytes > o->queue_bytes + x->flying_bytes && drop_oldest(x))
        dropped = true;
    return dropped;
}
