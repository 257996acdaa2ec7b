/* recover_decided.c: what was decided: names, the log of decisions, and the outbox. */
#include "journal/acked_file.h"
#include "journal/recover.h"

#include <stdlib.h>

static uint64_t source_hash(const struct recovered *r, const uint8_t trace_id[16], uint64_t source)
{
    uint8_t both[24];

    memcpy(both, trace_id, 16);
    memcpy(both + 16, &source, sizeof(source));
    return hash_bytes(r->key, both, sizeof(both)) | 1;
}

bool recovery_has_source(const struct journal *j, const uint8_t trace_id[16], uint64_t source)
{
    const struct recovered *r = j->recovered;

    return r && hash_set_has(&r->sources, source_hash(r, trace_id, source));
}

/* ---- names ---- */

static uint64_t present_exporter(const struct journal *j, const char *name)
{
    for (unsigned i = 0; i < outbox_exporters(&j->outbox); i++)
        if (strcmp(j->config.names->exporters[i], name) == 0)
            return UINT64_C(1) << i;
    return 0;
}

static void find_gone(struct recovered *r)
{
    for (size_t i = 0; i < EXPORTERS_MAX; i++) {
        const char *name = i < r->names.exporter_count ? r->names.exporters[i] : NULL;

        if (!name || present_exporter(r->journal, name) ||
            !acked_find(r->acked.text, name, &r->gone[i]))
            r->gone[i] = UINT64_MAX;
    }
}

/* What the names in `body` are now; NULL: they are damaged, or it has failed. */
static struct outbox_map *map_names(struct recovered *r, struct slice body)
{
    const struct journal_names *now = r->journal->config.names;
    struct names_read names;
    struct outbox_map *map;
    enum err err = names_read(body, &names);

    if (err == ERR_FULL)
        recover_fail(r);
    if (err != ERR_OK)
        return NULL;
    map = calloc(1, sizeof(*map) + names.label_count * sizeof(map->labels[0]));
    if (!map) {
        names_free(&names);
        recover_fail(r);
        return NULL;
    }
    map->label_count = names.label_count;
    for (size_t i = 0; i < names.label_count; i++)
        map->labels[i] = now->intern(now->arg, names.labels[i].policy, names.labels[i].reason);
    for (size_t i = 0; i < names.exporter_count; i++)
        map->exporters[i] = present_exporter(r->journal, names.exporters[i]);
    names_free(&r->names);
    r->names = names;
    find_gone(r);
    return map;
}

static void read_names(struct recovered *r, struct slice body)
{
    struct outbox_map *map = map_names(r, body);

    if (!map) {
        r->found->damaged_frames++;
        return;
    }
    free(r->map);
    r->map = map;
}

/* Before a segment is read: what is numbered in it means what its own names say. The first of them
 * hold until others come, also where what was before them is damaged. */
static void begin_names(struct recovered *r, struct frame_walk walk)
{
    enum frame_found what;
    struct frame frame;

    free(r->map);
    r->map = NULL;
    while (!r->map && (what = frame_next(&walk, &frame)) != FRAME_END)
        if (what == FRAME_FOUND && frame.header.signal == FRAME_NAMES)
            r->map = map_names(r, frame.body);
}

/* Without names it is for nobody. */
static void translate(const struct recovered *r, struct decision_record *d)
{
    static const struct outbox_map nothing;

    outbox_map_apply(r->map ? r->map : &nothing, d);
}

/* ---- decisions ---- */

/* A decision may be there twice, in the outbox and in the log. Its sources alone do not tell it
 * from others: late spans and a rescue may have those of the first decision. */
static uint64_t identity_of(const struct recovered *r, const struct entry *e)
{
    struct {
        uint8_t trace_id[16];
        uint64_t unix_ns, sources;
        uint32_t spans;
        uint8_t keep, late;
        uint8_t zeros[2];
    } it = {.unix_ns = e->record.unix_ns,
            .sources = hash_bytes(r->key, e->sources, e->source_count * sizeof(uint64_t)),
            .spans = e->record.spans,
            .keep = e->record.keep,
            .late = e->record.late};

    memcpy(it.trace_id, e->record.trace_id, sizeof(it.trace_id));
    return hash_bytes(r->key, &it, sizeof(it)) | 1;
}

/* Hands one on. False: it was known. */
static bool take_entry(struct recovered *r, const struct entry *e)
{
    struct decision_record d = e->record;

    for (unsigned i = 0; i < e->source_count; i++) {
        hash_set_add(&r->sources, source_hash(r, d.trace_id, entry_source(e, i)));
        recover_note_sequence(r, entry_source(e, i));
    }
    if (e->source_count > 0 && !hash_set_add(&r->decisions, identity_of(r, e)))
        return false;
    translate(r, &d);
    r->to->decision(r->to->arg, &d);
    r->found->decisions++;
    return true;
}

/* Returns how many are of traces: what decision_cache counts. */
static uint64_t take_entries(struct recovered *r, struct slice body)
{
    uint64_t count = 0;
    struct entry e;
    size_t at = 0;

    while (entry_read(body, &at, &e)) {
        take_entry(r, &e);
        count += e.record.signal != SIGNAL_LOGS;
    }
    return count;
}

