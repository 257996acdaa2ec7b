/* Reads back what an earlier process left: decisions, the outbox, then the frames that live. */
#include "base/hash.h"
#include "base/log.h"
#include "journal/entry.h"
#include "journal/frame.h"
#include "journal/journal_impl.h"

#include <assert.h>
#include <stdlib.h>

enum { EXTRA_MAX = 16, FIRST_SOURCES = 4096 };

/* A frame that lives. */
struct live_frame {
    uint64_t first_ns;
    uint32_t number; /* of its segment */
    uint32_t at;
};

/* A set of 64-bit hashes; 0 is never in it. */
struct hash_set {
    uint64_t *slots;
    size_t mask, count;
};

struct recovered {
    struct journal *journal;
    const struct recovery *to;
    struct journal_recovered *found;
    struct hash_key key;
    uint64_t now_ns, unix_ns;
    const uint8_t *boot_id;
    struct hash_set sources; /* of kept traces */
    uint64_t newest[1 << 8]; /* sequence of each writer */
    struct hash_set seen;    /* frames: one may be there twice, in a region that failed too */
    struct outbox_map *map;  /* of the segment that is read */
    struct outbox_copy {
        uint64_t ordinal, frames;
        uint32_t number; /* 0: none yet */
    } last;              /* segment of the outbox that was read */
    struct live_frame *frames;
    size_t frame_count, frame_capacity;
    uint32_t *segments; /* of frames, by age */
    size_t segment_count;
    uint32_t extra[EXTRA_MAX]; /* that have memory for the moment */
    unsigned extra_count;
};

/* ---- sets ---- */

static void *must(void *p)
{
    if (!p)
        abort(); /* start-up: there is nothing to go on with */
    return p;
}

static size_t slot_of(const struct hash_set *s, uint64_t hash)
{
    size_t i = hash & s->mask;

    while (s->slots[i] && s->slots[i] != hash)
        i = (i + 1) & s->mask;
    return i;
}

static void grow(struct hash_set *s)
{
    struct hash_set old = *s;

    s->mask = old.slots ? old.mask * 2 + 1 : FIRST_SOURCES - 1;
    s->slots = must(calloc(s->mask + 1, sizeof(*s->slots)));
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i])
            s->slots[slot_of(s, old.slots[i])] = old.slots[i];
    free(old.slots);
}

/* False: it was there. */
static bool set_add(struct hash_set *s, uint64_t hash)
{
    size_t i;

    if (!s->slots || s->count * 2 > s->mask)
        grow(s);
    i = slot_of(s, hash);
    if (s->slots[i])
        return false;
    s->slots[i] = hash;
    s->count++;
    return true;
}

static bool set_has(const struct hash_set *s, uint64_t hash)
{
    return s->slots && s->slots[slot_of(s, hash)];
}

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

    return r && set_has(&r->sources, source_hash(r, trace_id, source));
}

/* Whatever the clock says, a writer never uses the sequence of a frame again that somebody still
 * knows: one of the two would be taken for the other. */
static void note_sequence(struct recovered *r, uint64_t source)
{
    uint64_t *newest = &r->newest[frame_source_worker(source)];
    uint64_t sequence = frame_source_sequence(source);

    if (*newest < sequence)
        *newest = sequence;
}

static void go_on_behind(const struct recovered *r)
{
    for (unsigned i = 0; i < r->journal->config.workers; i++) {
        struct journal_writer *w = &r->journal->writers[i];

        if (w->sequence > r->newest[i])
            continue;
        w->sequence = r->newest[i];
        atomic_store(&w->submitted, w->sequence);
        atomic_store(&w->acked, w->sequence);
    }
}

/* ---- regions ---- */

static uint64_t to_now(const struct recovered *r, const struct segment_header *header,
                       uint64_t boot_ns, uint64_t unix_ns)
{
    uint64_t age;

    if (memcmp(header->boot_id, r->boot_id, sizeof(header->boot_id)) == 0)
        return boot_ns < r->now_ns ? boot_ns : r->now_ns;
    age = r->unix_ns > unix_ns ? r->unix_ns - unix_ns : 0;
    return age < r->now_ns ? r->now_ns - age : 0;
}

static const struct segment_header *header_of(const struct recovered *r, uint32_t region)
{
    return &store_region(r->journal->files.store, region)->header;
}

