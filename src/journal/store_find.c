/* store_find.c: what an earlier process left: files by their names, regions by their headers. */
#include "base/crc32c.h"
#include "journal/store_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct found {
    struct store_name {
        bool is_large;
        uint32_t number;
    } * names;
    size_t count;
    bool no_memory;
};

/* "segments-00000001", "large-00000001". */
static bool parse_name(const char *name, struct store_name *n)
{
    const char *digits = strchr(name, '-');
    size_t len;

    if (!digits)
        return false;
    len = (size_t)(digits - name);
    n->is_large = len == 5 && memcmp(name, "large", 5) == 0;
    if (!n->is_large && !(len == 8 && memcmp(name, "segments", 8) == 0))
        return false;
    digits++;
    len = strlen(digits);
    if (len < 8 || len > 10 || strspn(digits, "0123456789") != len ||
        strtoull(digits, NULL, 10) >= UINT32_MAX)
        return false;
    n->number = (uint32_t)strtoull(digits, NULL, 10);
    return n->number > 0;
}

static void on_name(void *arg, const char *name)
{
    struct found *found = arg;
    struct store_name n, *more;

    if (!parse_name(name, &n))
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
    const struct store_name *x = a, *y = b;

    if (x->is_large != y->is_large)
        return x->is_large - y->is_large;
    return (x->number > y->number) - (x->number < y->number);
}

/* ---- regions ---- */

enum found_state {
    FOUND_FRESH,   /* never used */
    FOUND_FREE,    /* used, free now */
    FOUND_LIVE,    /* and readable */
    FOUND_DAMAGED, /* its header is not good */
    FOUND_NEWER,   /* written by another version */
};

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

static enum found_state judge(const uint8_t *bytes, size_t got, struct segment_header *h)
{
    if (got < sizeof(*h))
        return is_zero(bytes, got) ? FOUND_FRESH : FOUND_DAMAGED;
    memcpy(h, bytes, sizeof(*h));
    if (h->magic != SEGMENT_MAGIC || h->crc != crc32c(0, h, offsetof(struct segment_header, crc)))
        return is_zero(bytes, sizeof(*h)) ? FOUND_FRESH : FOUND_DAMAGED;
    if (h->version != SEGMENT_VERSION)
        return FOUND_NEWER;
    if (h->state != SEGMENT_LIVE && h->state != SEGMENT_IS_FREE)
        return FOUND_DAMAGED;
    if (h->state == SEGMENT_IS_FREE)
        return h->use == 0 ? FOUND_FRESH : FOUND_FREE; /* store_grow's own header has no use */
    return FOUND_LIVE;
}

/* Reads what stands at the beginning of a region. A header of zeros with something behind it was
 * lost: store_grow writes one before a region is ever used. */
static enum err look(struct store *s, const struct store_file *f, uint64_t offset,
                     enum found_state *state, struct segment_header *header)
{
    uint8_t bytes[128];
    size_t got;
    enum err err = s->disk->pread(s->disk, f->fd, bytes, sizeof(bytes), offset, &got, NULL);

    if (err)
        return err;
    *state = judge(bytes, got, header);
    if (*state != FOUND_FRESH || !is_zero(bytes, got))
        return ERR_OK;
    err = s->disk->pread(s->disk, f->fd, bytes, sizeof(bytes), offset + FORMAT_PAGE, &got, NULL);
    if (!err && !is_zero(bytes, got))
        *state = FOUND_DAMAGED;
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
                      enum found_state state, const struct segment_header *header)
{
    uint32_t number = store_add_region(s, file, offset, bytes);
    struct region *r = &s->slots[number].region;

    r->readable = state == FOUND_LIVE || state == FOUND_FREE;
    r->taken = state == FOUND_LIVE || state == FOUND_DAMAGED;
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
    enum found_state state = FOUND_DAMAGED;

    if (!store_has_room(s, 1))
        return err_fail(info, ERR_FULL, "cannot open %s: it holds over %u regions, or no memory",
                        s->path, STORE_REGIONS_MAX);
    if (look(s, f, offset, &state, &header) != ERR_OK) {
        state = FOUND_DAMAGED;
        f->unread = true;
    }
    if (state == FOUND_NEWER || ((state == FOUND_LIVE || state == FOUND_FREE) && !f->is_large &&
                                 header.bytes != s->config.region_bytes))
        return refuse(s, f, &header, info);
    if (state != FOUND_DAMAGED)
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
    enum found_state state = FOUND_DAMAGED;

    if (size == f->bytes)
        return ERR_OK;
    if (look(s, f, f->bytes, &state, &header) == ERR_OK && state == FOUND_FRESH) {
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

static enum err open_file(struct store *s, struct store_name name, uint32_t *at,
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
        const struct store_name *n = &found.names[i];
        uint32_t file;

        *(n->is_large ? &s->last_large : &s->last_number) = n->number;
        err = open_file(s, *n, &file, info);
    }
    free(found.names);
    if (!err)
        settle_files(s);
    return err;
}
