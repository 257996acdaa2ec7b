#include "base/fake_disk.h"
#include "check.h"
#include "journal/acked_file.h"
#include "journal/entry.h"
#include "journal/fsck.h"
#include "journal/made_segment.h"
#include "journal/store.h"

enum { FRAMES_AT = 0, OUTBOX_AT = SEGMENT_BYTES, DECISIONS_AT = 2 * SEGMENT_BYTES };

static struct fake_disk fake;
static struct made_segment segment;
static struct err_info info;
static struct fsck_counts counts;
static struct fsck_damage damages[8];
static char damaged_file[8][64];
static unsigned damage_count;

/* ---- a folder with one segment of each use ---- */

static void add_entry(bool keep)
{
    struct decision_record r = {.signal = SIGNAL_TRACES, .keep = keep};
    struct tlv head = {.type = TLV_DECISION, .len = (uint32_t)entry_size(NULL)};
    struct buf bytes;

    buf_init(&bytes, 4096, NULL);
    if (keep)
        buf_append(&bytes, &head, sizeof(head));
    CHECK(entry_write(&bytes, &r, NULL));
    if (keep)
        segment_add_as(&segment, (struct frame_header){.signal = FRAME_KEEP, .items = 7},
                       buf_slice(&bytes), slice_str("payload"));
    else
        segment_add(&segment, FRAME_DECISIONS, 1, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void new_segment(enum segment_use use)
{
    segment_open(&segment, use, 4, UINT64_C(0xfeed) + use);
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
}

static void make_folder(void)
{
    int fd;

    fake_disk_init(&fake);
    new_segment(USE_FRAMES);
    for (uint64_t n = 1; n <= 3; n++)
        segment_add(&segment, FRAME_TRACES, n, slice_str("a body of some length"));
    segment_store(&segment, &fake.disk, "j/segments-00000001", 0);
    new_segment(USE_OUTBOX);
    add_entry(true);
    segment_store(&segment, &fake.disk, "j/segments-00000001", 1);
    new_segment(USE_DECISIONS);
    add_entry(false);
    add_entry(false);
    segment_store(&segment, &fake.disk, "j/segments-00000001", 2);
    CHECK(fake.disk.open(&fake.disk, "j/acked", O_RDWR | O_CREAT, 0600, &fd, &info) == ERR_OK);
    CHECK(acked_store(&fake.disk, fd, slice_str("4 64 xray\n"), 1, &info) == ERR_OK);
    CHECK(acked_store(&fake.disk, fd, slice_str("4 128 xray\n"), 2, &info) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
}

static void change(const char *path, uint64_t offset, const void *bytes, size_t len)
{
    int fd;

    CHECK(fake.disk.open(&fake.disk, path, O_RDWR, 0, &fd, &info) == ERR_OK);
    CHECK(fake.disk.pwrite(&fake.disk, fd, bytes, len, offset, &info) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
}

static void spoil(uint64_t offset)
{
    change("j/segments-00000001", offset, "\xa5", 1);
}

static void on_damage(void *arg, const struct fsck_damage *d)
{
    (void)arg;
    if (damage_count < 8) {
        snprintf(damaged_file[damage_count], 64, "%s", d->file);
        damages[damage_count] = *d;
        damages[damage_count].file = damaged_file[damage_count];
    }
    damage_count++;
}

static enum err fsck(bool repair)
{
    damage_count = 0;
    memset(damages, 0, sizeof(damages));
    return fsck_run(&fake.disk, "j", repair, on_damage, NULL, &counts, &info);
}

static bool is_one(enum fsck_kind kind, uint64_t offset)
{
    return damage_count == 1 && counts.damages == 1 && damages[0].kind == kind &&
           damages[0].offset == offset && strstr(damages[0].file, "segments-00000001");
}

/* ---- tests ---- */

static void a_whole_folder_is_counted_and_clean(void)
{
    make_folder();
    CHECK(fsck(false) == ERR_OK);
    CHECK(damage_count == 0 && counts.damages == 0);
    CHECK(counts.files == 1 && counts.segments == 3 && counts.fresh == 0);
    CHECK(counts.uses[USE_FRAMES].live == 1 && counts.uses[USE_FRAMES].free == 0);
    CHECK(counts.uses[USE_FRAMES].frames == 3 && counts.uses[USE_FRAMES].items == 3);
    CHECK(counts.uses[USE_OUTBOX].frames == 1 && counts.uses[USE_OUTBOX].items == 7);
    CHECK(counts.decisions == 2);
    CHECK(counts.acked_good == 2 && counts.acked_damaged == 0);
    fake_disk_fini(&fake);
}

static void a_changed_body_names_its_frame_and_what_it_held(void)
{
    size_t first = sizeof(struct frame_header) + 24; /* in its body */

    make_folder();
    spoil(FRAMES_AT + FORMAT_PAGE + frame_size(0, 21) + sizeof(struct frame_header));
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_FRAME, FRAMES_AT + FORMAT_PAGE + frame_size(0, 21)));
    CHECK(damages[0].frame == FRAME_TRACES && damages[0].items == 1 && damages[0].is_live);
    CHECK(damages[0].use == USE_FRAMES && counts.lost_items == 1);
    CHECK(counts.uses[USE_FRAMES].frames == 2);
    fake_disk_fini(&fake);

    make_folder();
    spoil(OUTBOX_AT + FORMAT_PAGE + first);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_FRAME, OUTBOX_AT + FORMAT_PAGE));
    CHECK(damages[0].frame == FRAME_KEEP && damages[0].items == 7);
    fake_disk_fini(&fake);

    make_folder();
    spoil(DECISIONS_AT + FORMAT_PAGE + first);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_FRAME, DECISIONS_AT + FORMAT_PAGE));
    CHECK(damages[0].frame == FRAME_DECISIONS && counts.decisions == 1);
    fake_disk_fini(&fake);
}

