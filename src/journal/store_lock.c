/* store_lock.c: one process a folder. */
#include "journal/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HOLDER_MAX = 320, PATH_BYTES = 4096 + 32 };

/* Who holds the lock, from its file: "process 12 on web-1". */
static void read_holder(struct disk *disk, int fd, char *who)
{
    size_t got = 0, len = 0;

    if (disk->pread(disk, fd, who, HOLDER_MAX - 1, 0, &got, NULL) != ERR_OK)
        got = 0;
    while (len < got && who[len] >= ' ' && who[len] <= '~')
        len++;
    who[len] = '\0';
    if (len == 0)
        (void)snprintf(who, HOLDER_MAX, "another process");
}

static void write_holder(struct disk *disk, int fd)
{
    char who[HOLDER_MAX], host[256];

    memset(who, '\n', sizeof(who)); /* a longer name before it is gone */
    if (gethostname(host, sizeof(host)) != 0)
        (void)snprintf(host, sizeof(host), "an unknown host");
    host[sizeof(host) - 1] = '\0';
    who[snprintf(who, sizeof(who), "process %ld on %s", (long)getpid(), host)] = '\n';
    /* Only told to others: a full disk must not keep the collector from what is on it. */
    (void)!disk->pwrite(disk, fd, who, sizeof(who), 0, NULL);
}

enum err store_lock(struct disk *disk, const char *folder, int *fd, struct err_info *info)
{
    char path[PATH_BYTES], who[HOLDER_MAX];
    enum err err;

    (void)snprintf(path, sizeof(path), "%s/lock", folder);
    err = disk->open(disk, path, O_RDWR | O_CREAT, 0600, fd, info);
    if (err) {
        *fd = -1;
        return err;
    }
    err = disk->lock(disk, *fd, info);
    if (!err) {
        write_holder(disk, *fd);
        return ERR_OK;
    }
    if (err == ERR_AGAIN) {
        read_holder(disk, *fd, who);
        err = err_fail(info, ERR_FULL,
                       "%s is in use by %s: each collector needs a folder of its own", folder, who);
    }
    disk->close(disk, *fd);
    *fd = -1;
    return err;
}
