/* disk.h: files behind one narrow interface, so that tests can break each call.
 *
 * Errors are ERR_IO (ERR_FULL for ENOSPC and EDQUOT) with a sentence that names the path in
 * info. Any thread.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct disk {
    /* flags and mode as open(2); O_CLOEXEC is added. */
    enum err (*open)(struct disk *d, const char *path, int flags, mode_t mode, int *fd,
                     struct err_info *info);
    /* Writes all of it at `offset`. */
    enum err (*pwrite)(struct disk *d, int fd, const void *data, size_t len, uint64_t offset,
                       struct err_info *info);
    /* Reads up to len; *got < len only at the end of the file. */
    enum err (*pread)(struct disk *d, int fd, void *data, size_t len, uint64_t offset, size_t *got,
                      struct err_info *info);
    enum err (*size)(struct disk *d, int fd, uint64_t *bytes, struct err_info *info);
    enum err (*datasync)(struct disk *d, int fd, struct err_info *info);
    enum err (*rename)(struct disk *d, const char *from, const char *to, struct err_info *info);
    enum err (*unlink)(struct disk *d, const char *path, struct err_info *info); /* absent: OK */
    enum err (*mkdir)(struct disk *d, const char *path, mode_t mode,
                      struct err_info *info); /* there: OK */
    void (*close)(struct disk *d, int fd);
};

/* The system's files. */
struct disk *disk_system(void);

/* A whole file, owned by the caller (free), with a NUL after its *len bytes. At most `max`. */
enum err disk_read_file(struct disk *d, const char *path, size_t max, char **data, size_t *len,
                        struct err_info *info) MUST_CHECK;

enum { FAKE_DISK_OPEN = 64 }; /* so many files may be open at once */

/* Files in memory; folders need not be made. A file that is unlinked or renamed over lives on
 * while it is open. One thread. `fail_at`: the n-th call from now (1 = the next) fails with
 * `fail_as` (ERR_IO or ERR_FULL) and does nothing; 0: none. */
struct fake_disk {
    struct disk disk;
    unsigned fail_at;
    enum err fail_as;
    struct fake_file *files;
    struct fake_file *open[FAKE_DISK_OPEN];
};

void fake_disk_init(struct fake_disk *f);
void fake_disk_fini(struct fake_disk *f);
