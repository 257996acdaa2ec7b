#include "base/fake_disk.h"

#include "base/err.h"
#include "base/fake_files.h"
#include "base/fake_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_FD = 100000 }; /* never a real descriptor, should one get here by mistake */

static const uint64_t longest = UINT64_C(1) << 34; /* of a file */

static const struct {
    const char *verb;
    unsigned errors; /* that the system's call can give */
} calls[FAKE_CALL_COUNT] = {
    [FAKE_CALL_OPEN] = {"open", FAKE_ENOSPC | FAKE_EDQUOT | FAKE_EIO | FAKE_EROFS | FAKE_EMFILE},
    [FAKE_CALL_WRITE] = {"write", FAKE_ENOSPC | FAKE_EDQUOT | FAKE_EIO | FAKE_EROFS},
    [FAKE_CALL_READ] = {"read", FAKE_EIO},
    [FAKE_CALL_SIZE] = {"look at", FAKE_EIO},
    [FAKE_CALL_SYNC] = {"sync", FAKE_ENOSPC | FAKE_EDQUOT | FAKE_EIO | FAKE_EROFS},
    [FAKE_CALL_SYNC_FOLDER] = {"sync folder", FAKE_EIO | FAKE_EMFILE},
    [FAKE_CALL_RENAME] = {"rename", FAKE_ENOSPC | FAKE_EDQUOT | FAKE_EIO | FAKE_EROFS},
    [FAKE_CALL_UNLINK] = {"remove", FAKE_EIO | FAKE_EROFS},
    [FAKE_CALL_MKDIR] = {"create folder", FAKE_ENOSPC | FAKE_EDQUOT | FAKE_EIO | FAKE_EROFS},
    [FAKE_CALL_LIST] = {"list", FAKE_EIO | FAKE_EMFILE},
    [FAKE_CALL_LOCK] = {"lock", FAKE_EIO},
    [FAKE_CALL_SPACE] = {"ask for the free space of", FAKE_EIO},
};

/* Fails as the system would with this errno. */
static enum err refuse(struct err_info *info, enum fake_call call, const char *path, int error)
{
    enum err code = error == ENOSPC || error == EDQUOT ? ERR_FULL : ERR_IO;

    return err_fail(info, code, "cannot %s %s: %s", calls[call].verb, path, strerror(error));
}

/* Counts a call down; the one that is meant fails. */
static enum err chosen_fault(struct fake_disk *f, enum fake_call call, const char *path,
                             struct err_info *info)
{
    f->calls++;
    if (f->fail_at == 0 || --f->fail_at > 0)
        return ERR_OK;
    return err_fail(info, f->fail_as, "cannot %s %s: the fake disk was told to fail",
                    calls[call].verb, path);
}

static enum err drawn_fault(struct fake_disk *f, enum fake_call call, const char *path,
                            struct err_info *info)
{
    static const int numbers[] = {ENOSPC, EDQUOT, EIO, EROFS, EMFILE};
    const struct fake_faults *faults = &f->faults;
    unsigned errors = faults->errors & calls[call].errors;
    unsigned pick;

    if (!faults->rng || !errors || !(faults->calls >> call & 1U))
        return ERR_OK;
    if (rng_unit(faults->rng) >= faults->chance)
        return ERR_OK;
    do
        pick = (unsigned)rng_below(faults->rng, sizeof(numbers) / sizeof(numbers[0]));
    while (!(errors >> pick & 1U));
    return refuse(info, call, path, numbers[pick]);
}

static enum err fault(struct fake_disk *f, enum fake_call call, const char *path,
                      struct err_info *info)
{
    enum err err = chosen_fault(f, call, path, info);

    return err ? err : drawn_fault(f, call, path, info);
}

/* Does what is recorded. Takes op. */
static void change(struct fake_disk *f, struct fake_op *op)
{
    fake_files_apply(f->files, op);
    fake_record_add(f->record, op);
    fake_op_unref(op);
}

