#include "base/disk.h"
#include "base/fake_disk.h"
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The same story on any disk. */
static void store_rename_and_read_back(struct disk *d, const char *folder)
{
    char a[256], b[256], *data;
    struct err_info info;
    size_t len, got;
    uint64_t size;
    bool is;
    int fd;

    snprintf(a, sizeof(a), "%s/a", folder);
    snprintf(b, sizeof(b), "%s/b", folder);
    CHECK(d->mkdir(d, folder, 0700, &info) == ERR_OK && d->mkdir(d, folder, 0700, &info) == ERR_OK);
    CHECK(d->open(d, a, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, &info) == ERR_OK);
    CHECK(d->pwrite(d, fd, "world", 5, 6, &info) == ERR_OK);
    CHECK(d->pwrite(d, fd, "hello ", 6, 0, &info) == ERR_OK);
    CHECK(d->datasync(d, fd, &info) == ERR_OK);
    CHECK(d->size(d, fd, &size, &info) == ERR_OK && size == 11);
    CHECK(d->pread(d, fd, a, 100, 8, &got, &info) == ERR_OK && got == 3);
    CHECK(d->pread(d, fd, a, 100, 50, &got, &info) == ERR_OK && got == 0);
    snprintf(a, sizeof(a), "%s/a", folder);
    CHECK(d->is_at(d, fd, a, &is, &info) == ERR_OK && is);
    CHECK(d->rename(d, a, b, &info) == ERR_OK);
    CHECK(d->is_at(d, fd, a, &is, &info) == ERR_OK && !is);
    CHECK(d->is_at(d, fd, b, &is, &info) == ERR_OK && is);
    d->close(d, fd);
    CHECK(d->open(d, a, O_RDONLY, 0, &fd, &info) == ERR_IO && strstr(info.text, a) != NULL);
    CHECK(disk_read_file(d, b, 11, &data, &len, &info) == ERR_OK);
    CHECK(len == 11 && strcmp(data, "hello world") == 0);
    free(data);
    CHECK(disk_read_file(d, b, 10, &data, &len, &info) == ERR_FULL && data == NULL);
    CHECK(strstr(info.text, b) != NULL && strstr(info.text, "10 bytes") != NULL);
    CHECK(d->unlink(d, b, &info) == ERR_OK && d->unlink(d, b, &info) == ERR_OK);
}

struct names {
    unsigned count;
    char all[64];
};

static void note_name(void *arg, const char *name)
{
    struct names *names = arg;

    names->count++;
    strncat(names->all, name, sizeof(names->all) - strlen(names->all) - 1);
}

/* So is this one: folders, parts, locks. */
static void list_lock_and_write_in_parts(struct disk *d, const char *folder)
{
    const struct slice parts[] = {slice_str("one"), slice_make(NULL, 0), slice_str(" two"),
                                  slice_str(" three")};
    struct names names = {0};
    struct err_info info;
    char path[256], *data;
    uint64_t free_bytes, total_bytes;
    size_t len;
    int fd, other;

    snprintf(path, sizeof(path), "%s/inner", folder);
    CHECK(d->mkdir(d, folder, 0700, &info) == ERR_OK && d->mkdir(d, path, 0700, &info) == ERR_OK);
    CHECK(d->list(d, path, note_name, &names, &info) == ERR_OK && names.count == 0);
    CHECK(d->sync_folder(d, folder, &info) == ERR_OK);
    snprintf(path, sizeof(path), "%s/lock", folder);
    CHECK(d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, &info) == ERR_OK);
    CHECK(d->open(d, path, O_RDWR, 0600, &other, &info) == ERR_OK);
    CHECK(d->lock(d, fd, &info) == ERR_OK && d->lock(d, fd, &info) == ERR_OK);
    CHECK(d->lock(d, other, &info) == ERR_AGAIN && strstr(info.text, path) != NULL);
    CHECK(d->lock(d, other, NULL) == ERR_AGAIN);
    CHECK(d->pwritev(d, fd, parts, 4, 2, &info) == ERR_OK);
    CHECK(d->pwritev(d, fd, parts, 0, 99, &info) == ERR_OK);
    d->forget(d, fd, 0, 0);
    d->close(d, fd);
    CHECK(d->lock(d, other, &info) == ERR_OK);
    d->close(d, other);
    CHECK(disk_read_file(d, path, 100, &data, &len, &info) == ERR_OK && len == 15);
    CHECK(memcmp(data, "\0\0one two three", 15) == 0);
    free(data);
    CHECK(d->list(d, folder, note_name, &names, &info) == ERR_OK && names.count == 2);
    CHECK(strcmp(names.all, "lockinner") == 0 || strcmp(names.all, "innerlock") == 0);
    CHECK(d->space(d, folder, &free_bytes, &total_bytes, &info) == ERR_OK);
    CHECK(free_bytes > 0 && free_bytes <= total_bytes);
    CHECK(d->unlink(d, path, &info) == ERR_OK);
    snprintf(path, sizeof(path), "%s/absent", folder);
    CHECK(d->list(d, path, note_name, &names, &info) == ERR_IO && strstr(info.text, path) != NULL);
}

