#include "base/disk.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_FD = 100000 }; /* never a real descriptor, should one get here by mistake */

struct fake_file {
    struct fake_file *next;
    char *path; /* NULL once it has no name */
    bool is_folder;
    unsigned opened; /* how many descriptors it has */
    uint8_t *data;
    size_t len;
};

static struct fake_file *find(struct fake_disk *f, const char *path)
{
    struct fake_file *file = f->files;

    while (file && !(file->path && strcmp(file->path, path) == 0))
        file = file->next;
    return file;
}

static struct fake_file *add(struct fake_disk *f, const char *path, bool is_folder)
{
    struct fake_file *file = calloc(1, sizeof(*file));

    if (!file || !(file->path = strdup(path)))
        abort();
    file->is_folder = is_folder;
    file->next = f->files;
    f->files = file;
    return file;
}

static void forget_if_unused(struct fake_disk *f, struct fake_file *file)
{
    struct fake_file **at = &f->files;

    if (file->path || file->opened)
        return;
    while (*at != file)
        at = &(*at)->next;
    *at = file->next;
    free(file->data);
    free(file);
}

static void remove_name(struct fake_disk *f, struct fake_file *file)
{
    free(file->path);
    file->path = NULL;
    forget_if_unused(f, file);
}

/* Counts a call down; the one that is meant fails. */
static enum err fault(struct fake_disk *f, const char *what, const char *path,
                      struct err_info *info)
{
    if (f->fail_at == 0 || --f->fail_at > 0)
        return ERR_OK;
    return err_fail(info, f->fail_as, "cannot %s %s: the fake disk was told to fail", what, path);
}

/* The file of a descriptor, or NULL with a sentence: closed, or made to fail. */
static struct fake_file *of_fd(struct fake_disk *f, int fd, const char *what, enum err *err,
                               struct err_info *info)
{
    struct fake_file *file =
        fd >= FIRST_FD && fd < FIRST_FD + FAKE_DISK_OPEN ? f->open[fd - FIRST_FD] : NULL;

    if (!file) {
        *err = err_fail(info, ERR_IO, "cannot %s descriptor %d: it is not open", what, fd);
        return NULL;
    }
    *err = fault(f, what, file->path ? file->path : "(removed)", info);
    return *err ? NULL : file;
}

static enum err fake_open(struct disk *d, const char *path, int flags, mode_t mode, int *fd,
                          struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = find(f, path);
    int slot = 0;
    enum err err = fault(f, "open", path, info);

    (void)mode;
    if (err)
        return err;
    if (!file && !(flags & O_CREAT))
        return err_fail(info, ERR_IO, "cannot open %s: there is no such file", path);
    if (file && (file->is_folder || (flags & O_EXCL)))
        return err_fail(info, ERR_IO, "cannot open %s: it is %s", path,
                        file->is_folder ? "a folder" : "already there");
    while (slot < FAKE_DISK_OPEN && f->open[slot])
        slot++;
    if (slot == FAKE_DISK_OPEN)
        return err_fail(info, ERR_IO, "cannot open %s: too many open files", path);
    if (!file)
        file = add(f, path, false);
    if (flags & O_TRUNC)
        file->len = 0;
    file->opened++;
    f->open[slot] = file;
    *fd = FIRST_FD + slot;
    return ERR_OK;
}

static enum err fake_pwrite(struct disk *d, int fd, const void *data, size_t len, uint64_t offset,
                            struct err_info *info)
{
    enum err err;
    struct fake_file *file = of_fd((struct fake_disk *)d, fd, "write", &err, info);

    if (!file || len == 0)
        return err;
    if (offset + len > file->len) {
        uint8_t *more = realloc(file->data, offset + len);

        if (!more)
            abort();
        if (offset > file->len)
            memset(more + file->len, 0, offset - file->len); /* a hole */
        file->data = more;
        file->len = offset + len;
    }
    memcpy(file->data + offset, data, len);
    return ERR_OK;
}

static enum err fake_pread(struct disk *d, int fd, void *data, size_t len, uint64_t offset,
                           size_t *got, struct err_info *info)
{
    enum err err;
    struct fake_file *file = of_fd((struct fake_disk *)d, fd, "read", &err, info);

    *got = 0;
    if (!file || offset >= file->len || len == 0)
        return err;
    *got = len < file->len - offset ? len : file->len - offset;
    memcpy(data, file->data + offset, *got);
    return ERR_OK;
}

static enum err fake_size(struct disk *d, int fd, uint64_t *bytes, struct err_info *info)
{
    enum err err;
    const struct fake_file *file = of_fd((struct fake_disk *)d, fd, "look at", &err, info);

    if (file)
        *bytes = file->len;
    return err;
}

static enum err fake_datasync(struct disk *d, int fd, struct err_info *info)
{
    enum err err;

    (void)of_fd((struct fake_disk *)d, fd, "sync", &err, info);
    return err;
}

static enum err fake_rename(struct disk *d, const char *from, const char *to, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = find(f, from), *over = find(f, to);
    enum err err = fault(f, "rename", from, info);

    if (err)
        return err;
    if (!file)
        return err_fail(info, ERR_IO, "cannot rename %s to %s: there is no such file", from, to);
    if (over == file)
        return ERR_OK;
    if (over)
        remove_name(f, over);
    free(file->path);
    file->path = strdup(to);
    if (!file->path)
        abort();
    return ERR_OK;
}

static enum err fake_unlink(struct disk *d, const char *path, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = find(f, path);
    enum err err = fault(f, "remove", path, info);

    if (!err && file)
        remove_name(f, file);
    return err;
}

static enum err fake_mkdir(struct disk *d, const char *path, mode_t mode, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = find(f, path);
    enum err err = fault(f, "create folder", path, info);

    (void)mode;
    if (err)
        return err;
    if (file && !file->is_folder)
        return err_fail(info, ERR_IO, "cannot create folder %s: there is a file", path);
    if (!file)
        add(f, path, true);
    return ERR_OK;
}

static void fake_close(struct disk *d, int fd)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = f->open[fd - FIRST_FD];

    f->open[fd - FIRST_FD] = NULL;
    file->opened--;
    forget_if_unused(f, file);
}

void fake_disk_init(struct fake_disk *f)
{
    *f = (struct fake_disk){
        .disk =
            {
                .open = fake_open,
                .pwrite = fake_pwrite,
                .pread = fake_pread,
                .size = fake_size,
                .datasync = fake_datasync,
                .rename = fake_rename,
                .unlink = fake_unlink,
                .mkdir = fake_mkdir,
                .close = fake_close,
            },
        .fail_as = ERR_IO,
    };
}

void fake_disk_fini(struct fake_disk *f)
{
    while (f->files) {
        struct fake_file *next = f->files->next;

        free(f->files->path);
        free(f->files->data);
        free(f->files);
        f->files = next;
    }
    memset(f->open, 0, sizeof(f->open));
}
