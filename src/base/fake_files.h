/* fake_files.h: the fake disk's files and names, as they are now and as a power cut would leave
 * them. Private to the fake disk. One thread; aborts without memory.
 *
 * Content and names are durable apart from each other. Each change waits in a list until a sync
 * makes it durable; a crash draws which of the waiting ones the disk had got.
 */
#pragma once

#include "base/fake_ops.h"
#include "base/fake_pages.h"

#include <stdbool.h>

/* Waiting changes beyond these are durable without a sync: the kernel writes back in its time. */
enum { FAKE_UNSYNCED_BYTES = 8 << 20, FAKE_UNSYNCED_NAMES = 4096 };

struct fake_file {
    uint32_t id;
    bool is_folder;
    unsigned opened; /* how many descriptors it has */
    int locked_by;   /* a descriptor, or 0 */
    struct fake_pages now, durable;
    struct fake_ops unsynced; /* writes and cuts */
    size_t unsynced_bytes;
};

struct fake_names {
    struct fake_name {
        char *path;
        struct fake_file *file;
    } * at;
    size_t count, cap;
};

struct fake_files {
    struct fake_names now, durable;
    struct fake_ops unsynced; /* operations on names */
    struct fake_file **by_id; /* NULL: gone */
    uint32_t ids;             /* how many were ever given */
};

/* The file of that name now, or NULL. */
struct fake_file *fake_files_find(const struct fake_files *f, const char *path);

/* A name of the file, now; "(removed)" if it has none. */
const char *fake_files_path(const struct fake_files *f, const struct fake_file *file);

/* Does op; it must be possible, except that content of a file that is gone is passed over. Keeps
 * a reference as long as it waits. */
void fake_files_apply(struct fake_files *f, struct fake_op *op);

/* Does op to the durable names only. */
void fake_files_apply_durable(struct fake_files *f, const struct fake_op *op);

/* Removes durable names in and below the folder. */
void fake_files_lose_folder(struct fake_files *f, const char *folder);

/* The names now are the durable ones. */
void fake_files_take_durable_names(struct fake_files *f);

/* The file's content now is the durable one. */
void fake_file_settle(struct fake_file *file);

/* Everything waiting becomes durable. */
void fake_files_settle(struct fake_files *f);

/* Frees the file if it has neither a name, now or perhaps after a crash, nor a descriptor. */
void fake_files_release(struct fake_files *f, struct fake_file *file);
/* The same for all. */
void fake_files_sweep(struct fake_files *f);

/* `to` is all zeros. Descriptors are not copied. */
void fake_files_copy(struct fake_files *to, const struct fake_files *from);
void fake_files_fini(struct fake_files *f);
