/* fake_ops.h: what was done to the fake disk, as values that can be kept, shared and done again.
 * Private to the fake disk. One thread; aborts without memory.
 */
#pragma once

#include "base/fake_pages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_op_kind {
    FAKE_OP_WRITE,
    FAKE_OP_EMPTY,     /* the content is cut to nothing (O_TRUNC) */
    FAKE_OP_SYNC,      /* datasync */
    FAKE_OP_SYNC_LOST, /* a datasync that failed */
    FAKE_OP_CREATE,
    FAKE_OP_FOLDER,
    FAKE_OP_RENAME,
    FAKE_OP_UNLINK,
    FAKE_OP_SYNC_FOLDER
};

struct fake_op {
    unsigned refs;
    enum fake_op_kind kind;
    uint32_t file;   /* its id; not for operations on names, except the creating ones */
    char *path;      /* NULL for operations on content */
    char *to;        /* the new name, for a rename */
    uint64_t offset; /* of a write */
    size_t len;
    struct fake_pages content; /* of a write: len bytes from offset % FAKE_PAGE on */
};

/* In order. `lost`: a datasync failed after it, so that no later one makes it durable. */
struct fake_ops {
    struct fake_op_entry {
        struct fake_op *op;
        bool lost;
    } * at;
    size_t count, cap;
};

/* Owned by the caller (fake_op_unref). */
struct fake_op *fake_op_content(enum fake_op_kind kind, uint32_t file, uint64_t offset,
                                const void *data, size_t len);
/* The first `len` bytes of a write, owned by the caller. */
struct fake_op *fake_op_part(const struct fake_op *op, size_t len);
/* Copies the names; `to` may be NULL. */
struct fake_op *fake_op_name(enum fake_op_kind kind, uint32_t file, const char *path,
                             const char *to);
void fake_op_unref(struct fake_op *op);

/* Whether both touch one name, so that the later one can't be done without the earlier. */
bool fake_op_share_name(const struct fake_op *a, const struct fake_op *b);

/* Whether it changes a name that lies directly in the folder. */
bool fake_op_in_folder(const struct fake_op *op, const char *folder);

/* The part of `path` behind the folder, if it names something directly in it; else NULL. "." holds
 * those without a slash. */
const char *fake_name_in(const char *path, const char *folder);

/* Adds one more reference to op. */
void fake_ops_add(struct fake_ops *ops, struct fake_op *op, bool lost);
/* Drops the first `count`. */
void fake_ops_drop(struct fake_ops *ops, size_t count);
void fake_ops_copy(struct fake_ops *to, const struct fake_ops *from);
void fake_ops_fini(struct fake_ops *ops);
