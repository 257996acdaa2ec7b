#include "base/fake_disk.h"
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>

static int open_at(struct disk *d, const char *path)
{
    int fd = -1;

    CHECK(d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, NULL) == ERR_OK);
    return fd;
}

static void put(struct disk *d, int fd, uint64_t offset, const char *text)
{
    CHECK(d->pwrite(d, fd, text, strlen(text), offset, NULL) == ERR_OK);
}

/* The file's content as a C string, "(none)" without such a file. Owned by the caller. */
static char *content(struct fake_disk *f, const char *path)
{
    char *data;
    size_t len;

    if (disk_read_file(&f->disk, path, 1 << 26, &data, &len, NULL) != ERR_OK)
        return strdup("(none)");
    return data;
}

static bool holds(struct fake_disk *f, const char *path, const char *expected)
{
    char *data = content(f, path);
    bool same = strcmp(data, expected) == 0;

    free(data);
    return same;
}

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

/* The program of the next tests: a value is replaced the way that survives. */
static void replace(struct disk *d, const char *value)
{
    int fd;

    CHECK(d->open(d, "/c/x.new", O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, NULL) == ERR_OK);
    put(d, fd, 0, value);
    CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    d->close(d, fd);
    CHECK(d->rename(d, "/c/x.new", "/c/x", NULL) == ERR_OK);
    CHECK(d->sync_folder(d, "/c", NULL) == ERR_OK);
}

static void every_state_of_a_recording_can_be_had(void)
{
    static const char *const steps[] = {"create /c/x.new", "write /c/x 0+3", "sync /c/x",
                                        "rename /c/x.new to /c/x", "sync folder /c"};
    struct fake_disk f, after;
    char text[64];

    fake_disk_init(&f);
    replace(&f.disk, "old");
    fake_disk_record(&f);
    CHECK(fake_disk_operations(&f) == 0);
    replace(&f.disk, "new");
    CHECK(fake_disk_operations(&f) == 5);
    for (size_t n = 0; n < 5; n++) {
        fake_disk_describe(&f, n, text, sizeof(text));
        CHECK(strcmp(text, steps[n]) == 0);
    }
    for (size_t i = 0; i <= 10; i++) {
        size_t n = i <= 5 ? i : 10 - i; /* up and down again */

        fake_disk_state_at(&f, n, CRASH_KILL, NULL, &after);
        CHECK(holds(&after, "/c/x", n < 4 ? "old" : "new"));
        CHECK(holds(&after, "/c/x.new", n < 1 || n > 3 ? "(none)" : n < 2 ? "" : "new"));
        fake_disk_fini(&after);
        fake_disk_state_at(&f, n, CRASH_POWER, NULL, &after);
        CHECK(holds(&after, "/c/x", n < 5 ? "old" : "new"));
        fake_disk_fini(&after);
    }
    fake_disk_fini(&f);
}

static void a_careful_replacement_shows_the_old_or_the_new_in_every_crash_state(void)
{
    struct fake_disk f, after;
    unsigned olds = 0, news = 0, others = 0;
    struct rng rng;

    fake_disk_init(&f);
    replace(&f.disk, "old");
    fake_disk_record(&f);
    replace(&f.disk, "new");
    for (uint64_t seed = 0; seed < 100; seed++)
        for (size_t n = 0; n <= fake_disk_operations(&f); n++) {
            rng_seed(&rng, seed * 10 + n);
            fake_disk_state_at(&f, n, seed % 2 ? CRASH_POWER : CRASH_KILL, &rng, &after);
            olds += holds(&after, "/c/x", "old");
            news += holds(&after, "/c/x", "new");
            others += !holds(&after, "/c/x", "old") && !holds(&after, "/c/x", "new");
            fake_disk_fini(&after);
        }
    CHECK(others == 0 && olds > 100 && news > 100);
    fake_disk_fini(&f);
}

static void a_careless_replacement_is_caught(void)
{
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    struct rng rng;
    unsigned broken = 0;
    int fd;

    fake_disk_init(&f);
    replace(d, "old");
    fake_disk_record(&f);
    fd = open_at(d, "/c/x.new");
    put(d, fd, 0, "new");
    CHECK(d->rename(d, "/c/x.new", "/c/x", NULL) == ERR_OK); /* not synced first */
    for (uint64_t seed = 0; seed < 100; seed++) {
        rng_seed(&rng, seed);
        fake_disk_state_at(&f, 3, CRASH_POWER, &rng, &after);
        broken += !holds(&after, "/c/x", "old") && !holds(&after, "/c/x", "new");
        fake_disk_fini(&after);
    }
    CHECK(broken > 5);
    fake_disk_fini(&f);
}

