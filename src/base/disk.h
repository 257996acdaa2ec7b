/* disk.h: files behind one narrow interface, so that tests can break each call.
 *
 * Errors are ERR_IO (ERR_FULL for ENOSPC and EDQUOT) with a sentence that names the path and the
 * system's reason in info. Any thread.
 */
#pragma once

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DISK_PARTS_MAX = 16, DISK_DIRECT_ALIGN = 4096 };

struct disk {
    /* flags and mode as open(2); O_CLOEXEC is added, and O_NONBLOCK: no name makes a thread wait,
     * and what is a pipe fails when it is read. */
    enum err (*open)(struct disk *d, const char *path, int flags, mode_t mode, int *fd,
                     struct err_info *info);
    /* Writes all of it at `offset`. After an error any part of it may have been written. */
    enum err (*pwrite)(struct disk *d, int fd, const void *data, size_t len, uint64_t offset,
                       struct err_info *info);
    /* The same for up to DISK_PARTS_MAX parts, one behind the other, in order. */
    enum err (*pwritev)(struct disk *d, int fd, const struct slice *parts, unsigned count,
                        uint64_t offset, struct err_info *info);
    /* The same past the page cache, for what is synced at once anyway: nothing is copied, and the
     * disk has it when this returns (a datasync is needed all the same). `offset`, and address and
     * length of each part, are multiples of DISK_DIRECT_ALIGN. ERR_IO also where the file system
     * can't: pwritev can. No other call has the descriptor meanwhile. */
    enum err (*pwritev_direct)(struct disk *d, int fd, const struct slice *parts, unsigned count,
                               uint64_t offset, struct err_info *info);
    /* Reads up to len; *got < len only at the end of the file. */
    enum err (*pread)(struct disk *d, int fd, void *data, size_t len, uint64_t offset, size_t *got,
                      struct err_info *info);
    enum err (*size)(struct disk *d, int fd, uint64_t *bytes, struct err_info *info);
    /* Whether the open file is the one at `path`; not if another or none is there now. */
    enum err (*is_at)(struct disk *d, int fd, const char *path, bool *is, struct err_info *info);
    /* fdatasync: what was written survives a power cut. After an error nothing that was written
     * since the last success may be trusted to, whatever a later call returns. */
    enum err (*datasync)(struct disk *d, int fd, struct err_info *info);
    /* Names in this folder (made, renamed, removed) survive a power cut. */
    enum err (*sync_folder)(struct disk *d, const char *path, struct err_info *info);
    enum err (*rename)(struct disk *d, const char *from, const char *to, struct err_info *info);
    enum err (*unlink)(struct disk *d, const char *path, struct err_info *info); /* absent: OK */
    enum err (*mkdir)(struct disk *d, const char *path, mode_t mode,
                      struct err_info *info); /* there: OK */
    /* Calls fn with each name in the folder, subfolders too, but not "." and ".."; any order.
     * The name is borrowed for that call. After an error fn may have seen some of them. fn must not
     * use the disk. */
    enum err (*list)(struct disk *d, const char *path, void (*fn)(void *arg, const char *name),
                     void *arg, struct err_info *info);
    /* Locks the file for this descriptor until it is closed. ERR_AGAIN: another descriptor, of
     * this process or another, holds it; the file's content may say who. */
    enum err (*lock)(struct disk *d, int fd, struct err_info *info);
    /* Of the file system that holds `path`: what this user may still take, and its size. */
    enum err (*space)(struct disk *d, const char *path, uint64_t *free_bytes, uint64_t *total_bytes,
                      struct err_info *info);
    /* Lets this part of the file leave the page cache once it is on disk; len 0: to its end. Only
     * advice. */
    void (*forget)(struct disk *d, int fd, uint64_t offset, uint64_t len);
    void (*close)(struct disk *d, int fd);
};

/* The system's files. */
struct disk *disk_system(void);

/* A whole file, owned by the caller (free), with a NUL after its *len bytes. At most `max`. */
enum err disk_read_file(struct disk *d, const char *path, size_t max, char **data, size_t *len,
                        struct err_info *info) MUST_CHECK;