/* A region that can't be told is given up: what was in it is lost, and counted as one frame. */
static void give_up(struct recovered *r, uint32_t region)
{
    struct store *store = r->journal->files.store;
    struct segment_header header = {.state = SEGMENT_IS_FREE, .use = USE_FRAMES, .generation = 1};
    struct err_info info;

    r->found->damaged_frames++;
    if (store_write_header(store, region, &header, &info) == ERR_OK)
        store_put(store, region);
}

struct by_age {
    uint64_t age;
    uint32_t region;
};

static int compare_ages(const void *a, const void *b)
{
    const struct by_age *x = a, *y = b;

    return (x->age > y->age) - (x->age < y->age);
}

/* The live regions of one use, in order; owned by the caller. */
static size_t find_regions(struct recovered *r, enum segment_use use, struct by_age **out)
{
    const struct store *store = r->journal->files.store;
    struct by_age *found = must(malloc((store_count(store) + 1) * sizeof(*found)));
    size_t n = 0;

    for (uint32_t i = 1; i <= store_count(store); i++) {
        const struct region *region = store_region(store, i);

        if (!region->taken || !region->readable || region->header.use != use ||
            region->header.state != SEGMENT_LIVE)
            continue;
        found[n++] =
            (struct by_age){use == USE_FRAMES ? region->header.unix_ns : region->header.ordinal, i};
    }
    qsort(found, n, sizeof(*found), compare_ages);
    *out = found;
    return n;
}

/* Later segments of each use have larger ordinals; and what is unreadable is given up. */
static void look_at_regions(struct recovered *r)
{
    struct files *f = &r->journal->files;
    struct store_stats stats;

    store_stats(f->store, &stats);
    r->found->damaged_frames += stats.cut_regions;
    for (uint32_t i = 1; i <= store_count(f->store); i++) {
        const struct region *region = store_region(f->store, i);
        const struct segment_header *h = &region->header;

        if (region->taken && !region->readable)
            give_up(r, i);
        else if (region->readable && h->use <= USE_DECISIONS && h->ordinal >= f->ordinals[h->use])
            f->ordinals[h->use] = h->ordinal + 1;
    }
}

/* A number for the region's segment, with its bytes in memory. 0: there is none. */
static uint32_t adopt(struct recovered *r, uint32_t region, enum segment_kind kind)
{
    struct journal *j = r->journal;
    const struct region *from = store_region(j->files.store, region);
    uint32_t number = segments_take_absent(&j->segments, (size_t)from->bytes, kind);
    struct segment *segment = segment_at(&j->segments, number);

    if (!number || !segments_attach(&j->segments, number, true))
        return 0;
    segment->region = region;
    segment->salt = from->header.salt;
    segment->generation = from->header.generation;
    segment->writer = (uint16_t)from->header.worker;
    segment->opened_ns = to_now(r, &from->header, from->header.boot_ns, from->header.unix_ns);
    segment->filled = (size_t)from->bytes;
    segment->open = false;
    r->found->segments++;
    r->found->bytes += from->bytes;
    if (!files_read(&j->files, number))
        r->found->damaged_frames++;
    return number;
}

static struct frame_walk walk_over(const struct recovered *r, uint32_t number)
{
    const struct segment *segment = segment_at(&r->journal->segments, number);

    return (struct frame_walk){.segment = slice_make(segment->bytes, segment->filled),
                               .header = header_of(r, segment->region),
                               .at = FORMAT_PAGE};
}

static void note_damage(struct recovered *r, const struct frame *frame)
{
    r->found->damaged_frames++;
    r->found->damaged_items += frame->header.items;
}

/* ---- names ---- */

static uint64_t present_exporter(const struct journal *j, const char *name)
{
    for (unsigned i = 0; i < j->config.exporters; i++)
        if (strcmp(j->config.names->exporters[i], name) == 0)
            return UINT64_C(1) << i;
    return 0;
}

static void read_names(struct recovered *r, struct slice body)
{
    const struct journal_names *now = r->journal->config.names;
    struct names_read names;
    struct outbox_map *map;

    if (names_read(body, &names) != ERR_OK) {
        r->found->damaged_frames++;
        return;
    }
    map = must(calloc(1, sizeof(*map) + names.label_count * sizeof(map->labels[0])));
    map->label_count = names.label_count;
    for (size_t i = 0; i < names.label_count; i++)
        map->labels[i] = now->intern(now->arg, names.labels[i].policy, names.labels[i].reason);
    for (size_t i = 0; i < names.exporter_count; i++)
        map->exporters[i] = present_exporter(r->journal, names.exporters[i]);
    names_free(&names);
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
            read_names(r, frame.body);
}

