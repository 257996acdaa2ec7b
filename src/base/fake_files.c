#include "base/fake_files.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct fake_name *name_find(const struct fake_names *names, const char *path)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].path, path) == 0)
            return &names->at[i];
    return NULL;
}

static void name_remove(struct fake_names *names, struct fake_name *name)
{
    if (!name)
        return;
    free(name->path);
    *name = names->at[--names->count];
}

static void name_set(struct fake_names *names, const char *path, struct fake_file *file)
{
    char *copy = strdup(path);

    name_remove(names, name_find(names, path));
    if (names->count == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 16;
        names->at = realloc(names->at, names->cap * sizeof(*names->at));
    }
    if (!copy || !names->at)
        err_no_memory("files");
    names->at[names->count++] = (struct fake_name){copy, file};
}

static void names_fini(struct fake_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i].path);
    free(names->at);
    *names = (struct fake_names){0};
}

static bool has_name(const struct fake_names *names, const struct fake_file *file)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->at[i].file == file)
            return true;
    return false;
}

struct fake_file *fake_files_find(const struct fake_files *f, const char *path)
{
    const struct fake_name *name = name_find(&f->now, path);

    return name ? name->file : NULL;
}

const char *fake_files_path(const struct fake_files *f, const struct fake_file *file)
{
    for (size_t i = 0; i < f->now.count; i++)
        if (f->now.at[i].file == file)
            return f->now.at[i].path;
    return "(removed)";
}

static struct fake_file *file_add(struct fake_files *f, uint32_t id, bool is_folder)
{
    struct fake_file *file = calloc(1, sizeof(*file));

    if (id >= f->ids) {
        f->by_id = realloc(f->by_id, (id + 1) * sizeof(struct fake_file *));
        if (!f->by_id)
            err_no_memory("files");
        memset(f->by_id + f->ids, 0, (id + 1 - f->ids) * sizeof(struct fake_file *));
        f->ids = id + 1;
    }
    if (!file)
        err_no_memory("files");
    file->id = id;
    file->is_folder = is_folder;
    return f->by_id[id] = file;
}

static void file_free(struct fake_file *file)
{
    fake_pages_fini(&file->now);
    fake_pages_fini(&file->durable);
    fake_ops_fini(&file->unsynced);
    free(file);
}

static bool may_come_back(const struct fake_files *f, const struct fake_file *file)
{
    for (size_t i = 0; i < f->unsynced.count; i++) {
        const struct fake_op *op = f->unsynced.at[i].op;

        if ((op->kind == FAKE_OP_CREATE || op->kind == FAKE_OP_FOLDER) && op->file == file->id)
            return true;
    }
    return has_name(&f->durable, file);
}

void fake_files_release(struct fake_files *f, struct fake_file *file)
{
    if (!file || file->opened || has_name(&f->now, file) || may_come_back(f, file))
        return;
    f->by_id[file->id] = NULL;
    file_free(file);
}

void fake_files_sweep(struct fake_files *f)
{
    for (uint32_t i = 0; i < f->ids; i++)
        fake_files_release(f, f->by_id[i]);
}

/* Whether a page that `op` wrote to was written again by `later`. */
static bool went_out_with(const struct fake_op *op, const struct fake_op_entry *later)
{
    uint64_t first = op->offset / FAKE_PAGE * FAKE_PAGE;
    uint64_t later_first = later->op->offset / FAKE_PAGE * FAKE_PAGE;

    if (later->lost)
        return false;
    return later->op->kind == FAKE_OP_EMPTY ||
           (later_first < op->offset + op->len && first < later->op->offset + later->op->len);
}

/* What is left waiting after a sync: changes that an earlier, failed one lost, unless their pages
 * go out now with another change. */
static void keep_lost(struct fake_file *file)
{
    const struct fake_ops *all = &file->unsynced;
    struct fake_ops left = {0};

    file->unsynced_bytes = 0;
    for (size_t i = 0; i < all->count; i++) {
        bool stays = all->at[i].lost;

        for (size_t j = i + 1; stays && j < all->count; j++)
            stays = !went_out_with(all->at[i].op, &all->at[j]);
        if (stays) {
            fake_ops_add(&left, all->at[i].op, true);
            file->unsynced_bytes += all->at[i].op->len;
        }
    }
    fake_ops_fini(&file->unsynced);
    file->unsynced = left;
}

