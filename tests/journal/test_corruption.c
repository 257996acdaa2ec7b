/* Damaged files: the journal opens, says what is damaged, and has lost nothing else.
 *
 *     journal_test_corruption [MUTATIONS [SEED]]
 */
#include "journal/entry.h"
#include "journal/frame.h"
#include "journal/life.h"

enum { FILES_MAX = 64, PLACES_MAX = 8000, OF_FOLDER = 100 };

static unsigned mutations = 400;
static uint64_t first_seed = 1;
static unsigned long done, detected;

static struct ledger told, hurt;

/* Where something lies in the files. */
static struct place {
    unsigned file;
    uint64_t region, at, end; /* bytes of the file */
    enum { PLACE_FRAME, PLACE_KEEP, PLACE_LOGGED, PLACE_NAMES } kind;
    uint32_t number;
} places[PLACES_MAX];
static unsigned place_count;

static struct folder {
    char path[FILES_MAX][64];
    uint64_t size[FILES_MAX];
    unsigned count;
} folder;

/* ---- what is where ---- */

static void on_file(void *arg, const char *name)
{
    struct folder *f = arg;

    if (f->count < FILES_MAX)
        snprintf(f->path[f->count++], sizeof(f->path[0]), "/j/%s", name);
}

static void add_place(struct place place)
{
    if (place_count < PLACES_MAX)
        places[place_count++] = place;
}

static void add_entries(struct place place, struct slice entries)
{
    struct entry e;

    for (size_t at = 0; entry_read(entries, &at, &e);) {
        place.number = (uint32_t)e.record.duration_ns;
        add_place(place);
    }
}

static void map_frame(struct place place, const struct frame *frame)
{
    struct copied copy;

    place.at = place.region + frame->at;
    place.end = place.at + frame_size(frame->header.tlv_len, frame->header.stored_len);
    if (frame->header.signal == FRAME_TRACES || frame->header.signal == FRAME_LOGS) {
        place.kind = PLACE_FRAME;
        place.number =
            read_copy(frame->body, &copy) ? copy.frame : number_of(frame->body, told.frames);
        add_place(place);
    } else if (frame->header.signal == FRAME_NAMES) {
        place.kind = PLACE_NAMES;
        add_place(place);
    } else {
        place.kind = frame->header.signal == FRAME_KEEP ? PLACE_KEEP : PLACE_LOGGED;
        add_entries(place,
                    place.kind == PLACE_KEEP ? frame_tlv(frame->tlvs, TLV_DECISION) : frame->body);
    }
}

static void map_region(unsigned file, uint64_t at, struct slice bytes)
{
    struct segment_header header;
    struct frame_walk walk = {.segment = bytes, .header = &header, .at = FORMAT_PAGE};
    struct frame frame;

    if (bytes.len < FORMAT_PAGE)
        return;
    memcpy(&header, bytes.data, sizeof(header));
    if (header.magic != SEGMENT_MAGIC || header.state != SEGMENT_LIVE)
        return;
    while (frame_next(&walk, &frame) == FRAME_FOUND)
        map_frame((struct place){.file = file, .region = at}, &frame);
}

static void map_file(struct disk *disk, unsigned file)
{
    size_t size;
    char *bytes;

    if (disk_read_file(disk, folder.path[file], 1 << 24, &bytes, &size, NULL) != ERR_OK)
        abort();
    folder.size[file] = size;
    if (strstr(folder.path[file], "large"))
        map_region(file, 0, slice_make((uint8_t *)bytes, size));
    for (size_t at = 0; strstr(folder.path[file], "segments") && at < size; at += LIFE_SEGMENT)
        map_region(
            file, at,
            slice_make((uint8_t *)bytes + at, size - at < LIFE_SEGMENT ? size - at : LIFE_SEGMENT));
    free(bytes);
}

static void map_folder(struct fake_disk *disk)
{
    folder.count = place_count = 0;
    if (disk->disk.list(&disk->disk, "/j", on_file, &folder, NULL) != ERR_OK)
        abort();
    for (unsigned i = 0; i < folder.count; i++)
        map_file(&disk->disk, i);
}

/* ---- what is damaged ---- */

/* In the header or the body of a frame, or in a header page. */
static struct fake_damage aimed(struct rng *rng, unsigned *file)
{
    struct fake_damage d = {.kind = (enum fake_damage_kind)rng_below(rng, 4),
                            .len = 1 + rng_below(rng, 80),
                            .bits = (uint8_t)(1U << rng_below(rng, 8))};
    const struct place *p = &places[rng_below(rng, place_count)];

    *file = p->file;
    switch (rng_below(rng, 4)) {
    case 0:
        d.offset = p->region + rng_below(rng, sizeof(struct segment_header));
        break;
    case 1:
        d.offset = p->at + rng_below(rng, sizeof(struct frame_header));
        break;
    default:
        d.offset = p->at + rng_below(rng, p->end - p->at);
    }
    return d;
}

static bool damage(struct fake_disk *disk, struct rng *rng, unsigned *file,
                   struct fake_damage *damage)
{
    if (place_count > 0 && rng_below(rng, 3) > 0) {
        *damage = aimed(rng, file);
        return fake_disk_damage(disk, folder.path[*file], damage);
    }
    *file = (unsigned)rng_below(rng, folder.count);
    return fake_disk_corrupt(disk, folder.path[*file], rng, damage);
}

static bool touches(const struct fake_damage *d, uint64_t from, uint64_t to)
{
    uint64_t end = d->kind == FAKE_DAMAGE_CUT    ? UINT64_MAX
                   : d->kind == FAKE_DAMAGE_FLIP ? d->offset + 1
                                                 : d->offset + d->len;

    return d->offset < to && end > from;
}

