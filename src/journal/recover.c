/* Reads back what an earlier process left: decisions, the outbox, then the frames that live. */
#include "journal/recover.h"

#include <stdlib.h>

void recover_fail(struct recovered *r)
{
    if (r->err == ERR_OK)
        r->err = err_fail(r->info, ERR_FULL, "cannot read the journal back: no memory");
}

/* Whatever the clock says: one of two frames would be taken for the other. */
void recover_note_sequence(struct recovered *r, uint64_t source)
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

uint64_t recover_to_now(const struct recovered *r, const struct segment_header *header,
                        uint64_t boot_ns, uint64_t unix_ns)
{
    uint64_t age;

    if (memcmp(header->boot_id, r->boot_id, sizeof(header->boot_id)) == 0)
        return boot_ns < r->now_ns ? boot_ns : r->now_ns;
    age = r->unix_ns > unix_ns ? r->unix_ns - unix_ns : 0;
    return age < r->now_ns ? r->now_ns - age : 0;
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
    struct by_age *found = malloc((store_count(store) + 1) * sizeof(*found));
    size_t n = 0;

    *out = found;
    if (!found) {
        recover_fail(r);
        return 0;
    }
    for (uint32_t i = 1; i <= store_count(store); i++) {
        const struct region *region = store_region(store, i);

        if (!region->taken || !region->readable || region->header.use != use ||
            region->header.state != SEGMENT_LIVE)
            continue;
        found[n++] =
            (struct by_age){use == USE_FRAMES ? region->header.unix_ns : region->header.ordinal, i};
    }
    qsort(found, n, sizeof(*found), compare_ages);
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

uint32_t recover_adopt(struct recovered *r, uint32_t region, enum segment_kind kind)
{
    struct journal *j = r->journal;
    const struct region *from = store_region(j->files.store, region);
    uint32_t number = segments_take_absent(&j->segments, (size_t)from->bytes, kind);
    struct segment *segment = segment_at(&j->segments, number);

    if (!number || !segments_attach(&j->segments, number, true)) {
        recover_fail(r);
        return 0;
    }
    segment->region = region;
    segment->salt = from->header.salt;
    segment->generation = from->header.generation;
    segment->writer = (uint16_t)from->header.worker;
    segment->opened_ns =
        recover_to_now(r, &from->header, from->header.boot_ns, from->header.unix_ns);
    segment->shift_ns = segment->opened_ns - from->header.boot_ns;
    segment->filled = (size_t)from->bytes;
    segment->open = false;
    r->found->segments++;
    r->found->bytes += from->bytes;
    if (!files_read(&j->files, number))
        r->found->damaged_frames++;
    return number;
}

/* ---- frames ---- */

void recover_note_damage(struct recovered *r, const struct frame *frame)
{
    r->found->damaged_frames++;
    if (frame->header.signal == FRAME_LOGS)
        r->found->damaged_logs += frame->header.items;
    else
        r->found->damaged_items += frame->header.items;
}

struct frame_walk recover_walk(const struct recovered *r, uint32_t number)
{
    const struct segment *segment = segment_at(&r->journal->segments, number);

    return (struct frame_walk){.segment = slice_make(segment->bytes, segment->filled),
                               .header =
                                   &store_region(r->journal->files.store, segment->region)->header,
                               .at = FORMAT_PAGE};
}

bool recover_next_frame(struct recovered *r, struct frame_walk *walk, struct frame *frame)
{
    enum frame_found what;

    while ((what = frame_next(walk, frame)) == FRAME_DAMAGED) {
        if (walk->header->use == USE_DECISIONS) /* what it counts are decisions, not spans */
            r->found->damaged_frames++;
        else
            recover_note_damage(r, frame);
    }
    if (what == FRAME_END)
        r->found->damaged_frames += walk->damaged;
    return what == FRAME_FOUND;
}

/* ---- all of it ---- */

static void each_region(struct recovered *r, enum segment_use use,
                        void (*read)(struct recovered *r, uint32_t region))
{
    struct by_age *regions;
    size_t n = find_regions(r, use, &regions);

    for (size_t i = 0; i < n && r->err == ERR_OK; i++) {
        read(r, regions[i].region);
        if (r->decisions.failed || r->sources.failed || r->seen.failed)
            recover_fail(r);
    }
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

static void read_all(struct recovered *r)
{
    look_at_regions(r);
    r->err = acked_read(r->journal, &r->acked, r->info);
    each_region(r, USE_DECISIONS, recover_decisions);
    each_region(r, USE_OUTBOX, recover_outbox);
    recover_outbox_end(r);
    if (r->err == ERR_OK)
        acked_resume(r->journal, &r->acked, first_outbox(r));
    each_region(r, USE_FRAMES, recover_frames);
    if (r->err == ERR_OK)
        recover_hand_on(r);
    if (r->err == ERR_OK)
        go_on_behind(r);
}

enum err journal_recover(struct journal *j, const struct recovery *to, uint64_t now_ns,
                         struct journal_recovered *found, struct err_info *info)
{
    struct recovered r = {.journal = j,
                          .to = to,
                          .found = found,
                          .info = info,
                          .key = hash_key_random(),
                          .now_ns = now_ns,
                          .unix_ns = clock_unix_ns(j->config.clock)};

    *found = (struct journal_recovered){0};
    if (!j->files.store)
        return ERR_OK;
    r.boot_id = store_boot_id(j->files.store);
    j->recovered = &r;
    read_all(&r);
    j->recovered = NULL;
    hash_set_fini(&r.decisions);
    hash_set_fini(&r.sources);
    hash_set_fini(&r.seen);
    hash_set_fini(&r.moved);
    free(r.map);
    names_free(&r.names);
    free(r.frames);
    free(r.segments);
    return r.err;
}
