/* queue.max_size: what goes when an exporter's queue is full, or that senders are refused. */
#include "export/exporter.h"

#include <stdlib.h>

/* Gives up what of a batch is not in flight. False: there is nothing. */
static bool drop_parts(struct batch *b)
{
    bool dropped = false;

    for (size_t i = 0; i < b->part_count; i++) {
        struct part *p = &b->parts[i];

        if (p->done || p->in_flight)
            continue;
        b->exporter->stats[b->signal].lost_outbox_full += p->items;
        queue_part_done(p);
        dropped = true;
    }
    return dropped;
}

/* Gives up the first record of a batch of records. */
static void drop_first(struct batch *b)
{
    struct exporter *x = b->exporter;
    struct outbox_item item;

    while (outbox_read(x->owner->config.journal, b->from, &item)) {
        b->from = item.next;
        if (!queue_belongs(b, &item))
            continue;
        x->stats[b->signal].lost_outbox_full += item.record.payload_spans;
        x->queue_bytes -= item.payload.len;
        b->bytes -= item.payload.len;
        b->items -= item.record.payload_spans;
        return;
    }
}

/* Gives up a little of a batch in the window. False: there is nothing that is not in flight. */
static bool drop_of_batch(struct batch *b)
{
    struct part *p = &b->parts[0];

    if (b->split || p->kept) /* pieces of one record; or encoded already */
        return drop_parts(b);
    if (p->done || p->in_flight)
        return false;
    drop_first(b);
    p->items = b->items;
    if (b->items == 0)
        queue_part_done(p);
    return true;
}

static void drop_of_open(struct exporter *x, struct batch *open)
{
    drop_first(open);
    if (open->items)
        return;
    x->open[open->signal] = NULL;
    queue_batch_free(open);
}

/* The next record of ours beyond the batches. */
static bool drop_record(struct exporter *x)
{
    struct outbox_item item;

    while (x->cursor < x->seen && outbox_read(x->owner->config.journal, x->cursor, &item)) {
        x->cursor = item.next;
        if (!queue_is_ours(x, &item))
            continue;
        x->stats[decision_signal(&item.record)].lost_outbox_full += item.record.payload_spans;
        x->queue_bytes -= item.payload.len;
        return true;
    }
    return false;
}

static bool drop_oldest(struct exporter *x)
{
    struct batch *open = queue_oldest_open(x);

    for (struct batch *b = x->first; b; b = b->next)
        if (drop_of_batch(b))
            return true;
    if (!open)
        return drop_record(x);
    drop_of_open(x, open);
    return true;
}

bool queue_keep_bound(struct exporter *x)
{
    const struct exporter_common *o = x->spec->options;
    bool dropped = false;

    if (strcmp(o->on_full, "refuse") == 0) {
        x->refusing = x->queue_bytes > (x->refusing ? o->queue_bytes / 8 * 7 : o->queue_bytes);
        return false;
    }
    /* What is in flight is the oldest, but may arrive: it counts again when it comes back. */
    while (x->queue_bytes > o->queue_bytes + x->flying_bytes && drop_oldest(x))
        dropped = true;
    return dropped;
}