static void translate(const struct recovered *r, struct decision_record *d)
{
    uint64_t mask = 0;

    for (unsigned i = 0; r->map && i < EXPORTERS_MAX; i++)
        if (d->exporters >> i & 1)
            mask |= r->map->exporters[i];
    d->exporters = mask;
    d->label = r->map && d->label < r->map->label_count ? r->map->labels[d->label] : 0;
}

/* ---- decisions ---- */

/* Hands one on. False: it was known. */
static bool take_entry(struct recovered *r, const struct entry *e)
{
    struct decision_record d = e->record;
    bool is_new = e->source_count == 0;

    for (unsigned i = 0; i < e->source_count; i++) {
        is_new |= set_add(&r->sources, source_hash(r, d.trace_id, entry_source(e, i)));
        note_sequence(r, entry_source(e, i));
    }
    if (!is_new)
        return false;
    translate(r, &d);
    r->to->decision(r->to->arg, &d);
    r->found->decisions++;
    return true;
}

static uint64_t take_entries(struct recovered *r, struct slice body)
{
    uint64_t count = 0;
    struct entry e;
    size_t at = 0;

    for (; entry_read(body, &at, &e); count++)
        take_entry(r, &e);
    return count;
}

static void read_decisions(struct recovered *r, uint32_t region)
{
    struct journal *j = r->journal;
    uint32_t number = adopt(r, region, SEGMENT_DECISIONS);
    uint64_t entries = 0, last_ns;
    enum frame_found what;
    struct frame_walk walk;
    struct frame frame;

    if (!number)
        return;
    last_ns = segment_at(&j->segments, number)->opened_ns;
    walk = walk_over(r, number);
    begin_names(r, walk);
    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        if (what == FRAME_DAMAGED) {
            note_damage(r, &frame);
            continue;
        }
        last_ns = to_now(r, walk.header, frame.header.boot_ns, frame.header.unix_ns);
        if (frame.header.signal == FRAME_NAMES)
            read_names(r, frame.body);
        else if (frame.header.signal == FRAME_DECISIONS)
            entries += take_entries(r, frame.body);
    }
    r->found->damaged_frames += walk.damaged;
    segments_detach(&j->segments, number);
    decision_log_recovered(&j->log, number, entries, last_ns);
}

/* ---- the outbox ---- */

/* Recovery makes the log's entry again where the end came between the two. */
static void log_again(struct recovered *r, const struct entry *e)
{
    struct decision_details details = {0};
    uint64_t *sources = must(calloc(e->source_count + 1, sizeof(*sources)));
    struct decision_record d = e->record;
    struct buf entry;

    for (unsigned i = 0; i < e->source_count; i++)
        sources[i] = entry_source(e, i);
    details.sources = sources;
    details.source_count = e->source_count;
    translate(r, &d);
    buf_init(&entry, entry_size(&details), NULL);
    if (entry_write(&entry, &d, &details) &&
        decision_log_room(&r->journal->log, entry.len, r->now_ns))
        decision_log_append(&r->journal->log, buf_slice(&entry), r->now_ns);
    buf_fini(&entry);
    free(sources);
}

/* False: it is damaged, or nobody can tell for whom it is. */
static bool take_keep(struct recovered *r, const struct frame *frame)
{
    struct entry e;
    size_t at = 0;

    if (!r->map || !entry_read(frame_tlv(frame->tlvs, TLV_DECISION), &at, &e)) {
        note_damage(r, frame);
        return false;
    }
    if (e.source_count > 0 && take_entry(r, &e))
        log_again(r, &e);
    return true;
}

static struct frame_header *header_in(struct segment *segment, size_t at)
{
    return (struct frame_header *)(segment->bytes + at);
}

/* A segment that was being written anew when the process ended is there twice. Returns whether the
 * new copy has no less than the one before it, which goes then. */
static bool is_best_copy(struct recovered *r, struct outbox_copy copy)
{
    struct journal *j = r->journal;
    bool is_again = r->last.number && r->last.ordinal == copy.ordinal;
    bool is_best = !is_again || copy.frames >= r->last.frames;
    uint32_t worse = is_best ? r->last.number : copy.number;

    if (is_again) {
        outbox_forget(&j->outbox, worse);
        files_free(&j->files, worse);
        segments_put(&j->segments, worse);
    }
    if (is_best)
        r->last = copy;
    return is_best;
}

