/* store.c: regions and files as tables, and what is written to and read from them. */
#include "journal/store.h"

#include "journal/header.h"
#include "journal/store_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *store_path_of(const struct store *s, const struct store_file *f, char *out)
{
    (void)snprintf(out, STORE_PATH_MAX, "%s/%s-%08u", s->path, f->is_large ? "large" : "segments",
                   (unsigned)f->number);
    return out;
}

enum err store_no_memory(const struct store *s, struct err_info *info)
{
    return err_fail(info, ERR_FULL, "%s: no memory", s->path);
}

/* ---- the free ring ---- */

static void link_after(struct store *s, uint32_t at, uint32_t number)
{
    struct store_slot *slot = &s->slots[number];

    assert(!slot->is_free);
    slot->prev = at;
    slot->next = s->slots[at].next;
    s->slots[slot->next].prev = number;
    s->slots[at].next = number;
    slot->is_free = true;
    slot->region.taken = false;
    s->free_count++;
}

void store_push_front(struct store *s, uint32_t number)
{
    link_after(s, 0, number);
}

void store_push_back(struct store *s, uint32_t number)
{
    link_after(s, s->slots[0].prev, number);
}

static void unlink_free(struct store *s, uint32_t number)
{
    struct store_slot *slot = &s->slots[number];

    assert(slot->is_free);
    s->slots[slot->prev].next = slot->next;
    s->slots[slot->next].prev = slot->prev;
    slot->is_free = false;
    s->free_count--;
}

/* ---- the tables ---- */

uint32_t store_add_file(struct store *s, struct store_file file)
{
    uint32_t i = 0;
    struct store_file *more;

    while (i < s->file_count && s->files[i].number)
        i++;
    if (i == s->file_count) {
        more = reallocarray(s->files, s->file_count + 1, sizeof(*more));
        if (!more)
            return UINT32_MAX;
        s->files = more;
        s->file_count++;
    }
    s->files[i] = file;
    s->total += file.bytes;
    return i;
}

bool store_has_room(struct store *s, uint32_t n)
{
    uint32_t cap = s->slot_cap;
    struct store_slot *more;

    if (n > STORE_REGIONS_MAX - s->count) /* numbers that are not in use any more are a bonus */
        return n == 1 && s->unused != 0;
    if (s->count + n < cap)
        return true;
    while (s->count + n >= cap)
        cap = cap ? cap * 2 : 64;
    more = reallocarray(s->slots, cap, sizeof(*more));
    if (!more)
        return false;
    memset(more + s->slot_cap, 0, (cap - s->slot_cap) * sizeof(*more));
    s->slots = more;
    s->slot_cap = cap;
    return true;
}

uint32_t store_add_region(struct store *s, uint32_t file, uint64_t offset, uint64_t bytes)
{
    uint32_t number = s->unused;

    if (number)
        s->unused = s->slots[number].next;
    else
        number = ++s->count;
    assert(number < s->slot_cap && number <= STORE_REGIONS_MAX);
    s->slots[number] =
        (struct store_slot){.region = {.offset = offset, .bytes = bytes, .file = file}};
    return number;
}

static void remove_region(struct store *s, uint32_t number)
{
    if (s->slots[number].is_free)
        unlink_free(s, number);
    s->slots[number] = (struct store_slot){.next = s->unused};
    s->unused = number;
}

void store_drop_file(struct store *s, uint32_t file)
{
    struct store_file *f = &s->files[file];
    char path[STORE_PATH_MAX];

    assert(f->taken == 0);
    for (uint32_t n = f->is_large ? f->region : 1; n && n <= s->count; n++) {
        if (s->slots[n].region.bytes && s->slots[n].region.file == file)
            remove_region(s, n);
        if (f->is_large)
            break;
    }
    f->region = 0;
    if (s->growing == file)
        s->growing = UINT32_MAX;
    if (f->fd >= 0)
        s->disk->close(s->disk, f->fd);
    f->fd = -1;
    f->dirty = false;
    if (s->disk->unlink(s->disk, store_path_of(s, f, path), NULL) != ERR_OK) {
        s->has_doomed = true; /* its bytes count until it is gone */
        return;
    }
    s->removed = true;
    s->total -= f->bytes;
    f->number = 0;
}

void store_fail_file(struct store *s, uint32_t file)
{
    struct store_file *f = &s->files[file];

    f->failed = true;
    f->dirty = false;
    for (uint32_t n = 1; n <= s->count; n++) {
        struct store_slot *slot = &s->slots[n];

        if (!slot->region.bytes || slot->region.file != file)
            continue;
        if (slot->is_free)
            unlink_free(s, n);
        slot->region.failed = true;
    }
    if (s->growing == file)
        s->growing = UINT32_MAX;
    if (f->taken == 0 && !f->unread)
        store_drop_file(s, file);
}

