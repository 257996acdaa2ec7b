#include "files.h"

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

int main(void)
{
    RUN(drawn_faults_hit_only_the_calls_that_are_meant);
    RUN(a_drawn_fault_may_leave_a_part_of_the_write);
    RUN(a_full_disk_still_overwrites_what_is_allocated);
    RUN(a_capacity_is_kept_and_freed_by_removing_files);
    RUN(calls_that_a_descriptor_is_not_open_for_fail);
    return DONE();
}
