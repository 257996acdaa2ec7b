#include "base/fake_disk.h"

#include <assert.h>
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
    int locked_by; /* a descriptor, or 0 */
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

static enum err fake_pwritev(struct disk *d, int fd, const struct slice *parts, unsigned count,
                             uint64_t offset, struct err_info *info)
{
    size_t len = 0;
    uint8_t *all;
    enum err err;

    assert(count <= DISK_PARTS_MAX);
    for (unsigned i = 0; i < count; i++)
        len += parts[i].len;
    all = malloc(len + 1);
    if (!all)
        abort();
    len = 0;
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(all + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    err = fake_pwrite(d, fd, all, len, offset, info); /* one call, one fault */
    free(all);
    return err;
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

static enum err fake_sync_folder(struct disk *d, const char *path, struct err_info *info)
{
    return fault((struct fake_disk *)d, "sync folder", path, info);
}

/* The name of `file` in the folder, or NULL if it is not directly in it. */
static const char *name_in(const struct fake_file *file, const char *folder)
{
    size_t len = strlen(folder);

    while (len > 0 && folder[len - 1] == '/')
        len--;
    if (!file->path || strncmp(file->path, folder, len) != 0 || file->path[len] != '/')
        return NULL;
    return strchr(file->path + len + 1, '/') ? NULL : file->path + len + 1;
}

static enum err fake_list(struct disk *d, const char *path, void (*fn)(void *arg, const char *name),
                          void *arg, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *folder = find(f, path);
    enum err err = fault(f, "list", path, info);
    bool seen = folder && folder->is_folder;

    if (err)
        return err;
    for (const struct fake_file *file = f->files; file; file = file->next) {
        const char *name = name_in(file, path);

        if (name && *name)
            fn(arg, name);
        seen = seen || name;
    }
    return seen ? ERR_OK : err_fail(info, ERR_IO, "cannot list %s: there is no such folder", path);
}

static enum err fake_lock(struct disk *d, int fd, struct err_info *info)
{
    enum err err;
    struct fake_file *file = of_fd((struct fake_disk *)d, fd, "lock", &err, info);

    if (!file)
        return err;
    if (file->locked_by && file->locked_by != fd)
        return err_fail(info, ERR_AGAIN, "cannot lock %s: another holds its lock",
                        file->path ? file->path : "(removed)");
    file->locked_by = fd;
    return ERR_OK;
}

static enum err fake_space(struct disk *d, const char *path, uint64_t *free_bytes,
                           uint64_t *total_bytes, struct err_info *info)
{
    *free_bytes = *total_bytes = UINT64_C(1) << 40;
    return fault((struct fake_disk *)d, "ask for the free space of", path, info);
}

static void fake_forget(struct disk *d, int fd, uint64_t offset, uint64_t len)
{
    (void)d;
    (void)fd;
    (void)offset;
    (void)len;
}

static void fake_close(struct disk *d, int fd)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = f->open[fd - FIRST_FD];

    f->open[fd - FIRST_FD] = NULL;
    file->opened--;
    if (file->locked_by == fd)
        file->locked_by = 0;
    forget_if_unused(f, file);
}

void fake_disk_init(struct fake_disk *f)
{
    *f = (struct fake_disk){
        .disk =
            {
                .open = fake_open,
                .pwrite = fake_pwrite,
                .pwritev = fake_pwritev,
                .pread = fake_pread,
                .size = fake_size,
                .datasync = fake_datasync,
                .sync_folder = fake_sync_folder,
                .rename = fake_rename,
                .unlink = fake_unlink,
                .mkdir = fake_mkdir,
                .list = fake_list,
                .lock = fake_lock,
                .space = fake_space,
                .forget = fake_forget,
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
