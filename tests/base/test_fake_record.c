#include "base/crc32c.h"
#include "files.h"

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

struct summing {
    struct fake_disk *disk;
    uint32_t sum;
};

static void add_file(void *arg, const char *name)
{
    struct summing *summing = arg;
    uint32_t crc = crc32c(0, name, strlen(name));
    char *data;
    size_t len;

    if (disk_read_file(&summing->disk->disk, name, 1 << 20, &data, &len, NULL) == ERR_OK)
        crc = crc32c(crc, data, len);
    free(data);
    summing->sum += crc;
}

/* Of all names and contents, in whatever order they are listed. */
static uint32_t sum_of(struct fake_disk *f)
{
    struct summing summing = {f, 0};

    (void)!f->disk.list(&f->disk, ".", add_file, &summing, NULL); /* empty: no such folder */
    return summing.sum;
}

/* One change of any kind to one of a few files, drawn. */
static void change_something(struct disk *d, struct rng *rng)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *name = names[rng_below(rng, 4)];
    char bytes[3000];
    int fd;

    memset(bytes, (int)('a' + rng_below(rng, 26)), sizeof(bytes));
    switch (rng_below(rng, 8)) {
    case 0:
        CHECK(d->unlink(d, name, NULL) == ERR_OK);
        return;
    case 1:
        (void)!d->rename(d, name, names[rng_below(rng, 4)], NULL); /* it may be absent */
        return;
    case 2:
        CHECK(d->sync_folder(d, ".", NULL) == ERR_OK);
        return;
    case 3:
        CHECK(d->open(d, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, NULL) == ERR_OK);
        break;
    default:
        fd = open_at(d, name);
        CHECK(d->pwrite(d, fd, bytes, (size_t)rng_below(rng, sizeof(bytes)), rng_below(rng, 6000),
                        NULL) == ERR_OK);
        if (rng_below(rng, 3) == 0)
            CHECK(d->datasync(d, fd, NULL) == ERR_OK);
    }
    d->close(d, fd);
}

static void a_recording_passes_the_states_that_the_disk_passed(void)
{
    struct fake_disk f, after;
    uint32_t sums[4000];
    struct rng rng;
    size_t operations = 0;

    rng_seed(&rng, 11);
    fake_disk_init(&f);
    for (int i = 0; i < 20; i++)
        change_something(&f.disk, &rng);
    fake_disk_record(&f);
    for (int i = 0; i < 1000; i++) {
        sums[operations] = sum_of(&f);
        change_something(&f.disk, &rng);
        for (size_t n = operations + 1; n < fake_disk_operations(&f); n++)
            sums[n] = 0; /* within a change of several: not seen */
        operations = fake_disk_operations(&f);
    }
    CHECK(operations > 900 && operations < 4000);
    for (size_t n = 0; n < operations; n++) {
        fake_disk_state_at(&f, n, CRASH_KILL, NULL, &after);
        CHECK(sums[n] == 0 || sum_of(&after) == sums[n]);
        fake_disk_fini(&after);
    }
    fake_disk_fini(&f);
}

static void a_power_cut_now_is_one_after_the_last_operation(void)
{
    struct fake_disk f, now, replayed;
    struct rng rng, a, b;

    rng_seed(&rng, 12);
    fake_disk_init(&f);
    fake_disk_record(&f);
    for (uint64_t seed = 0; seed < 300; seed++) {
        change_something(&f.disk, &rng);
        rng_seed(&a, seed);
        rng_seed(&b, seed);
        fake_disk_crash(&f, CRASH_POWER, &a, &now);
        fake_disk_state_at(&f, fake_disk_operations(&f), CRASH_POWER, &b, &replayed);
        CHECK(sum_of(&now) == sum_of(&replayed));
        fake_disk_fini(&now);
        fake_disk_fini(&replayed);
    }
    fake_disk_fini(&f);
}

static void a_disk_where_all_is_synced_comes_back_as_it_was(void)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct fake_disk f, after;
    struct disk *d = &f.disk;
    struct rng rng;

    rng_seed(&rng, 13);
    fake_disk_init(&f);
    for (int i = 0; i < 300; i++) {
        int fd;

        change_something(d, &rng);
        for (int k = 0; k < 4; k++)
            if (d->open(d, names[k], O_RDWR, 0, &fd, NULL) == ERR_OK) {
                CHECK(d->datasync(d, fd, NULL) == ERR_OK);
                d->close(d, fd);
            }
        CHECK(d->sync_folder(d, ".", NULL) == ERR_OK);
        fake_disk_crash(&f, CRASH_POWER, i % 2 ? &rng : NULL, &after);
        CHECK(sum_of(&after) == sum_of(&f));
        fake_disk_fini(&after);
    }
    fake_disk_fini(&f);
}

static void the_same_seed_gives_the_same_state(void)
{
    struct fake_disk f, one, two;
    struct rng rng;
    unsigned differ = 0;

    rng_seed(&rng, 14);
    fake_disk_init(&f);
    fake_disk_record(&f);
    for (int i = 0; i < 60; i++)
        change_something(&f.disk, &rng);
    for (uint64_t seed = 0; seed < 100; seed++) {
        rng_seed(&rng, seed);
        fake_disk_state_at(&f, 50, CRASH_POWER, &rng, &one);
        fake_disk_state_at(&f, 4, CRASH_POWER, NULL, &two); /* moves the cursor back */
        fake_disk_fini(&two);
        rng_seed(&rng, seed);
        fake_disk_state_at(&f, 50, CRASH_POWER, &rng, &two);
        CHECK(sum_of(&one) == sum_of(&two));
        fake_disk_fini(&two);
        fake_disk_state_at(&f, 50, CRASH_POWER, &rng, &two); /* goes on drawing */
        differ += sum_of(&one) != sum_of(&two);
        fake_disk_fini(&one);
        fake_disk_fini(&two);
    }
    CHECK(differ > 20);
    fake_disk_fini(&f);
}

int main(void)
{
    RUN(every_state_of_a_recording_can_be_had);
    RUN(a_careful_replacement_shows_the_old_or_the_new_in_every_crash_state);
    RUN(a_careless_replacement_is_caught);
    RUN(a_kill_may_cut_the_write_under_way_at_any_byte);
    RUN(a_recording_passes_the_states_that_the_disk_passed);
    RUN(a_power_cut_now_is_one_after_the_last_operation);
    RUN(a_disk_where_all_is_synced_comes_back_as_it_was);
    RUN(the_same_seed_gives_the_same_state);
    return DONE();
}
