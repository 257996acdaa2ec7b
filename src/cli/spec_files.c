#include "cli/spec_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 10000, DEPTH_MAX = 8, PATH_BYTES = 512, NAMES_MAX = 10000 };

static const char ending[] = "_spec.lua";

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void add_file(struct spec_files *f, const char *path)
{
    if (f->count == FILES_MAX)
        return;
    f->paths = realloc(f->paths, (f->count + 1) * sizeof(*f->paths));
    if (!f->paths || !(f->paths[f->count] = strdup(path)))
        err_no_memory("the names of specs");
    f->count++;
}

/* ---- folders ---- */

struct names {
    char **list;
    size_t count;
};

static void on_name(void *arg, const char *name)
{
    struct names *n = arg;

    if (*name == '.' || n->count == NAMES_MAX)
        return;
    n->list = realloc(n->list, (n->count + 1) * sizeof(*n->list));
    if (!n->list || !(n->list[n->count] = strdup(name)))
        abort();
    n->count++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_fini(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n->list);
}

/* Adds the specs below a folder. False: it is none. */
static bool add_folder(struct spec_files *f, struct disk *disk, const char *path, int depth)
{
    struct names names = {0};
    struct err_info info;
    char inner[PATH_BYTES];
    bool is_folder = disk->list(disk, path, on_name, &names, &info) == ERR_OK;

    if (is_folder && names.count)
        qsort(names.list, names.count, sizeof(*names.list), by_name);
    for (size_t i = 0; is_folder && i < names.count; i++) {
        int len = strcmp(path, ".") == 0
                      ? snprintf(inner, sizeof(inner), "%s", names.list[i])
                      : snprintf(inner, sizeof(inner), "%s/%s", path, names.list[i]);

        if (len >= (int)sizeof(inner))
            continue;
        if (ends_with(inner, ending))
            add_file(f, inner);
        else if (depth < DEPTH_MAX && !strchr(names.list[i], '.'))
            (void)add_folder(f, disk, inner, depth + 1);
    }
    names_fini(&names);
    return is_folder;
}

/* ---- arguments ---- */

/* The folder that a spec is about: what holds its spec/, or else its own. */
static void folder_of(const char *file, char folder[PATH_BYTES])
{
    const char *spec = strstr(file, "/spec/"), *slash = strrchr(file, '/');

    if (spec)
        snprintf(folder, PATH_BYTES, "%.*s", (int)(spec - file), file);
    else if (strncmp(file, "spec/", 5) == 0 || !slash)
        snprintf(folder, PATH_BYTES, ".");
    else
        snprintf(folder, PATH_BYTES, "%.*s", (int)(slash - file), file);
}

static enum err add_one(struct spec_files *f, struct disk *disk, const char *path,
                        struct err_info *info)
{
    enum err e;
    int fd;

    e = disk->open(disk, path, O_RDONLY, 0, &fd, info);
    if (e)
        return e;
    disk->close(disk, fd);
    add_file(f, path);
    return ERR_OK;
}

/* Those below its spec/; where there are none, those below itself. */
static enum err add_all(struct spec_files *f, struct disk *disk, const char *path,
                        struct err_info *info)
{
    size_t before = f->count;
    char inside[PATH_BYTES];
    bool is_folder;

    if (strcmp(path, ".") == 0)
        memcpy(inside, "spec", sizeof("spec"));
    else if (snprintf(inside, sizeof(inside), "%s/spec", path) >= (int)sizeof(inside))
        return err_fail(info, ERR_CONFIG, "the path is too long: %.100s...", path);
    is_folder = add_folder(f, disk, inside, 0);
    if (f->count == before)
        is_folder |= add_folder(f, disk, path, 0);
    if (!is_folder)
        return err_fail(info, ERR_CONFIG, "there is no file or folder %s", path);
    if (f->count == before)
        return err_fail(info, ERR_CONFIG, "there is no spec in %s: write %s/spec/NAME_spec.lua",
                        path, path);
    return ERR_OK;
}

static enum err add_path(struct spec_files *f, struct disk *disk, const char *path,
                         struct err_info *info)
{
    bool is_file = ends_with(path, ".lua");
    enum err e = is_file ? add_one(f, disk, path, info) : add_all(f, disk, path, info);

    if (e || f->folder[0])
        return e;
    if (is_file)
        folder_of(path, f->folder);
    else
        snprintf(f->folder, sizeof(f->folder), "%s", path);
    return ERR_OK;
}

enum err spec_files_find(struct spec_files *f, struct disk *disk, const char *const *paths,
                         size_t count, struct err_info *info)
{
    enum err e = ERR_OK;

    *f = (struct spec_files){.paths = NULL};
    if (count == 0)
        return add_path(f, disk, ".", info);
    for (size_t i = 0; i < count && !e; i++)
        e = add_path(f, disk, paths[i], info);
    return e;
}

void spec_files_fini(struct spec_files *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->paths[i]);
    free(f->paths);
    *f = (struct spec_files){.paths = NULL};
}
