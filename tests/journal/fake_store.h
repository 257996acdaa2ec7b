/* fake_store.h: small stores on a disk in memory. */
#pragma once

#include "base/fake_disk.h"
#include "check.h"
#include "journal/stores.h"

#include <fcntl.h>
#include <stdlib.h>

enum { R = 8192, FILE_BYTES = 4 * R };

static struct fake_disk fake;
static struct err_info info;
static const struct store_config USUAL = {
    .path = "/j", .region_bytes = R, .file_bytes = FILE_BYTES, .max_bytes = 16 * R};

static inline struct store *opened(struct store_config config)
{
    struct store *s;

    config.disk = &fake.disk;
    if (store_open(&config, &s, &info) != ERR_OK) {
        printf("%s\n", info.text);
        abort();
    }
    return s;
}

/* As a killed process leaves it: nothing is written at the end anyway. */
static inline struct store *reopened(struct store *s, struct store_config config)
{
    store_close(s);
    return opened(config);
}

/* Overwrites bytes of a file behind the store's back. */
static inline void scribble(const char *path, uint64_t offset, const void *data, size_t len)
{
    struct disk *d = &fake.disk;
    int fd;

    if (d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, NULL) != ERR_OK ||
        d->pwrite(d, fd, data, len, offset, NULL) != ERR_OK)
        abort();
    d->close(d, fd);
}

static inline uint64_t size_of(const char *path)
{
    struct disk *d = &fake.disk;
    uint64_t size;
    int fd;

    if (d->open(d, path, O_RDONLY, 0, &fd, NULL) != ERR_OK)
        return UINT64_MAX;
    if (d->size(d, fd, &size, NULL) != ERR_OK)
        abort();
    d->close(d, fd);
    return size;
}

/* Each on a disk of its own. */
#define RUN_FRESH(test)                                                                            \
    do {                                                                                           \
        fake_disk_init(&fake);                                                                     \
        RUN(test);                                                                                 \
        fake_disk_fini(&fake);                                                                     \
    } while (0)