static void the_systems_files_hold_what_was_written(void)
{
    char folder[] = "/tmp/moontail_disk_XXXXXX";

    CHECK(mkdtemp(folder) != NULL);
    store_rename_and_read_back(disk_system(), folder);
    CHECK(rmdir(folder) == 0);
}

static void the_systems_folders_can_be_listed_and_locked(void)
{
    char folder[] = "/tmp/moontail_disk_XXXXXX", inner[64];

    CHECK(mkdtemp(folder) != NULL);
    list_lock_and_write_in_parts(disk_system(), folder);
    snprintf(inner, sizeof(inner), "%s/inner", folder);
    CHECK(rmdir(inner) == 0 && rmdir(folder) == 0);
}

static void files_in_memory_behave_as_the_systems(void)
{
    struct fake_disk f;

    fake_disk_init(&f);
    store_rename_and_read_back(&f.disk, "/somewhere");
    list_lock_and_write_in_parts(&f.disk, "/elsewhere");
    fake_disk_fini(&f);
}

static void a_file_without_a_size_is_read_to_its_end(void)
{
    struct err_info info;
    size_t len;
    char *data;

    CHECK(disk_read_file(disk_system(), "/proc/self/status", 1 << 20, &data, &len, &info) ==
          ERR_OK);
    CHECK(len > 100 && strlen(data) == len);
    free(data);
}