static void a_kill_may_cut_the_write_under_way_at_any_byte(void)
{
    struct fake_disk f, after;
    struct rng rng;
    unsigned seen[11] = {0};

    fake_disk_init(&f);
    put(&f.disk, open_at(&f.disk, "x"), 0, "");
    fake_disk_record(&f);
    put(&f.disk, open_at(&f.disk, "x"), 0, "0123456789");
    rng_seed(&rng, 3);
    for (int i = 0; i < 1000; i++) {
        char *data;

        fake_disk_state_at(&f, 0, CRASH_KILL, &rng, &after);
        data = content(&after, "x");
        CHECK(strncmp(data, "0123456789", strlen(data)) == 0);
        seen[strlen(data)]++;
        free(data);
        fake_disk_fini(&after);
    }
    for (int i = 0; i < 11; i++)
        CHECK(seen[i] > 0);
    fake_disk_fini(&f);
}

static void the_same_seed_gives_the_same_state(void)
{
    struct fake_disk f, one, two;
    struct rng a, b;
    char left[5], right[5];

    fake_disk_init(&f);
    fake_disk_record(&f);
    write_letters(&f);
    for (uint64_t seed = 0; seed < 50; seed++) {
        rng_seed(&a, seed);
        rng_seed(&b, seed);
        fake_disk_state_at(&f, 6, CRASH_POWER, &a, &one);
        fake_disk_state_at(&f, 4, CRASH_POWER, NULL, &two); /* moves the cursor back */
        fake_disk_fini(&two);
        fake_disk_state_at(&f, 6, CRASH_POWER, &b, &two);
        sectors_of(&one, left);
        sectors_of(&two, right);
        CHECK(strcmp(left, right) == 0);
        fake_disk_fini(&one);
        fake_disk_fini(&two);
    }
    fake_disk_fini(&f);
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

static void drawn_faults_hit_only_the_calls_that_are_meant(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    struct err_info info;
    struct rng rng;
    unsigned failed = 0;
    int fd;

    rng_seed(&rng, 4);
    fake_disk_init(&f);
    fd = open_at(d, "/x");
    f.faults = (struct fake_faults){&rng, 0.5, 1U << FAKE_CALL_WRITE, FAKE_ENOSPC | FAKE_EMFILE};
    for (int i = 0; i < 1000; i++) {
        enum err err = d->pwrite(d, fd, "0123456789", 10, 0, &info);

        CHECK(err == ERR_OK || err == ERR_FULL);
        CHECK(!err || strcmp(info.text, "cannot write /x: No space left on device") == 0);
        failed += err != ERR_OK;
        CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    }
    CHECK(failed > 400 && failed < 600);
    f.faults = (struct fake_faults){&rng, 1, 1U << FAKE_CALL_OPEN, FAKE_EROFS};
    CHECK(d->open(d, "/y", O_CREAT | O_RDWR, 0600, &fd, &info) == ERR_IO);
    CHECK(strcmp(info.text, "cannot open /y: Read-only file system") == 0);
    f.faults.errors = FAKE_EMFILE;
    CHECK(d->open(d, "/y", O_CREAT | O_RDWR, 0600, &fd, &info) == ERR_IO);
    CHECK(strcmp(info.text, "cannot open /y: Too many open files") == 0);
    CHECK(holds(&f, "/y", "(none)"));
    fake_disk_fini(&f);
}

static void a_drawn_fault_may_leave_a_part_of_the_write(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    struct rng rng;
    bool seen[11] = {false};

    rng_seed(&rng, 5);
    fake_disk_init(&f);
    f.faults = (struct fake_faults){&rng, 1, 1U << FAKE_CALL_WRITE, FAKE_EIO};
    for (int i = 0; i < 300; i++) {
        int fd = open_at(d, "x");
        char *data;

        CHECK(d->pwrite(d, fd, "0123456789", 10, 0, NULL) == ERR_IO);
        data = content(&f, "x");
        seen[strlen(data)] = true;
        free(data);
        d->close(d, fd);
        CHECK(d->unlink(d, "x", NULL) == ERR_OK);
    }
    CHECK(seen[0] && seen[1] && seen[9] && !seen[10]);
    fake_disk_fini(&f);
}

static void a_full_disk_still_overwrites_what_is_allocated(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    uint64_t free_bytes, total_bytes;
    int fd, other;

    fake_disk_init(&f);
    fd = open_at(d, "/x");
    put(d, fd, 0, "0123456789");
    f.full = true;
    put(d, fd, 0, "abc");
    CHECK(d->pwrite(d, fd, "XYZ", 3, 8, NULL) == ERR_FULL);
    CHECK(holds(&f, "/x", "abc34567XY"));
    CHECK(d->open(d, "/y", O_CREAT | O_RDWR, 0600, &other, NULL) == ERR_FULL);
    CHECK(d->mkdir(d, "/z", 0700, NULL) == ERR_FULL);
    CHECK(d->space(d, "/x", &free_bytes, &total_bytes, NULL) == ERR_OK && free_bytes == 0);
    CHECK(d->rename(d, "/x", "/w", NULL) == ERR_OK && d->datasync(d, fd, NULL) == ERR_OK);
    f.full = false;
    put(d, fd, 8, "XYZ");
    CHECK(holds(&f, "/w", "abc34567XYZ"));
    fake_disk_fini(&f);
}

static void a_capacity_is_kept_and_freed_by_removing_files(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    uint64_t free_bytes, total_bytes;
    int fd, other;

    fake_disk_init(&f);
    f.capacity = 10;
    fd = open_at(d, "x");
    other = open_at(d, "y");
    put(d, fd, 0, "0123456");
    CHECK(d->pwrite(d, other, "abcdef", 6, 0, NULL) == ERR_FULL && holds(&f, "y", "abc"));
    CHECK(d->space(d, ".", &free_bytes, &total_bytes, NULL) == ERR_OK);
    CHECK(free_bytes == 0 && total_bytes == 10);
    CHECK(d->unlink(d, "x", NULL) == ERR_OK);
    CHECK(d->pwrite(d, other, "d", 1, 3, NULL) == ERR_FULL); /* it is open still */
    d->close(d, fd);
    CHECK(d->sync_folder(d, ".", NULL) == ERR_OK);
    put(d, other, 3, "d");
    CHECK(d->space(d, ".", &free_bytes, &total_bytes, NULL) == ERR_OK && free_bytes == 6);
    fake_disk_fini(&f);
}

static void calls_that_a_descriptor_is_not_open_for_fail(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    char byte;
    size_t got;
    int fd;

    fake_disk_init(&f);
    d->close(d, open_at(d, "x"));
    CHECK(d->open(d, "x", O_RDONLY, 0, &fd, NULL) == ERR_OK);
    CHECK(d->pwrite(d, fd, "x", 1, 0, NULL) == ERR_IO);
    CHECK(d->open(d, "x", O_WRONLY, 0, &fd, NULL) == ERR_OK);
    CHECK(d->pread(d, fd, &byte, 1, 0, &got, NULL) == ERR_IO);
    for (int i = 2; i < FAKE_DISK_OPEN; i++)
        (void)open_at(d, "x");
    CHECK(d->open(d, "x", O_RDONLY, 0, &fd, NULL) == ERR_IO);
    fake_disk_fini(&f);
}

static void damage_changes_just_what_it_says(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;

    fake_disk_init(&f);
    put(d, open_at(d, "x"), 0, "0123456789");
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_FLIP, 2, 9, 1}));
    CHECK(holds(&f, "x", "0133456789"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_GARBLE, 8, 100, 1}));
    CHECK(holds(&f, "x", "0133456798"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_CUT, 6, 0, 1}));
    CHECK(holds(&f, "x", "013345"));
    CHECK(fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_ZERO, 4, 1, 1}));
    CHECK(holds(&f, "x", "0133"));
    CHECK(!fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_ZERO, 4, 1, 1}));
    CHECK(!fake_disk_damage(&f, "x", &(struct fake_damage){FAKE_DAMAGE_FLIP, 6, 1, 1}));
    CHECK(!fake_disk_damage(&f, "y", &(struct fake_damage){FAKE_DAMAGE_FLIP, 0, 1, 1}));
    fake_disk_fini(&f);
}

