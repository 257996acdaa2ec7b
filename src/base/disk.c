#include "base/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

static enum err code_of(int error)
{
    if (error == EWOULDBLOCK)
        return ERR_AGAIN;
    return error == ENOSPC || error == EDQUOT ? ERR_FULL : ERR_IO;
}

static const char *reason_of(int error)
{
    if (error == EWOULDBLOCK)
        return "another holds its lock";
    return error == ESPIPE ? "it is a pipe, not a file" : strerror(error);
}

/* Says what failed on which path, from errno. */
static enum err path_failed(struct err_info *info, const char *what, const char *path)
{
    const char *why = reason_of(errno);

    return err_fail(info, code_of(errno), "cannot %s %s: %s", what, path, why);
}

/* The same for a call that knows only the descriptor; the kernel still knows its path. */
static enum err fd_failed(struct err_info *info, const char *what, int fd)
{
    int saved = errno;
    char link[40], path[512];
    ssize_t len;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof(path) - 1);
    if (len < 0)
        len = snprintf(path, sizeof(path), "descriptor %d", fd);
    path[len] = '\0';
    errno = saved;
    return path_failed(info, what, path);
}

/* O_NONBLOCK changes nothing for a file; a pipe of that name would wait until someone writes. */
static enum err system_open(struct disk *d, const char *path, int flags, mode_t mode, int *fd,
                            struct err_info *info)
{
    (void)d;
    do
        *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, mode);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? path_failed(info, "open", path) : ERR_OK;
}

static enum err system_pwrite(struct disk *d, int fd, const void *data, size_t len, uint64_t offset,
                              struct err_info *info)
{
    const char *at = data;

