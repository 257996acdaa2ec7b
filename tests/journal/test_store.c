#include "base/fake_disk.h"
#include "check.h"
#include "journal/stores.h"

#include <fcntl.h>
#include <stdlib.h>

enum { R = 8192, FILE_BYTES = 4 * R };

static struct fake_disk fake;
static struct err_info info;
static const struct store_config USUAL = {
    .path = "/j", .region_bytes = R, .file_bytes = FILE_BYTES, .max_bytes = 16 * R};

static struct store *opened(struct store_config config)
{
    struct store *s;

    config.disk = &fake.disk;
    if (store_open(&config, &s, &info) != ERR_OK) {
        printf("%s\n", info.text);
        abort();
    }
    return s;
}

/* As a killed process leaves it: nothing is written at the end anyway. */
static struct store *reopened(struct store *s, struct store_config config)
{
    store_close(s);
    return opened(config);
}

/* Overwrites bytes of a file behind the store's back. */
static void scribble(const char *path, uint64_t offset, const void *data, size_t len)
{
    struct disk *d = &fake.disk;
    int fd;

    if (d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, NULL) != ERR_OK ||
        d->pwrite(d, fd, data, len, offset, NULL) != ERR_OK)
        abort();
    d->close(d, fd);
}

static uint64_t size_of(const char *path)
{
    struct disk *d = &fake.disk;
    uint64_t size;
    int fd;

    if (d->open(d, path, O_RDONLY, 0, &fd, NULL) != ERR_OK)
        return UINT64_MAX;
    if (d->size(d, fd, &size, NULL) != ERR_OK)
        abort();
    d->close(d, fd);
    return size;
}

static void regions_are_written_and_read_and_bounded_by_themselves(void)
{
    struct store *s = opened(USUAL);
    uint32_t a = take(s), b = take(s);
    uint8_t back[8];
    struct slice parts[20];

    CHECK(a != b && store_region(s, a)->taken && store_region(s, a)->bytes == R);
    for (unsigned i = 0; i < 20; i++) /* more than one call of the disk takes */
        parts[i] = slice_make("0123456789abcdefghij" + i, 1);
    CHECK(store_write(s, a, FORMAT_PAGE, parts, 20, &info) == ERR_OK);
    CHECK(store_write(s, b, R - 4, &(struct slice){(const uint8_t *)"last", 4}, 1, &info) ==
          ERR_OK);
    CHECK(store_read(s, a, FORMAT_PAGE + 12, back, 8, &info) == ERR_OK);
    CHECK(memcmp(back, "cdefghij", 8) == 0);
    CHECK(store_read(s, b, R - 4, back, 4, &info) == ERR_OK && memcmp(back, "last", 4) == 0);
    CHECK(store_read(s, a, R - 4, back, 4, &info) == ERR_OK && memcmp(back, "\0\0\0\0", 4) == 0);
    CHECK(store_sync(s, &info) == ERR_OK);
    store_close(s);
}

static void what_was_put_back_last_is_reused_first(void)
{
    struct store *s = opened(USUAL);
    uint32_t a = take(s), b = take(s), c = take(s);

    put(s, b);
    put(s, a);
    put(s, c);
    CHECK(take(s) == c);
    CHECK(take(s) == a);
    CHECK(take(s) == b);
    store_close(s);
}

static void with_history_new_regions_go_first_and_then_the_oldest(void)
{
    struct store_config config = USUAL;
    struct store *s;
    uint32_t a, b, c;

    config.oldest_first = true;
    s = opened(config);
    a = take(s), b = take(s), c = take(s);
    put_at(s, b, 30);
    put_at(s, a, 10);
    put_at(s, c, 20);
    while (store_grow(s, 8))
        ;
    CHECK(store_free_regions(s) == 8);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t fresh = take(s);

        CHECK(fresh != a && fresh != b && fresh != c);
    }
    CHECK(take(s) == b);
    CHECK(take(s) == a);
    CHECK(take(s) == c);

    s = reopened(s, config); /* the order is now that of the times in their headers */
    CHECK(store_free_regions(s) == 8);
    for (unsigned i = 0; i < 5; i++)
        CHECK(!store_region(s, take(s))->readable);
    CHECK(store_region(s, take(s))->header.unix_ns == 10);
    CHECK(store_region(s, take(s))->header.unix_ns == 20);
    CHECK(store_region(s, take(s))->header.unix_ns == 30);
    store_close(s);
}

