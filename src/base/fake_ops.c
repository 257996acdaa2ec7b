#include "base/fake_ops.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static struct fake_op *op_new(enum fake_op_kind kind, uint32_t file, size_t len)
{
    struct fake_op *op = calloc(1, sizeof(*op));

    if (!op)
        err_no_memory("an operation");
    op->refs = 1;
    op->kind = kind;
    op->file = file;
    op->len = len;
    return op;
}

struct fake_op *fake_op_content(enum fake_op_kind kind, uint32_t file, uint64_t offset,
                                const void *data, size_t len)
{
    struct fake_op *op = op_new(kind, file, len);

    op->offset = offset;
    fake_pages_write(&op->content, offset % FAKE_PAGE, data, len);
    return op;
}

struct fake_op *fake_op_part(const struct fake_op *op, size_t len)
{
    struct fake_op *part = op_new(op->kind, op->file, len);

    part->offset = op->offset;
    fake_pages_put(&part->content, op->offset % FAKE_PAGE, &op->content, len);
    return part;
}

struct fake_op *fake_op_name(enum fake_op_kind kind, uint32_t file, const char *path,
                             const char *to)
{
    struct fake_op *op = op_new(kind, file, 0);

    op->path = strdup(path);
    op->to = to ? strdup(to) : NULL;
    if (!op->path || (to && !op->to))
        err_no_memory("an operation");
    return op;
}

void fake_op_unref(struct fake_op *op)
{
    if (--op->refs > 0)
        return;
    free(op->path);
    free(op->to);
    fake_pages_fini(&op->content);
    free(op);
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

bool fake_op_share_name(const struct fake_op *a, const struct fake_op *b)
{
    return same(a->path, b->path) || same(a->path, b->to) || same(a->to, b->path) ||
           same(a->to, b->to);
}

const char *fake_name_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    size_t len = strlen(folder), before = slash ? (size_t)(slash - path) : 0;

    while (len > 0 && folder[len - 1] == '/')
        len--;
    if (!slash)
        return strcmp(folder, ".") == 0 ? path : NULL;
    if (before != len || memcmp(path, folder, len) != 0 || slash[1] == '\0')
        return NULL;
    return slash + 1;
}

bool fake_op_in_folder(const struct fake_op *op, const char *folder)
{
    return fake_name_in(op->to ? op->to : op->path, folder) != NULL;
}

void fake_ops_add(struct fake_ops *ops, struct fake_op *op, bool lost)
{
    if (ops->count == ops->cap) {
        ops->cap = ops->cap ? ops->cap * 2 : 8;
        ops->at = realloc(ops->at, ops->cap * sizeof(*ops->at));
        if (!ops->at)
            err_no_memory("an operation");
    }
    op->refs++;
    ops->at[ops->count++] = (struct fake_op_entry){op, lost};
}

void fake_ops_drop(struct fake_ops *ops, size_t count)
{
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        fake_op_unref(ops->at[i].op);
    ops->count -= count;
    memmove(ops->at, ops->at + count, ops->count * sizeof(*ops->at));
}

void fake_ops_copy(struct fake_ops *to, const struct fake_ops *from)
{
    for (size_t i = 0; i < from->count; i++)
        fake_ops_add(to, from->at[i].op, from->at[i].lost);
}

void fake_ops_fini(struct fake_ops *ops)
{
    fake_ops_drop(ops, ops->count);
    free(ops->at);
    *ops = (struct fake_ops){0};
}
