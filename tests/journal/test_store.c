#include "journal/fake_store.h"

static void regions_are_written_and_read_and_bounded_by_themselves(void)
{
    struct store *s = opened(USUAL);
    uint32_t a = take(s), b = take(s);
    uint8_t back[8];
    struct slice parts[20];

    CHECK(a != b && store_region(s, a)->taken && store_region(s, a)->bytes == R);
    for (unsigned i = 0; i < 20; i++) /* more than one call of the disk takes */
        parts[i] = slice_make(&"0123456789abcdefghij"[i], 1);
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
    uint32_t a, b, c = 0, d;

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
    for (unsigned i = 0; i < 8; i++) /* others may take its place */
        CHECK(!store_region(s, c = take(s))->failed);
    CHECK(store_take(s, R, true, &d, &info) == ERR_FULL);
    store_put(s, a);
    CHECK(store_free_regions(s) == 0);
    store_put(s, b); /* nothing is in it any more */
    CHECK(size_of("/j/segments-00000001") == UINT64_MAX);
    put(s, c);
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

static unsigned direct_writes;
static bool direct_fails;
static enum err (*plain_direct)(struct disk *, int, const struct slice *, unsigned, uint64_t,
                                struct err_info *);

static enum err counted_direct(struct disk *d, int fd, const struct slice *parts, unsigned count,
                               uint64_t offset, struct err_info *err)
{
    direct_writes++;
    if (direct_fails)
        return err_fail(err, ERR_IO, "no such thing here");
    return plain_direct(d, fd, parts, count, offset, err);
}

static void write_as(struct store *s, uint32_t n, const uint8_t *data, size_t len)
{
    struct slice part = slice_make(data, len);
    uint8_t back[128 << 10];

    CHECK(store_write(s, n, FORMAT_PAGE, &part, 1, &info) == ERR_OK);
    CHECK(store_read(s, n, FORMAT_PAGE, back, len, &info) == ERR_OK);
    CHECK(memcmp(back, data, len) == 0 && !store_region(s, n)->failed);
}

static void what_is_long_and_synced_passes_the_page_cache_where_that_is_possible(void)
{
    static _Alignas(DISK_DIRECT_ALIGN) uint8_t data[(64 << 10) + 1];
    struct store_config config = USUAL;

    config.region_bytes = config.file_bytes = 128 << 10;
    config.max_bytes = 1 << 20;
    plain_direct = fake.disk.pwritev_direct;
    fake.disk.pwritev_direct = counted_direct;
    for (unsigned durable = 0; durable < 2; durable++) {
        struct store *s = (config.durable = durable, opened(config));
        uint32_t n = take(s);

        for (size_t i = 0; i < sizeof(data); i++)
            data[i] = (uint8_t)(i * 7 + durable);
        direct_writes = 0;
        direct_fails = false;
        write_as(s, n, data, 64 << 10);
        CHECK(direct_writes == durable);
        write_as(s, n, data, 60 << 10);     /* short */
        write_as(s, n, data + 1, 64 << 10); /* not aligned */
        CHECK(direct_writes == durable);
        direct_fails = true;
        write_as(s, n, data, 64 << 10);
        CHECK(direct_writes == 2 * durable);
        write_as(s, n, data, 64 << 10); /* it is not tried again */
        CHECK(direct_writes == 2 * durable);
        CHECK(store_sync(s, &info) == ERR_OK);
        store_close(s);
    }
}

int main(void)
{
    RUN_FRESH(regions_are_written_and_read_and_bounded_by_themselves);
    RUN_FRESH(what_was_put_back_last_is_reused_first);
    RUN_FRESH(with_history_new_regions_go_first_and_then_the_oldest);
    RUN_FRESH(the_reserve_is_for_those_that_may_use_it);
    RUN_FRESH(live_free_and_fresh_regions_are_found_again);
    RUN_FRESH(damaged_headers_are_taken_and_not_readable);
    RUN_FRESH(a_region_of_zeros_is_fresh);
    RUN_FRESH(what_another_version_wrote_is_not_touched);
    RUN_FRESH(the_second_to_open_hears_who_was_first);
    RUN_FRESH(large_files_go_when_they_are_put_back);
    RUN_FRESH(a_file_whose_sync_failed_is_not_used_again);
    RUN_FRESH(a_full_disk_does_not_cost_a_file);
    RUN_FRESH(a_file_that_cannot_be_read_stays_as_it_is);
    RUN_FRESH(what_is_long_and_synced_passes_the_page_cache_where_that_is_possible);
    return DONE();
}