static struct fake_slot *slot_of(struct fake_disk *f, int fd)
{
    struct fake_slot *slot =
        fd >= FIRST_FD && fd < FIRST_FD + FAKE_DISK_OPEN ? &f->open[fd - FIRST_FD] : NULL;

    return slot && slot->file ? slot : NULL;
}

/* The open file, or NULL with a sentence. */
static struct fake_file *of_fd(struct fake_disk *f, int fd, enum fake_call call,
                               struct err_info *info)
{
    const struct fake_slot *slot = slot_of(f, fd);

    if (slot && (call != FAKE_CALL_WRITE || slot->writes) &&
        (call != FAKE_CALL_READ || slot->reads))
        return slot->file;
    err_fill(info, ERR_IO, "cannot %s descriptor %d: it is not open%s", calls[call].verb, fd,
             slot ? " for that" : "");
    return NULL;
}

static enum err check_open(struct fake_disk *f, const char *path, int flags, int *slot,
                           struct err_info *info)
{
    const struct fake_file *file = fake_files_find(f->files, path);
    enum err err = fault(f, FAKE_CALL_OPEN, path, info);

    if (err)
        return err;
    if (!file && !(flags & O_CREAT))
        return refuse(info, FAKE_CALL_OPEN, path, ENOENT);
    if (file && file->is_folder)
        return refuse(info, FAKE_CALL_OPEN, path, EISDIR);
    if (file && flags & O_EXCL)
        return refuse(info, FAKE_CALL_OPEN, path, EEXIST);
    if (!file && f->full)
        return refuse(info, FAKE_CALL_OPEN, path, ENOSPC);
    for (*slot = 0; *slot < FAKE_DISK_OPEN; ++*slot)
        if (!f->open[*slot].file)
            return ERR_OK;
    return refuse(info, FAKE_CALL_OPEN, path, EMFILE);
}

static enum err fake_open(struct disk *d, const char *path, int flags, mode_t mode, int *fd,
                          struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    int slot, access = flags & O_ACCMODE;
    struct fake_file *file;
    enum err err = check_open(f, path, flags, &slot, info);

    (void)mode;
    if (err)
        return err;
    if (!fake_files_find(f->files, path))
        change(f, fake_op_name(FAKE_OP_CREATE, f->files->ids, path, NULL));
    file = fake_files_find(f->files, path);
    if (flags & O_TRUNC && file->now.len > 0)
        change(f, fake_op_content(FAKE_OP_EMPTY, file->id, 0, NULL, 0));
    file->opened++;
    f->open[slot] = (struct fake_slot){file, access != O_WRONLY, access != O_RDONLY};
    *fd = FIRST_FD + slot;
    return ERR_OK;
}

static uint64_t used(const struct fake_files *files)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < files->ids; i++)
        if (files->by_id[i])
            bytes += files->by_id[i]->now.len;
    return bytes;
}

/* How many of len bytes fit: what is there already, and what may be added. */
static size_t fits(const struct fake_disk *f, const struct fake_file *file, uint64_t offset,
                   size_t len)
{
    uint64_t end = file->now.len;

    if (offset + len <= end || (!f->full && !f->capacity))
        return len;
    if (!f->full) {
        uint64_t taken = used(f->files);

        end += taken < f->capacity ? f->capacity - taken : 0;
    }
    if (end <= offset)
        return 0;
    return end - offset < len ? (size_t)(end - offset) : len;
}

