#include "journal/reader.h"

#include "journal/acked_file.h"
#include "journal/header.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRIES = 3, /* a header that is being written may be read in halves */
    SEGMENTS_MAX = 1 << 20,
};
#define READ_MAX (UINT64_C(1) << 30) /* of one segment */

struct file {
    char *path;
    bool is_large, has_failed;
};

struct reader {
    struct disk *disk;
    const char *folder; /* while it is opened */
    struct file *files;
    uint32_t file_count;
    struct reader_segment *segments;
    size_t count;
    uint64_t region_bytes; /* of files of segments */
    char *acked;           /* its text; NULL: there is none that is good */
    uint8_t *bytes;        /* of the segment read last */
    size_t cap;
    struct reader_stats stats;
    bool is_thorough; /* looks for a header anywhere, not only at the beginning of files */
    bool no_memory;
};

/* ---- files ---- */

static void on_name(void *arg, const char *name)
{
    struct reader *r = arg;
    struct segment_name parsed;
    struct file *more, file = {0};

    if (!header_parse_name(name, &parsed))
        return;
    file.is_large = parsed.is_large;
    more = reallocarray(r->files, r->file_count + 1, sizeof(*more));
    if (!more || asprintf(&file.path, "%s/%s", r->folder, name) < 0) {
        r->files = more ? more : r->files;
        r->no_memory = true;
        return;
    }
    r->files = more;
    r->files[r->file_count++] = file;
}