static void a_pipe_of_a_files_name_is_refused_and_not_waited_for(void)
{
    char folder[] = "/tmp/moontail-disk-XXXXXX", path[64];
    struct err_info info;
    size_t len;
    char *data;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/pipe", folder);
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(disk_read_file(disk_system(), path, 100, &data, &len, &info) == ERR_IO && data == NULL);
    CHECK(strstr(info.text, path) && strstr(info.text, "it is a pipe, not a file"));
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void a_full_disk_is_told_from_a_broken_one(void)
{
    struct disk *d = disk_system();
    struct err_info info;
    int fd;

    CHECK(d->open(d, "/dev/full", O_WRONLY, 0, &fd, &info) == ERR_OK);
    CHECK(d->pwrite(d, fd, "x", 1, 0, &info) == ERR_FULL);
    CHECK(strstr(info.text, "/dev/full") != NULL);
    d->close(d, fd);
    CHECK(d->mkdir(d, "/dev/full", 0700, &info) == ERR_IO);
    CHECK(d->open(d, "/dev/full", O_WRONLY, 0, &fd, &info) == ERR_OK);
    CHECK(d->pwritev(d, fd, &(struct slice){(const uint8_t *)"x", 1}, 1, 0, &info) == ERR_FULL);
    d->close(d, fd);
}

static void running_out_of_descriptors_is_said_with_the_path(void)
{
    struct disk *d = disk_system();
    struct rlimit old, few;
    struct err_info info;
    int fd;

    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    few = (struct rlimit){3, old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(d->open(d, "/dev/null", O_WRONLY, 0, &fd, &info) == ERR_IO);
    CHECK(strcmp(info.text, "cannot open /dev/null: Too many open files") == 0);
    CHECK(d->sync_folder(d, "/dev", &info) == ERR_IO && strstr(info.text, "/dev") != NULL);
    CHECK(d->list(d, "/dev", NULL, NULL, &info) == ERR_IO && strstr(info.text, "/dev") != NULL);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
}

/* The limit on a file's size makes the kernel write only a part and return early. */
static void a_short_write_of_parts_goes_on_where_it_stopped(void)
{
    const struct slice parts[] = {slice_str("abcd"), slice_str("efgh"), slice_str("ijkl")};
    char path[] = "/tmp/moontail_disk_XXXXXX", *data;
    struct disk *d = disk_system();
    struct rlimit old, small;
    struct err_info info;
    size_t len;
    int fd = mkstemp(path);

    signal(SIGXFSZ, SIG_IGN);
    CHECK(fd >= 0 && getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = (struct rlimit){10, old.rlim_max};
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(d->pwritev(d, fd, parts, 3, 0, &info) == ERR_IO && strstr(info.text, path) != NULL);
    CHECK(setrlimit(RLIMIT_FSIZE, &old) == 0);
    CHECK(disk_read_file(d, path, 100, &data, &len, &info) == ERR_OK);
    CHECK(strcmp(data, "abcdefghij") == 0);
    free(data);
    d->close(d, fd);
    CHECK(d->unlink(d, path, NULL) == ERR_OK);
}

/* What a file system does that can't is the system's affair; writes go on in either case. */
static void a_write_past_the_cache_is_read_through_it_and_others_follow(void)
{
    static _Alignas(DISK_DIRECT_ALIGN) uint8_t pages[2 * DISK_DIRECT_ALIGN];
    struct slice part = slice_make(pages, sizeof(pages)), odd = slice_str("odd");
    char path[] = "/tmp/moontail_disk_XXXXXX", *data;
    struct disk *d = disk_system();
    struct err_info info;
    int fd = mkstemp(path);
    enum err err;
    size_t len;

    memset(pages, 'a', sizeof(pages));
    CHECK(d->pwritev(d, fd, &part, 1, 0, &info) == ERR_OK); /* dirty in the cache */
    memset(pages, 'b', sizeof(pages));
    err = d->pwritev_direct(d, fd, &part, 1, DISK_DIRECT_ALIGN, &info);
    CHECK(err == ERR_OK || (err == ERR_IO && strstr(info.text, path)));
    if (err)
        CHECK(d->pwritev(d, fd, &part, 1, DISK_DIRECT_ALIGN, &info) == ERR_OK);
    CHECK(d->pwritev(d, fd, &odd, 1, 1, &info) == ERR_OK);
    CHECK(d->datasync(d, fd, &info) == ERR_OK);
    CHECK(disk_read_file(d, path, 1 << 20, &data, &len, &info) == ERR_OK);
    CHECK(len == 3 * DISK_DIRECT_ALIGN && memcmp(data, "aodda", 5) == 0);
    CHECK(data[DISK_DIRECT_ALIGN - 1] == 'a' && data[DISK_DIRECT_ALIGN] == 'b' &&
          data[len - 1] == 'b');
    free(data);
    d->close(d, fd);
    CHECK(d->unlink(d, path, NULL) == ERR_OK);
}

static void the_call_that_was_chosen_fails_and_does_nothing(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    struct err_info info;
    uint64_t size;
    int fd, other;

    fake_disk_init(&f);
    CHECK(d->open(d, "x", O_RDWR | O_CREAT, 0600, &fd, &info) == ERR_OK);
    f.fail_at = 2;
    f.fail_as = ERR_FULL;
    CHECK(d->pwrite(d, fd, "one", 3, 0, &info) == ERR_OK);
    CHECK(d->pwrite(d, fd, "two", 3, 3, &info) == ERR_FULL && strstr(info.text, "x") != NULL);
    CHECK(d->size(d, fd, &size, &info) == ERR_OK && size == 3);
    f.fail_at = 1;
    f.fail_as = ERR_IO;
    CHECK(d->open(d, "y", O_RDWR | O_CREAT, 0600, &other, &info) == ERR_IO);
    CHECK(d->open(d, "y", O_RDONLY, 0, &other, &info) == ERR_IO);
    f.fail_at = 1;
    CHECK(d->rename(d, "x", "z", &info) == ERR_IO);
    CHECK(d->open(d, "x", O_RDONLY, 0, &other, &info) == ERR_OK);
    d->close(d, other);
    d->close(d, fd);
    CHECK(d->datasync(d, fd, &info) == ERR_IO); /* closed */
    fake_disk_fini(&f);
}

static void an_open_file_outlives_its_name(void)
{
    struct fake_disk f;
    struct disk *d = &f.disk;
    char byte;
    size_t got;
    int fd;

    fake_disk_init(&f);
    CHECK(d->open(d, "x", O_RDWR | O_CREAT, 0600, &fd, NULL) == ERR_OK);
    CHECK(d->pwrite(d, fd, "q", 1, 0, NULL) == ERR_OK && d->unlink(d, "x", NULL) == ERR_OK);
    CHECK(d->pread(d, fd, &byte, 1, 0, &got, NULL) == ERR_OK && got == 1 && byte == 'q');
    d->close(d, fd);
    CHECK(d->open(d, "x", O_RDWR, 0600, &fd, NULL) == ERR_IO);
    fake_disk_fini(&f);
}

int main(void)
{
    RUN(the_systems_files_hold_what_was_written);
    RUN(the_systems_folders_can_be_listed_and_locked);
    RUN(files_in_memory_behave_as_the_systems);
    RUN(a_file_without_a_size_is_read_to_its_end);
    RUN(a_pipe_of_a_files_name_is_refused_and_not_waited_for);
    RUN(a_full_disk_is_told_from_a_broken_one);
    RUN(running_out_of_descriptors_is_said_with_the_path);
    RUN(a_write_past_the_cache_is_read_through_it_and_others_follow);
    RUN(a_short_write_of_parts_goes_on_where_it_stopped);
    RUN(the_call_that_was_chosen_fails_and_does_nothing);
    RUN(an_open_file_outlives_its_name);
    return DONE();
}