uint32_t store_count(const struct store *s)
{
    return s->count;
}

const struct region *store_region(const struct store *s, uint32_t number)
{
    assert(number > 0 && number <= s->count);
    return &s->slots[number].region;
}

unsigned store_free_regions(const struct store *s)
{
    return s->free_count;
}

const uint8_t *store_boot_id(const struct store *s)
{
    return s->boot_id;
}

void store_stats(const struct store *s, struct store_stats *stats)
{
    *stats = (struct store_stats){
        .file_bytes = s->total,
        .free_bytes = (uint64_t)s->free_count * s->config.region_bytes,
        .max_bytes = s->config.max_bytes,
    };
    for (uint32_t i = 0; i < s->file_count; i++)
        if (s->files[i].number && s->files[i].failed)
            stats->failed_bytes += s->files[i].bytes;
    stats->cut_regions = s->cut_regions;
    stats->syncs = s->syncs;
}

bool store_is_there(struct store *s, struct err_info *info)
{
    char path[STORE_PATH_MAX];

    for (uint32_t i = 0; i < s->file_count; i++) {
        const struct store_file *f = &s->files[i];
        bool is = true;

        if (!f->number || f->fd < 0 ||
            s->disk->is_at(s->disk, f->fd, store_path_of(s, f, path), &is, NULL) != ERR_OK || is)
            continue;
        err_fail(info, ERR_IO, "%s was removed or replaced", path);
        return false;
    }
    return true;
}

/* ---- taking and giving back ---- */

/* What is reserved is for decisions: they let more go than they take, so max_bytes does not keep
 * them from it. */
static enum err take_large(struct store *s, uint64_t bytes, bool reserved, uint32_t *number,
                           struct err_info *info)
{
    uint64_t missing = s->config.reserve > s->free_count ? s->config.reserve - s->free_count : 0;
    uint64_t kept = missing * s->config.region_bytes, max = s->config.max_bytes;

    uint64_t limit = reserved ? UINT64_MAX : kept < max ? max - kept : 0;
    enum err err = store_make_large(s, bytes, limit, number, info);

    if (err == ERR_FULL && !reserved && store_make_way(s, bytes, limit, s->config.reserve))
        err = store_make_large(s, bytes, limit, number, info);
    return err;
}

enum err store_take(struct store *s, size_t bytes, bool reserved, uint32_t *number,
                    struct err_info *info)
{
    unsigned keep = reserved ? 0 : s->config.reserve;
    enum err err;

    if (bytes > s->config.region_bytes) {
        err = take_large(s, bytes, reserved, number, info);
        if (err)
            return err;
    } else {
        while (s->free_count <= keep)
            if ((err = store_grow_step(s, info)) != ERR_OK)
                return err;
        *number = s->config.oldest_first ? s->slots[0].next : s->slots[0].prev;
        unlink_free(s, *number);
    }
    s->slots[*number].region.taken = true;
    s->files[s->slots[*number].region.file].taken++;
    return ERR_OK;
}

void store_put(struct store *s, uint32_t number)
{
    struct region *r = &s->slots[number].region;
    struct store_file *f = &s->files[r->file];

    assert(number > 0 && number <= s->count && r->taken);
    r->taken = false;
    f->taken--;
    if (!f->failed && !f->is_large)
        store_push_back(s, number);
    else if (f->taken == 0 && !f->unread)
        store_drop_file(s, r->file);
}

/* ---- bytes ---- */

void store_seal(const struct store *s, uint64_t bytes, struct segment_header *header)
{
    header->bytes = bytes;
    memcpy(header->boot_id, s->boot_id, sizeof(header->boot_id));
    header_seal(header);
}

/* So that it is seen when some of them are cut off. */
static uint32_t regions_of(const struct store *s, const struct region *r)
{
    const struct store_file *f = &s->files[r->file];

    return f->is_large ? 0 : (uint32_t)(f->bytes / s->config.region_bytes);
}

void store_make_header(struct store *s, uint32_t number, struct segment_header *header,
                       uint8_t *page)
{
    struct region *r = &s->slots[number].region;

    header->regions = regions_of(s, r);
    store_seal(s, r->bytes, header);
    memset(page, 0, FORMAT_PAGE);
    memcpy(page, header, sizeof(*header));
    r->header = *header;
    r->readable = true;
}

enum err store_write_header(struct store *s, uint32_t number, struct segment_header *header,
                            struct err_info *info)
{
    struct region *r = &s->slots[number].region;
    struct slice page;
    uint8_t bytes[FORMAT_PAGE] = {0};
    enum err err;