static void a_changed_frame_header_is_a_gap(void)
{
    make_folder();
    spoil(FRAMES_AT + FORMAT_PAGE + 20);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_GAP, FRAMES_AT + FORMAT_PAGE));
    CHECK(damages[0].bytes == frame_size(0, 21) && !damages[0].is_known);
    fake_disk_fini(&fake);

    make_folder(); /* the last one: nothing is behind it */
    spoil(FRAMES_AT + FORMAT_PAGE + 2 * frame_size(0, 21) + 20);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_GAP, FRAMES_AT + FORMAT_PAGE + 2 * frame_size(0, 21)));
    fake_disk_fini(&fake);
}

static void a_segment_without_its_header_becomes_free(void)
{
    struct store_config config = {.disk = &fake.disk,
                                  .path = "j",
                                  .region_bytes = SEGMENT_BYTES,
                                  .file_bytes = 4 * SEGMENT_BYTES,
                                  .max_bytes = 4 * SEGMENT_BYTES};
    struct store *s = NULL;

    make_folder();
    spoil(FRAMES_AT + 20);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_HEADER, FRAMES_AT));
    CHECK(damages[0].is_known && damages[0].frames == 3 && damages[0].items == 3);
    CHECK(!damages[0].is_repaired && counts.repaired == 0);
    CHECK(fsck(false) == ERR_OK && counts.damages == 1); /* it changed nothing */

    CHECK(fsck(true) == ERR_OK);
    CHECK(is_one(FSCK_HEADER, FRAMES_AT) && damages[0].is_repaired && counts.repaired == 1);
    CHECK(fsck(false) == ERR_OK);
    CHECK(counts.damages == 0 && counts.fresh == 1);
    CHECK(counts.uses[USE_OUTBOX].frames == 1 && counts.decisions == 2);

    CHECK(store_open(&config, &s, &info) == ERR_OK); /* as a collector finds it */
    CHECK(s && store_count(s) == 3 && store_free_regions(s) == 1);
    store_close(s);
    fake_disk_fini(&fake);
}

static void damage_in_a_free_segment_costs_nothing(void)
{
    make_folder();
    new_segment(USE_FRAMES);
    segment.header.state = SEGMENT_IS_FREE;
    segment_stamp(&segment);
    segment_add(&segment, FRAME_TRACES, 1, slice_str("a body"));
    segment.bytes[FORMAT_PAGE + sizeof(struct frame_header)] ^= 1;
    segment_store(&segment, &fake.disk, "j/segments-00000001", 0);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_FRAME, FRAMES_AT + FORMAT_PAGE));
    CHECK(!damages[0].is_live && counts.lost_items == 0);
    fake_disk_fini(&fake);
}

