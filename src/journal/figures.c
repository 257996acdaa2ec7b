#include "journal/journal_impl.h"

static void add_decision(void *arg, const void *item)
{
    const struct decision *decision = item;
    struct journal_stats *s = arg;

    s->uncommitted++;
    for (unsigned i = 0; i < EXPORTERS_MAX; i++)
        if (decision->record.keep && (decision->record.exporters >> i & 1))
            s->in_transit[decision_signal(&decision->record)][i] += decision->record.payload_spans;
}

static void add_segment(const struct segment *segment, struct journal_stats *s)
{
    uint32_t references = atomic_load_explicit(&segment->references, memory_order_relaxed);

    if (segment->kind == SEGMENT_PACKED)
        s->packs_bytes += segment->size;
    else if (segment->kind == SEGMENT_FRAMES && !segment->bytes && segment->packed)
        s->packed_bytes += segment->size;
    else if ((segment->kind == SEGMENT_FRAMES || segment->kind == SEGMENT_OUTBOX) &&
             !segment->bytes)
        s->spilled_bytes += segment->size;
    else if (segment->kind == SEGMENT_DECISIONS)
        s->free_bytes += segment->bytes ? segment->size : 0;
    else if (segment->kind == SEGMENT_OUTBOX)
        s->outbox_bytes += segment->size;
    else if (segment->kind == SEGMENT_FRAMES && segment->used > 0 && references > 0)
        s->live_bytes += segment->size;
    else if (segment->kind != SEGMENT_ABSENT)
        s->free_bytes += segment->size;
    if (segment->kind == SEGMENT_FRAMES) {
        s->live_items += references - segment->open;
        s->pinned_bytes += references > segment->open ? segment->size : 0;
    }
}

static void add_packed(const struct spill *spill, struct journal_stats *s)
{
    if (!pack_is_enabled(&spill->pack))
        return;
    s->copies_bytes = spill->pack.bytes;
    s->packed = spill->spilled;
    s->expanded = spill->loaded;
    for (unsigned i = 0; i < spill->journal->config.workers; i++)
        s->unpacked +=
            atomic_load_explicit(&spill->journal->writers[i].unpack.blocks, memory_order_relaxed);
}

static void add_files(const struct journal *j, struct journal_stats *s)
{
    const struct files *f = &j->files;
    struct store_stats store;

    if (!f->store)
        return;
    store_stats(f->store, &store);
    s->file_bytes = store.file_bytes;
    s->file_max_bytes = store.max_bytes;
    s->live_file_bytes = store.file_bytes - store.free_bytes - store.failed_bytes;
    s->history_bytes = j->config.history_bytes ? store.free_bytes : 0;
    s->spilled = j->spill.spilled + j->outbox.spilled;
    s->loaded = j->spill.loaded + j->outbox.loaded;
    s->written_bytes = f->written_bytes;
    s->syncs = store.syncs;
    s->write_errors = f->write_errors;
    s->sync_errors = f->sync_errors;
    s->decisions_logged = j->log.entries;
    s->refusing = files_are_refusing(f);
}

void journal_stats(const struct journal *j, struct journal_stats *s)
{
    *s = (struct journal_stats){0};
    for (uint32_t i = 1; i < j->segments.count; i++)
        add_segment(segment_at(&j->segments, i), s);
    for (unsigned i = 0; i < j->config.workers; i++) {
        ring_each(&j->writers[i].ring, add_decision, s);
        if (j->writers[i].holds)
            add_decision(s, &j->writers[i].held);
    }
    memcpy(s->enqueued, j->outbox.enqueued, sizeof(s->enqueued));
    for (unsigned signal = 0; signal < DECISION_SIGNALS; signal++)
        for (unsigned i = 0; i < EXPORTERS_MAX; i++)
            s->in_transit[signal][i] += j->outbox.hidden[signal][i];
    add_packed(&j->spill, s);
    add_files(j, s);
}

size_t journal_recent(struct journal *j, struct decision_record *out, size_t max)
{
    size_t n;

    pthread_mutex_lock(&j->recent_lock);
    n = j->recent_count < RECENT ? (size_t)j->recent_count : RECENT;
    if (n > max)
        n = max;
    for (size_t i = 0; i < n; i++)
        out[i] = j->recent[(j->recent_count - 1 - i) % RECENT];
    pthread_mutex_unlock(&j->recent_lock);
    return n;
}

/* ---- the outbox, as others see it ---- */

uint64_t outbox_begin(const struct journal *j)
{
    return atomic_load_explicit(&j->outbox.begin, memory_order_acquire);
}

uint64_t outbox_acked(const struct journal *j, unsigned index)
{
    return atomic_load_explicit(&j->outbox.acked[index], memory_order_acquire);
}

bool outbox_read(const struct journal *j, uint64_t position, struct outbox_item *item)
{
    return outbox_find(&j->outbox, position, item) == OUTBOX_HERE;
}

bool outbox_ends_at(const struct journal *j, uint64_t position)
{
    struct outbox_item item;

    return outbox_find(&j->outbox, position, &item) == OUTBOX_END;
}

enum outbox_found outbox_look(struct journal *j, uint64_t position, struct outbox_item *item)
{
    struct outbox *o = &j->outbox;
    enum outbox_found found = outbox_find(o, position, item);

    if (found != OUTBOX_AWAY)
        return found;
    if (!o->is_reading && outbox_visit(o, outbox_number(o, item->position)))
        return outbox_look(j, item->position, item);
    if (outbox_ask(o, outbox_number(o, item->position)))
        journal_urge(j);
    return OUTBOX_AWAY;
}

void outbox_read_begin(struct journal *j)
{
    struct outbox *o = &j->outbox;

    o->is_reading = true;
    if (j->files.store)
        atomic_fetch_add_explicit(&o->reading, 1, memory_order_seq_cst);
}

void outbox_read_end(struct journal *j)
{
    if (j->files.store)
        atomic_fetch_add_explicit(&j->outbox.reading, 1, memory_order_release);
}

void outbox_hold(struct journal *j, unsigned index, uint64_t seen, uint64_t cursor)
{
    atomic_store_explicit(&j->outbox.seen[index], seen, memory_order_release);
    atomic_store_explicit(&j->outbox.cursor[index], cursor, memory_order_release);
}

void outbox_add_exporters(struct journal *j, unsigned count, uint64_t position)
{
    outbox_grow(&j->outbox, count, position);
    journal_wake(j);
}

bool outbox_knows_exporters(const struct journal *j, unsigned count)
{
    return !j->files.store ||
           atomic_load_explicit(&j->acked_exporters, memory_order_acquire) >= count;
}

void outbox_ack(struct journal *j, unsigned index, uint64_t position)
{
    if (outbox_settle(&j->outbox, index, position) || j->files.store)
        journal_wake(j);
}