static int by_path(const void *a, const void *b)
{
    const struct file *x = a, *y = b;

    if (strlen(x->path) != strlen(y->path))
        return strlen(x->path) < strlen(y->path) ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* ---- headers ---- */

static enum reader_state judge(const struct segment_header *h)
{
    switch (header_state(h)) {
    case HEADER_FRESH:
        return READER_FRESH;
    case HEADER_NEWER:
        return READER_NEWER;
    case HEADER_DAMAGED:
        return READER_DAMAGED;
    default:
        return h->use >= USE_FRAMES && h->use <= USE_DECISIONS ? READER_GOOD : READER_DAMAGED;
    }
}

/* A header of zeros with something behind it was lost. */
static bool is_used(struct reader *r, int fd, uint64_t offset)
{
    uint8_t bytes[sizeof(struct frame_header)];
    size_t got = 0;

    if (r->disk->pread(r->disk, fd, bytes, sizeof(bytes), offset + FORMAT_PAGE, &got, NULL))
        return true;
    return !header_is_zero(bytes, got);
}

static enum reader_state read_header(struct reader *r, int fd, uint64_t offset,
                                     struct segment_header *h)
{
    enum reader_state state = READER_DAMAGED;

    for (unsigned i = 0; i < TRIES && state == READER_DAMAGED; i++) {
        size_t got;

        *h = (struct segment_header){0};
        if (r->disk->pread(r->disk, fd, h, sizeof(*h), offset, &got, NULL) == ERR_OK)
            state = judge(h);
    }
    if (state == READER_FRESH && h->magic == 0 && is_used(r, fd, offset))
        return READER_DAMAGED;
    return state;
}

static void add_segment(struct reader *r, struct reader_segment segment)
{
    struct reader_segment *more = r->segments;

    if (r->no_memory || r->count == SEGMENTS_MAX)
        return;
    if ((r->count & (r->count - 1)) == 0)
        more = reallocarray(r->segments, r->count ? r->count * 2 : 1, sizeof(*more));
    if (!more) {
        r->no_memory = true;
        return;
    }
    r->segments = more;
    r->segments[r->count++] = segment;
}

/* All regions are of one size, as the store cuts them; the first header that is good says which. */
static void find_region_bytes(struct reader *r, uint32_t file, int fd, uint64_t size)
{
    if (r->files[file].is_large)
        return;
    for (uint64_t at = 0; at < size && r->region_bytes == 0; at += FORMAT_PAGE) {
        struct segment_header h;
        enum reader_state state;

        if (at > 0 && !r->is_thorough)
            return;
        state = read_header(r, fd, at, &h);

        if ((state == READER_GOOD || state == READER_FRESH) && h.magic == SEGMENT_MAGIC &&
            h.bytes >= FORMAT_PAGE && h.bytes % FORMAT_PAGE == 0)
            r->region_bytes = h.bytes;
    }
}

static void find_segments(struct reader *r, uint32_t file, int fd, uint64_t size)
{
    uint64_t step = r->files[file].is_large ? size : r->region_bytes;

    for (uint64_t at = 0; at < size && step; at += step) {
        struct reader_segment s = {.offset = at, .file = file};

        s.bytes = size - at < step ? size - at : step;
        s.state = read_header(r, fd, at, &s.header);
        if (s.state == READER_GOOD && s.header.bytes != step && !r->files[file].is_large)
            s.state = READER_DAMAGED;
        add_segment(r, s);
    }
}

typedef void file_fn(struct reader *r, uint32_t file, int fd, uint64_t size);

static enum err with_file(struct reader *r, uint32_t file, file_fn *fn, struct err_info *info)
{
    uint64_t size;
    int fd;
    enum err err = r->disk->open(r->disk, r->files[file].path, O_RDONLY, 0, &fd, info);

    if (err)
        return err;
    err = r->disk->size(r->disk, fd, &size, info);
    if (!err)
        fn(r, file, fd, size);
    r->disk->close(r->disk, fd);
    return err;
}

static int in_order(const void *a, const void *b)
{
    const struct reader_segment *x = a, *y = b;

    if ((x->state == READER_GOOD) != (y->state == READER_GOOD))
        return x->state == READER_GOOD ? -1 : 1;
    if (x->header.use != y->header.use && x->state == READER_GOOD)
        return x->header.use < y->header.use ? -1 : 1;
    if (x->header.ordinal != y->header.ordinal && x->state == READER_GOOD)
        return x->header.ordinal < y->header.ordinal ? -1 : 1;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static enum err look_around(struct reader *r, struct err_info *info)
{
    enum err err = r->disk->list(r->disk, r->folder, on_name, r, info);

    if (err)
        return ERR_IO;
    if (r->file_count)
        qsort(r->files, r->file_count, sizeof(*r->files), by_path);
    /* A file that is gone by now, or can't be read, does not hide the others. */
    for (uint32_t i = 0; i < 2 * r->file_count && r->region_bytes == 0; i++) {
        r->is_thorough = i >= r->file_count;
        (void)!with_file(r, i % r->file_count, find_region_bytes, NULL);
    }
    for (uint32_t i = 0; i < r->file_count; i++) {
        r->files[i].has_failed = with_file(r, i, find_segments, NULL) != ERR_OK;
        r->stats.unreadable += r->files[i].has_failed;
    }
    if (r->no_memory)
        return err_fail(info, ERR_FULL, "cannot read %s: no memory", r->folder);
    if (r->count)
        qsort(r->segments, r->count, sizeof(*r->segments), in_order);
    return ERR_OK;
}

/* ---- exporters' positions ---- */

/* The good copy's text goes to `text`; false: there is none. */
static bool load_acked(struct reader *r, char *text)
{
    struct acked_copies found = {0};
    char *path;
    int fd;

    if (asprintf(&path, "%s/acked", r->folder) < 0)
        return false;
    if (r->disk->open(r->disk, path, O_RDONLY, 0, &fd, NULL) == ERR_OK) {
        if (acked_load(r->disk, fd, text, &found, NULL) != ERR_OK)
            found.good = 0;
        r->disk->close(r->disk, fd);
    }
    free(path);
    return found.good > 0;
}

static void read_acked(struct reader *r)
{
    char *text = calloc(1, STORE_ACKED_MAX + 1);

    if (text && load_acked(r, text)) {
        r->acked = text;
        return;
    }
    free(text);
}

bool reader_settled(const struct reader *r, const char *exporter, uint64_t *position)
{
    return r->acked && acked_find(r->acked, exporter, position);
}

enum err reader_open(struct disk *disk, const char *path, struct reader **out,
                     struct err_info *info)
{
    struct reader *r = calloc(1, sizeof(*r));
    enum err err;

    *out = NULL;
    if (!r)
        return err_fail(info, ERR_FULL, "cannot read %s: no memory", path);
    r->disk = disk;
    r->folder = path;
    err = look_around(r, info);
    if (!err)
        read_acked(r);
    r->folder = NULL;
    if (err)
        reader_close(r);
    else
        *out = r;
    return err;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->file_count; i++)
        free(r->files[i].path);
    free(r->files);
    free(r->segments);
    free(r->acked);
    free(r->bytes);
    free(r);
}

size_t reader_count(const struct reader *r)
{
    return r->count;
}

const struct reader_segment *reader_segment(const struct reader *r, size_t i)
{
    return &r->segments[i];
}

uint32_t reader_files(const struct reader *r)
{
    return r->file_count;
}

bool reader_file_failed(const struct reader *r, uint32_t file)
{
    return r->files[file].has_failed;
}

const char *reader_file(const struct reader *r, uint32_t file)
{
    return r->files[file].path;
}

void reader_add_damaged(struct reader *r, uint64_t n)
{
    r->stats.damaged += n;
}

const struct reader_stats *reader_stats(const struct reader *r)
{
    return &r->stats;
}

/* ---- one segment ---- */

static bool has_room(struct reader *r, uint64_t bytes)
{
    uint8_t *more;

    if (bytes <= r->cap)
        return true;
    if (bytes > READ_MAX)
        return false;
    more = realloc(r->bytes, bytes);
    if (!more)
        return false;
    r->bytes = more;
    r->cap = bytes;
    return true;
}

/* Bytes first, then the header once more: if it is the same use's, so are they. */
static enum err read_whole(struct reader *r, int fd, const struct reader_segment *s,
                           struct slice *bytes, struct err_info *info)
{
    struct segment_header now;
    size_t got;
    enum err err = r->disk->pread(r->disk, fd, r->bytes, s->bytes, s->offset, &got, info);

    if (err)
        return err;
    *bytes = slice_make(r->bytes, got);
    if (s->state != READER_GOOD)
        return ERR_OK;
    if (read_header(r, fd, s->offset, &now) != READER_GOOD ||
        now.generation != s->header.generation || now.salt != s->header.salt)
        return err_fail(info, ERR_AGAIN, "it is used again");
    return ERR_OK;
}

enum err reader_read(struct reader *r, size_t i, struct slice *bytes, struct err_info *info)
{
    const struct reader_segment *s = &r->segments[i];
    enum err err;
    int fd;

    *bytes = (struct slice){0};
    if (!has_room(r, s->bytes))
        return err_fail(info, ERR_FULL, "no memory for a segment of %llu bytes",
                        (unsigned long long)s->bytes);
    err = r->disk->open(r->disk, r->files[s->file].path, O_RDONLY, 0, &fd, info);
    if (!err) {
        err = read_whole(r, fd, s, bytes, info);
        r->disk->close(r->disk, fd);
    } else if (r->files[s->file].is_large) {
        err = ERR_AGAIN; /* such a file goes when it is free */
    }
    r->stats.segments += err == ERR_OK;
    r->stats.overwritten += err == ERR_AGAIN;
    r->stats.unreadable += err && err != ERR_AGAIN;
    return err;
}
