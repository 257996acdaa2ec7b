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

/* Where the last folder called spec begins in the path; NULL: there is none. */
static const char *spec_in(const char *path)
{
    const char *found = NULL;

    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "spec", 4) == 0 && (at[4] == '/' || at[4] == '\0'))
            found = at;
    }
    return found;
}

/* The folder that `path`, of which `len` bytes count, is: "." for none, "/" for the root. */
static void take_folder(const char *path, size_t len, char folder[PATH_BYTES])
{
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0)
        path = ".";
    snprintf(folder, PATH_BYTES, "%.*s", len ? (int)len : 1, path);
}

/* The folder that a spec is about: what holds the spec/ that it is in, or else its own. */
static void folder_of(const char *file, char folder[PATH_BYTES])
{
    const char *spec = spec_in(file), *slash = strrchr(file, '/');
    size_t own = slash ? (size_t)(slash - file) + (slash == file) : 0;

    take_folder(file, spec ? (size_t)(spec - file) : own, folder);
}

/* The same of a folder of specs, which may be a spec/ itself. */
static void folder_of_specs(const char *path, char folder[PATH_BYTES])
{
    const char *spec = spec_in(path);

    take_folder(path, spec ? (size_t)(spec - path) : strlen(path), folder);
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

/* Those below its spec/; where there are none, those below itself, which may be a spec/. */
static enum err add_all(struct spec_files *f, struct disk *disk, const char *path,
                        char folder[PATH_BYTES], struct err_info *info)
{
    size_t before = f->count;
    char inside[PATH_BYTES];
    bool is_folder;

    if (strcmp(path, ".") == 0)
        memcpy(inside, "spec", sizeof("spec"));
    else if (snprintf(inside, sizeof(inside), "%s/spec", path) >= (int)sizeof(inside))
        return err_fail(info, ERR_CONFIG, "the path is too long: %.100s...", path);
    take_folder(path, strlen(path), folder);
    is_folder = add_folder(f, disk, inside, 0);
    if (f->count == before) {
        folder_of_specs(path, folder);
        is_folder |= add_folder(f, disk, path, 0);
    }
    if (!is_folder)
        return err_fail(info, ERR_CONFIG, "there is no file or folder %s", path);
    if (f->count == before)
        return err_fail(info, ERR_CONFIG, "there is no spec in %s: write %s/spec/NAME_spec.lua",
                        path, folder);
    return ERR_OK;
}

static enum err add_path(struct spec_files *f, struct disk *disk, const char *path,
                         struct err_info *info)
{
    char plain[PATH_BYTES], folder[PATH_BYTES];
    enum err e;

    take_folder(path, strlen(path), plain); /* "spec/" is spec */
    if (ends_with(path, ".lua")) {
        folder_of(path, folder);
        e = add_one(f, disk, path, info);
    } else {
        e = add_all(f, disk, plain, folder, info);
    }
    if (!e && !f->folder[0])
        snprintf(f->folder, sizeof(f->folder), "%s", folder);
    return e;
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
