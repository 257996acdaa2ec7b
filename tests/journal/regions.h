/* regions.h: the regions of a killed journal's files, behind its back. */
#pragma once

#include "journal/format.h"
#include "journal/restarts.h"

#include <fcntl.h>

enum { IN_FILE = 4, REGIONS = 64 * IN_FILE };

/* Region i of all files; ERR_IO: there is none. */
static inline enum err read_region(unsigned i, void *bytes, size_t len)
{
    char path[64];
    size_t got = 0;
    enum err err;
    int fd;

    snprintf(path, sizeof(path), "/j/segments-%08u", i / IN_FILE + 1);
    if (disk.disk.open(&disk.disk, path, O_RDONLY, 0, &fd, NULL) != ERR_OK)
        return ERR_IO;
    err =
        disk.disk.pread(&disk.disk, fd, bytes, len, (uint64_t)(i % IN_FILE) * SEGMENT, &got, NULL);
    disk.disk.close(&disk.disk, fd);
    return got == len ? err : ERR_IO;
}

static inline void write_region(unsigned i, const void *bytes, size_t len)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/j/segments-%08u", i / IN_FILE + 1);
    if (disk.disk.open(&disk.disk, path, O_RDWR, 0, &fd, NULL) != ERR_OK ||
        disk.disk.pwrite(&disk.disk, fd, bytes, len, (uint64_t)(i % IN_FILE) * SEGMENT, NULL))
        abort();
    disk.disk.close(&disk.disk, fd);
}
