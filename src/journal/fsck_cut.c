/* As the store sees it: each header says how many regions its file had when it was written, and a
 * file without a byte had some if there is a newer one. */
#include "journal/fsck_cut.h"

#include "journal/header.h"

#include <stdlib.h>
#include <string.h>

struct extent {
    uint64_t had, has, region_bytes;
    bool is_seen; /* a segment of it was */
};

/* A region that was never used and is not whole was being made. */
static bool is_begun(const struct reader_segment *s)
{
    return s->state == READER_FRESH && s->header.bytes > s->bytes;
}

static void measure(const struct reader *r, struct extent *files)
{
    for (size_t i = 0; i < reader_count(r); i++) {
        const struct reader_segment *s = reader_segment(r, i);
        struct extent *e = &files[s->file];

        e->is_seen = true;
        e->has += !is_begun(s);
        if (s->state != READER_GOOD && s->state != READER_FRESH)
            continue;
        if (s->header.regions > e->had)
            e->had = s->header.regions;
        if (s->header.bytes > 0)
            e->region_bytes = s->header.bytes;
    }
}

static bool is_large(const struct reader *r, uint32_t file)
{
    const char *name = strrchr(reader_file(r, file), '/');
    struct segment_name parsed = {0};

    return name && header_parse_name(name + 1, &parsed) && parsed.is_large;
}

/* Files are in order: the last one of each kind may just have been begun. */
static bool is_newest(const struct reader *r, uint32_t file)
{
    for (uint32_t i = file + 1; i < reader_files(r); i++)
        if (is_large(r, i) == is_large(r, file))
            return false;
    return true;
}

static bool find_cut(const struct reader *r, const struct extent *e, struct fsck_cut *cut)
{
    if (!e->is_seen)
        return !reader_file_failed(r, cut->file) && !is_newest(r, cut->file);
    if (e->had <= e->has || is_large(r, cut->file))
        return false;
    cut->offset = e->has * e->region_bytes;
    cut->regions = e->had - e->has;
    cut->region_bytes = e->region_bytes;
    return true;
}

enum err fsck_each_cut(const struct reader *r, void (*fn)(void *arg, const struct fsck_cut *cut),
                       void *arg, struct err_info *info)
{
    struct extent *files = calloc((size_t)reader_files(r) + 1, sizeof(*files));

    if (!files)
        return err_fail(info, ERR_FULL, "no memory");
    measure(r, files);
    for (uint32_t i = 0; i < reader_files(r); i++) {
        struct fsck_cut cut = {.file = i};

        if (find_cut(r, &files[i], &cut))
            fn(arg, &cut);
    }
    free(files);
    return ERR_OK;
}
