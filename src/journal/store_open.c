/* store_open.c: locks the folder, opens what is in it, and puts free regions into their order. */
#include "journal/store_impl.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the order of the free ones ---- */

struct age {
    uint64_t unix_ns, ordinal;
    uint32_t number;
};

static int by_age(const void *a, const void *b)
{
    const struct age *x = a, *y = b;

    if (x->unix_ns != y->unix_ns)
        return x->unix_ns < y->unix_ns ? -1 : 1;
    if (x->ordinal != y->ordinal)
        return x->ordinal < y->ordinal ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static enum err order_free(struct store *s, struct err_info *info)
{
    struct age *ages = calloc((size_t)s->count + 1, sizeof(*ages));
    size_t n = 0;

    if (!ages)
        return store_no_memory(s, info);
    for (uint32_t i = 1; i <= s->count; i++) {
        const struct region *r = &s->slots[i].region;

        if (r->bytes && !r->taken && !r->failed)
            ages[n++] = (struct age){r->header.unix_ns, r->header.ordinal, i};
    }
    qsort(ages, n, sizeof(*ages), by_age);
    for (size_t i = 0; i < n; i++)
        store_push_back(s, ages[i].number);
    free(ages);
    return ERR_OK;
}

/* ---- opening ---- */

/* Sixteen bytes from "b0c1...-...": zeros where there is none. */
static void read_boot_id(struct store *s)
{
    char *text;
    size_t len, digits = 0;

    if (disk_read_file(s->disk, "/proc/sys/kernel/random/boot_id", 64, &text, &len, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < len && digits < 2 * sizeof(s->boot_id); i++) {
        const char *hex = "0123456789abcdef", *at = text[i] ? strchr(hex, text[i]) : NULL;

        if (at) {
            s->boot_id[digits / 2] |= (uint8_t)((at - hex) << (digits % 2 ? 0 : 4));
            digits++;
        }
    }
    free(text);
}

/* What store_grow writes: regions that say that they are free, so that a header of zeros later is
 * one that was lost. */
static enum err make_image(struct store *s, struct err_info *info)
{
    struct segment_header header = {.state = SEGMENT_IS_FREE};
    size_t size = s->config.region_bytes;

    s->image_len = GROW_STEP / size * size;
    s->image = calloc(1, s->image_len);
    if (!s->image)
        return store_no_memory(s, info);
    store_seal(s, size, &header);
    for (size_t at = 0; at < s->image_len; at += size)
        memcpy(s->image + at, &header, sizeof(header));
    return ERR_OK;
}

static enum err make_folder(struct store *s, struct err_info *info)
{
    char parent[STORE_PATH_MAX], *slash;
    enum err err = s->disk->mkdir(s->disk, s->path, 0700, info);

    if (err || !s->config.durable)
        return err;
    (void)snprintf(parent, sizeof(parent), "%s", s->path);
    slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    /* It may not be ours to open. */
    (void)!s->disk->sync_folder(s->disk, slash ? parent : ".", NULL);
    return ERR_OK;
}

/* What a killed process wrote and did not sync is read like the rest; it is durable before anything
 * is built on it. A file of which that fails is not trusted. */
static void sync_found(struct store *s)
{
    for (uint32_t i = 0; i < s->file_count; i++) {
        struct store_file *f = &s->files[i];

        f->dirty = f->number && f->fd >= 0 && !f->failed;
    }
    (void)!store_sync(s, NULL);
}

static enum err open_all(struct store *s, struct err_info *info)
{
    char path[STORE_PATH_MAX];
    enum err err = make_folder(s, info);

    if (!err)
        err = store_lock(s->disk, s->path, &s->lock_fd, info);
    if (err)
        return err;
    read_boot_id(s);
    err = make_image(s, info);
    if (!err)
        err = store_find_files(s, info);
    if (!err)
        err = order_free(s, info);
    if (err)
        return err;
    (void)snprintf(path, sizeof(path), "%s/acked", s->path);
    err = s->disk->open(s->disk, path, O_RDWR | O_CREAT, 0600, &s->acked_fd, info);
    if (!err && s->config.durable) /* its name; all others wait for their first use */
        err = s->disk->sync_folder(s->disk, s->path, info);
    if (!err && s->config.durable)
        sync_found(s);
    return err;
}

enum err store_open(const struct store_config *config, struct store **out, struct err_info *info)
{
    struct store *s;
    enum err err;

    assert(config->region_bytes >= 2 * FORMAT_PAGE && config->region_bytes <= GROW_STEP &&
           config->region_bytes % FORMAT_PAGE == 0 && config->file_bytes >= config->region_bytes);
    *out = NULL;
    if (strlen(config->path) + 32 > STORE_PATH_MAX)
        return err_fail(info, ERR_IO, "cannot open a folder with a name that long");
    s = calloc(1, sizeof(*s));
    if (!s || !(s->path = strdup(config->path))) {
        free(s);
        return err_fail(info, ERR_FULL, "cannot open %s: no memory", config->path);
    }
    s->config = *config;
    s->config.path = s->path;
    s->config.file_bytes -= config->file_bytes % config->region_bytes;
    s->disk = config->disk;
    s->lock_fd = s->acked_fd = -1;
    s->growing = UINT32_MAX;
    err = open_all(s, info);
    if (err) {
        store_close(s);
        return err == ERR_FULL || err == ERR_IO ? err : ERR_IO;
    }
    *out = s;
    return ERR_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < s->file_count; i++)
        if (s->files[i].number && s->files[i].fd >= 0)
            s->disk->close(s->disk, s->files[i].fd);
    if (s->acked_fd >= 0)
        s->disk->close(s->disk, s->acked_fd);
    if (s->lock_fd >= 0)
        s->disk->close(s->disk, s->lock_fd);
    free(s->files);
    free(s->slots);
    free(s->image);
    free(s->path);
    free(s);
}