static void the_reserve_is_for_those_that_may_use_it(void)
{
    struct store_config config = USUAL;
    struct store *s;
    uint32_t n;

    config.reserve = 3;
    s = opened(config);
    for (unsigned i = 0; i < 13; i++)
        take(s);
    CHECK(store_take(s, R, false, &n, &info) == ERR_FULL);
    CHECK(store_free_regions(s) == 3);
    for (unsigned i = 0; i < 3; i++)
        CHECK(store_take(s, R, true, &n, &info) == ERR_OK);
    CHECK(store_take(s, R, true, &n, &info) == ERR_FULL);
    CHECK(strcmp(info.text, "/j holds 131072 bytes, and 8192 more are over its 131072") == 0);
    store_close(s);
}

static void max_bytes_and_min_free_bound_all_files_together(void)
{
    struct store_config config = USUAL;
    struct store_stats stats;
    struct store *s;
    uint32_t n, large;

    config.max_bytes = 9 * R + 100; /* a file and a half */
    s = opened(config);
    CHECK(store_take(s, 3 * R - 10, false, &large, &info) == ERR_OK);
    while (store_grow(s, 100))
        ;
    CHECK(store_free_regions(s) == 6);
    store_stats(s, &stats);
    CHECK(stats.file_bytes == 9 * R && stats.max_bytes == 9 * R + 100);
    CHECK(stats.free_bytes == 6 * R && stats.failed_bytes == 0);
    CHECK(store_take(s, R + 1, false, &n, &info) == ERR_FULL);
    store_put(s, large);
    while (store_grow(s, 9))
        ;
    CHECK(store_free_regions(s) == 9);

    config.min_free = 1; /* of what an empty file system has: nothing may be taken */
    config.max_bytes *= 2;
    s = reopened(s, config);
    CHECK(store_free_regions(s) == 9);
    CHECK(!store_grow(s, 10) && store_free_regions(s) == 9);
    CHECK(store_take(s, R + 1, true, &n, &info) == ERR_FULL && strstr(info.text, "100.0 %"));
    store_close(s);
}

static void a_lowered_max_bytes_removes_files_without_live_regions(void)
{
    struct store_config config = USUAL;
    struct store_stats stats;
    struct store *s = opened(config);
    uint32_t n[16];

    for (unsigned i = 0; i < 16; i++)
        n[i] = take_live(s, USE_FRAMES, i + 1);
    for (unsigned i = 0; i < 16; i++)
        if (i != 5)
            put(s, n[i]);
    config.max_bytes = 5 * R;
    s = reopened(s, config);
    while (store_grow(s, 0))
        ;
    store_stats(s, &stats);
    CHECK(stats.file_bytes == 4 * R && store_free_regions(s) == 3);
    CHECK(size_of("/j/segments-00000001") == UINT64_MAX);
    CHECK(size_of("/j/segments-00000002") == FILE_BYTES);
    CHECK(store_grow(s, 4) == false && store_free_regions(s) == 4);
    CHECK(size_of("/j/segments-00000005") == R);
    store_close(s);
}

static void files_grow_in_steps_of_a_mebibyte_at_most(void)
{
    struct store_config config = USUAL;
    unsigned steps = 0;
    struct store *s;

    config.region_bytes = 384 << 10;
    config.file_bytes = 5 << 20; /* 13 regions and a rest */
    config.max_bytes = 9 << 20;
    s = opened(config);
    do {
        uint64_t size = size_of("/j/segments-00000001");

        CHECK((size == UINT64_MAX ? 0 : size) == steps * 2 * (384 << 10));
        CHECK(store_free_regions(s) == steps * 2);
        steps++;
    } while (store_grow(s, 13));
    CHECK(steps == 7 && size_of("/j/segments-00000001") == 13 * (384 << 10));
    CHECK(size_of("/j/segments-00000002") == UINT64_MAX);
    while (store_grow(s, 24))
        ;
    CHECK(store_free_regions(s) == 24 && size_of("/j/segments-00000002") == 11 * (384 << 10));
    store_close(s);
}

