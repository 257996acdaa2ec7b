/* files.h: what the tests of the fake disk share. */
#pragma once

#include "base/fake_disk.h"
#include "check.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>

static inline int open_at(struct disk *d, const char *path)
{
    int fd = -1;

    CHECK(d->open(d, path, O_RDWR | O_CREAT, 0600, &fd, NULL) == ERR_OK);
    return fd;
}

static inline void put(struct disk *d, int fd, uint64_t offset, const char *text)
{
    CHECK(d->pwrite(d, fd, text, strlen(text), offset, NULL) == ERR_OK);
}

/* The file's content as a C string, "(none)" without such a file. Owned by the caller. */
static inline char *content(struct fake_disk *f, const char *path)
{
    char *data;
    size_t len;

    if (disk_read_file(&f->disk, path, 1 << 26, &data, &len, NULL) != ERR_OK)
        return strdup("(none)");
    return data;
}

static inline bool holds(struct fake_disk *f, const char *path, const char *expected)
{
    char *data = content(f, path);
    bool same = strcmp(data, expected) == 0;

    free(data);
    return same;
}