static void read_outbox(struct recovered *r, uint32_t region)
{
    struct journal *j = r->journal;
    struct outbox_copy copy = {.frames = 0};
    uint32_t number = adopt(r, region, SEGMENT_OUTBOX);
    struct segment *segment = segment_at(&j->segments, number);
    enum frame_found what;
    struct frame_walk walk;
    struct frame frame;
    size_t end = FORMAT_PAGE;

    if (!number)
        return;
    walk = walk_over(r, number);
    begin_names(r, walk);
    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        if (what == FRAME_DAMAGED) {
            note_damage(r, &frame);
            continue;
        }
        outbox_bridge(segment, end, frame.at);
        copy.frames++;
        end = frame.at + frame_size(frame.header.tlv_len, frame.header.stored_len);
        if (frame.header.signal == FRAME_NAMES)
            read_names(r, frame.body);
        else if (frame.header.signal != FRAME_KEEP || !take_keep(r, &frame))
            header_in(segment, frame.at)->signal = FRAME_NAMES; /* readers pass by */
    }
    r->found->damaged_frames += walk.damaged;
    copy.number = number;
    copy.ordinal = walk.header->ordinal;
    if (!is_best_copy(r, copy))
        return;
    outbox_recovered(&j->outbox, number, copy.ordinal, end, r->map);
    r->map = NULL;
}

/* ---- frames ---- */

static void add_frame(struct recovered *r, struct live_frame frame)
{
    if (r->frame_count == r->frame_capacity) {
        r->frame_capacity = r->frame_capacity ? r->frame_capacity * 2 : 1024;
        r->frames = must(realloc(r->frames, r->frame_capacity * sizeof(*r->frames)));
    }
    r->frames[r->frame_count++] = frame;
}

static void find_frames(struct recovered *r, uint32_t number)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, number);
    struct frame_walk walk = walk_over(r, number);
    size_t end = FORMAT_PAGE;
    enum frame_found what;
    struct frame frame;

    while ((what = frame_next(&walk, &frame)) != FRAME_END) {
        const struct frame_header *h = &frame.header;

        if (what == FRAME_DAMAGED) {
            note_damage(r, &frame);
            continue;
        }
        end = frame.at + frame_size(h->tlv_len, h->stored_len);
        note_sequence(r, frame_source(walk.header->worker, h->sequence));
        if (h->signal == FRAME_TRACES && h->items > 0 && h->encoding == 0 &&
            frame.at / FRAME_ALIGN >> j->position_bits == 0 &&
            set_add(&r->seen, hash_bytes(r->key, &h->sequence, sizeof(h->sequence)) ^
                                  ((uint64_t)walk.header->worker << 1 | 1)))
            add_frame(r, (struct live_frame){to_now(r, walk.header, h->boot_ns, h->unix_ns), number,
                                             (uint32_t)frame.at});
    }
    r->found->damaged_frames += walk.damaged;
    segment->used = segment->filled = segment->written = end;
    atomic_store_explicit(&segment->published, end, memory_order_relaxed);
    atomic_store_explicit(&segment->closed, true, memory_order_relaxed);
}

/* Leaves memory if that is short. */
static void let_go(struct recovered *r, uint32_t number)
{
    struct segments *segments = &r->journal->segments;

    if (!memory_is_high(r->journal->config.memory) || !segment_at(segments, number)->bytes)
        return;
    segments_detach(segments, number);
    atomic_store_explicit(&segment_at(segments, number)->place, PLACE_GONE, memory_order_relaxed);
}

static void read_frames(struct recovered *r, uint32_t region)
{
    uint32_t number = adopt(r, region, SEGMENT_FRAMES);

    if (!number)
        return;
    find_frames(r, number);
    r->segments[r->segment_count++] = number;
    let_go(r, number);
}

/* Its bytes are in memory; a few of those that had to go are back for the moment. */
static bool is_here(struct recovered *r, uint32_t number)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, number);

    if (segment->bytes)
        return true;
    if (r->extra_count == EXTRA_MAX) {
        let_go(r, r->extra[0]);
        memmove(r->extra, r->extra + 1, (EXTRA_MAX - 1) * sizeof(r->extra[0]));
        r->extra_count--;
    }
    if (!segments_attach(&j->segments, number, true))
        return false;
    r->extra[r->extra_count++] = number;
    r->found->bytes += segment->filled;
    atomic_store_explicit(&segment->place, PLACE_HERE, memory_order_relaxed);
    (void)files_load(&j->files, number);
    return true;
}

