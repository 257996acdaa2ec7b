/* Which specs `moontail test` runs, and where it looks for scripts. */
#include "check.h"
#include "cli/spec_files.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err_info info;

static const char *const there[] = {
    "shop/spec/b_spec.lua", "shop/spec/a_spec.lua",       "shop/spec/deep/c_spec.lua",
    "shop/spec/helper.lua", "shop/spec/.hidden_spec.lua", "shop/policies/a.lua",
    "flat/x_spec.lua",      "flat/inner/y_spec.lua",      "spec/here_spec.lua",
    "empty/policies/a.lua",
};

/* Makes an empty file, and the folders that it lies in. */
static void put(const char *path)
{
    char folder[100];
    FILE *file;

    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
        (void)mkdir(folder, 0700);
    }
    file = fopen(path, "w");
    CHECK(file != NULL);
    if (file)
        fclose(file);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Whether `path` (NULL: no argument) finds these files, in this order, and this folder. */
static bool finds(const char *path, const char *folder, const char *expected)
{
    struct spec_files f;
    char found[1000] = "";
    enum err e;
    bool same;

    e = spec_files_find(&f, disk_system(), &path, path != NULL, &info);
    for (size_t i = 0; i < f.count; i++)
        snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", f.paths[i]);
    same = !e && strcmp(found, expected) == 0 && strcmp(f.folder, folder) == 0;
    if (!same)
        printf("  found %s in %s\n", found, f.folder);
    spec_files_fini(&f);
    return same;
}

static void a_folder_has_those_below_its_spec_sorted(void)
{
    CHECK(finds("shop", "shop",
                "shop/spec/a_spec.lua shop/spec/b_spec.lua shop/spec/deep/c_spec.lua "));
    CHECK(finds(NULL, ".", "spec/here_spec.lua "));
    CHECK(finds("flat", "flat", "flat/inner/y_spec.lua flat/x_spec.lua "));
}

static void a_folder_of_specs_has_its_scripts_beside_spec_as_a_file_has(void)
{
    char here[500], path[600], folder[600], found[2000];

    CHECK(finds("spec", ".", "spec/here_spec.lua "));
    CHECK(finds("spec/", ".", "spec/here_spec.lua "));
    CHECK(finds("./spec", ".", "./spec/here_spec.lua "));
    CHECK(finds("shop/spec/deep", "shop", "shop/spec/deep/c_spec.lua "));
    CHECK(getcwd(here, sizeof(here)) != NULL);
    snprintf(path, sizeof(path), "%s/spec", here);
    snprintf(found, sizeof(found), "%s/spec/here_spec.lua ", here);
    CHECK(finds(path, here, found));
    /* a project in a folder that happens to be called so */
    snprintf(folder, sizeof(folder), "%s/spec/inner", here);
    snprintf(found, sizeof(found), "%s/spec/inner/spec/own_spec.lua ", here);
    put("spec/inner/spec/own_spec.lua");
    CHECK(finds(folder, folder, found));
    CHECK(finds("spec/inner/spec", "spec/inner", "spec/inner/spec/own_spec.lua "));
    CHECK(finds("spec/inner/spec/own_spec.lua", "spec/inner", "spec/inner/spec/own_spec.lua "));
    CHECK(remove("spec/inner/spec/own_spec.lua") == 0);
}

static void a_file_is_one_and_its_scripts_lie_beside_spec(void)
{
    CHECK(finds("shop/spec/a_spec.lua", "shop", "shop/spec/a_spec.lua "));
    CHECK(finds("shop/spec/helper.lua", "shop", "shop/spec/helper.lua "));
    CHECK(finds("shop/spec/deep/c_spec.lua", "shop", "shop/spec/deep/c_spec.lua "));
    CHECK(finds("spec/here_spec.lua", ".", "spec/here_spec.lua "));
    CHECK(finds("flat/x_spec.lua", "flat", "flat/x_spec.lua "));
}

static void where_there_is_none_a_sentence_says_what_to_write(void)
{
    CHECK(!finds("empty", "", ""));
    CHECK(strcmp(info.text, "there is no spec in empty: write empty/spec/NAME_spec.lua") == 0);
    CHECK(!finds("shop/spec/none_spec.lua", "", ""));
    CHECK(strstr(info.text, "shop/spec/none_spec.lua"));
}

int main(void)
{
    char folder[] = "/tmp/spec_files.XXXXXX";

    CHECK(mkdtemp(folder) && chdir(folder) == 0);
    for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++)
        put(there[i]);
    RUN(a_folder_has_those_below_its_spec_sorted);
    RUN(a_folder_of_specs_has_its_scripts_beside_spec_as_a_file_has);
    RUN(a_file_is_one_and_its_scripts_lie_beside_spec);
    RUN(where_there_is_none_a_sentence_says_what_to_write);
    CHECK(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    return DONE();
}
