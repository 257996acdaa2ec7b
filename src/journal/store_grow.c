/* store_grow.c: new files, within what the store may take of the file system. */
#include "journal/store_impl.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

/* Bytes that count against max_bytes. Files that are not trusted any more go when what lives in
 * them is settled; until then others may take their place. */
static uint64_t held_bytes(const struct store *s)
{
    struct store_stats stats;

    store_stats(s, &stats);
    return s->total -
           (stats.failed_bytes < s->config.max_bytes ? stats.failed_bytes : s->config.max_bytes);
}

/* Whether `bytes` more may be taken, when all files together may have `limit`. */
static enum err check_space(struct store *s, uint64_t bytes, uint64_t limit, struct err_info *info)
{
    uint64_t available, size, held = held_bytes(s);
    double least;
    enum err err;

    if (held >= limit || bytes > limit - held)
        return err_fail(info, ERR_FULL, "%s holds %llu bytes, and %llu more are over its %llu",
                        s->path, (unsigned long long)s->total, (unsigned long long)bytes,
                        (unsigned long long)limit);
    err = s->disk->space(s->disk, s->path, &available, &size, info);
    if (err)
        return err;
    least = s->config.min_free * (double)size;
    if (available < bytes || (double)(available - bytes) < least)
        return err_fail(info, ERR_FULL,
                        "the file system of %s has %llu bytes left of %llu; %.1f %% stay free",
                        s->path, (unsigned long long)available, (unsigned long long)size,
                        s->config.min_free * 100);
    return ERR_OK;
}

static void remove_new(struct store *s, const struct store_file *f, const char *path)
{
    s->disk->close(s->disk, f->fd);
    (void)s->disk->unlink(s->disk, path, NULL);
}

/* An empty file with the next number, as store_add_file's place. */
static enum err create(struct store *s, bool is_large, uint32_t *at, struct err_info *info)
{
    uint32_t *last = is_large ? &s->last_large : &s->last_number;
    struct store_file f = {.number = *last + 1, .fd = -1, .is_large = is_large};
    char path[STORE_PATH_MAX];
    enum err err = s->disk->open(s->disk, store_path_of(s, &f, path), O_RDWR | O_CREAT | O_EXCL,
                                 0600, &f.fd, info);

    if (err)
        return err;
    if (s->config.fd_bound && f.fd >= s->config.fd_bound) {
        remove_new(s, &f, path);
        return err_fail(info, ERR_FULL, "cannot make %s: too few file descriptors are left", path);
    }
    *last = f.number;
    *at = store_add_file(s, f);
    if (*at == UINT32_MAX) {
        remove_new(s, &f, path);
        return store_no_memory(s, info);
    }
    return ERR_OK;
}

/* What was written to `f`, and its name, survive a power cut from now on; `durable` only. */
static enum err make_durable(struct store *s, struct store_file *f, struct err_info *info)
{
    enum err err = ERR_OK;

    f->dirty = true;
    if (!s->config.durable)
        return ERR_OK;
    if (!f->named)
        err = s->disk->sync_folder(s->disk, s->path, info);
    if (err)
        return ERR_IO;
    f->named = true;
    if (s->disk->datasync(s->disk, f->fd, info) != ERR_OK)
        return ERR_IO;
    f->dirty = false;
    return ERR_OK;
}

/* Regions of `len` bytes behind the end of the file are there now: free, and used after those that
 * were in use before, or, for history's sake, before them. */
static void publish(struct store *s, uint32_t file, size_t len)
{
    struct store_file *f = &s->files[file];
    size_t size = s->config.region_bytes, n = len / size;

    for (size_t i = 0; i < n; i++) {
        size_t at = s->config.oldest_first ? n - 1 - i : i;

        store_push_front(s, store_add_region(s, file, f->bytes + at * size, size));
    }
    f->bytes += len;
    s->total += len;
}

/* Bytes of the next step: within the file, max_bytes and the numbers that are left. */
static size_t step_size(const struct store *s)
{
    size_t size = s->config.region_bytes, step = s->image_len;
    uint64_t held = s->growing == UINT32_MAX ? 0 : s->files[s->growing].bytes;
    uint64_t total = held_bytes(s);
    uint64_t left = total < s->config.max_bytes ? s->config.max_bytes - total : 0;

    assert(size > 0);
    if (step > s->config.file_bytes - held)
        step = s->config.file_bytes - held;
    if (step > left)
        step = left / size * size;
    if (step / size > STORE_REGIONS_MAX - s->count)
        step = (STORE_REGIONS_MAX - s->count) * size;
    return step < size ? size : step; /* check_space and store_has_room refuse that one */
}

/* The first region of a step says how many the file has with it, once they are all there: where
 * none before a cut was ever used, nothing else tells that the file was longer. */
static enum err mark_step(struct store *s, struct store_file *f, size_t step, struct err_info *info)
{
    struct segment_header header = {.state = SEGMENT_IS_FREE};

    header.regions = (uint32_t)((f->bytes + step) / s->config.region_bytes);
    store_seal(s, s->config.region_bytes, &header);
    f->dirty = true;
    return s->disk->pwrite(s->disk, f->fd, &header, sizeof(header), f->bytes, info);
}