static void a_damaged_copy_of_the_positions_is_written_from_the_good_one(void)
{
    make_folder();
    change("j/acked", 0, "\xa5", 1); /* number 2 */
    CHECK(fsck(false) == ERR_OK);
    CHECK(damage_count == 1 && damages[0].kind == FSCK_ACKED && damages[0].is_known);
    CHECK(counts.acked_good == 1 && counts.acked_damaged == 1);
    CHECK(fsck(true) == ERR_OK && counts.repaired == 1);
    CHECK(fsck(false) == ERR_OK && counts.damages == 0 && counts.acked_good == 2);
    fake_disk_fini(&fake);
}

static void positions_that_are_all_damaged_begin_anew(void)
{
    make_folder();
    change("j/acked", 0, "\xa5", 1);
    change("j/acked", STORE_ACKED_MAX + FORMAT_PAGE, "\xa5", 1);
    CHECK(fsck(false) == ERR_OK);
    CHECK(damage_count == 1 && damages[0].kind == FSCK_ACKED && !damages[0].is_known);
    CHECK(fsck(true) == ERR_OK && counts.repaired == 1);
    CHECK(fsck(false) == ERR_OK && counts.damages == 0 && counts.acked_good == 0);
    fake_disk_fini(&fake);
}

static void a_file_that_ends_early_says_what_is_missing(void)
{
    int fd;

    make_folder();
    new_segment(USE_FRAMES);
    segment_add(&segment, FRAME_TRACES, 1, slice_str("a body"));
    CHECK(fake.disk.open(&fake.disk, "j/segments-00000002", O_RDWR | O_CREAT, 0600, &fd, &info) ==
          ERR_OK);
    CHECK(fake.disk.pwrite(&fake.disk, fd, segment.bytes, 2 * FORMAT_PAGE, 0, &info) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
    CHECK(fsck(false) == ERR_OK);
    CHECK(damage_count == 1 && damages[0].kind == FSCK_SHORT);
    CHECK(damages[0].bytes == SEGMENT_BYTES - 2 * FORMAT_PAGE);
    CHECK(counts.uses[USE_FRAMES].frames == 4);
    fake_disk_fini(&fake);
}

static void cut(const char *path, uint64_t at)
{
    struct fake_damage damage = {.kind = FAKE_DAMAGE_CUT, .offset = at};

    CHECK(fake_disk_damage(&fake, path, &damage));
}

static void segments_that_are_cut_off_a_file_are_named(void)
{
    make_folder();
    new_segment(USE_FRAMES);
    segment.header.regions = 7;
    segment_stamp(&segment);
    segment_store(&segment, &fake.disk, "j/segments-00000001", 2);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_CUT, 3 * (uint64_t)SEGMENT_BYTES) && counts.cut == 4);
    CHECK(damages[0].first == 3 && damages[0].segments == 4);
    CHECK(damages[0].bytes == 4 * (uint64_t)SEGMENT_BYTES);
    CHECK(damages[0].frames == 4 * ((SEGMENT_BYTES - FORMAT_PAGE) / 128));
    /* One that is there in part is short, those behind it are cut off. */
    cut("j/segments-00000001", 3 * (uint64_t)SEGMENT_BYTES - FORMAT_PAGE);
    CHECK(fsck(true) == ERR_OK && damage_count == 2 && counts.cut == 4);
    CHECK(damages[0].kind == FSCK_SHORT && damages[1].kind == FSCK_CUT && damages[1].first == 3);
    fake_disk_fini(&fake);
}

static void a_file_without_a_byte_had_some_if_there_is_a_newer_one(void)
{
    make_folder();
    new_segment(USE_FRAMES);
    segment_store(&segment, &fake.disk, "j/segments-00000002", 0);
    CHECK(fsck(false) == ERR_OK && damage_count == 0);
    cut("j/segments-00000002", 0); /* just begun */
    CHECK(fsck(false) == ERR_OK && damage_count == 0);
    segment_store(&segment, &fake.disk, "j/segments-00000002", 0);
    cut("j/segments-00000001", 0);
    CHECK(fsck(false) == ERR_OK);
    CHECK(is_one(FSCK_CUT, 0) && damages[0].segments == 0 && damages[0].is_live);
    fake_disk_fini(&fake);
}