static void live_free_and_fresh_regions_are_found_again(void)
{
    struct store *s = opened(USUAL);
    uint32_t live = take_live(s, USE_OUTBOX, 7), freed = take_live(s, USE_FRAMES, 8);
    uint32_t large, count = 0;

    CHECK(store_take(s, 5 * R, false, &large, &info) == ERR_OK);
    write_live(s, large, USE_FRAMES, 9);
    put(s, freed);
    s = reopened(s, USUAL);
    for (uint32_t i = 1; i <= store_count(s); i++) {
        const struct region *r = store_region(s, i);
        const struct segment_header *h = &r->header;

        if (!r->readable) {
            CHECK(!r->taken && h->magic == 0 && h->generation == 0);
            continue;
        }
        count++;
        CHECK(r->taken == (h->ordinal != 8) && h->bytes == r->bytes && !r->failed);
        CHECK(h->use == (h->ordinal == 7 ? USE_OUTBOX : USE_FRAMES));
        CHECK(r->bytes == (h->ordinal == 9 ? 5 * R : R));
    }
    CHECK(count == 3 && store_count(s) == 5 && store_free_regions(s) == 3);
    CHECK(store_region(s, live)->header.ordinal == 7);
    store_close(s);
}

static void a_file_that_was_growing_is_made_longer(void)
{
    struct store_config config = USUAL;
    struct store *s;
    uint32_t live;

    config.max_bytes = 2 * R;
    s = opened(config);
    live = take_live(s, USE_FRAMES, 1);
    scribble("/j/segments-00000001", 2 * R, "\0\0\0", 3); /* killed in the middle of a step */
    s = reopened(s, USUAL);
    CHECK(store_count(s) == 2 && store_region(s, live)->taken);
    while (store_grow(s, 3))
        ;
    CHECK(store_free_regions(s) == 3 && size_of("/j/segments-00000001") == FILE_BYTES);
    store_close(s);
}

static void files_keep_their_size_when_the_configured_one_changes(void)
{
    struct store_config config = USUAL;
    struct store *s = opened(config);

    while (store_grow(s, 8))
        ;
    config.file_bytes = 6 * R;
    config.max_bytes = 12 * R;
    s = reopened(s, config);
    while (store_grow(s, 12))
        ;
    CHECK(size_of("/j/segments-00000001") == 4 * R); /* only the last one may have been growing */
    CHECK(size_of("/j/segments-00000002") == 6 * R);
    CHECK(size_of("/j/segments-00000003") == 2 * R);
    config.file_bytes = R;
    config.max_bytes = 13 * R;
    s = reopened(s, config);
    CHECK(store_free_regions(s) == 12);
    CHECK(!store_grow(s, 13));
    CHECK(size_of("/j/segments-00000003") == 2 * R && size_of("/j/segments-00000004") == R);
    store_close(s);
}

static void damaged_headers_are_taken_and_not_readable(void)
{
    struct store *s = opened(USUAL);
    uint32_t torn = take_live(s, USE_FRAMES, 1), zeroed = take_live(s, USE_FRAMES, 2);
    uint32_t good = take_live(s, USE_FRAMES, 3);
    uint8_t zeros[FORMAT_PAGE] = {0};

    scribble("/j/segments-00000001", store_region(s, torn)->offset + 20, "?", 1);
    scribble("/j/segments-00000001", store_region(s, zeroed)->offset, zeros, sizeof(zeros));
    s = reopened(s, USUAL);
    CHECK(store_region(s, torn)->taken && !store_region(s, torn)->readable);
    CHECK(store_region(s, zeroed)->taken && !store_region(s, zeroed)->readable);
    CHECK(store_region(s, good)->taken && store_region(s, good)->readable);
    CHECK(store_free_regions(s) == 1);
    put(s, torn);
    store_put(s, zeroed);
    CHECK(store_free_regions(s) == 3);
    store_close(s);
}