static enum err fake_pwrite(struct disk *d, int fd, const void *data, size_t len, uint64_t offset,
                            struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = of_fd(f, fd, FAKE_CALL_WRITE, info);
    const char *path;
    size_t part;
    enum err err;

    if (!file)
        return ERR_IO;
    path = fake_files_path(f->files, file);
    err = chosen_fault(f, FAKE_CALL_WRITE, path, info);
    if (err)
        return err;
    if (offset > longest || len > longest - offset)
        return refuse(info, FAKE_CALL_WRITE, path, EFBIG);
    err = drawn_fault(f, FAKE_CALL_WRITE, path, info);
    part = fits(f, file, offset, len);
    if (err && part > 0)
        part = (size_t)rng_below(f->faults.rng, part);
    else if (part < len)
        err = refuse(info, FAKE_CALL_WRITE, path, ENOSPC);
    if (part > 0)
        change(f, fake_op_content(FAKE_OP_WRITE, file->id, offset, data, part));
    return err;
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
        err_no_memory("a disk");
    len = 0;
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(all + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    err = fake_pwrite(d, fd, all, len, offset, info);
    free(all);
    return err;
}

/* No more is durable by it than by any other write. */
static enum err fake_pwritev_direct(struct disk *d, int fd, const struct slice *parts,
                                    unsigned count, uint64_t offset, struct err_info *info)
{
    assert(offset % DISK_DIRECT_ALIGN == 0);
    for (unsigned i = 0; i < count; i++)
        assert((uintptr_t)parts[i].data % DISK_DIRECT_ALIGN == 0 &&
               parts[i].len % DISK_DIRECT_ALIGN == 0);
    return d->pwritev(d, fd, parts, count, offset, info);
}

static enum err fake_pread(struct disk *d, int fd, void *data, size_t len, uint64_t offset,
                           size_t *got, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = of_fd(f, fd, FAKE_CALL_READ, info);
    enum err err;

    *got = 0;
    if (!file)
        return ERR_IO;
    err = fault(f, FAKE_CALL_READ, fake_files_path(f->files, file), info);
    if (!err)
        *got = fake_pages_read(&file->now, offset, data, len);
    return err;
}

static enum err fake_size(struct disk *d, int fd, uint64_t *bytes, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = of_fd(f, fd, FAKE_CALL_SIZE, info);
    enum err err;

    if (!file)
        return ERR_IO;
    err = fault(f, FAKE_CALL_SIZE, fake_files_path(f->files, file), info);
    if (!err)
        *bytes = file->now.len;
    return err;
}

static enum err fake_is_at(struct disk *d, int fd, const char *path, bool *is,
                           struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = of_fd(f, fd, FAKE_CALL_SIZE, info);
    enum err err;

    *is = false;
    if (!file)
        return ERR_IO;
    err = fault(f, FAKE_CALL_SIZE, path, info);
    if (!err)
        *is = fake_files_find(f->files, path) == file;
    return err;
}

static enum err fake_datasync(struct disk *d, int fd, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = of_fd(f, fd, FAKE_CALL_SYNC, info);
    enum err err;

    if (!file)
        return ERR_IO;
    err = fault(f, FAKE_CALL_SYNC, fake_files_path(f->files, file), info);
    change(f, fake_op_content(err ? FAKE_OP_SYNC_LOST : FAKE_OP_SYNC, file->id, 0, NULL, 0));
    return err;
}

static enum err fake_sync_folder(struct disk *d, const char *path, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    enum err err = fault(f, FAKE_CALL_SYNC_FOLDER, path, info);

    if (!err)
        change(f, fake_op_name(FAKE_OP_SYNC_FOLDER, 0, path, NULL));
    return err;
}

static enum err fake_rename(struct disk *d, const char *from, const char *to, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = fake_files_find(f->files, from);
    enum err err = fault(f, FAKE_CALL_RENAME, from, info);

    if (err)
        return err;
    if (!file)
        return err_fail(info, ERR_IO, "cannot rename %s to %s: %s", from, to, strerror(ENOENT));
    if (fake_files_find(f->files, to) != file)
        change(f, fake_op_name(FAKE_OP_RENAME, 0, from, to));
    return ERR_OK;
}

static enum err fake_unlink(struct disk *d, const char *path, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = fake_files_find(f->files, path);
    enum err err = fault(f, FAKE_CALL_UNLINK, path, info);

    if (!err && file && file->is_folder)
        return refuse(info, FAKE_CALL_UNLINK, path, EISDIR);
    if (!err && file)
        change(f, fake_op_name(FAKE_OP_UNLINK, 0, path, NULL));
    return err;
}

static enum err fake_mkdir(struct disk *d, const char *path, mode_t mode, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *file = fake_files_find(f->files, path);
    enum err err = fault(f, FAKE_CALL_MKDIR, path, info);

    (void)mode;
    if (err)
        return err;
    if (file)
        return file->is_folder ? ERR_OK : refuse(info, FAKE_CALL_MKDIR, path, EEXIST);
    if (f->full)
        return refuse(info, FAKE_CALL_MKDIR, path, ENOSPC);
    change(f, fake_op_name(FAKE_OP_FOLDER, f->files->ids, path, NULL));
    return ERR_OK;
}

static enum err fake_list(struct disk *d, const char *path, void (*fn)(void *arg, const char *name),
                          void *arg, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    const struct fake_file *folder = fake_files_find(f->files, path);
    enum err err = fault(f, FAKE_CALL_LIST, path, info);
    bool there = folder && folder->is_folder;

    if (err)
        return err;
    for (size_t i = 0; i < f->files->now.count; i++) {
        const char *name = fake_name_in(f->files->now.at[i].path, path);

        if (name)
            fn(arg, name);
        there = there || name;
    }
    return there ? ERR_OK : refuse(info, FAKE_CALL_LIST, path, ENOENT);
}

static enum err fake_lock(struct disk *d, int fd, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_file *file = of_fd(f, fd, FAKE_CALL_LOCK, info);
    enum err err;

    if (!file)
        return ERR_IO;
    err = fault(f, FAKE_CALL_LOCK, fake_files_path(f->files, file), info);
    if (err)
        return err;
    if (file->locked_by && file->locked_by != fd)
        return err_fail(info, ERR_AGAIN, "cannot lock %s: another holds its lock",
                        fake_files_path(f->files, file));
    file->locked_by = fd;
    return ERR_OK;
}

static enum err fake_space(struct disk *d, const char *path, uint64_t *free_bytes,
                           uint64_t *total_bytes, struct err_info *info)
{
    struct fake_disk *f = (struct fake_disk *)d;
    uint64_t taken = used(f->files);

    *total_bytes = f->capacity ? f->capacity : UINT64_C(1) << 40;
    *free_bytes = f->full || taken >= *total_bytes ? 0 : *total_bytes - taken;
    return fault(f, FAKE_CALL_SPACE, path, info);
}

static void fake_forget(struct disk *d, int fd, uint64_t offset, uint64_t len)
{
    (void)offset;
    (void)len;
    assert(slot_of((struct fake_disk *)d, fd));
    (void)d;
    (void)fd;
}

static void fake_close(struct disk *d, int fd)
{
    struct fake_disk *f = (struct fake_disk *)d;
    struct fake_slot *slot = slot_of(f, fd);
    struct fake_file *file = slot ? slot->file : NULL;

    assert(slot);
    if (!slot)
        return;
    *slot = (struct fake_slot){0};
    file->opened--;
    if (file->locked_by == fd)
        file->locked_by = 0;
    fake_files_release(f->files, file);
}

void fake_disk_init(struct fake_disk *f)
{
    *f = (struct fake_disk){
        .disk =
            {
                .open = fake_open,
                .pwrite = fake_pwrite,
                .pwritev = fake_pwritev,
                .pwritev_direct = fake_pwritev_direct,
                .pread = fake_pread,
                .size = fake_size,
                .is_at = fake_is_at,
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
        .files = calloc(1, sizeof(struct fake_files)),
    };
    if (!f->files)
        err_no_memory("a disk");
}

void fake_disk_fini(struct fake_disk *f)
{
    fake_record_free(f->record);
    fake_files_fini(f->files);
    free(f->files);
    *f = (struct fake_disk){0};
}