    (void)d;
    while (len) {
        ssize_t done = pwrite(fd, at, len, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fd_failed(info, "write", fd);
        at += done;
        len -= (size_t)done;
        offset += (size_t)done;
    }
    return ERR_OK;
}

/* Drops the first `done` bytes of the vector, which were written; returns how many entries are
 * left, moved to its front. */
static int vector_advance(struct iovec *vector, int count, size_t done)
{
    int gone = 0;

    while (gone < count && done >= vector[gone].iov_len)
        done -= vector[gone++].iov_len;
    memmove(vector, vector + gone, (size_t)(count - gone) * sizeof(*vector));
    if (gone < count) {
        vector[0].iov_base = (char *)vector[0].iov_base + done;
        vector[0].iov_len -= done;
    }
    return count - gone;
}

static enum err system_pwritev(struct disk *d, int fd, const struct slice *parts, unsigned count,
                               uint64_t offset, struct err_info *info)
{
    struct iovec vector[DISK_PARTS_MAX];
    int left = 0;

    (void)d;
    assert(count <= DISK_PARTS_MAX);
    for (unsigned i = 0; i < count; i++)
        if (parts[i].len > 0)
            vector[left++] = (struct iovec){(void *)parts[i].data, parts[i].len};
    while (left > 0) {
        ssize_t done = pwritev(fd, vector, left, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fd_failed(info, "write", fd);
        offset += (size_t)done;
        left = vector_advance(vector, left, (size_t)done);
    }
    return ERR_OK;
}

/* A flag of the descriptor: a second one, opened by name, could be another file's. */
static enum err system_pwritev_direct(struct disk *d, int fd, const struct slice *parts,
                                      unsigned count, uint64_t offset, struct err_info *info)
{
    int flags = fcntl(fd, F_GETFL);
    enum err err;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
        return fd_failed(info, "write directly", fd);
    err = system_pwritev(d, fd, parts, count, offset, info);
    if (fcntl(fd, F_SETFL, flags) != 0)
        return fd_failed(info, "write", fd);
    return err;
}

static enum err system_pread(struct disk *d, int fd, void *data, size_t len, uint64_t offset,
                             size_t *got, struct err_info *info)
{
    (void)d;
    *got = 0;
    while (*got < len) {
        ssize_t done = pread(fd, (char *)data + *got, len - *got, (off_t)(offset + *got));

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fd_failed(info, "read", fd);
        if (done == 0)
            break;
        *got += (size_t)done;
    }
    return ERR_OK;
}

static enum err system_size(struct disk *d, int fd, uint64_t *bytes, struct err_info *info)
{
    struct stat st;

    (void)d;
    if (fstat(fd, &st) != 0)
        return fd_failed(info, "look at", fd);
    *bytes = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err system_is_at(struct disk *d, int fd, const char *path, bool *is,
                             struct err_info *info)
{
    struct stat own, there;

    (void)d;
    *is = false;
    if (fstat(fd, &own) != 0)
        return fd_failed(info, "look at", fd);
    if (stat(path, &there) != 0)
        return errno == ENOENT ? ERR_OK : path_failed(info, "look at", path);
    *is = own.st_dev == there.st_dev && own.st_ino == there.st_ino;
    return ERR_OK;
}

static enum err system_datasync(struct disk *d, int fd, struct err_info *info)
{
    (void)d;
    return fdatasync(fd) != 0 ? fd_failed(info, "sync", fd) : ERR_OK;
}

static enum err system_rename(struct disk *d, const char *from, const char *to,
                              struct err_info *info)
{
    (void)d;
    if (rename(from, to) == 0)
        return ERR_OK;
    return err_fail(info, code_of(errno), "cannot rename %s to %s: %s", from, to, strerror(errno));
}

static enum err system_unlink(struct disk *d, const char *path, struct err_info *info)
{
    (void)d;
    return unlink(path) != 0 && errno != ENOENT ? path_failed(info, "remove", path) : ERR_OK;
}

static enum err system_mkdir(struct disk *d, const char *path, mode_t mode, struct err_info *info)
{
    struct stat st;

    (void)d;
    if (mkdir(path, mode) == 0)
        return ERR_OK;
    if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return ERR_OK;
    return path_failed(info, "create folder", path);
}

static enum err system_sync_folder(struct disk *d, const char *path, struct err_info *info)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = ERR_OK;

    (void)d;
    if (fd < 0)
        return path_failed(info, "open folder", path);
    if (fsync(fd) != 0)
        err = path_failed(info, "sync folder", path);
    close(fd);
    return err;
}

static enum err system_list(struct disk *d, const char *path,
                            void (*fn)(void *arg, const char *name), void *arg,
                            struct err_info *info)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    enum err err = ERR_OK;

    (void)d;
    if (!folder)
        return path_failed(info, "list", path);
    while (errno = 0, (entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(arg, entry->d_name);
    if (errno != 0)
        err = path_failed(info, "list", path);
    closedir(folder);
    return err;
}

static enum err system_lock(struct disk *d, int fd, struct err_info *info)
{
    int result;

    (void)d;
    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    return result != 0 ? fd_failed(info, "lock", fd) : ERR_OK;
}

static enum err system_space(struct disk *d, const char *path, uint64_t *free_bytes,
                             uint64_t *total_bytes, struct err_info *info)
{
    struct statvfs fs;

    (void)d;
    if (statvfs(path, &fs) != 0)
        return path_failed(info, "ask for the free space of", path);
    *free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    return ERR_OK;
}

static void system_forget(struct disk *d, int fd, uint64_t offset, uint64_t len)
{
    (void)d;
    (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
}

static void system_close(struct disk *d, int fd)
{
    (void)d;
    close(fd);
}

struct disk *disk_system(void)
{
    static struct disk system_disk = {
        .open = system_open,
        .pwrite = system_pwrite,
        .pwritev = system_pwritev,
        .pwritev_direct = system_pwritev_direct,
        .pread = system_pread,
        .size = system_size,
        .is_at = system_is_at,
        .datasync = system_datasync,
        .sync_folder = system_sync_folder,
        .rename = system_rename,
        .unlink = system_unlink,
        .mkdir = system_mkdir,
        .list = system_list,
        .lock = system_lock,
        .space = system_space,
        .forget = system_forget,
        .close = system_close,
    };

    return &system_disk;
}

/* Reads fd to its end into *data. The size is only a hint: files of /proc have none, and a file
 * may grow while it is read. */
static enum err read_all(struct disk *d, int fd, size_t max, char **data, size_t *len,
                         struct err_info *info)
{
    uint64_t size;
    size_t cap, got;
    enum err err = d->size(d, fd, &size, info);

    if (err)
        return err;
    cap = (size < max ? (size_t)size : max) + 1;
    for (;;) {
        char *more = realloc(*data, cap + 1);

        if (!more)
            return err_fail(info, ERR_IO, "no memory for %zu bytes", cap);
        *data = more;
        err = d->pread(d, fd, *data + *len, cap - *len, *len, &got, info);
        if (err)
            return err;
        *len += got;
        if (*len > max)
            return ERR_FULL;
        if (*len < cap)
            break;
        cap = cap < 4096 ? 4096 : cap * 2;
        if (cap > max + 1)
            cap = max + 1;
    }
    (*data)[*len] = '\0';
    return ERR_OK;
}

enum err disk_read_file(struct disk *d, const char *path, size_t max, char **data, size_t *len,
                        struct err_info *info)
{
    int fd;
    enum err err = d->open(d, path, O_RDONLY, 0, &fd, info);

    *data = NULL;
    *len = 0;
    if (err)
        return err;
    err = read_all(d, fd, max, data, len, info);
    d->close(d, fd);
    if (!err)
        return ERR_OK;
    if (*len > max)
        err_fail(info, err, "%s is larger than %zu bytes", path, max);
    free(*data);
    *data = NULL;
    *len = 0;
    return err;
}
