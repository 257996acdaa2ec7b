/* Files that are shorter than they were. */
#include "journal/fake_store.h"

/* As found by one who opens the folder now. */
static uint64_t cut_regions(void)
{
    struct store *s = opened(USUAL);
    struct store_stats stats;

    store_stats(s, &stats);
    store_close(s);
    return stats.cut_regions;
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

/* Where the others were never used, nothing but the mark of the first says that it was there. */
static void a_used_region_that_was_cut_off_behind_fresh_ones_is_counted(void)
{
    static const uint64_t cuts[] = {R - 100, R, R + 200, 3 * R - 1, 3 * R};
    struct store *s = opened(USUAL);
    struct fake_disk whole;
    uint32_t n = take(s);

    CHECK(store_sync(s, &info) == ERR_OK);
    s = reopened(s, USUAL); /* from now on the last of the file comes first */
    n = take_live(s, USE_OUTBOX, 1);
    CHECK(store_region(s, n)->offset == 3 * R);
    store_close(s);
    CHECK(cut_regions() == 0);
    whole = fake;
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        struct fake_damage damage = {.kind = FAKE_DAMAGE_CUT, .offset = cuts[i]};

        fake_disk_crash(&whole, CRASH_KILL, NULL, &fake);
        CHECK(fake_disk_damage(&fake, "/j/segments-00000001", &damage));
        CHECK(cut_regions() == 4 - cuts[i] / R);
        s = opened(USUAL);
        CHECK(take_live(s, USE_OUTBOX, 2) != 0);
        store_close(s);
        fake_disk_fini(&fake);
    }
    fake = whole;
}

/* Of the newest one nobody knows whether it was ever made. */
static void an_empty_file_is_counted_where_newer_ones_are(void)
{
    struct fake_damage to_nothing = {.kind = FAKE_DAMAGE_CUT, .offset = 0};
    struct store *s = opened(USUAL);
    uint32_t large;

    for (unsigned i = 0; i < 5; i++)
        take_live(s, USE_FRAMES, i);
    for (unsigned i = 0; i < 2; i++) {
        CHECK(store_take(s, 3 * R, false, &large, &info) == ERR_OK);
        write_live(s, large, USE_FRAMES, 5 + i);
    }
    store_close(s);
    CHECK(cut_regions() == 0);
    CHECK(fake_disk_damage(&fake, "/j/large-00000001", &to_nothing));
    CHECK(cut_regions() == 1);
    CHECK(cut_regions() == 0); /* it is gone */
    CHECK(fake_disk_damage(&fake, "/j/large-00000002", &to_nothing));
    CHECK(cut_regions() == 0);
    CHECK(fake_disk_damage(&fake, "/j/segments-00000001", &to_nothing));
    CHECK(cut_regions() == 1);
    CHECK(cut_regions() == 0);
}

int main(void)
{
    RUN_FRESH(a_live_region_that_was_cut_is_kept_as_far_as_it_goes);
    RUN_FRESH(a_used_region_that_was_cut_off_behind_fresh_ones_is_counted);
    RUN_FRESH(an_empty_file_is_counted_where_newer_ones_are);
    return DONE();
}