static void hand_frame(struct recovered *r, const struct live_frame *f)
{
    struct journal *j = r->journal;
    struct segment *segment = segment_at(&j->segments, f->number);
    const struct frame_header *h;
    struct recovered_frame out;
    uint32_t taken;

    if (!is_here(r, f->number))
        return;
    h = (const struct frame_header *)(segment->bytes + f->at);
    if (h->magic != FRAME_MAGIC) { /* the file has changed since it was looked through */
        r->found->damaged_frames++;
        return;
    }
    out = (struct recovered_frame){
        .frame = (frame_id)(f->number << j->position_bits | f->at / FRAME_ALIGN),
        .signal = SIGNAL_TRACES,
        .first_ns = f->first_ns,
        .unix_ns = h->unix_ns,
        .items = h->items,
        .source = frame_source(segment->writer, h->sequence),
        .body = slice_make((const uint8_t *)(h + 1) + h->tlv_len, h->stored_len),
    };
    r->found->frames++;
    r->found->items += h->items;
    taken = r->to->frame(r->to->arg, &out);
    atomic_fetch_add_explicit(&segment->references, taken, memory_order_relaxed);
}

static int compare_frames(const void *a, const void *b)
{
    const struct live_frame *x = a, *y = b;

    if (x->first_ns != y->first_ns)
        return x->first_ns < y->first_ns ? -1 : 1;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* What nobody took a reference of is free; the rest is as if it had just been filled. */
static void settle_segments(struct recovered *r)
{
    struct journal *j = r->journal;

    for (size_t i = 0; i < r->segment_count; i++) {
        uint32_t number = r->segments[i];
        struct segment *segment = segment_at(&j->segments, number);

        if (atomic_fetch_sub_explicit(&segment->references, 1, memory_order_relaxed) == 1) {
            files_free(&j->files, number);
            segments_put(&j->segments, number);
            continue;
        }
        let_go(r, number);
        spill_add(&j->spill, number);
        j->spill.gone += !segment->bytes;
    }
}

/* ---- all of it ---- */

static void each_region(struct recovered *r, enum segment_use use,
                        void (*read)(struct recovered *r, uint32_t region))
{
    struct by_age *regions;
    size_t n = find_regions(r, use, &regions);

    if (use == USE_FRAMES)
        r->segments = must(calloc(n + 1, sizeof(*r->segments)));
    for (size_t i = 0; i < n; i++)
        read(r, regions[i].region);
    free(regions);
}

static uint64_t first_outbox(const struct recovered *r)
{
    uint64_t first = UINT64_MAX;

    for (uint32_t i = 1; i <= store_count(r->journal->files.store); i++) {
        const struct region *region = store_region(r->journal->files.store, i);

        if (region->taken && region->readable && region->header.use == USE_OUTBOX &&
            region->header.state == SEGMENT_LIVE && region->header.ordinal < first)
            first = region->header.ordinal;
    }
    return first > UINT32_MAX ? UINT64_MAX : first << 32;
}

enum err journal_recover(struct journal *j, const struct recovery *to, uint64_t now_ns,
                         struct journal_recovered *found, struct err_info *info)
{
    struct recovered r = {.journal = j,
                          .to = to,
                          .found = found,
                          .key = hash_key_random(),
                          .now_ns = now_ns,
                          .unix_ns = clock_unix_ns(j->config.clock)};
    enum err err = ERR_OK;

    *found = (struct journal_recovered){0};
    if (!j->files.store)
        return ERR_OK;
    r.boot_id = store_boot_id(j->files.store);
    j->recovered = &r;
    look_at_regions(&r);
    each_region(&r, USE_DECISIONS, read_decisions);
    each_region(&r, USE_OUTBOX, read_outbox);
    err = acked_read(j, first_outbox(&r), info);
    each_region(&r, USE_FRAMES, read_frames);
    if (r.frame_count > 0)
        qsort(r.frames, r.frame_count, sizeof(*r.frames), compare_frames);
    for (size_t i = 0; i < r.frame_count; i++)
        hand_frame(&r, &r.frames[i]);
    settle_segments(&r);
    go_on_behind(&r);
    j->recovered = NULL;
    free(r.sources.slots);
    free(r.seen.slots);
    free(r.map);
    free(r.frames);
    free(r.segments);
    return err;
}
