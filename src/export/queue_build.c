/* What a part sends, copied out of the outbox. Where that is on disk only, the copy goes on when it
 * is in memory again: segment by segment, so that no more than one of them is needed at once. */
#include "export/exporter.h"
#include "export/split.h"

#include <stdlib.h>

static void forget_traces(struct part *p)
{
    free(p->traces);
    p->traces = NULL;
    p->trace_count = p->trace_capacity = 0;
}

void queue_unbuild(struct part *p)
{
    struct exporter *x = p->batch->exporter;

    if (!p->in_flight)
        forget_traces(p);
    if (x->building != p)
        return;
    x->building = NULL;
    buf_fini(&p->body);
}

/* Lua sees the traces one by one. */
static bool note_trace(struct part *p, const struct outbox_item *item)
{
    if (!p->batch->exporter->spec->is_lua || p->batch->signal != OTLP_TRACES)
        return true;
    if (p->trace_count == p->trace_capacity) {
        size_t capacity = p->trace_capacity ? p->trace_capacity * 2 : 16;
        struct part_trace *grown = realloc(p->traces, capacity * sizeof(*grown));

        if (!grown)
            return false;
        p->traces = grown;
        p->trace_capacity = capacity;
    }
    p->traces[p->trace_count++] = (struct part_trace){
        .record = item->record, .offset = p->body.len, .len = item->payload.len};
    return true;
}

static bool needs_body(const struct part *p)
{
    return !p->batch->exporter->spec->type->needs_no_body;
}

/* All of a record, or the part's piece of the one record of its batch. */
static void copy_payload(struct part *p, struct slice payload)
{
    struct split_position at = p->start;

    if (!needs_body(p))
        return;
    if (!p->batch->split) {
        buf_append(&p->body, payload.data, payload.len);
        return;
    }
    split_next(p->batch->signal, payload, &at, &p->batch->limits, &p->body);
    if (p->trace_count)
        p->traces[0].len = p->body.len;
}

static enum err copy_record(struct part *p, const struct outbox_item *item)
{
    if (!queue_belongs(p->batch, item))
        return ERR_OK;
    if (!note_trace(p, item))
        return ERR_FULL;
    copy_payload(p, item->payload);
    p->found += p->batch->split ? p->items : item->record.payload_spans;
    return ERR_OK;
}

static enum err copy_records(struct part *p)
{
    const struct batch *b = p->batch;
    struct exporter *x = b->exporter;
    struct outbox_item item;
    enum err err = ERR_OK;

    while (err == ERR_OK && p->at < b->to) {
        enum outbox_found found = outbox_look(x->owner->config.journal, p->at, &item);

        if (found == OUTBOX_AWAY) {
            x->is_away = true;
            return ERR_IO;
        }
        if (found == OUTBOX_END || item.position >= b->to)
            break;
        err = copy_record(p, &item);
        p->at = item.next;
    }
    return err == ERR_OK && !buf_ok(&p->body) ? ERR_FULL : err;
}

static enum err begin(struct part *p)
{
    struct exporter *x = p->batch->exporter;

    if (x->building)
        queue_unbuild(x->building);
    forget_traces(p);
    buf_init(&p->body, SIZE_MAX / 2, x->owner->config.memory);
    p->body.forced = x->in_flight == 0; /* memory that is full becomes free by sending */
    p->at = p->batch->from;
    p->found = 0;
    x->building = p;
    if (!needs_body(p) || p->batch->split)
        return ERR_OK;
    return buf_reserve(&p->body, p->batch->bytes) ? ERR_OK : ERR_FULL;
}

/* What is not there any more was damaged on disk. */
static enum err count_damaged(struct part *p)
{
    p->batch->exporter->stats[p->batch->signal].lost_damaged += p->items - p->found;
    p->items = p->found;
    if (p->items > 0)
        return ERR_OK;
    queue_part_done(p);
    return ERR_PARSE;
}

enum err queue_build(struct part *p)
{
    struct exporter *x = p->batch->exporter;
    enum err err = x->building == p ? ERR_OK : begin(p);

    if (err == ERR_OK)
        err = copy_records(p);
    if (err == ERR_FULL)
        queue_unbuild(p);
    if (err != ERR_OK)
        return err;
    if (p->found < p->items)
        err = count_damaged(p);
    if (err == ERR_OK)
        x->building = NULL;
    return err;
}