static void another_version_is_left_alone(void)
{
    make_folder();
    new_segment(USE_FRAMES);
    segment.header.version = SEGMENT_VERSION + 1;
    segment_stamp(&segment);
    segment_store(&segment, &fake.disk, "j/segments-00000001", 0);
    CHECK(fsck(true) == ERR_OK);
    CHECK(is_one(FSCK_VERSION, FRAMES_AT) && !damages[0].is_repaired);
    CHECK(fsck(false) == ERR_OK && counts.damages == 1);
    fake_disk_fini(&fake);
}

static void every_flipped_bit_that_matters_is_found(void)
{
    struct made_segment whole = {0};
    unsigned silent = 0;

    make_folder();
    new_segment(USE_FRAMES);
    segment_add(&segment, FRAME_TRACES, 1,
                slice_str("of exactly one frame, with sixty-four bytes "
                          "in its body, no more"));
    segment_open(&whole, USE_FRAMES, 1, 1);
    memcpy(whole.bytes, segment.bytes, segment.size);
    for (size_t bit = 0; bit < segment.used * 8; bit++) {
        if (bit / 8 == sizeof(struct segment_header))
            bit = (size_t)FORMAT_PAGE * 8;
        whole.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        segment_store(&whole, &fake.disk, "j/segments-00000001", 0);
        silent += fsck(false) != ERR_OK || counts.damages != 1;
        whole.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(silent == 0);
    segment_close(&whole);
    fake_disk_fini(&fake);
}

static void a_folder_in_use_is_left_alone(void)
{
    int lock;

    make_folder();
    CHECK(store_lock(&fake.disk, "j", &lock, &info) == ERR_OK);
    CHECK(fsck(true) == ERR_FULL);
    CHECK(strstr(info.text, "is in use by process ") != NULL);
    fake.disk.close(&fake.disk, lock);
    CHECK(fsck(true) == ERR_OK);
    fake_disk_fini(&fake);
}

static void a_folder_that_is_not_there_is_not_made(void)
{
    fake_disk_init(&fake);
    CHECK(fsck(true) == ERR_IO && info.text[0]);
    CHECK(fsck(true) == ERR_IO);
    fake_disk_fini(&fake);
}

static void a_folder_of_something_else_gets_no_lock_and_no_good_report(void)
{
    int fd;

    fake_disk_init(&fake);
    CHECK(fake.disk.open(&fake.disk, "j/mine", O_RDWR | O_CREAT, 0600, &fd, &info) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
    CHECK(fsck(true) == ERR_CONFIG && strstr(info.text, "is no journal's folder"));
    CHECK(fake.disk.open(&fake.disk, "j/lock", O_RDWR, 0, &fd, &info) == ERR_IO);
    fake_disk_fini(&fake);
}

static void a_disk_that_fails_at_any_call_repairs_less_and_spoils_nothing(void)
{
    for (unsigned n = 1; n < 60; n++) {
        make_folder();
        spoil(FRAMES_AT + 20);
        change("j/acked", 0, "\xa5", 1);
        fake.fail_at = n;
        fake.fail_as = ERR_IO;
        (void)!fsck(true);
        fake.fail_at = 0;
        CHECK(fsck(false) == ERR_OK);
        CHECK(counts.damages <= 2 && counts.acked_good >= 1);
        CHECK(counts.uses[USE_OUTBOX].frames == 1 && counts.decisions == 2);
        fake_disk_fini(&fake);
    }
}

int main(void)
{
    RUN(a_whole_folder_is_counted_and_clean);
    RUN(a_changed_body_names_its_frame_and_what_it_held);
    RUN(a_changed_frame_header_is_a_gap);
    RUN(a_segment_without_its_header_becomes_free);
    RUN(damage_in_a_free_segment_costs_nothing);
    RUN(a_damaged_copy_of_the_positions_is_written_from_the_good_one);
    RUN(positions_that_are_all_damaged_begin_anew);
    RUN(a_file_that_ends_early_says_what_is_missing);
    RUN(segments_that_are_cut_off_a_file_are_named);
    RUN(a_file_without_a_byte_had_some_if_there_is_a_newer_one);
    RUN(another_version_is_left_alone);
    RUN(every_flipped_bit_that_matters_is_found);
    RUN(a_folder_in_use_is_left_alone);
    RUN(a_folder_that_is_not_there_is_not_made);
    RUN(a_folder_of_something_else_gets_no_lock_and_no_good_report);
    RUN(a_disk_that_fails_at_any_call_repairs_less_and_spoils_nothing);
    segment_close(&segment);
    return DONE();
}