static void a_region_of_zeros_is_fresh(void)
{
    uint8_t zeros[2 * R] = {0};
    struct store *s;

    scribble("/j/segments-00000004", 0, zeros, sizeof(zeros));
    s = opened(USUAL);
    CHECK(store_count(s) == 2 && store_free_regions(s) == 2);
    take(s);
    while (store_grow(s, 4))
        ;
    CHECK(size_of("/j/segments-00000004") == FILE_BYTES);
    CHECK(size_of("/j/segments-00000005") == FILE_BYTES);
    store_close(s);
}

static void a_live_region_that_was_cut_is_kept_as_far_as_it_goes(void)
{
    uint8_t bytes[2 * R], back[R];
    struct store *s = opened(USUAL);
    uint32_t a = take_live(s, USE_FRAMES, 1), b = take_live(s, USE_FRAMES, 2);
    struct disk *d = &fake.disk;
    uint32_t last = store_region(s, a)->offset ? a : b;
    int fd;

    CHECK(store_region(s, last)->offset == R);
    CHECK(store_write(s, last, FORMAT_PAGE, &(struct slice){(const uint8_t *)"frames", 6}, 1,
                      &info) == ERR_OK);
    CHECK(store_read(s, a, 0, bytes + store_region(s, a)->offset, R, &info) == ERR_OK);
    CHECK(store_read(s, b, 0, bytes + store_region(s, b)->offset, R, &info) == ERR_OK);
    store_close(s);
    CHECK(d->open(d, "/j/segments-00000001", O_RDWR | O_TRUNC, 0, &fd, &info) == ERR_OK);
    d->close(d, fd);
    scribble("/j/segments-00000001", 0, bytes, R + FORMAT_PAGE + 4);
    s = opened(USUAL);
    CHECK(store_count(s) == 2 && store_free_regions(s) == 0);
    CHECK(store_region(s, 2)->taken && store_region(s, 2)->readable);
    CHECK(store_read(s, 2, 0, back, R, &info) == ERR_OK);
    CHECK(memcmp(back + FORMAT_PAGE, "fram\0\0", 6) == 0);
    store_close(s);
}

static void what_another_version_wrote_is_not_touched(void)
{
    struct segment_header h = {.use = USE_FRAMES, .state = SEGMENT_LIVE, .generation = 1};
    struct store_config config = USUAL;
    struct store *s = opened(config);
    uint32_t n = take(s);
    uint8_t page[FORMAT_PAGE];

    config.disk = &fake.disk;
    store_make_header(s, n, &h, page);
    CHECK(store_region(s, n)->readable && memcmp(page, &h, sizeof(h)) == 0);
    h.version = SEGMENT_VERSION + 1;
    h.crc = crc_of_header(&h);
    scribble("/j/segments-00000001", store_region(s, n)->offset, &h, sizeof(h));
    store_close(s);
    CHECK(store_open(&config, &s, &info) == ERR_IO && !s);
    CHECK(strstr(info.text, "/j/segments-00000001 was written in version 2 of the format"));

    h.crc ^= 1; /* the same as damage is not a reason to refuse */
    scribble("/j/segments-00000001", 3 * R, &h, sizeof(h));
    h.version = SEGMENT_VERSION;
    h.crc = crc_of_header(&h);
    scribble("/j/segments-00000001", 0, &h, sizeof(h));
    scribble("/j/segments-00000001", R, &h, sizeof(h));
    scribble("/j/segments-00000001", 2 * R, &h, sizeof(h));
    s = opened(config);
    CHECK(store_free_regions(s) == 0);
    config.region_bytes *= 2;
    store_close(s);
    CHECK(store_open(&config, &s, &info) == ERR_IO);
    CHECK(strstr(info.text, "has segments of 8192 bytes, not of 16384"));
}

