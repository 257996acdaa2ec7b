#include "base/hash.h"
#include "config/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { FILE_MAX = 1024 * 1024, ANSWERS_MAX = 64 * 1024 * 1024 };

struct config_recording *recording_new(char *text, size_t len)
{
    struct config_recording *r = calloc(1, sizeof(*r));

    if (!r)
        err_no_memory("the configuration");
    *r = (struct config_recording){.text = text, .len = len};
    r->last = &r->answers;
    return r;
}

void config_recording_free(struct config_recording *r)
{
    if (!r)
        return;
    while (r->answers) {
        struct config_answer *next = r->answers->next;

        free(r->answers->text);
        free(r->answers);
        r->answers = next;
    }
    free(r->text);
    free(r);
}

static const struct config_answer *find(const struct config_recording *r, const char *question)
{
    for (const struct config_answer *a = r->answers; a; a = a->next)
        if (strcmp(a->question, question) == 0)
            return a;
    return NULL;
}

/* Takes `text`. */
static const struct config_answer *record(struct config_recording *r, const char *question,
                                          char *text, size_t len)
{
    struct config_answer *a = malloc(sizeof(*a) + strlen(question) + 1);

    if (!a)
        err_no_memory("the configuration");
    *a = (struct config_answer){.text = text, .len = len};
    memcpy(a->question, question, strlen(question) + 1);
    *r->last = a;
    r->last = &a->next;
    return a;
}

static const struct config_answer *answer_env(struct loader *l, const char *question,
                                              const char *name)
{
    const char *value = getenv(name);

    return record(l->recording, question, value ? strdup(value) : NULL, value ? strlen(value) : 0);
}

/* Relative paths are from config.lua's folder. */
static const struct config_answer *answer_file(struct loader *l, const char *question,
                                               const char *name, struct err_info *info)
{
    char path[4096];
    char *text;
    size_t len;

    if (name[0] == '/')
        snprintf(path, sizeof(path), "%s", name);
    else
        snprintf(path, sizeof(path), "%s/%s", l->folder, name);
    if (disk_read_file(l->source->disk, path, FILE_MAX, &text, &len, info))
        return NULL;
    return record(l->recording, question, text, len);
}

static int ask(lua_State *L)
{
    struct loader *l = lua_touserdata(L, lua_upvalueindex(1));
    const char *kind = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
    const char *question = lua_pushfstring(L, "%s %s", kind, name);
    const struct config_answer *a = find(l->recording, question);
    struct err_info info = {.text = "was not asked for in the first run"};

    if (!a && !l->replay)
        a = strcmp(kind, "env") == 0 ? answer_env(l, question, name)
                                     : answer_file(l, question, name, &info);
    if (a && a->text) {
        lua_pushlstring(L, a->text, a->len);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, info.text);
    return 2;
}

void recording_push_ask(lua_State *L, struct loader *loader)
{
    lua_pushlightuserdata(L, loader);
    lua_pushcclosure(L, ask, 1);
}

/* ---- scripts ---- */

static void question_of(const struct config_recording *r, const char *path, char question[600])
{
    size_t len = strlen(path), skipped = len > r->folder_len ? r->folder_len : 0;

    snprintf(question, 600, "script %s", path + skipped);
}

static enum err give(const struct config_answer *a, const char *path, char **text, size_t *len,
                     struct err_info *info)
{
    if (!a->text)
        return err_fail(info, ERR_IO, "%s: no such file", path);
    *len = a->len;
    *text = malloc(a->len + 1);
    if (!*text)
        err_no_memory("the configuration");
    memcpy(*text, a->text, a->len);
    (*text)[a->len] = '\0';
    return ERR_OK;
}

enum err recording_read_again(void *recording, struct disk *disk, const char *path, size_t max,
                              char **text, size_t *len, struct err_info *info)
{
    const struct config_answer *a;
    char question[600];

    question_of(recording, path, question);
    a = find(recording, question);
    return a ? give(a, path, text, len, info) : disk_read_file(disk, path, max, text, len, info);
}

enum err recording_read(void *recording, struct disk *disk, const char *path, size_t max,
                        char **text, size_t *len, struct err_info *info)
{
    struct config_recording *r = recording;
    const struct config_answer *a;
    char question[600], *read = NULL;
    size_t read_len = 0;
    enum err e = ERR_OK;

    question_of(r, path, question);
    a = find(r, question);
    if (!a) {
        e = disk_read_file(disk, path, max, &read, &read_len, info);
        if (e && !strcasestr(info->text, ": no such file"))
            return e;
        a = record(r, question, read, read_len);
    }
    return give(a, path, text, len, info);
}

/* Length before text, so that no two recordings run together to the same bytes. */
static void add(struct buf *b, const char *text, size_t len)
{
    buf_printf(b, "%zu:", len);
    buf_append(b, text, len);
}

uint64_t recording_hash(const struct config_recording *r)
{
    struct hash_key zero = {0, 0};
    struct buf all;
    uint64_t hash;

    buf_init(&all, ANSWERS_MAX, NULL);
    add(&all, r->text, r->len);
    for (const struct config_answer *a = r->answers; a; a = a->next) {
        add(&all, a->question, strlen(a->question));
        if (a->text)
            add(&all, a->text, a->len);
    }
    hash = siphash24(zero, all.data, all.len);
    buf_fini(&all);
    return hash;
}
