#include "base/fake_disk.h"
#include "check.h"
#include "journal/journals.h"
#include "journal/made_segment.h"
#include "journal/reader.h"

static struct fake_disk fake;
static struct made_segment segment;
static struct err_info info;

/* Before the n-th read from now of so many bytes or more, something happens to the file. */
static enum err (*real_pread)(struct disk *, int, void *, size_t, uint64_t, size_t *,
                              struct err_info *);
static void (*meanwhile)(void);

static enum err watched_pread(struct disk *d, int fd, void *data, size_t len, uint64_t offset,
                              size_t *got, struct err_info *i)
{
    enum err err = real_pread(d, fd, data, len, offset, got, i);
    void (*fn)(void) = meanwhile;

    if (fn && len == SEGMENT_BYTES) {
        meanwhile = NULL;
        fn();
    }
    return err;
}

static void begin(void)
{
    fake_disk_init(&fake);
    real_pread = fake.disk.pread;
    fake.disk.pread = watched_pread;
    meanwhile = NULL;
}

static struct reader *opened(void)
{
    struct reader *r = NULL;

    CHECK(reader_open(&fake.disk, "j", &r, &info) == ERR_OK);
    return r;
}

/* ---- what the segments say ---- */

static void add_names(const char *policy)
{
    const char *const label[][2] = {{policy, ""}};
    const struct journal_names names = {LABEL_PAIRS(label)};
    struct buf body;

    buf_init(&body, 4096, NULL);
    CHECK(names_write(&body, &names));
    segment_add(&segment, FRAME_NAMES, 1, buf_slice(&body));
    buf_fini(&body);
}

static void add_decision(uint8_t id)
{
    struct decision_record d = {.trace_id = {id}, .signal = SIGNAL_TRACES};
    struct buf body;

    buf_init(&body, 4096, NULL);
    CHECK(entry_write(&body, &d, NULL));
    segment_add(&segment, FRAME_DECISIONS, id, buf_slice(&body));
    buf_fini(&body);
}

static void new_segment(enum segment_use use, uint32_t ordinal)
{
    segment_open(&segment, use, ordinal, UINT64_C(0x1234567800000000) + ordinal);
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
}

static void store(const char *path, unsigned index)
{
    segment_store(&segment, &fake.disk, path, index);
}

/* ---- what was found: "policy:id ..." ---- */

static char seen[512];

static bool on_decision(void *arg, const struct reader_decision *d)
{
    size_t len = strlen(seen);

    (void)arg;
    snprintf(seen + len, sizeof(seen) - len, "%s%s:%u", len ? " " : "",
             d->names->label_count ? d->names->labels[0].policy : "-",
             d->entry->record.trace_id[0]);
    return true;
}

static const char *decisions(struct reader *r)
{
    seen[0] = '\0';
    reader_each_decision(r, USE_DECISIONS, on_decision, NULL);
    return seen;
}

static bool on_frame(void *arg, const struct reader_segment *s, const struct frame *f)
{
    size_t len = strlen(seen);

    (void)arg;
    snprintf(seen + len, sizeof(seen) - len, "%s%u:%u", len ? " " : "",
             (unsigned)s->header.generation, (unsigned)f->header.sequence);
    return true;
}

static const char *frames_of(struct reader *r, const char *trace_id)
{
    seen[0] = '\0';
    reader_find_trace(r, (const uint8_t *)trace_id, on_frame, NULL);
    return seen;
}

/* ---- tests ---- */

static void decisions_come_in_their_order_with_the_names_of_their_segment(void)
{
    struct reader *r;

    begin();
    new_segment(USE_DECISIONS, 3);
    add_names("new");
    add_decision(5);
    store("j/segments-00000001", 0);
    new_segment(USE_DECISIONS, 2);
    add_names("old");
    add_decision(3);
    add_decision(4);
    store("j/segments-00000001", 1);
    new_segment(USE_FRAMES, 9);
    store("j/segments-00000001", 2);
    new_segment(USE_DECISIONS, 1);
    add_decision(1);
    segment.header.state = SEGMENT_IS_FREE;
    segment_stamp(&segment);
    store("j/large-00000001", 0);
    r = opened();
    CHECK(reader_count(r) == 4);
    CHECK(!strcmp(decisions(r), "-:1 old:3 old:4 new:5"));
    CHECK(reader_stats(r)->damaged == 0 && reader_stats(r)->overwritten == 0);
    reader_close(r);
    fake_disk_fini(&fake);
}

static void names_that_are_lost_leave_no_name_to_what_follows(void)
{
    struct reader *r;

    begin();
    new_segment(USE_DECISIONS, 1);
    add_names("first");
    add_decision(1);
    add_names("second");
    add_decision(2);
    add_names("third");
    add_decision(3);
    for (size_t at = FORMAT_PAGE; at < segment.used; at++)
        if (memcmp(segment.bytes + at, "second", 6) == 0)
            segment.bytes[at] ^= 1;
    store("j/segments-00000001", 0);
    r = opened();
    CHECK(!strcmp(decisions(r), "first:1 -:2 third:3"));
    CHECK(reader_stats(r)->damaged == 1);
    reader_close(r);

    for (size_t at = FORMAT_PAGE; at < segment.used; at++) /* and its header */
        if (memcmp(segment.bytes + at, "recond", 6) == 0)
            segment.bytes[at / FRAME_ALIGN * FRAME_ALIGN - FRAME_ALIGN] ^= 1;
    store("j/segments-00000001", 0);
    r = opened();
    CHECK(!strcmp(decisions(r), "first:1 -:2 third:3"));
    CHECK(reader_stats(r)->damaged == 1);
    reader_close(r);
    fake_disk_fini(&fake);
}