static void the_second_to_open_hears_who_was_first(void)
{
    struct store *s = opened(USUAL), *second;
    struct store_config config = USUAL;

    config.disk = &fake.disk;
    CHECK(store_open(&config, &second, &info) == ERR_FULL && !second);
    CHECK(strstr(info.text, "/j is in use by process "));
    s = reopened(s, config);
    store_close(s);
}

static void large_files_go_when_they_are_put_back(void)
{
    struct store_stats stats;
    struct store *s = opened(USUAL);
    uint32_t a, b;

    CHECK(store_take(s, R + 1, false, &a, &info) == ERR_OK);
    CHECK(store_take(s, 3 * R, false, &b, &info) == ERR_OK);
    CHECK(store_region(s, a)->bytes == R + FORMAT_PAGE && store_region(s, b)->bytes == 3 * R);
    write_live(s, a, USE_FRAMES, 1);
    write_live(s, b, USE_FRAMES, 2);
    CHECK(size_of("/j/large-00000001") == R + FORMAT_PAGE);
    put(s, a);
    CHECK(size_of("/j/large-00000001") == UINT64_MAX && store_region(s, a)->bytes == 0);
    s = reopened(s, USUAL);
    CHECK(store_count(s) == 1 && store_region(s, 1)->header.ordinal == 2);

    fake.fail_at = 2; /* the unlink after the header */
    put(s, 1);
    CHECK(size_of("/j/large-00000002") == 3 * R);
    store_stats(s, &stats);
    CHECK(stats.file_bytes == 3 * R);
    CHECK(!store_grow(s, 0)); /* tries again */
    store_stats(s, &stats);
    CHECK(size_of("/j/large-00000002") == UINT64_MAX && stats.file_bytes == 0);
    CHECK(store_take(s, 2 * R, false, &a, &info) == ERR_OK && a == 1);
    CHECK(size_of("/j/large-00000003") == 2 * R); /* never used: the next start removes it */
    s = reopened(s, USUAL);
    CHECK(store_count(s) == 1 && store_region(s, 1)->bytes == 0);
    CHECK(size_of("/j/large-00000003") == UINT64_MAX);
    store_close(s);
}

static void a_file_whose_sync_failed_is_not_used_again(void)
{
    struct store_config config = USUAL;
    struct store_stats stats;
    struct store *s;
    uint8_t byte;
    uint32_t a, b, c;

    config.max_bytes = 8 * R;
    s = opened(config);
    a = take_live(s, USE_FRAMES, 1), b = take_live(s, USE_FRAMES, 2);
    CHECK(store_sync(s, &info) == ERR_OK);
    CHECK(store_write(s, b, R - 1, &(struct slice){(const uint8_t *)"b", 1}, 1, &info) == ERR_OK);
    fake.fail_at = 1;
    CHECK(store_sync(s, &info) == ERR_IO && strstr(info.text, "/j/segments-00000001"));
    CHECK(store_sync(s, &info) == ERR_OK); /* but the file is out for good */
    CHECK(store_region(s, a)->failed && store_region(s, b)->failed);
    CHECK(store_free_regions(s) == 0);
    store_stats(s, &stats);
    CHECK(stats.failed_bytes == 4 * R && stats.file_bytes == 4 * R);
    CHECK(store_read(s, b, R - 1, &byte, 1, &info) == ERR_OK && byte == 'b');
    CHECK(store_write(s, b, 0, &(struct slice){&byte, 1}, 1, &info) == ERR_IO);
    for (unsigned i = 0; i < 4; i++)
        CHECK(!store_region(s, take(s))->failed);
    CHECK(store_take(s, R, true, &c, &info) == ERR_FULL);
    store_put(s, a);
    CHECK(store_free_regions(s) == 0);
    store_put(s, b); /* nothing is in it any more: its space is of use again */
    CHECK(size_of("/j/segments-00000001") == UINT64_MAX);
    CHECK(store_take(s, R, true, &c, &info) == ERR_OK && !store_region(s, c)->failed);
    store_close(s);
}

