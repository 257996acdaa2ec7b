/* Every call of the disk fails once, with each kind of error: nothing that was written is lost, and
 * afterwards everything can be used. */
#include "base/fake_disk.h"
#include "check.h"
#include "journal/stores.h"

#include <fcntl.h>
#include <stdlib.h>

enum { R = 8192, REGIONS = 12, ORDINALS = 64 };

/* What the test knows to be in the files. */
enum fate {
    FATE_NONE,
    FATE_UNSURE, /* the write that would say failed */
    FATE_LIVE,
    FATE_FREE,
};

struct run {
    struct fake_disk disk;
    struct store_config config;
    struct store *s;
    uint32_t number[ORDINALS]; /* 0: not taken */
    enum fate fate[ORDINALS];
    uint64_t ordinal;
    uint8_t acked; /* last written; 0: none yet */
    bool acked_unsure;
};

static void reopen(struct run *r)
{
    store_close(r->s);
    while (store_open(&r->config, &r->s, NULL) != ERR_OK) /* as somebody who starts it again */
        CHECK(!r->s);
    memset(r->number, 0, sizeof(r->number));
    for (uint32_t i = 1; i <= store_count(r->s); i++) {
        const struct region *region = store_region(r->s, i);

        if (region->taken && region->readable)
            r->number[region->header.ordinal] = i;
    }
}

static void use(struct run *r, size_t bytes, bool reserved)
{
    struct segment_header h = {.use = USE_FRAMES, .state = SEGMENT_LIVE};
    uint64_t ordinal = ++r->ordinal;
    uint8_t page[FORMAT_PAGE];
    struct slice parts[2] = {slice_make(page, sizeof(page)), slice_str("a frame")};
    uint32_t n;

    if (store_take(r->s, bytes, reserved, &n, NULL) != ERR_OK)
        return;
    CHECK(!store_region(r->s, n)->failed);
    h.generation = store_region(r->s, n)->header.generation + 1;
    h.ordinal = ordinal;
    store_make_header(r->s, n, &h, page);
    r->number[ordinal] = n;
    r->fate[ordinal] = store_write(r->s, n, 0, parts, 2, NULL) == ERR_OK ? FATE_LIVE : FATE_UNSURE;
}

static void end(struct run *r, uint64_t ordinal)
{
    uint32_t n = r->number[ordinal];
    struct segment_header h;

    if (!n)
        return;
    h = store_region(r->s, n)->header;
    h.state = SEGMENT_IS_FREE;
    if (store_write_header(r->s, n, &h, NULL) == ERR_OK)
        r->fate[ordinal] = FATE_FREE;
    else if (!store_region(r->s, n)->failed)
        return; /* the journal tries again later */
    else
        r->fate[ordinal] = FATE_UNSURE;
    store_put(r->s, n);
    r->number[ordinal] = 0;
}

static void ack(struct run *r)
{
    uint8_t text[100];

    memset(text, r->acked + 1, sizeof(text));
    r->acked_unsure = store_write_acked(r->s, slice_make(text, sizeof(text)), NULL) != ERR_OK;
    r->acked += !r->acked_unsure;
}

static void work(struct run *r)
{
    reopen(r);
    (void)store_grow(r->s, 6);
    for (unsigned i = 0; i < 5; i++)
        use(r, R, i == 0);
    use(r, 2 * R + 1, false);
    ack(r);
    (void)!store_sync(r->s, NULL);
    end(r, 2);
    end(r, 3);
    end(r, 6);
    use(r, R, false);
    use(r, 3 * R, false);
    ack(r);
    reopen(r);
    (void)store_grow(r->s, 8);
    end(r, 1);
    end(r, 8);
    use(r, R, false);
    use(r, R, true);
    ack(r);
    (void)!store_sync(r->s, NULL);
}

static void acked_is_what_was_written_last(struct run *r)
{
    uint8_t text[STORE_ACKED_MAX];
    bool damaged;
    size_t len;

    CHECK(store_read_acked(r->s, text, &len, &damaged, NULL) == ERR_OK && !damaged);
    if (r->acked == 0 && len == 0)
        return;
    CHECK(len == 100 && (text[0] == r->acked || (r->acked_unsure && text[0] == r->acked + 1)));
}

static void what_was_written_is_there(struct run *r)
{
    bool live[ORDINALS] = {false};

    for (uint32_t i = 1; i <= store_count(r->s); i++) {
        const struct region *region = store_region(r->s, i);
        char frame[8] = "";

        CHECK(!region->failed);
        if (!region->readable || !region->taken)
            continue;
        live[region->header.ordinal] = true;
        CHECK(store_read(r->s, i, FORMAT_PAGE, frame, 7, NULL) == ERR_OK);
        CHECK(strcmp(frame, "a frame") == 0);
    }
    for (uint64_t i = 1; i <= r->ordinal; i++)
        CHECK(r->fate[i] == FATE_UNSURE || live[i] == (r->fate[i] == FATE_LIVE));
}