/* In pieces: the kernel's cache keeps what is written at once as one folio, and each later write
 * into a folio looks at every block of it, however little it writes. */
static enum err write_zeros(struct store *s, const struct store_file *f, size_t step,
                            struct err_info *info)
{
    enum err err = ERR_OK;

    for (size_t at = 0; at < step && !err; at += GROW_PIECE)
        err = s->disk->pwrite(s->disk, f->fd, s->image + at,
                              step - at < GROW_PIECE ? step - at : GROW_PIECE, f->bytes + at, info);
    return err;
}

static enum err write_step(struct store *s, size_t step, struct err_info *info)
{
    struct store_file *f = &s->files[s->growing];
    enum err err = write_zeros(s, f, step, info);

    if (!err)
        err = make_durable(s, f, info);
    if (!err)
        err = mark_step(s, f, step, info);
    if (!err)
        publish(s, s->growing, step);
    else if (err != ERR_FULL)
        store_fail_file(s, s->growing);
    return err;
}

enum err store_grow_step(struct store *s, struct err_info *info)
{
    size_t step;
    enum err err;

    if (s->growing != UINT32_MAX &&
        s->config.file_bytes - s->files[s->growing].bytes < s->config.region_bytes)
        s->growing = UINT32_MAX;
    step = step_size(s);
    err = check_space(s, step, s->config.max_bytes, info);
    if (!err && !store_has_room(s, (uint32_t)(step / s->config.region_bytes)))
        err =
            err_fail(info, ERR_FULL, "%s holds %u regions: no number or no memory for another one",
                     s->path, (unsigned)s->count);
    if (!err && s->growing == UINT32_MAX)
        err = create(s, false, &s->growing, info);
    if (!err)
        err = write_step(s, step, info);
    return err;
}

enum err store_make_large(struct store *s, uint64_t bytes, uint64_t limit, uint32_t *number,
                          struct err_info *info)
{
    uint64_t size = (bytes + FORMAT_PAGE - 1) & ~(uint64_t)(FORMAT_PAGE - 1);
    struct segment_header header = {.state = SEGMENT_IS_FREE};
    uint8_t page[FORMAT_PAGE] = {0};
    struct store_file *f;
    uint32_t file;
    enum err err = check_space(s, size, limit, info);

    if (!err && !store_has_room(s, 1))
        err = err_fail(info, ERR_FULL, "%s: no number or no memory for another region", s->path);
    if (!err)
        err = create(s, true, &file, info);
    if (err)
        return err;
    f = &s->files[file];
    err = s->disk->pwrite(s->disk, f->fd, page, sizeof(page), size - sizeof(page), info);
    store_seal(s, size, &header);
    memcpy(page, &header, sizeof(header));
    if (!err)
        err = s->disk->pwrite(s->disk, f->fd, page, sizeof(page), 0, info);
    if (!err)
        err = make_durable(s, f, info);
    if (err) {
        store_drop_file(s, file);
        return err;
    }
    f->bytes = size;
    s->total += size;
    *number = f->region = store_add_region(s, file, 0, size);
    return ERR_OK;
}

/* Tries again to remove names that could not be. */
static void remove_doomed(struct store *s)
{
    s->has_doomed = false;
    for (uint32_t i = 0; i < s->file_count; i++)
        if (s->files[i].number && s->files[i].fd < 0)
            store_drop_file(s, i);
}

/* After max_bytes was lowered: one file that nothing is taken of goes. */
static bool shrink(struct store *s)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        const struct store_file *f = &s->files[i];

        if (f->number && f->fd >= 0 && f->taken == 0 && !f->unread) {
            store_drop_file(s, i);
            return true;
        }
    }
    return false;
}

/* The regions of a file that nothing lives in, if `keep` of the free ones stay without them. */
static unsigned idle_regions(const struct store *s, uint32_t file, unsigned free_count,
                             unsigned keep)
{
    const struct store_file *f = &s->files[file];
    unsigned regions = (unsigned)(f->bytes / s->config.region_bytes);

    if (!f->number || f->fd < 0 || f->taken > 0 || f->unread || f->is_large || f->failed)
        return 0;
    return free_count >= keep + regions ? regions : 0;
}

bool store_make_way(struct store *s, uint64_t bytes, uint64_t limit, unsigned keep)
{
    uint64_t held = held_bytes(s), idle = 0;
    unsigned left = s->free_count;

    for (uint32_t i = 0; i < s->file_count; i++)
        if (idle_regions(s, i, left, keep)) {
            left -= idle_regions(s, i, left, keep);
            idle += s->files[i].bytes;
        }
    if (held + bytes <= limit || held + bytes > limit + idle)
        return false;
    for (uint32_t i = 0; i < s->file_count && held_bytes(s) + bytes > limit; i++)
        if (idle_regions(s, i, s->free_count, keep))
            store_drop_file(s, i);
    return true;
}

bool store_grow(struct store *s, unsigned wanted)
{
    if (s->has_doomed)
        remove_doomed(s);
    if (held_bytes(s) > s->config.max_bytes && shrink(s))
        return held_bytes(s) > s->config.max_bytes;
    if (s->free_count >= wanted)
        return false;
    return store_grow_step(s, NULL) == ERR_OK && s->free_count < wanted;
}