static void a_full_disk_does_not_cost_a_file(void)
{
    struct store *s = opened(USUAL);
    uint32_t n = take(s);
    struct slice byte = slice_make("x", 1);

    fake.fail_as = ERR_FULL;
    fake.fail_at = 1;
    CHECK(store_write(s, n, 0, &byte, 1, &info) == ERR_FULL);
    CHECK(!store_region(s, n)->failed && store_write(s, n, 0, &byte, 1, &info) == ERR_OK);
    fake.fail_as = ERR_IO;
    fake.fail_at = 1;
    CHECK(store_write(s, n, 0, &byte, 1, &info) == ERR_IO);
    CHECK(store_region(s, n)->failed && store_free_regions(s) == 0);
    store_close(s);
}

static void a_file_that_cannot_be_read_stays_as_it_is(void)
{
    struct store *s = opened(USUAL);
    uint32_t a = take_live(s, USE_FRAMES, 1), found = 0;

    while (store_grow(s, 7))
        ;
    CHECK(store_region(s, a)->offset == 0 && store_region(s, a)->file == 0);
    store_close(s);
    for (fake.fail_at = 1; found == 0; fake.fail_at++) {
        struct store_config config = USUAL;
        unsigned at = fake.fail_at;

        config.disk = &fake.disk;
        if (store_open(&config, &s, &info) == ERR_OK && store_region(s, 1)->failed)
            found = at;
        else
            store_close(s);
        fake.fail_at = at;
    }
    fake.fail_at = 0;
    CHECK(store_free_regions(s) == 4 && store_count(s) == 8);
    for (uint32_t i = 1; i <= 8; i++) {
        const struct region *r = store_region(s, i);

        CHECK(r->failed == (i <= 4) && (!r->failed || (i == 1 ? r->taken && !r->readable : true)));
        if (r->taken)
            store_put(s, i);
    }
    CHECK(store_free_regions(s) == 4);
    s = reopened(s, USUAL);
    CHECK(store_region(s, 1)->taken && store_region(s, 1)->header.ordinal == 1);
    store_close(s);
}

/* Each on a disk of its own. */
#define RUN_FRESH(test)                                                                            \
    do {                                                                                           \
        fake_disk_init(&fake);                                                                     \
        RUN(test);                                                                                 \
        fake_disk_fini(&fake);                                                                     \
    } while (0)

int main(void)
{
    RUN_FRESH(regions_are_written_and_read_and_bounded_by_themselves);
    RUN_FRESH(what_was_put_back_last_is_reused_first);
    RUN_FRESH(with_history_new_regions_go_first_and_then_the_oldest);
    RUN_FRESH(the_reserve_is_for_those_that_may_use_it);
    RUN_FRESH(max_bytes_and_min_free_bound_all_files_together);
    RUN_FRESH(a_lowered_max_bytes_removes_files_without_live_regions);
    RUN_FRESH(files_grow_in_steps_of_a_mebibyte_at_most);
    RUN_FRESH(live_free_and_fresh_regions_are_found_again);
    RUN_FRESH(a_file_that_was_growing_is_made_longer);
    RUN_FRESH(files_keep_their_size_when_the_configured_one_changes);
    RUN_FRESH(damaged_headers_are_taken_and_not_readable);
    RUN_FRESH(a_region_of_zeros_is_fresh);
    RUN_FRESH(a_live_region_that_was_cut_is_kept_as_far_as_it_goes);
    RUN_FRESH(what_another_version_wrote_is_not_touched);
    RUN_FRESH(the_second_to_open_hears_who_was_first);
    RUN_FRESH(large_files_go_when_they_are_put_back);
    RUN_FRESH(a_file_whose_sync_failed_is_not_used_again);
    RUN_FRESH(a_full_disk_does_not_cost_a_file);
    RUN_FRESH(a_file_that_cannot_be_read_stays_as_it_is);
    return DONE();
}