static void every_byte_can_be_used(struct run *r)
{
    unsigned usable = 0;
    uint32_t n;

    for (uint32_t i = 1; i <= store_count(r->s); i++)
        if (store_region(r->s, i)->taken)
            end(r, store_region(r->s, i)->header.ordinal);
    while (store_take(r->s, R, true, &n, NULL) == ERR_OK)
        usable++;
    CHECK(usable == REGIONS);
}

/* True: the fault was reached. */
static bool run_with_fault(unsigned at, enum err as, bool durable)
{
    struct run r = {.ordinal = 0};
    bool reached;

    fake_disk_init(&r.disk);
    r.config = (struct store_config){.disk = &r.disk.disk,
                                     .path = "/j",
                                     .region_bytes = R,
                                     .file_bytes = 4 * R,
                                     .max_bytes = REGIONS * R,
                                     .reserve = 1,
                                     .durable = durable};
    r.disk.fail_at = at;
    r.disk.fail_as = as;
    work(&r);
    reached = r.disk.fail_at == 0;
    r.disk.fail_at = 0;
    reopen(&r);
    what_was_written_is_there(&r);
    acked_is_what_was_written_last(&r);
    every_byte_can_be_used(&r);
    store_close(r.s);
    fake_disk_fini(&r.disk);
    if (check_failures)
        printf("  with call %u failing as %s%s\n", at, err_name(as), durable ? ", durable" : "");
    return reached;
}

static void each_call_fails_once_and_nothing_is_lost(void)
{
    for (unsigned i = 0; i < 4 && !check_failures; i++) {
        unsigned at = 1;

        while (run_with_fault(at, i & 1 ? ERR_FULL : ERR_IO, i & 2) && !check_failures)
            at++;
        CHECK(at > 60);
    }
}

/* ---- the file of positions ---- */

static struct fake_disk fake;

static struct store *open_plain(void)
{
    struct store_config config = {
        .disk = &fake.disk, .path = "/j", .region_bytes = R, .file_bytes = R, .max_bytes = R};
    struct store *s;

    if (store_open(&config, &s, NULL) != ERR_OK)
        abort();
    return s;
}

static void scribble_acked(uint64_t offset, const void *data, size_t len)
{
    int fd;

    CHECK(fake.disk.open(&fake.disk, "/j/acked", O_RDWR, 0, &fd, NULL) == ERR_OK);
    CHECK(fake.disk.pwrite(&fake.disk, fd, data, len, offset, NULL) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
}

static bool acked_reads(struct store *s, const char *expected)
{
    static char text[STORE_ACKED_MAX];
    bool damaged;
    size_t len;

    return store_read_acked(s, text, &len, &damaged, NULL) == ERR_OK && !damaged &&
           len == strlen(expected) && memcmp(text, expected, len) == 0;
}

static void the_last_good_copy_of_the_positions_counts(void)
{
    static uint8_t largest[STORE_ACKED_MAX], back[STORE_ACKED_MAX];
    enum { COPY = STORE_ACKED_MAX + FORMAT_PAGE };
    struct store *s;
    bool damaged;
    size_t len;

    fake_disk_init(&fake);
    s = open_plain();
    CHECK(acked_reads(s, ""));
    CHECK(store_write_acked(s, slice_str("one"), NULL) == ERR_OK && acked_reads(s, "one"));
    CHECK(store_write_acked(s, slice_str("second"), NULL) == ERR_OK && acked_reads(s, "second"));
    store_close(s);

    s = open_plain();
    CHECK(acked_reads(s, "second"));
    CHECK(store_write_acked(s, slice_str("iii"), NULL) == ERR_OK && acked_reads(s, "iii"));
    scribble_acked(COPY + 24, "t", 1); /* torn: the other copy counts */
    CHECK(acked_reads(s, "second"));
    store_close(s);

    s = open_plain(); /* the torn copy is the one that is written, without a read before it too */
    CHECK(store_write_acked(s, slice_str("3"), NULL) == ERR_OK && acked_reads(s, "3"));
    scribble_acked(COPY + 16, "x", 1);
    CHECK(acked_reads(s, "second"));
    scribble_acked(0, "x", 1);
    CHECK(store_read_acked(s, back, &len, &damaged, NULL) == ERR_OK && damaged && len == 0);
    memset(largest, 'l', sizeof(largest));
    CHECK(store_write_acked(s, slice_make(largest, sizeof(largest)), NULL) == ERR_OK);
    CHECK(store_read_acked(s, back, &len, &damaged, NULL) == ERR_OK && !damaged);
    CHECK(len == sizeof(largest) && memcmp(back, largest, len) == 0);
    store_close(s);
    fake_disk_fini(&fake);
}

int main(void)
{
    RUN(each_call_fails_once_and_nothing_is_lost);
    RUN(the_last_good_copy_of_the_positions_counts);
    return DONE();
}
