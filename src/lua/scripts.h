/* scripts.h: finds the file of a policy, processor or exporter.
 *
 * Looked for in this order: policies/TYPE.lua beside config.lua, policies.TYPE.lua there (for
 * folders that must be flat), then what the program carries. Reads through the disk interface.
 */
#pragma once

#include "base/disk.h"
#include "base/err.h"

#include <stddef.h>

#include <lua.h>

/* Where scripts of this state are: `disk` is borrowed for the state's life (NULL: built-in ones
 * only), `folder` is copied. config_load and config_replay call it. */
void lua_scripts_set(lua_State *L, struct disk *disk, const char *folder);

/* Reads scripts in place of disk_read_file: so that all states of one configuration see one text.
 */
typedef enum err lua_read_fn(void *arg, struct disk *disk, const char *path, size_t max,
                             char **text, size_t *len, struct err_info *info);
/* After lua_scripts_set. `arg` is borrowed for the state's life. */
void lua_scripts_read_by(lua_State *L, lua_read_fn *read, void *arg);

/* The script of that kind and type is at `path`, whatever the folders have. */
struct lua_script_at {
    const char *kind, *type, *path;
};
/* After lua_scripts_set. Borrowed for the state's life; NULL: none is. */
void lua_scripts_put(lua_State *L, const struct lua_script_at *at);

/* A script's text, owned by the caller (lua_script_fini). */
struct lua_script {
    char *text;
    size_t len;
    char name[512]; /* for messages: its path, or "policies/latency.lua (built in)" */
};

/* kind: "policy", "processor" or "exporter"; type: the name before the slash. ERR_AGAIN when there
 * is none, ERR_CONFIG when its file can't be read or `type` is no name; both with a sentence, which
 * names the nearest, or the file. */
enum err lua_find_script(lua_State *L, const char *kind, const char *type,
                         struct lua_script *script, struct err_info *info) MUST_CHECK;
void lua_script_fini(struct lua_script *script);

enum { LUA_KNOWN_MAX = 256, LUA_TYPE_BYTES = 64 };

/* Names of types; those of scripts have their text here. */
struct lua_known {
    char text[LUA_KNOWN_MAX][LUA_TYPE_BYTES + 1];
    const char *names[LUA_KNOWN_MAX];
    size_t count;
};
/* The types of this kind that the program carries. */
void lua_known_scripts(const char *kind, struct lua_known *known);
