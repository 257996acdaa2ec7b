#include "base/fake_disk.h"
#include "check.h"
#include "lua/scripts.h"
#include "lua/state.h"

#include <fcntl.h>

static struct err_info info;

static void put(struct fake_disk *disk, const char *path, const char *text)
{
    int fd;

    CHECK(!disk->disk.open(&disk->disk, path, O_CREAT | O_WRONLY, 0600, &fd, NULL));
    CHECK(!disk->disk.pwrite(&disk->disk, fd, text, strlen(text), 0, NULL));
    disk->disk.close(&disk->disk, fd);
}

static lua_State *state(struct fake_disk *disk)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_ON});

    fake_disk_init(disk);
    lua_scripts_set(L, &disk->disk, "/etc/m");
    return L;
}

static void fini(lua_State *L, struct fake_disk *disk)
{
    CHECK(lua_gettop(L) == 0);
    lua_state_close(L);
    fake_disk_fini(disk);
}

/* Which file serves policy "latency". */
static bool found(lua_State *L, const char *name, const char *text)
{
    struct lua_script script;
    bool same;

    if (lua_find_script(L, "policy", "latency", &script, &info)) {
        printf("  got: %s\n", info.text);
        return false;
    }
    same = strcmp(script.name, name) == 0 && (!text || strcmp(script.text, text) == 0);
    lua_script_fini(&script);
    return same;
}

static void a_folder_comes_before_a_flat_file_before_the_built_in_one(void)
{
    struct fake_disk disk;
    lua_State *L = state(&disk);

    CHECK(found(L, "lua/policies/latency.lua", NULL));
    put(&disk, "/etc/m/policies.latency.lua", "flat");
    CHECK(found(L, "/etc/m/policies.latency.lua", "flat"));
    put(&disk, "/etc/m/policies/latency.lua", "folder");
    CHECK(found(L, "/etc/m/policies/latency.lua", "folder"));
    fini(L, &disk);
}

static void a_file_that_cannot_be_read_is_not_passed_over(void)
{
    struct fake_disk disk;
    lua_State *L = state(&disk);
    struct lua_script script;

    put(&disk, "/etc/m/policies/latency.lua", "folder");
    disk.fail_at = 1;
    disk.fail_as = ERR_IO;
    CHECK(lua_find_script(L, "policy", "latency", &script, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "/etc/m/policies/latency.lua") != NULL);
    fini(L, &disk);
}

static void a_name_that_is_not_there_says_where_it_was_looked_for(void)
{
    struct fake_disk disk;
    lua_State *L = state(&disk);
    struct lua_script script;
    static const char start[] =
        "there is no policy \"latencey\" (did you mean \"latency\"?); looked for "
        "/etc/m/policies/latencey.lua, /etc/m/policies.latencey.lua and the built-in ones: ";

    CHECK(lua_find_script(L, "policy", "latencey", &script, &info) == ERR_AGAIN);
    CHECK(strncmp(info.text, start, sizeof(start) - 1) == 0);
    CHECK(strstr(info.text, "always_sample") != NULL && script.text == NULL);
    fini(L, &disk);
}

static void a_name_stays_in_its_folder(void)
{
    struct fake_disk disk;
    lua_State *L = state(&disk);
    struct lua_script script;

    put(&disk, "/etc/m/x.lua", "outside");
    CHECK(lua_find_script(L, "policy", "../x", &script, &info) == ERR_CONFIG);
    CHECK(strcmp(info.text, "policy \"../x\" is not a name; allowed: letters, digits and _") == 0);
    CHECK(lua_find_script(L, "policy", "", &script, &info) == ERR_CONFIG);
    fini(L, &disk);
}

static void without_a_folder_only_built_in_ones_are_found(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_ON});
    struct lua_script script;

    CHECK(found(L, "lua/policies/latency.lua", NULL));
    CHECK(lua_find_script(L, "exporter", "zzz", &script, &info) == ERR_AGAIN);
    CHECK(strncmp(info.text, "there is no exporter \"zzz\"; looked for the built-in ones: ", 58) ==
          0);
    lua_state_close(L);
}

int main(void)
{
    RUN(a_folder_comes_before_a_flat_file_before_the_built_in_one);
    RUN(a_file_that_cannot_be_read_is_not_passed_over);
    RUN(a_name_that_is_not_there_says_where_it_was_looked_for);
    RUN(a_name_stays_in_its_folder);
    RUN(without_a_folder_only_built_in_ones_are_found);
    return DONE();
}
