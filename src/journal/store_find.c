/* store_find.c: what an earlier process left: files by their names, regions by their headers. */
#include "journal/header.h"
#include "journal/store_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct found {
    struct segment_name *names;
    size_t count;
    bool no_memory;
};

static void on_name(void *arg, const char *name)
{
    struct found *found = arg;
    struct segment_name n, *more;

    if (!header_parse_name(name, &n))
        return;
    more = reallocarray(found->names, found->count + 1, sizeof(*more));
    if (!more) {
        found->no_memory = true;
        return;
    }
    found->names = more;
    found->names[found->count++] = n;
}

static int by_name(const void *a, const void *b)
{
    const struct segment_name *x = a, *y = b;

    if (x->is_large != y->is_large)
        return x->is_large - y->is_large;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- regions ---- */

/* Reads what stands at the beginning of a region. A header of zeros with something behind it was
 * lost: store_grow writes one before a region is ever used. */
static enum err look(struct store *s, const struct store_file *f, uint64_t offset,
                     enum header_state *state, struct segment_header *header)
{
    uint8_t behind[sizeof(struct frame_header)];
    size_t got;
    enum err err;

    *header = (struct segment_header){0};
    err = s->disk->pread(s->disk, f->fd, header, sizeof(*header), offset, &got, NULL);
    if (err)
        return err;
    *state = header_state(header);
    if (*state != HEADER_FRESH || header->magic)
        return ERR_OK;
    err = s->disk->pread(s->disk, f->fd, behind, sizeof(behind), offset + FORMAT_PAGE, &got, NULL);
    if (!err && !header_is_zero(behind, got))
        *state = HEADER_DAMAGED;
    return err;
}

static enum err refuse(struct store *s, const struct store_file *f,
                       const struct segment_header *header, struct err_info *info)
{
    char path[STORE_PATH_MAX];

    store_path_of(s, f, path);
    if (header->version != SEGMENT_VERSION)
        return err_fail(info, ERR_IO,
                        "%s was written in version %u of the format; this program knows %u: start "
                        "the one that wrote it, or choose another folder",
                        path, header->version, SEGMENT_VERSION);
    return err_fail(info, ERR_IO, "%s has segments of %llu bytes, not of %llu", path,
                    (unsigned long long)header->bytes, (unsigned long long)s->config.region_bytes);
}

static void add_found(struct store *s, uint32_t file, uint64_t offset, uint64_t bytes,
                      enum header_state state, const struct segment_header *header)
{
    uint32_t number = store_add_region(s, file, offset, bytes);
    struct region *r = &s->slots[number].region;

    r->readable = state == HEADER_LIVE || state == HEADER_FREE;
    r->taken = state == HEADER_LIVE || state == HEADER_DAMAGED;
    if (r->readable)
        r->header = *header;
    s->files[file].taken += r->taken;
    if (s->files[file].is_large)
        s->files[file].region = number;
}

static void note_regions(struct store_file *f, const struct segment_header *header)
{
    if (header->regions > f->had)
        f->had = header->regions;
}

/* One region at `offset`. A file that can't be read is kept as it is: all that
 * is in it counts as damaged, and none of it is used. */
static enum err find_region(struct store *s, uint32_t file, uint64_t offset, uint64_t bytes,
                            struct err_info *info)
{
    struct store_file *f = &s->files[file];
    struct segment_header header = {0};
    enum header_state state = HEADER_DAMAGED;

    if (!store_has_room(s, 1))
        return err_fail(info, ERR_FULL, "cannot open %s: it holds over %u regions, or no memory",
                        s->path, STORE_REGIONS_MAX);
    if (look(s, f, offset, &state, &header) != ERR_OK) {
        state = HEADER_DAMAGED;
        f->unread = true;
    }
    if (state == HEADER_NEWER || ((state == HEADER_LIVE || state == HEADER_FREE) && !f->is_large &&
                                  header.bytes != s->config.region_bytes))
        return refuse(s, f, &header, info);
    if (state != HEADER_DAMAGED)
        note_regions(f, &header);
    add_found(s, file, offset, bytes, state, &header);
    return ERR_OK;
}

/* The file ends within a region. Unless one that was in use is there, store_grow was at it when the
 * process ended; else its rest is lost, and reads as zeros. */
static enum err find_rest(struct store *s, uint32_t file, uint64_t size, struct err_info *info)
{
    struct store_file *f = &s->files[file];
    uint64_t end = f->bytes + s->config.region_bytes;
    struct segment_header header = {0};
    enum header_state state = HEADER_DAMAGED;

    if (size == f->bytes)
        return ERR_OK;
    if (look(s, f, f->bytes, &state, &header) == ERR_OK && state == HEADER_FRESH) {
        note_regions(f, &header);
        return ERR_OK;
    }
    if (s->disk->pwrite(s->disk, f->fd, "", 1, end - 1, NULL) != ERR_OK)
        f->unread = true;
    f->dirty = true;
    s->cut_regions++;
    s->total += s->config.region_bytes;
    f->bytes = end;
    return find_region(s, file, end - s->config.region_bytes, s->config.region_bytes, info);
}

/* The file had more of them when one of its headers was written. */
static void count_cut(struct store *s, const struct store_file *f)
{
    uint32_t has = (uint32_t)(f->bytes / s->config.region_bytes);

    s->cut_regions += f->had > has ? f->had - has : 0;
}

static enum err find_regions(struct store *s, uint32_t file, uint64_t size, struct err_info *info)
{
    struct store_file *f = &s->files[file];
    uint64_t step = f->is_large ? f->bytes : s->config.region_bytes;
    enum err err = ERR_OK;

    for (uint64_t at = 0; at < f->bytes && !err; at += step)
        err = find_region(s, file, at, step, info);
    if (!err && !f->is_large)
        err = find_rest(s, file, size, info);
    if (!err && !f->is_large)
        count_cut(s, f);
    if (!err && f->unread)
        store_fail_file(s, file);
    return err;
}

static enum err open_file(struct store *s, struct segment_name name, uint32_t *at,
                          struct err_info *info)
{
    struct store_file f = {
        .number = name.number, .is_large = name.is_large, .named = true, .fd = -1};
    char path[STORE_PATH_MAX];
    uint64_t size = 0;
    enum err err = s->disk->open(s->disk, store_path_of(s, &f, path), O_RDWR, 0, &f.fd, info);

    if (err)
        return err;
    err = s->disk->size(s->disk, f.fd, &size, info);
    f.bytes = name.is_large ? (size + FORMAT_PAGE - 1) / FORMAT_PAGE * FORMAT_PAGE
                            : size / s->config.region_bytes * s->config.region_bytes;
    *at = err ? UINT32_MAX : store_add_file(s, f);
    if (*at == UINT32_MAX) {
        s->disk->close(s->disk, f.fd);
        return err ? err : store_no_memory(s, info);
    }
    return find_regions(s, *at, size, info);
}

/* A file without a byte, of which there are newer ones, had been made and is cut; the newest may
 * just have been begun. */
static bool was_emptied(const struct store *s, const struct store_file *f)
{
    return f->bytes == 0 && f->number != (f->is_large ? s->last_large : s->last_number);
}

/* Files that hold nothing go; the last file of segments may be made longer. */
static void settle_files(struct store *s)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        struct store_file *f = &s->files[i];

        s->cut_regions += was_emptied(s, f);
        if ((f->is_large && f->taken == 0) || was_emptied(s, f))
            store_drop_file(s, i);
        else if (!f->is_large && !f->failed && f->number == s->last_number &&
                 f->bytes < s->config.file_bytes)
            s->growing = i;
    }
}

enum err store_find_files(struct store *s, struct err_info *info)
{
    struct found found = {0};
    enum err err = s->disk->list(s->disk, s->path, on_name, &found, info);

    if (!err && found.no_memory)
        err = store_no_memory(s, info);
    if (found.count)
        qsort(found.names, found.count, sizeof(*found.names), by_name);
    for (size_t i = 0; i < found.count && !err; i++) {
        const struct segment_name *n = &found.names[i];
        uint32_t file;

        *(n->is_large ? &s->last_large : &s->last_number) = n->number;
        err = open_file(s, *n, &file, info);
    }
    free(found.names);
    if (!err)
        settle_files(s);
    return err;
}
