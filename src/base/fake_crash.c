#include "base/fake_crash.h"

#include "base/err.h"

#include <stdlib.h>

/* How much of a file's, or of all names', changes the disk had got. Drawing each change alone would
 * hardly ever give the plain cases, which are the likely ones. */
enum mood { NOTHING, EVERYTHING, A_PREFIX, ANYTHING, MOODS };

struct draw {
    struct rng *rng; /* NULL only with NOTHING */
    enum mood mood;
    size_t prefix; /* with A_PREFIX: how many changes; the next may be torn */
};

static struct draw draw_mood(struct rng *rng, enum mood mood, size_t changes)
{
    struct draw draw = {rng, mood, 0};

    if (mood == MOODS)
        draw.mood = (enum mood)rng_below(rng, MOODS);
    if (draw.mood == A_PREFIX)
        draw.prefix = (size_t)rng_below(rng, changes + 1);
    return draw;
}

static bool draw_change(const struct draw *draw, size_t index)
{
    switch (draw->mood) {
    case EVERYTHING:
        return true;
    case A_PREFIX:
        return index < draw->prefix;
    case ANYTHING:
        return rng_below(draw->rng, 2) == 0;
    default:
        return false;
    }
}

/* The disk gets the sectors of a write that lie in [from, end), as the cache has them. */
static void sectors_survive(struct fake_pages *disk, const struct fake_pages *cache, uint64_t from,
                            uint64_t end)
{
    uint8_t sector[FAKE_SECTOR];

    for (uint64_t at = from / FAKE_SECTOR * FAKE_SECTOR; at < end; at += FAKE_SECTOR)
        fake_pages_write(disk, at, sector, fake_pages_read(cache, at, sector, sizeof(sector)));
}

/* A write of which only some sectors are there: the first ones, or any. */
static void write_is_torn(struct fake_pages *disk, const struct fake_pages *cache,
                          const struct fake_op *op, struct rng *rng)
{
    uint64_t end = op->offset + op->len;

    if (rng_below(rng, 2) == 0) {
        sectors_survive(disk, cache, op->offset, op->offset + rng_below(rng, op->len + 1));
        return;
    }
    for (uint64_t at = op->offset / FAKE_SECTOR * FAKE_SECTOR; at < end; at += FAKE_SECTOR)
        if (rng_below(rng, 2) == 0)
            sectors_survive(disk, cache, at, at + 1);
}

static void write_survives(struct fake_pages *disk, const struct fake_pages *cache,
                           const struct fake_op *op, const struct draw *draw, size_t index)
{
    bool whole = draw_change(draw, index);

    if (op->len == 0)
        return;
    if (draw->mood == ANYTHING ? rng_below(draw->rng, 2) == 0
                               : draw->mood == A_PREFIX && index == draw->prefix)
        write_is_torn(disk, cache, op, draw->rng);
    else if (whole)
        sectors_survive(disk, cache, op->offset, op->offset + op->len);
}

/* `cache` repeats what the page cache held after each change: what is written back of a page later
 * has the earlier changes of the same page too. */
static void content_cut(struct fake_file *file, const struct draw *draw)
{
    struct fake_pages cache = {0};

    fake_pages_copy(&cache, &file->durable);
    for (size_t i = 0; i < file->unsynced.count; i++) {
        const struct fake_op *op = file->unsynced.at[i].op;

        if (op->kind == FAKE_OP_WRITE) {
            fake_pages_put(&cache, op->offset, &op->content, op->len);
            write_survives(&file->durable, &cache, op, draw, i);
            continue;
        }
        if (!draw_change(draw, i))
            break; /* what comes after a cut is not there without it */
        fake_pages_resize(&cache, 0);
        fake_pages_resize(&file->durable, 0);
    }
    if (draw->mood == ANYTHING && cache.len > file->durable.len && rng_below(draw->rng, 4) == 0)
        fake_pages_resize(&file->durable, cache.len);
    fake_pages_fini(&cache);
    fake_pages_copy(&file->now, &file->durable);
    fake_ops_fini(&file->unsynced);
    file->unsynced_bytes = 0;
}

static void names_cut(struct fake_files *f, const struct draw *draw)
{
    const struct fake_ops *ops = &f->unsynced;
    bool *survives = calloc(ops->count + 1, sizeof(bool));

    if (!survives)
        err_no_memory("operations");
    for (size_t i = 0; i < ops->count; i++) {
        survives[i] = draw_change(draw, i);
        for (size_t j = 0; survives[i] && j < i; j++)
            survives[i] = survives[j] || !fake_op_share_name(ops->at[i].op, ops->at[j].op);
        if (survives[i])
            fake_files_apply_durable(f, ops->at[i].op);
    }
    for (size_t i = 0; i < ops->count; i++)
        if (!survives[i] && ops->at[i].op->kind == FAKE_OP_FOLDER)
            fake_files_lose_folder(f, ops->at[i].op->path);
    free(survives);
    fake_files_take_durable_names(f);
}

void fake_files_cut_power(struct fake_files *f, struct rng *rng)
{
    enum mood mood = NOTHING;
    struct draw draw;

    if (rng) /* one in eight each: all is lost, all is there; else each file draws its own */
        mood = (enum mood)rng_below(rng, 8);
    if (mood > EVERYTHING)
        mood = MOODS;
    for (uint32_t i = 0; i < f->ids; i++) {
        if (!f->by_id[i])
            continue;
        draw = draw_mood(rng, mood, f->by_id[i]->unsynced.count);
        content_cut(f->by_id[i], &draw);
    }
    draw = draw_mood(rng, mood, f->unsynced.count);
    names_cut(f, &draw);
}
