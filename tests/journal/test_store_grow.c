/* How the store's files grow: within what bounds, and in which order with syncs. */
#include "journal/fake_store.h"

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
    CHECK(store_take(s, 7 * R, false, &n, &info) == ERR_FULL);
    CHECK(store_free_regions(s) == 6);
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

static int next_descriptor(void)
{
    int fd;

    CHECK(fake.disk.open(&fake.disk, "/j/lock", O_RDONLY, 0, &fd, &info) == ERR_OK);
    fake.disk.close(&fake.disk, fd);
    return fd;
}

static void no_file_takes_a_descriptor_that_others_need(void)
{
    struct store_config config = USUAL;
    struct store *s = opened(config);
    uint32_t n, large;

    config.fd_bound = next_descriptor() + 2;
    s = reopened(s, config);
    CHECK(store_take(s, 2 * R, false, &large, &info) == ERR_OK);
    while (store_grow(s, 100))
        ;
    CHECK(store_free_regions(s) == 4);
    CHECK(store_take(s, 2 * R, false, &n, &info) == ERR_FULL && strstr(info.text, "descriptors"));
    CHECK(size_of("/j/large-00000002") == UINT64_MAX);
    store_put(s, large);
    while (store_grow(s, 100))
        ;
    CHECK(store_free_regions(s) == 8);
    CHECK(next_descriptor() == config.fd_bound);
    store_close(s);
}