static void a_drawn_damage_always_changes_the_file(void)
{
    struct fake_disk f;
    struct fake_damage damage;
    struct disk *d = &f.disk;
    struct rng rng;
    unsigned kinds[4] = {0};
    int fd;

    rng_seed(&rng, 6);
    fake_disk_init(&f);
    fd = open_at(d, "x");
    CHECK(!fake_disk_corrupt(&f, "x", &rng, &damage));
    for (int i = 0; i < 1000; i++) {
        char before[5000] = {'x'}, after[5000];
        size_t got;

        CHECK(d->pwrite(d, fd, before, sizeof(before), 0, NULL) == ERR_OK);
        CHECK(fake_disk_corrupt(&f, "x", &rng, &damage));
        CHECK(d->pread(d, fd, after, sizeof(after), 0, &got, NULL) == ERR_OK);
        CHECK(got < sizeof(before) || memcmp(before, after, got) != 0);
        kinds[damage.kind]++;
    }
    for (int i = 0; i < 4; i++)
        CHECK(kinds[i] > 30);
    CHECK(!fake_disk_corrupt(&f, "y", &rng, &damage));
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
    RUN(every_state_of_a_recording_can_be_had);
    RUN(a_careful_replacement_shows_the_old_or_the_new_in_every_crash_state);
    RUN(a_careless_replacement_is_caught);
    RUN(a_kill_may_cut_the_write_under_way_at_any_byte);
    RUN(the_same_seed_gives_the_same_state);
    RUN(changes_beyond_the_bound_are_durable_by_themselves);
    RUN(drawn_faults_hit_only_the_calls_that_are_meant);
    RUN(a_drawn_fault_may_leave_a_part_of_the_write);
    RUN(a_full_disk_still_overwrites_what_is_allocated);
    RUN(a_capacity_is_kept_and_freed_by_removing_files);
    RUN(calls_that_a_descriptor_is_not_open_for_fail);
    RUN(damage_changes_just_what_it_says);
    RUN(a_drawn_damage_always_changes_the_file);
    return DONE();
}