void recover_decisions(struct recovered *r, uint32_t region)
{
    struct journal *j = r->journal;
    uint32_t number = recover_adopt(r, region, SEGMENT_DECISIONS);
    uint64_t entries = 0, last_ns;
    struct frame_walk walk;
    struct frame frame;

    if (!number)
        return;
    last_ns = segment_at(&j->segments, number)->opened_ns;
    walk = recover_walk(r, number);
    begin_names(r, walk);
    while (recover_next_frame(r, &walk, &frame)) {
        last_ns = recover_to_now(r, walk.header, frame.header.boot_ns, frame.header.unix_ns);
        if (frame.header.signal == FRAME_NAMES)
            read_names(r, frame.body);
        else if (frame.header.signal == FRAME_DECISIONS)
            entries += take_entries(r, frame.body);
    }
    segments_detach(&j->segments, number);
    if (!decision_log_recovered(&j->log, number, entries, last_ns))
        recover_fail(r);
}

/* ---- the outbox ---- */

/* What was found and made again is brought to the level now: there is more of it than may wait. */
static bool write_all(struct recovered *r)
{
    struct files *f = &r->journal->files;

    if (!files_write_marked(f, SEGMENT_OUTBOX, r->now_ns))
        return false;
    (void)decision_log_release(&r->journal->log);
    if (!files_write_marked(f, SEGMENT_DECISIONS, r->now_ns) || !files_sync(f, r->now_ns))
        return false;
    files_unmark(f);
    files_settle(f);
    r->unwritten = 0;
    return true;
}

/* For one more entry of the log. False: there is none, which is counted, or it has failed. */
static bool has_room(struct recovered *r, size_t bytes)
{
    struct decision_log *log = &r->journal->log;

    if (decision_log_room(log, bytes, r->now_ns) ||
        (write_all(r) && decision_log_room(log, bytes, r->now_ns)))
        return true;
    if (r->journal->files.is_short)
        r->found->unlogged++;
    else
        recover_fail(r);
    return false;
}

/* Recovery makes the log's entry again where the end came between the two. */
static void log_again(struct recovered *r, const struct entry *e)
{
    struct decision_details details = {0};
    uint64_t *sources = calloc(e->source_count, sizeof(*sources));
    struct decision_record d = e->record;
    struct buf entry;

    if (!sources) {
        recover_fail(r);
        return;
    }
    for (unsigned i = 0; i < e->source_count; i++)
        sources[i] = entry_source(e, i);
    details.sources = sources;
    details.source_count = e->source_count;
    translate(r, &d);
    buf_init(&entry, entry_size(&details), NULL);
    if (!entry_write(&entry, &d, &details))
        recover_fail(r);
    else if (has_room(r, entry.len)) {
        decision_log_append(&r->journal->log, buf_slice(&entry), d.signal == SIGNAL_LOGS,
                            r->now_ns);
        r->journal->remakes = true;
    }
    buf_fini(&entry);
    free(sources);
}

/* Exporters that are none any more, and had not settled this record. */
static void tell_gone(const struct recovered *r, const struct decision_record *d, uint64_t position)
{
    for (size_t i = 0; i < EXPORTERS_MAX; i++)
        if (d->exporters >> i & 1 && position >= r->gone[i] && r->to->gone)
            r->to->gone(r->to->arg, r->names.exporters[i], d);
}

/* False: it is damaged, or nobody can tell for whom it is. */
static bool take_keep(struct recovered *r, const struct frame *frame, uint64_t ordinal)
{
    struct entry e;
    size_t at = 0;

    if (!r->map || !entry_read(frame_tlv(frame->tlvs, TLV_DECISION), &at, &e)) {
        recover_note_damage(r, frame);
        return false;
    }
    if (e.source_count > 0 && take_entry(r, &e))
        log_again(r, &e);
    tell_gone(r, &e.record, outbox_position(ordinal, frame->at));
    return true;
}

static struct frame_header *header_in(struct segment *segment, size_t at)
{
    return (struct frame_header *)(segment->bytes + at);
}

static uint64_t ordinal_of(const struct recovered *r, uint32_t number)
{
    const struct journal *j = r->journal;

    return store_region(j->files.store, segment_at(&j->segments, number)->region)->header.ordinal;
}

/* A segment in memory; returns where its frames end. */
static size_t read_keeps(struct recovered *r, uint32_t number)
{
    struct segment *segment = segment_at(&r->journal->segments, number);
    struct frame_walk walk = recover_walk(r, number);
    uint64_t ordinal = ordinal_of(r, number);
    size_t end = FORMAT_PAGE;
    struct frame frame;

    begin_names(r, walk);
    while (recover_next_frame(r, &walk, &frame)) {
        outbox_bridge(segment, end, frame.at);
        end = frame.at + frame_size(frame.header.tlv_len, frame.header.stored_len);
        if (frame.header.signal == FRAME_NAMES)
            read_names(r, frame.body);
        else if (frame.header.signal != FRAME_KEEP || !take_keep(r, &frame, ordinal))
            header_in(segment, frame.at)->signal = FRAME_NAMES; /* readers pass by */
    }
    return end;
}

void recover_outbox_end(struct recovered *r)
{
    uint32_t number = r->waiting;
    size_t end;

    if (!number || r->err != ERR_OK)
        return;
    recover_settle_copies(r);
    end = read_keeps(r, number);
    if (r->err != ERR_OK)
        return;
    if (outbox_recovered(&r->journal->outbox, number, ordinal_of(r, number), end, r->map))
        r->map = NULL;
    else
        recover_fail(r);
    r->waiting = 0;
    r->is_merged = false;
}

void recover_outbox(struct recovered *r, uint32_t region)
{
    uint32_t number = recover_adopt(r, region, SEGMENT_OUTBOX);

    if (!number)
        return;
    if (r->waiting && ordinal_of(r, r->waiting) == ordinal_of(r, number)) {
        recover_merge(r, number);
        return;
    }
    recover_outbox_end(r);
    r->waiting = number;
}