static void hurt_decision(uint32_t number, bool in_outbox)
{
    struct told_decision *d = &hurt.decision[number];

    d->must = SIZE_MAX;
    d->is_hurt = true;
    for (unsigned e = 0; in_outbox && e < LEDGER_EXPORTERS; e++)
        d->settled[e] = 0;
}

/* Names count for all of their region. */
static void hurt_place(const struct place *p, unsigned file, const struct fake_damage *d)
{
    bool hit = p->file == file &&
               (touches(d, p->at, p->end) || touches(d, p->region, p->region + FORMAT_PAGE));

    for (unsigned i = 0; i < place_count && !hit; i++)
        hit = places[i].kind == PLACE_NAMES && places[i].file == file && p->file == file &&
              places[i].region == p->region && touches(d, places[i].at, places[i].end);
    if (!hit || !p->number)
        return;
    if (p->kind == PLACE_FRAME)
        hurt.frame[p->number].must = SIZE_MAX;
    else
        hurt_decision(p->number, p->kind == PLACE_KEEP);
}

/* Something that was promised is not there. */
static bool has_lost(const struct ledger *before)
{
    for (uint32_t i = 1; i <= before->frames; i++)
        for (uint32_t k = 0; k < before->frame[i].item_count; k++)
            if (before->frame[i].must == 0 && !before->frame[i].items[k].decision &&
                !hurt.frame[i].items[k].id && !hurt.frame[i].items[k].decision)
                return true;
    for (uint32_t i = 1; i <= before->decisions; i++)
        for (unsigned e = 0; e < LEDGER_EXPORTERS; e++)
            if (before->decision[i].must == 0 && before->decision[i].keep &&
                before->decision[i].mask >> e & 1 && before->decision[i].settled[e] > 0 &&
                !hurt.decision[i].is_queued[e])
                return true;
    return false;
}

/* The newest file of its kind. */
static bool is_newest(unsigned file)
{
    const char *path = folder.path[file];
    size_t kind = (size_t)(strcspn(path, "-"));

    for (unsigned i = 0; i < folder.count; i++)
        if (strncmp(folder.path[i], path, kind) == 0 && strcmp(folder.path[i], path) > 0)
            return false;
    return true;
}

/* Zeros at the end of what was written, or the newest file empty, look as if nothing had been
 * there. */
static bool looks_unwritten(const struct fake_damage *d, unsigned file)
{
    return d->kind == FAKE_DAMAGE_ZERO ||
           (d->kind == FAKE_DAMAGE_CUT && d->offset == 0 && is_newest(file));
}

static void check_mutation(const struct fake_disk *from, enum journal_ack ack, uint64_t seed)
{
    static const char *const kinds[] = {"flip", "cut", "zero", "garble"};
    struct fake_damage d;
    struct fake_disk disk;
    struct rng rng;
    struct life l;
    unsigned file;
    bool lost;

    rng_seed(&rng, seed);
    fake_disk_crash(from, CRASH_KILL, NULL, &disk);
    memcpy(&hurt, &told, sizeof(told));
    hurt.may_lose = true;
    if (!damage(&disk, &rng, &file, &d)) {
        fake_disk_fini(&disk);
        return;
    }
    snprintf(ledger_run, sizeof(ledger_run), "seed %llu: %s of %s at %llu, %llu bytes of %llu",
             (unsigned long long)seed, kinds[d.kind], folder.path[file],
             (unsigned long long)d.offset, (unsigned long long)d.len,
             (unsigned long long)folder.size[file]);
    for (unsigned i = 0; i < place_count; i++)
        hurt_place(&places[i], file, &d);
    if (life_begin(&l, &hurt, &disk, ack, seed)) {
        lost = has_lost(&told);
        detected += lost;
        if (lost && l.found.damaged_frames == 0 && !looks_unwritten(&d, file))
            complain("it is not detected");
        for (unsigned i = 0; i < 4 && !check_failures; i++)
            life_step(&l, true);
        if (!check_failures && !life_drain(&l))
            complain("it does not drain");
        life_drop(&l);
    }
    fake_disk_fini(&disk);
    done++;
}

static void damage_folder(uint64_t seed)
{
    enum journal_ack ack = seed % 2 ? ACK_WRITTEN : ACK_FSYNC;
    struct fake_disk disk, left;
    struct life l;

    memset(&told, 0, sizeof(told));
    snprintf(ledger_run, sizeof(ledger_run), "folder of seed %llu", (unsigned long long)seed);
    told.decision_cache = 100000;
    fake_disk_init(&disk);
    if (life_begin(&l, &told, &disk, ack, seed)) {
        for (unsigned i = 0; i < 40 + seed % 40; i++)
            life_step(&l, i / 16 % 2 == 0);
        life_drop(&l);
        ledger_cut(&told, 0, true);
        fake_disk_crash(&disk, CRASH_KILL, NULL, &left);
        map_folder(&left);
        for (unsigned i = 0; i < OF_FOLDER && done < mutations && !check_failures; i++)
            check_mutation(&left, ack, seed * 1000 + i);
        fake_disk_fini(&left);
    }
    fake_disk_fini(&disk);
}

static void a_damaged_folder_opens_and_only_what_was_damaged_is_lost(void)
{
    for (uint64_t seed = first_seed; done < mutations && !check_failures; seed++)
        damage_folder(seed);
    if (check_failures)
        printf("  replay: journal_test_corruption %u %llu\n", mutations,
               (unsigned long long)first_seed);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        mutations = (unsigned)atoi(argv[1]);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 10);
    RUN(a_damaged_folder_opens_and_only_what_was_damaged_is_lost);
    printf("%lu mutations, of which %lu lost something\n", done, detected);
    return DONE();
}
