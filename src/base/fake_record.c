#include "base/fake_record.h"

#include "base/err.h"
#include "base/fake_crash.h"
#include "base/fake_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void fake_record_add(struct fake_record *r, struct fake_op *op)
{
    if (r)
        fake_ops_add(&r->ops, op, false);
}

const struct fake_files *fake_record_at(struct fake_record *r, size_t n)
{
    assert(n <= r->ops.count);
    if (n < r->done || r->cursor.ids == 0) {
        fake_files_fini(&r->cursor);
        fake_files_copy(&r->cursor, &r->base);
        r->done = 0;
    }
    for (; r->done < n; r->done++)
        fake_files_apply(&r->cursor, r->ops.at[r->done].op);
    return &r->cursor;
}

void fake_record_free(struct fake_record *r)
{
    if (!r)
        return;
    fake_files_fini(&r->base);
    fake_files_fini(&r->cursor);
    fake_ops_fini(&r->ops);
    free(r);
}

void fake_disk_record(struct fake_disk *f)
{
    fake_record_free(f->record);
    f->record = calloc(1, sizeof(*f->record));
    if (!f->record)
        err_no_memory("a record");
    fake_files_settle(f->files);
    fake_files_copy(&f->record->base, f->files);
}

size_t fake_disk_operations(const struct fake_disk *f)
{
    assert(f->record);
    return f->record->ops.count;
}

void fake_disk_describe(const struct fake_disk *f, size_t i, char *text, size_t size)
{
    static const char *const verbs[] = {[FAKE_OP_WRITE] = "write",
                                        [FAKE_OP_EMPTY] = "empty",
                                        [FAKE_OP_SYNC] = "sync",
                                        [FAKE_OP_SYNC_LOST] = "fail to sync",
                                        [FAKE_OP_CREATE] = "create",
                                        [FAKE_OP_FOLDER] = "create folder",
                                        [FAKE_OP_RENAME] = "rename",
                                        [FAKE_OP_UNLINK] = "remove",
                                        [FAKE_OP_SYNC_FOLDER] = "sync folder"};
    const struct fake_op *op = f->record->ops.at[i].op;
    const struct fake_file *file = op->file < f->files->ids ? f->files->by_id[op->file] : NULL;
    int len = snprintf(text, size, "%s %s", verbs[op->kind],
                       op->path ? op->path
                       : file   ? fake_files_path(f->files, file)
                                : "(removed)");

    if (len < 0 || (size_t)len >= size)
        return;
    if (op->kind == FAKE_OP_WRITE)
        snprintf(text + len, size - (size_t)len, " %llu+%zu", (unsigned long long)op->offset,
                 op->len);
    else if (op->to)
        snprintf(text + len, size - (size_t)len, " to %s", op->to);
}

/* The operation that is under way when the crash comes, done in part: a kill may cut a write at
 * any byte; to a power cut it is one more that was not synced. */
static void begin_operation(struct fake_files *files, const struct fake_op *next, enum crash crash,
                            struct rng *rng)
{
    struct fake_op *part;

    if (next->kind == FAKE_OP_WRITE) {
        size_t len = crash == CRASH_KILL ? (size_t)rng_below(rng, next->len + 1) : next->len;

        part = fake_op_part(next, len);
    } else if (next->path && next->kind != FAKE_OP_SYNC_FOLDER) {
        part = fake_op_name(next->kind, next->file, next->path, next->to);
    } else {
        return;
    }
    fake_files_apply(files, part);
    fake_op_unref(part);
}

/* A disk with a copy of these files, which nobody has open. */
static void disk_of(struct fake_disk *to, const struct fake_files *files, const struct fake_disk *f)
{
    fake_disk_init(to);
    to->full = f->full;
    to->capacity = f->capacity;
    fake_files_copy(to->files, files);
}

void fake_disk_state_at(struct fake_disk *f, size_t n, enum crash crash, struct rng *rng,
                        struct fake_disk *to)
{
    const struct fake_ops *ops = &f->record->ops;

    disk_of(to, fake_record_at(f->record, n), f);
    if (rng && n < ops->count && rng_below(rng, 2) == 0)
        begin_operation(to->files, ops->at[n].op, crash, rng);
    if (crash == CRASH_POWER)
        fake_files_cut_power(to->files, rng);
}

void fake_disk_crash(const struct fake_disk *f, enum crash crash, struct rng *rng,
                     struct fake_disk *to)
{
    disk_of(to, f->files, f);
    if (crash == CRASH_POWER)
        fake_files_cut_power(to->files, rng);
}
