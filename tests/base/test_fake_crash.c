#include "files.h"

static bool holds_after_crash(const struct fake_disk *f, enum crash crash, const char *path,
                              const char *expected)
{
    struct fake_disk after;
    bool same;

    fake_disk_crash(f, crash, NULL, &after);
    same = holds(&after, path, expected);
    fake_disk_fini(&after);
    return same;
}

static void a_kill_keeps_what_was_written_and_closes_everything(void)
{
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    int fd, other;

    fake_disk_init(&f);
    fd = open_at(d, "/j/a");
    put(d, fd, 0, "one two");
    CHECK(d->lock(d, fd, NULL) == ERR_OK);
    fake_disk_crash(&f, CRASH_KILL, NULL, &after);
    put(d, fd, 0, "ONE"); /* the dead program's disk is another one now */
    CHECK(holds(&after, "/j/a", "one two") && holds(&f, "/j/a", "ONE two"));
    CHECK(after.disk.size(&after.disk, fd, &(uint64_t){0}, NULL) == ERR_IO);
    other = open_at(&after.disk, "/j/a");
    CHECK(after.disk.lock(&after.disk, other, NULL) == ERR_OK);
    fake_disk_fini(&after);
    fake_disk_fini(&f);
}

static void a_power_cut_takes_what_was_not_synced(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "/j/a");
    put(d, fd, 0, "one");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/a", "(none)")); /* its name is not durable */
    CHECK(d->sync_folder(d, "/other", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/a", "(none)"));
    CHECK(d->sync_folder(d, "/j/", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/a", "one"));
    put(d, fd, 1, "NE two");
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/a", "one"));
    CHECK(holds_after_crash(&f, CRASH_KILL, "/j/a", "oNE two"));
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/a", "oNE two"));
    fake_disk_fini(&f);
}

static void names_are_durable_only_with_their_folder(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "/j/new");
    put(d, fd, 0, "2");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    fd = open_at(d, "/j/file");
    put(d, fd, 0, "1");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK && d->sync_folder(d, "/j", NULL) == ERR_OK);
    CHECK(d->rename(d, "/j/new", "/j/file", NULL) == ERR_OK);
    CHECK(holds(&f, "/j/file", "2") && holds_after_crash(&f, CRASH_POWER, "/j/file", "1"));
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/new", "2"));
    CHECK(d->sync_folder(d, "/j", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/file", "2"));
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/new", "(none)"));
    CHECK(d->unlink(d, "/j/file", NULL) == ERR_OK && holds(&f, "/j/file", "(none)"));
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/file", "2"));
    CHECK(d->sync_folder(d, "/j", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/file", "(none)"));
    fake_disk_fini(&f);
}

static void a_rename_before_the_sync_of_its_content_can_leave_an_empty_file(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "x.new");
    put(d, fd, 0, "content");
    CHECK(d->rename(d, "x.new", "x", NULL) == ERR_OK && d->sync_folder(d, ".", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", ""));
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", "content"));
    fake_disk_fini(&f);
}

static void what_lies_in_a_lost_folder_is_lost(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    int fd;

    fake_disk_init(&f);
    CHECK(d->mkdir(d, "/j/w", 0700, NULL) == ERR_OK);
    fd = open_at(d, "/j/w/s");
    put(d, fd, 0, "x");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK && d->sync_folder(d, "/j/w", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/w/s", "(none)"));
    CHECK(d->sync_folder(d, "/j", NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "/j/w/s", "x"));
    fake_disk_fini(&f);
}

static void an_emptied_file_may_come_back_until_it_is_synced(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "x");
    put(d, fd, 0, "long content");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK && d->sync_folder(d, ".", NULL) == ERR_OK);
    CHECK(d->open(d, "x", O_RDWR | O_TRUNC, 0600, &fd, NULL) == ERR_OK);
    put(d, fd, 0, "new");
    CHECK(holds(&f, "x", "new") && holds_after_crash(&f, CRASH_POWER, "x", "long content"));
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", "new"));
    fake_disk_fini(&f);
}

/* Four unsynced writes: 600 bytes of a, then of b over its end, c in a sector of its own, d over
 * all. */
static void write_letters(struct fake_disk *f)
{
    struct disk *d = &f->disk;
    int fd = open_at(d, "/x");
    char letters[2048];

    memset(letters, '.', sizeof(letters));
    CHECK(d->pwrite(d, fd, letters, 2048, 0, NULL) == ERR_OK);
    CHECK(d->datasync(d, fd, NULL) == ERR_OK && d->sync_folder(d, "/", NULL) == ERR_OK);
    memset(letters, 'a', sizeof(letters));
    CHECK(d->pwrite(d, fd, letters, 600, 0, NULL) == ERR_OK);
    memset(letters, 'b', sizeof(letters));
    CHECK(d->pwrite(d, fd, letters, 600, 300, NULL) == ERR_OK);
    memset(letters, 'c', sizeof(letters));
    CHECK(d->pwrite(d, fd, letters, 512, 1536, NULL) == ERR_OK);
}

/* Each sector as a letter for its content: '.', a, b, c, or m for a and b both. */
static void sectors_of(struct fake_disk *f, char letters[5])
{
    char *data = content(f, "/x");

    CHECK(strlen(data) == 2048);
    for (int i = 0; i < 4; i++) {
        char first = data[i * 512], last = data[i * 512 + 511];

        letters[i] = first == last ? first : 'm';
    }
    letters[4] = '\0';
    free(data);
}

static void sectors_are_lost_kept_and_reordered_but_never_older_than_the_sync(void)
{
    struct fake_disk f, after;
    struct rng rng;
    char letters[5];
    unsigned seen_nothing = 0, seen_all = 0, seen_c_alone = 0, seen_torn = 0, wrong = 0;

    fake_disk_init(&f);
    write_letters(&f);
    rng_seed(&rng, 7);
    for (int i = 0; i < 2000; i++) {
        fake_disk_crash(&f, CRASH_POWER, &rng, &after);
        sectors_of(&after, letters);
        seen_nothing += strcmp(letters, "....") == 0;
        seen_all += strcmp(letters, "mm.c") == 0;
        seen_c_alone += strcmp(letters, "...c") == 0;
        seen_torn += strcmp(letters, "a...") == 0; /* of the first write, its first sector */
        wrong += letters[2] != '.' || !strchr(".am", letters[0]) || !strchr(".m", letters[1]) ||
                 !strchr(".c", letters[3]);
        fake_disk_fini(&after);
    }
    CHECK(wrong == 0);
    CHECK(seen_nothing > 50 && seen_all > 50 && seen_c_alone > 10 && seen_torn > 10);
    fake_disk_fini(&f);
}

static void a_file_may_have_grown_without_its_data(void)
{
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    struct rng rng;
    unsigned zeros = 0, absent = 0;
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "x");
    put(d, fd, 0, "data");
    rng_seed(&rng, 8);
    for (int i = 0; i < 500; i++) {
        uint64_t size = 0;

        fake_disk_crash(&f, CRASH_POWER, &rng, &after);
        if (after.disk.open(&after.disk, "x", O_RDONLY, 0, &fd, NULL) != ERR_OK) {
            absent++;
        } else {
            CHECK(after.disk.size(&after.disk, fd, &size, NULL) == ERR_OK);
            zeros += size == 4 && holds(&after, "x", "");
        }
        fake_disk_fini(&after);
    }
    CHECK(zeros > 0 && absent > 0);
    fake_disk_fini(&f);
}

static void a_changed_name_never_survives_without_the_earlier_change_of_it(void)
{
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    struct rng rng;
    unsigned only_a = 0, only_b = 0, none = 0, wrong = 0;

    fake_disk_init(&f);
    put(d, open_at(d, "a"), 0, "x");
    CHECK(d->rename(d, "a", "b", NULL) == ERR_OK);
    put(d, open_at(d, "a"), 0, "y");
    CHECK(d->unlink(d, "a", NULL) == ERR_OK);
    rng_seed(&rng, 9);
    for (int i = 0; i < 1000; i++) {
        bool a, b;

        fake_disk_crash(&f, CRASH_POWER, &rng, &after);
        a = !holds(&after, "a", "(none)");
        b = !holds(&after, "b", "(none)");
        only_a += a && !b;
        only_b += b && !a;
        none += !a && !b;
        wrong += a && holds(&after, "a", "y") && !b; /* the second a stands on the rename */
        fake_disk_fini(&after);
    }
    CHECK(wrong == 0 && only_a > 10 && only_b > 10 && none > 10);
    fake_disk_fini(&f);
}

static void a_failed_datasync_is_never_made_good_by_a_later_one(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    char page[4096];
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "x");
    memset(page, 'o', sizeof(page));
    CHECK(d->pwrite(d, fd, page, sizeof(page), 4096, NULL) == ERR_OK);
    CHECK(d->datasync(d, fd, NULL) == ERR_OK && d->sync_folder(d, ".", NULL) == ERR_OK);
    put(d, fd, 0, "lost");
    f.fail_at = 1;
    CHECK(d->datasync(d, fd, NULL) == ERR_IO);
    put(d, fd, 4096, "kept");
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds(&f, "x", "lost")); /* up to the first zero */
    CHECK(holds_after_crash(&f, CRASH_KILL, "x", "lost"));
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", ""));
    put(d, fd, 4, "!"); /* its page goes out whole */
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", "lost!"));
    fake_disk_fini(&f);
}

static void copies_share_nothing_that_is_written(void)
{
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    int fd, other;

    fake_disk_init(&f);
    fd = open_at(d, "x");
    put(d, fd, 4090, "across pages");
    fake_disk_crash(&f, CRASH_KILL, NULL, &after);
    other = open_at(&after.disk, "x");
    put(&after.disk, other, 0, "after");
    put(d, fd, 0, "before");
    CHECK(holds(&f, "x", "before") && holds(&after, "x", "after"));
    fake_disk_fini(&f);
    CHECK(holds(&after, "x", "after"));
    fake_disk_fini(&after);
}

static void changes_beyond_the_bound_are_durable_by_themselves(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    char *block = malloc(1 << 20), name[16];
    int fd;

    fake_disk_init(&f);
    fd = open_at(d, "x");
    CHECK(d->sync_folder(d, ".", NULL) == ERR_OK);
    memset(block, 'x', 1 << 20);
    block[(1 << 20) - 1] = '\0';
    for (unsigned i = 0; i < 20; i++)
        CHECK(d->pwrite(d, fd, block, 1 << 20, (uint64_t)i << 20, NULL) == ERR_OK);
    CHECK(holds_after_crash(&f, CRASH_POWER, "x", block));
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "n%u", i % 10);
        d->close(d, open_at(d, name));
        CHECK(d->unlink(d, name, NULL) == ERR_OK);
    }
    free(block);
    fake_disk_fini(&f);
}

int main(void)
{
    RUN(a_kill_keeps_what_was_written_and_closes_everything);
    RUN(a_power_cut_takes_what_was_not_synced);
    RUN(names_are_durable_only_with_their_folder);
    RUN(a_rename_before_the_sync_of_its_content_can_leave_an_empty_file);
    RUN(what_lies_in_a_lost_folder_is_lost);
    RUN(an_emptied_file_may_come_back_until_it_is_synced);
    RUN(sectors_are_lost_kept_and_reordered_but_never_older_than_the_sync);
    RUN(a_file_may_have_grown_without_its_data);
    RUN(a_changed_name_never_survives_without_the_earlier_change_of_it);
    RUN(a_failed_datasync_is_never_made_good_by_a_later_one);
    RUN(copies_share_nothing_that_is_written);
    RUN(changes_beyond_the_bound_are_durable_by_themselves);
    return DONE();
}
