#include "base/fake_disk.h"
#include "base/fake_files.h"

#include <stdlib.h>
#include <string.h>

/* Changes [offset, offset + len) and says whether any byte is another. */
static bool change_bytes(struct fake_pages *pages, const struct fake_damage *damage, uint64_t len)
{
    uint8_t bytes[FAKE_SECTOR];
    bool changed = false;

    for (uint64_t at = 0; at < len;) {
        size_t part = len - at < sizeof(bytes) ? (size_t)(len - at) : sizeof(bytes);
        size_t got = fake_pages_read(pages, damage->offset + at, bytes, part);

        for (size_t i = 0; i < got; i++) {
            uint8_t old = bytes[i];

            bytes[i] = damage->kind == FAKE_DAMAGE_ZERO ? 0 : old ^ damage->bits;
            changed = changed || bytes[i] != old;
        }
        fake_pages_write(pages, damage->offset + at, bytes, got);
        if (got < part)
            break;
        at += part;
    }
    return changed;
}

bool fake_disk_damage(struct fake_disk *f, const char *path, const struct fake_damage *damage)
{
    struct fake_file *file = fake_files_find(f->files, path);
    bool changed = true;

    if (!file || damage->offset >= file->now.len)
        return false;
    if (damage->kind == FAKE_DAMAGE_CUT)
        fake_pages_resize(&file->now, damage->offset);
    else
        changed =
            change_bytes(&file->now, damage, damage->kind == FAKE_DAMAGE_FLIP ? 1 : damage->len);
    fake_file_settle(file);
    return changed;
}

static struct fake_damage draw_damage(struct rng *rng, uint64_t len)
{
    struct fake_damage damage = {.kind = (enum fake_damage_kind)rng_below(rng, 4),
                                 .offset = rng_below(rng, len),
                                 .len = 1 + rng_below(rng, 256),
                                 .bits = (uint8_t)(1U << rng_below(rng, 8))};

    if (damage.kind == FAKE_DAMAGE_ZERO) {
        damage.len = rng_below(rng, 2) == 0 ? FAKE_PAGE : FAKE_SECTOR;
        damage.offset -= damage.offset % damage.len;
    }
    if (damage.kind == FAKE_DAMAGE_GARBLE)
        damage.bits = (uint8_t)(1 + rng_below(rng, 255));
    return damage;
}

bool fake_disk_corrupt(struct fake_disk *f, const char *path, struct rng *rng,
                       struct fake_damage *damage)
{
    const struct fake_file *file = fake_files_find(f->files, path);

    if (!file || file->now.len == 0)
        return false;
    do
        *damage = draw_damage(rng, file->now.len);
    while (!fake_disk_damage(f, path, damage)); /* zeros may have been there */
    return true;
}