    header->regions = regions_of(s, r);
    store_seal(s, r->bytes, header);
    memcpy(bytes, header, sizeof(*header));
    page = slice_make(bytes, sizeof(bytes));
    err = store_write(s, number, 0, &page, 1, info);
    if (err)
        return err;
    r->header = *header;
    r->readable = true;
    return ERR_OK;
}

/* What is synced at once costs half the CPU past the page cache. Shorter writes stay in it: several
 * of them go to the disk side by side. */
static bool may_pass_cache(const struct slice *parts, unsigned count, uint64_t offset)
{
    uintptr_t odd = offset;
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        odd |= (uintptr_t)parts[i].data | parts[i].len;
        len += parts[i].len;
    }
    return len >= DIRECT_LEAST && odd % DISK_DIRECT_ALIGN == 0;
}

static enum err write_parts(struct store *s, struct store_file *f, const struct slice *parts,
                            unsigned count, uint64_t offset, struct err_info *info)
{
    if (s->config.durable && !f->cached && may_pass_cache(parts, count, offset)) {
        if (s->disk->pwritev_direct(s->disk, f->fd, parts, count, offset, NULL) == ERR_OK)
            return ERR_OK;
        f->cached = true;
    }
    return s->disk->pwritev(s->disk, f->fd, parts, count, offset, info);
}

enum err store_write(struct store *s, uint32_t number, uint64_t offset, const struct slice *parts,
                     unsigned count, struct err_info *info)
{
    const struct region *r = &s->slots[number].region;
    struct store_file *f = &s->files[r->file];
    char path[STORE_PATH_MAX];
    enum err err = ERR_OK;

    assert(r->taken && offset <= r->bytes);
    if (f->failed)
        return err_fail(info, ERR_IO, "%s has failed before: nothing is written to it any more",
                        store_path_of(s, f, path));
    f->dirty = true;
    for (unsigned i = 0; i < count && !err; i += DISK_PARTS_MAX) {
        unsigned n = count - i < DISK_PARTS_MAX ? count - i : DISK_PARTS_MAX;
        uint64_t len = 0;

        for (unsigned k = 0; k < n; k++)
            len += parts[i + k].len;
        assert(len <= r->bytes - offset);
        err = write_parts(s, f, parts + i, n, r->offset + offset, info);
        offset += len;
    }
    if (err && err != ERR_FULL)
        store_fail_file(s, r->file);
    return err;
}

enum err store_read(struct store *s, uint32_t number, uint64_t offset, void *data, size_t len,
                    struct err_info *info)
{
    const struct region *r = &s->slots[number].region;
    const struct store_file *f = &s->files[r->file];
    char path[STORE_PATH_MAX];
    size_t got;
    enum err err;

    assert(r->bytes && offset <= r->bytes && len <= r->bytes - offset);
    err = s->disk->pread(s->disk, f->fd, data, len, r->offset + offset, &got, info);
    if (!err && got < len)
        err = err_fail(info, ERR_IO, "cannot read %s: it ends at byte %llu",
                       store_path_of(s, f, path), (unsigned long long)(r->offset + offset + got));
    return err;
}

void store_forget(struct store *s, uint32_t number)
{
    const struct region *r = &s->slots[number].region;

    s->disk->forget(s->disk, s->files[r->file].fd, r->offset, r->bytes);
}

/* Names of files that are written to are durable before what is in them counts as such; and what
 * was removed stays away. */
static enum err sync_names(struct store *s, struct err_info *info)
{
    bool missing = false;
    enum err err;

    for (uint32_t i = 0; i < s->file_count; i++)
        missing = missing || (s->files[i].dirty && !s->files[i].named);
    if (!missing && !s->removed)
        return ERR_OK;
    err = s->disk->sync_folder(s->disk, s->path, missing ? info : NULL);
    if (!err)
        s->removed = false;
    for (uint32_t i = 0; i < s->file_count; i++) {
        struct store_file *f = &s->files[i];

        if (!f->dirty || f->named)
            continue;
        f->named = !err;
        if (err)
            store_fail_file(s, i);
    }
    return err && missing ? ERR_IO : ERR_OK;
}

enum err store_sync(struct store *s, struct err_info *info)
{
    enum err err = sync_names(s, info);

    for (uint32_t i = 0; i < s->file_count; i++) {
        struct store_file *f = &s->files[i];

        if (!f->dirty)
            continue;
        f->dirty = false;
        s->syncs++;
        if (s->disk->datasync(s->disk, f->fd, err ? NULL : info) == ERR_OK)
            continue;
        err = ERR_IO;
        store_fail_file(s, i);
    }
    return err;
}