/* The disk gets the pages that were changed, whole, as they are now. */
static void content_sync(struct fake_file *file)
{
    for (size_t i = 0; i < file->unsynced.count; i++) {
        const struct fake_op *op = file->unsynced.at[i].op;

        if (file->unsynced.at[i].lost)
            continue;
        if (op->kind == FAKE_OP_EMPTY)
            fake_pages_copy(&file->durable, &file->now);
        else
            fake_pages_share(&file->durable, &file->now, op->offset, op->len);
    }
    keep_lost(file);
}

static void content_do(struct fake_pages *pages, const struct fake_op *op)
{
    if (op->kind == FAKE_OP_EMPTY)
        fake_pages_resize(pages, 0);
    else
        fake_pages_put(pages, op->offset, &op->content, op->len);
}

/* The older half of what waits becomes durable. */
static void content_write_back(struct fake_file *file)
{
    size_t half = file->unsynced.count / 2 + 1;

    for (size_t i = 0; i < half; i++) {
        if (!file->unsynced.at[i].lost)
            content_do(&file->durable, file->unsynced.at[i].op);
        file->unsynced_bytes -= file->unsynced.at[i].op->len;
    }
    fake_ops_drop(&file->unsynced, half);
}

static void content_change(struct fake_file *file, struct fake_op *op)
{
    content_do(&file->now, op);
    fake_ops_add(&file->unsynced, op, false);
    file->unsynced_bytes += op->len;
    if (file->unsynced_bytes > FAKE_UNSYNCED_BYTES)
        content_write_back(file);
}

static void content_apply(struct fake_file *file, struct fake_op *op)
{
    switch (op->kind) {
    case FAKE_OP_SYNC:
        content_sync(file);
        return;
    case FAKE_OP_SYNC_LOST:
        for (size_t i = 0; i < file->unsynced.count; i++)
            file->unsynced.at[i].lost = true;
        return;
    default:
        content_change(file, op);
        return;
    }
}

static void names_apply(struct fake_files *f, struct fake_names *names, const struct fake_op *op)
{
    struct fake_name *name = name_find(names, op->path);
    struct fake_file *file = name ? name->file : NULL;

    if (op->kind == FAKE_OP_CREATE || op->kind == FAKE_OP_FOLDER) {
        name_set(names, op->path, f->by_id[op->file]);
        return;
    }
    name_remove(names, name);
    if (op->kind == FAKE_OP_RENAME && file)
        name_set(names, op->to, file);
}

void fake_files_apply_durable(struct fake_files *f, const struct fake_op *op)
{
    names_apply(f, &f->durable, op);
}

/* Makes the waiting changes of names in the folder durable (NULL: all), each with those that it
 * stands on, in order. */
static void names_settle(struct fake_files *f, const char *folder)
{
    struct fake_ops *waiting = &f->unsynced;
    struct fake_ops left = {0};
    bool *goes = calloc(waiting->count + 1, sizeof(bool));

    if (!goes)
        err_no_memory("files");
    for (size_t i = waiting->count; i-- > 0;) {
        goes[i] = !folder || fake_op_in_folder(waiting->at[i].op, folder);
        for (size_t j = i + 1; !goes[i] && j < waiting->count; j++)
            goes[i] = goes[j] && fake_op_share_name(waiting->at[i].op, waiting->at[j].op);
    }
    for (size_t i = 0; i < waiting->count; i++) {
        if (goes[i])
            fake_files_apply_durable(f, waiting->at[i].op);
        else
            fake_ops_add(&left, waiting->at[i].op, false);
    }
    free(goes);
    fake_ops_fini(waiting);
    *waiting = left;
    fake_files_sweep(f);
}