static void use_it_again(void)
{
    segment_open(&segment, USE_DECISIONS, 8, 88);
    add_decision(9);
    store("j/segments-00000001", 0);
}

static void free_it(void)
{
    segment.header.state = SEGMENT_IS_FREE;
    segment_stamp(&segment);
    store("j/segments-00000001", 0);
}

static void what_is_used_again_meanwhile_is_left_out(void)
{
    struct reader *r;

    begin();
    new_segment(USE_DECISIONS, 1);
    add_decision(1);
    store("j/segments-00000001", 0);
    r = opened();
    meanwhile = use_it_again;
    CHECK(!strcmp(decisions(r), ""));
    CHECK(reader_stats(r)->overwritten == 1 && reader_stats(r)->damaged == 0);
    CHECK(!strcmp(decisions(r), "")); /* nor later: its header is another one's */
    reader_close(r);

    r = opened();
    meanwhile = free_it; /* which changes nothing of what it holds */
    CHECK(!strcmp(decisions(r), "-:9"));
    CHECK(reader_stats(r)->overwritten == 0);
    reader_close(r);
    fake_disk_fini(&fake);
}

static void a_file_that_goes_meanwhile_is_left_out(void)
{
    struct reader *r;

    begin();
    new_segment(USE_FRAMES, 1);
    segment_add(&segment, FRAME_TRACES, 1, slice_str("....sixteen bytes of"));
    store("j/large-00000007", 0);
    r = opened();
    CHECK(!strcmp(frames_of(r, "sixteen bytes of"), "1:1"));
    CHECK(fake.disk.unlink(&fake.disk, "j/large-00000007", NULL) == ERR_OK);
    CHECK(!strcmp(frames_of(r, "sixteen bytes of"), ""));
    CHECK(reader_stats(r)->overwritten == 1 && reader_stats(r)->unreadable == 0);
    reader_close(r);
    fake_disk_fini(&fake);
}

static void only_frames_that_may_hold_the_trace_are_shown(void)
{
    struct reader *r;

    begin();
    new_segment(USE_FRAMES, 1);
    segment_add(&segment, FRAME_TRACES, 1, slice_str("0123456789abcdef"));
    segment_add(&segment, FRAME_TRACES, 2, slice_str(""));
    segment_add(&segment, FRAME_TRACES, 3, slice_str("xxx0123456789abcde"));
    segment_add(&segment, FRAME_TRACES, 4, slice_str("xxx0123456789abcdefyyy"));
    store("j/segments-00000003", 1); /* what is before it was never used */
    new_segment(USE_OUTBOX, 1);
    segment_add(&segment, FRAME_KEEP, 1, slice_str("0123456789abcdef"));
    store("j/segments-00000003", 2);
    r = opened();
    CHECK(!strcmp(frames_of(r, "0123456789abcdef"), "1:1 1:4"));
    reader_close(r);
    fake_disk_fini(&fake);
}

static void a_damaged_header_does_not_hide_the_others(void)
{
    struct reader *r;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        new_segment(USE_DECISIONS, i + 1);
        add_decision((uint8_t)(i + 1));
        segment.bytes[20] ^= i == 0; /* the first of all is damaged */
        if (i == 2)
            memset(segment.bytes, 0, FORMAT_PAGE); /* the last one's page is lost */
        store("j/segments-00000001", i);
    }
    r = opened();
    CHECK(reader_count(r) == 3);
    CHECK(reader_segment(r, 0)->state == READER_GOOD);
    CHECK(reader_segment(r, 1)->state == READER_DAMAGED && reader_segment(r, 1)->offset == 0);
    CHECK(reader_segment(r, 2)->state == READER_DAMAGED);
    CHECK(!strcmp(decisions(r), "-:2"));
    reader_close(r);
    fake_disk_fini(&fake);
}

static void other_files_are_no_segments(void)
{
    struct reader *r;

    begin();
    new_segment(USE_DECISIONS, 1);
    add_decision(1);
    store("j/segments-0000001", 0); /* a digit is missing */
    store("j/segments-00000001.old", 0);
    store("j/acked", 0);
    store("j/lock", 0);
    r = opened();
    CHECK(reader_count(r) == 0);
    reader_close(r);
    fake_disk_fini(&fake);
}

static void a_disk_that_fails_at_any_call_shows_less_and_nothing_else(void)
{
    for (unsigned n = 1; n < 40; n++) {
        struct reader *r = NULL;

        begin();
        new_segment(USE_DECISIONS, 1);
        add_decision(1);
        store("j/segments-00000001", 0);
        store("j/segments-00000002", 0);
        fake.fail_at = n;
        fake.fail_as = ERR_IO;
        if (reader_open(&fake.disk, "j", &r, &info) == ERR_OK) {
            const char *found = decisions(r);

            CHECK(!strcmp(found, "-:1 -:1") || !strcmp(found, "-:1"));
        } else {
            CHECK(info.text[0] && r == NULL);
        }
        reader_close(r);
        fake_disk_fini(&fake);
    }
}

int main(void)
{
    RUN(decisions_come_in_their_order_with_the_names_of_their_segment);
    RUN(names_that_are_lost_leave_no_name_to_what_follows);
    RUN(what_is_used_again_meanwhile_is_left_out);
    RUN(a_file_that_goes_meanwhile_is_left_out);
    RUN(only_frames_that_may_hold_the_trace_are_shown);
    RUN(a_damaged_header_does_not_hide_the_others);
    RUN(other_files_are_no_segments);
    RUN(a_disk_that_fails_at_any_call_shows_less_and_nothing_else);
    segment_close(&segment);
    return DONE();
}