/* Else what was once used for small bodies would never be there for large ones. */
static void files_that_nothing_lives_in_make_way_for_a_large_body(void)
{
    struct store_config config = USUAL;
    struct store_stats stats;
    uint32_t n, live;
    struct store *s;

    config.max_bytes = 12 * R; /* three files */
    config.reserve = 2;
    s = opened(config);
    while (store_grow(s, 100))
        ;
    live = take_live(s, USE_FRAMES, 1);
    CHECK(store_free_regions(s) == 11);
    CHECK(store_take(s, 9 * R, false, &n, &info) == ERR_FULL && store_free_regions(s) == 11);
    CHECK(store_take(s, 5 * R, false, &n, &info) == ERR_OK && store_free_regions(s) == 3);
    store_stats(s, &stats);
    CHECK(stats.file_bytes <= config.max_bytes);
    CHECK(store_take(s, 2 * R, false, &n, &info) == ERR_OK);
    CHECK(store_take(s, 2 * R, false, &n, &info) == ERR_FULL && store_free_regions(s) == 3);
    CHECK(store_region(s, live)->taken);
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

static void files_grow_in_bounded_steps(void)
{
    struct store_config config = USUAL;
    unsigned steps = 0;
    struct store *s;

    config.region_bytes = 768 << 10;
    config.file_bytes = 10 << 20; /* 13 regions and a rest */
    config.max_bytes = 18 << 20;
    s = opened(config);
    do {
        uint64_t size = size_of("/j/segments-00000001");

        CHECK((size == UINT64_MAX ? 0 : size) == steps * 2 * (768 << 10));
        CHECK(store_free_regions(s) == steps * 2);
        steps++;
    } while (store_grow(s, 13));
    CHECK(steps == 7 && size_of("/j/segments-00000001") == 13 * (768 << 10));
    CHECK(size_of("/j/segments-00000002") == UINT64_MAX);
    while (store_grow(s, 24))
        ;
    CHECK(store_free_regions(s) == 24 && size_of("/j/segments-00000002") == 11 * (768 << 10));
    store_close(s);
}

static size_t longest_write;
static enum err (*plain_pwrite)(struct disk *, int, const void *, size_t, uint64_t,
                                struct err_info *);

static enum err measured_pwrite(struct disk *d, int fd, const void *data, size_t len,
                                uint64_t offset, struct err_info *err)
{
    longest_write = len > longest_write ? len : longest_write;
    return plain_pwrite(d, fd, data, len, offset, err);
}

/* Else the kernel's cache has them as one large folio, and each header written costs 40 us. */
static void new_regions_are_written_in_small_pieces(void)
{
    struct store_config config = USUAL;
    struct store *s;

    config.region_bytes = 2 << 20;
    config.file_bytes = config.max_bytes = 4 << 20;
    plain_pwrite = fake.disk.pwrite;
    fake.disk.pwrite = measured_pwrite;
    s = opened(config);
    while (store_grow(s, 2))
        ;
    CHECK(store_free_regions(s) == 2 && size_of("/j/segments-00000001") == 4 << 20);
    CHECK(longest_write == 64 << 10);
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

static void only_the_last_file_is_made_longer(void)
{
    struct store_config config = USUAL;
    struct store *s;

    config.max_bytes = 8 * R;
    s = opened(config);
    while (store_grow(s, 8))
        ;
    config.file_bytes = 6 * R;
    config.max_bytes = 10 * R;
    s = reopened(s, config);
    while (store_grow(s, 10))
        ;
    CHECK(size_of("/j/segments-00000001") == 4 * R && size_of("/j/segments-00000002") == 6 * R);
    config.max_bytes = 13 * R;
    s = reopened(s, config);
    CHECK(!store_grow(s, 13) && store_free_regions(s) == 13);
    CHECK(size_of("/j/segments-00000001") == 4 * R && size_of("/j/segments-00000003") == 3 * R);
    store_close(s);
}

static void a_file_that_was_removed_while_it_grew_is_not_made_longer(void)
{
    struct store_config config = USUAL;
    struct store *s;
    uint32_t n[6];

    config.max_bytes = 6 * R;
    s = opened(config);
    for (unsigned i = 0; i < 6; i++)
        n[i] = take_live(s, USE_FRAMES, i + 1);
    for (unsigned i = 0; i < 6; i++)
        if (store_region(s, n[i])->file == 1)
            put(s, n[i]);
    CHECK(store_free_regions(s) == 2 && size_of("/j/segments-00000002") == 2 * R);
    config.max_bytes = 5 * R;
    s = reopened(s, config);
    while (store_grow(s, 1))
        ;
    CHECK(size_of("/j/segments-00000002") == UINT64_MAX && store_free_regions(s) == 0);
    CHECK(!store_grow(s, 1) && store_free_regions(s) == 1);
    CHECK(size_of("/j/segments-00000003") == R);
    store_close(s);
}

static void a_file_that_fails_while_it_grows_is_left_for_another(void)
{
    struct store_config config = USUAL;
    struct store *s;
    uint32_t live;

    config.max_bytes = 2 * R;
    s = opened(config);
    live = take_live(s, USE_FRAMES, 1);
    s = reopened(s, USUAL);
    CHECK(store_region(s, live)->taken && store_free_regions(s) == 1);
    fake.fail_at = 2; /* it asks for space first */
    CHECK(!store_grow(s, 3) && store_region(s, live)->failed && store_free_regions(s) == 0);
    CHECK(!store_grow(s, 3) && store_free_regions(s) == 4);
    CHECK(size_of("/j/segments-00000001") == 2 * R && size_of("/j/segments-00000002") == 4 * R);

    fake.fail_as = ERR_FULL;
    fake.fail_at = 3; /* space, open, write */
    CHECK(!store_grow(s, 5) && size_of("/j/segments-00000003") == 0);
    CHECK(!store_grow(s, 5) && size_of("/j/segments-00000003") == 4 * R);
    store_close(s);
}

static void a_large_file_that_cannot_be_made_leaves_nothing(void)
{
    struct store_stats stats;
    struct store *s = opened(USUAL);
    unsigned calls;
    uint32_t n = 0;

    for (calls = 1; n == 0; calls++) {
        fake.fail_at = calls;
        fake.fail_as = calls & 1 ? ERR_FULL : ERR_IO;
        if (store_take(s, 2 * R, false, &n, &info) == ERR_OK)
            break;
        CHECK(info.code == fake.fail_as);
        store_stats(s, &stats);
        CHECK(stats.file_bytes == 0 && stats.failed_bytes == 0);
        CHECK(size_of("/j/large-00000001") == UINT64_MAX || n);
        CHECK(size_of("/j/large-00000002") == UINT64_MAX || n);
    }
    fake.fail_at = 0;
    CHECK(calls == 5 && n == 1); /* space, open, and both ends */
    store_close(s);
}

int main(void)
{
    RUN_FRESH(max_bytes_and_min_free_bound_all_files_together);
    RUN_FRESH(no_file_takes_a_descriptor_that_others_need);
    RUN_FRESH(files_that_nothing_lives_in_make_way_for_a_large_body);
    RUN_FRESH(a_lowered_max_bytes_removes_files_without_live_regions);
    RUN_FRESH(files_grow_in_bounded_steps);
    RUN_FRESH(new_regions_are_written_in_small_pieces);
    RUN_FRESH(a_file_that_was_growing_is_made_longer);
    RUN_FRESH(files_keep_their_size_when_the_configured_one_changes);
    RUN_FRESH(only_the_last_file_is_made_longer);
    RUN_FRESH(a_file_that_was_removed_while_it_grew_is_not_made_longer);
    RUN_FRESH(a_file_that_fails_while_it_grows_is_left_for_another);
    RUN_FRESH(a_large_file_that_cannot_be_made_leaves_nothing);
    return DONE();
}