static void names_write_back(struct fake_files *f)
{
    for (size_t i = 0; i < FAKE_UNSYNCED_NAMES / 2; i++)
        fake_files_apply_durable(f, f->unsynced.at[i].op);
    fake_ops_drop(&f->unsynced, FAKE_UNSYNCED_NAMES / 2);
    fake_files_sweep(f);
}

static void name_change(struct fake_files *f, struct fake_op *op)
{
    struct fake_file *over = fake_files_find(f, op->kind == FAKE_OP_RENAME ? op->to : op->path);

    if (op->kind == FAKE_OP_CREATE || op->kind == FAKE_OP_FOLDER)
        file_add(f, op->file, op->kind == FAKE_OP_FOLDER);
    names_apply(f, &f->now, op);
    fake_ops_add(&f->unsynced, op, false);
    fake_files_release(f, over);
    if (f->unsynced.count > FAKE_UNSYNCED_NAMES)
        names_write_back(f);
}

void fake_files_apply(struct fake_files *f, struct fake_op *op)
{
    struct fake_file *file = op->file < f->ids ? f->by_id[op->file] : NULL;

    switch (op->kind) {
    case FAKE_OP_WRITE:
    case FAKE_OP_EMPTY:
    case FAKE_OP_SYNC:
    case FAKE_OP_SYNC_LOST:
        if (file)
            content_apply(file, op);
        return;
    case FAKE_OP_SYNC_FOLDER:
        names_settle(f, op->path);
        return;
    default:
        name_change(f, op);
        return;
    }
}

void fake_files_lose_folder(struct fake_files *f, const char *folder)
{
    size_t len = strlen(folder);

    for (size_t i = f->durable.count; i-- > 0;) {
        const char *path = f->durable.at[i].path;

        if (strncmp(path, folder, len) == 0 && path[len] == '/')
            name_remove(&f->durable, &f->durable.at[i]);
    }
}

static void names_copy(struct fake_names *to, const struct fake_names *from,
                       struct fake_file *const *by_id)
{
    for (size_t i = 0; i < from->count; i++)
        name_set(to, from->at[i].path, by_id[from->at[i].file->id]);
}

void fake_files_take_durable_names(struct fake_files *f)
{
    names_fini(&f->now);
    names_copy(&f->now, &f->durable, f->by_id);
    fake_ops_fini(&f->unsynced);
    fake_files_sweep(f);
}

void fake_file_settle(struct fake_file *file)
{
    fake_ops_fini(&file->unsynced);
    file->unsynced_bytes = 0;
    fake_pages_copy(&file->durable, &file->now);
}

void fake_files_settle(struct fake_files *f)
{
    for (uint32_t i = 0; i < f->ids; i++)
        if (f->by_id[i])
            fake_file_settle(f->by_id[i]);
    names_settle(f, NULL);
}

void fake_files_copy(struct fake_files *to, const struct fake_files *from)
{
    assert(to->ids == 0);
    to->by_id = calloc(from->ids + 1, sizeof(struct fake_file *));
    if (!to->by_id)
        err_no_memory("files");
    to->ids = from->ids;
    for (uint32_t i = 0; i < from->ids; i++) {
        const struct fake_file *old = from->by_id[i];
        struct fake_file *file;

        if (!old)
            continue;
        file = file_add(to, i, old->is_folder);
        fake_pages_copy(&file->now, &old->now);
        fake_pages_copy(&file->durable, &old->durable);
        fake_ops_copy(&file->unsynced, &old->unsynced);
        file->unsynced_bytes = old->unsynced_bytes;
    }
    names_copy(&to->now, &from->now, to->by_id);
    names_copy(&to->durable, &from->durable, to->by_id);
    fake_ops_copy(&to->unsynced, &from->unsynced);
    fake_files_sweep(to);
}

void fake_files_fini(struct fake_files *f)
{
    for (uint32_t i = 0; i < f->ids; i++)
        if (f->by_id[i])
            file_free(f->by_id[i]);
    free(f->by_id);
    names_fini(&f->now);
    names_fini(&f->durable);
    fake_ops_fini(&f->unsynced);
    *f = (struct fake_files){0};
}
