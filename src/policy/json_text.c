#include "policy/json_text.h"

#include "base/utf8.h"
#include "lua/host.h"
#include "lua/state.h"
#include "otlp/json.h"
#include "policy/access.h"
#include "policy/regex.h"
#include "policy/whole.h"

#include <endian.h>
#include <stdlib.h>
#include <yyjson.h>

#include <lauxlib.h>

enum { MAX_DEPTH = 64, FEW_KEYS = 32, LOOK_VALUES = 256 };
enum { FIRST_BYTES = 4096, KEPT_BYTES = 256 * 1024 }; /* of the state's text */

struct writer {
    struct buf *out;
    unsigned values; /* so far */
};

static void put(lua_State *L, struct writer *w, int depth);

/* ---- maps ---- */

/* A key of a map; all keys of the map lie on the stack, above it. */
struct map_key {
    uint64_t prefix; /* its first bytes, in their order */
    struct slice text;
    int index;
};

static uint64_t prefix_of(struct slice text)
{
    uint8_t bytes[8] = {0};

    memcpy(bytes, text.data, text.len < 8 ? text.len : 8);
    return be64toh(*(const uint64_t *)(const void *)bytes);
}

static bool is_before(const struct map_key *a, const struct map_key *b)
{
    size_t len = a->text.len < b->text.len ? a->text.len : b->text.len;
    int order;

    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    order = len ? memcmp(a->text.data, b->text.data, len) : 0;
    return order ? order < 0 : a->text.len < b->text.len;
}

static int compare_keys(const void *a, const void *b)
{
    return is_before(a, b) ? -1 : is_before(b, a);
}

static void sort_few(struct map_key *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct map_key key = keys[i];
        size_t at = i;

        for (; at > 0 && is_before(&key, &keys[at - 1]); at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* Leaves the keys of the table on top above it; how many there are. */
static size_t push_keys(lua_State *L)
{
    size_t n = 0;

    lua_pushnil(L);
    while (lua_next(L, -(int)n - 2)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "a table for JSON is a list or has string keys");
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        luaL_checkstack(L, 8, "a table for JSON has too many keys");
        n++;
    }
    return n;
}

/* The same with each one's value above it, where there are few of them; else more than FEW_KEYS. */
static size_t push_members(lua_State *L, int map)
{
    size_t n = 0;

    lua_pushnil(L);
    while (lua_next(L, map)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "a table for JSON is a list or has string keys");
        if (++n > FEW_KEYS)
            break;
        lua_pushvalue(L, -2);
    }
    return n;
}

/* They lie on the stack from `first` on, `step` slots apart. */
static void read_keys(lua_State *L, struct map_key *keys, size_t count, int first, int step)
{
    for (size_t i = 0; i < count; i++) {
        struct map_key *key = &keys[i];

        key->index = first + (int)i * step;
        key->text.data = (const uint8_t *)lua_tolstring(L, key->index, &key->text.len);
        key->prefix = prefix_of(key->text);
    }
}

static void put_key(struct writer *w, const struct map_key *keys, size_t i)
{
    if (i > 0)
        buf_byte(w->out, ',');
    json_put_string(w->out, keys[i].text);
    buf_byte(w->out, ':');
}

static void put_few(lua_State *L, struct writer *w, int map, size_t count, int depth)
{
    struct map_key keys[FEW_KEYS];

    read_keys(L, keys, count, map + 1, 2);
    sort_few(keys, count);
    for (size_t i = 0; i < count; i++) {
        put_key(w, keys, i);
        lua_pushvalue(L, keys[i].index + 1);
        put(L, w, depth);
        lua_pop(L, 1);
    }
}

static void put_many(lua_State *L, struct writer *w, int map, int depth)
{
    size_t count = push_keys(L);
    struct map_key *keys = lua_newuserdata(L, count * sizeof(*keys)); /* Lua frees them */

    lua_insert(L, map + 1);
    read_keys(L, keys, count, map + 2, 1);
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < count; i++) {
        put_key(w, keys, i);
        lua_pushvalue(L, keys[i].index);
        lua_rawget(L, map);
        put(L, w, depth);
        lua_pop(L, 1);
    }
}

static void put_map(lua_State *L, struct writer *w, int depth)
{
    int map = lua_gettop(L);
    size_t count;

    luaL_checkstack(L, 2 * FEW_KEYS + 8, "JSON");
    buf_byte(w->out, '{');
    count = push_members(L, map);
    if (count <= FEW_KEYS) {
        put_few(L, w, map, count, depth);
    } else {
        lua_settop(L, map);
        put_many(L, w, map, depth);
    }
    buf_byte(w->out, '}');
    lua_settop(L, map);
}

/* ---- other values ---- */

static void put_list(lua_State *L, struct writer *w, int depth)
{
    size_t count = lua_objlen(L, -1);

    buf_byte(w->out, '[');
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            buf_byte(w->out, ',');
        lua_rawgeti(L, -1, (int)i);
        put(L, w, depth);
        lua_pop(L, 1);
    }
    buf_byte(w->out, ']');
}

static struct slice top_text(lua_State *L)
{
    struct slice text;
    size_t len;

    text.data = (const uint8_t *)lua_tolstring(L, -1, &len);
    text.len = len;
    return text;
}

static void put_table(lua_State *L, struct writer *w, int depth)
{
    luaL_checkstack(L, 8, "JSON");
    if (depth == MAX_DEPTH)
        luaL_error(L, "a table for JSON is nested deeper than %d", MAX_DEPTH);
    if (whole_is_json(L, -1)) {
        struct slice text;

        lua_getfield(L, -1, "json");
        text = top_text(L);
        buf_append(w->out, text.data, text.len);
        lua_pop(L, 1);
    } else if (lua_objlen(L, -1) > 0) {
        put_list(L, w, depth + 1);
    } else {
        put_map(L, w, depth + 1);
    }
}

/* Writes the value on top. */
static void put(lua_State *L, struct writer *w, int depth)
{
    if (++w->values % LOOK_VALUES == 0)
        lua_run_look(L);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        json_put_string(w->out, top_text(L));
        return;
    case LUA_TNUMBER:
        json_put_number(w->out, lua_tonumber(L, -1));
        return;
    case LUA_TBOOLEAN:
        buf_str(w->out, lua_toboolean(L, -1) ? "true" : "false");
        return;
    case LUA_TNIL:
    case LUA_TLIGHTUSERDATA:
        buf_str(w->out, "null");
        return;
    case LUA_TTABLE:
        put_table(L, w, depth);
        return;
    default:
        luaL_error(L, "JSON can't have a %s", luaL_typename(L, -1));
    }
}

/* Its text is made where the one before was: nothing that `put` calls runs a script. */
static int json_text(lua_State *L)
{
    struct writer w = {.out = lua_touserdata(L, lua_upvalueindex(1))};

    if (w.out->cap > KEPT_BYTES)
        buf_fini(w.out);
    buf_clear(w.out);
    buf_reserve(w.out, FIRST_BYTES);
    lua_pushvalue(L, 1);
    put(L, &w, 0);
    if (!buf_ok(w.out))
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)w.out->data, w.out->len);
    return 1;
}

/* json_made(value) -> its JSON, as a value that is written as it is. */
static int json_made(lua_State *L)
{
    struct slice text;

    lua_settop(L, 1);
    json_text(L);
    text = top_text(L);
    whole_push_json(L, "made", text);
    return 1;
}

/* ---- members ---- */

/* Pushes `value` as it is written; in memory of the Lua state, so that an error leaks nothing. */
static void push_member(lua_State *L, yyjson_val *value)
{
    struct buf *out = access_push_buf(L);
    size_t len;
    char *text = yyjson_val_write_opts(value, 0, NULL, &len, NULL);

    if (text)
        buf_append(out, text, len);
    free(text);
    if (!text || !buf_ok(out))
        luaL_error(L, "not enough memory");
    whole_push_json(L, "member", buf_slice(out));
    buf_fini(out);
    buf_init(out, 1, NULL);
    lua_remove(L, -2);
}

static int json_members(lua_State *L)
{
    struct slice text = lua_check_slice(L, 1);
    size_t size = yyjson_read_max_memory_usage(text.len, YYJSON_READ_NOFLAG);
    void *memory = lua_newuserdata(L, size);
    yyjson_alc pool;
    yyjson_obj_iter at;
    yyjson_val *key;
    yyjson_doc *doc;

    yyjson_alc_pool_init(&pool, memory, size);
    doc = yyjson_read_opts((char *)(uintptr_t)text.data, text.len, YYJSON_READ_NOFLAG, &pool, NULL);
    if (!doc || !yyjson_is_obj(yyjson_doc_get_root(doc)))
        return 0;
    at = yyjson_obj_iter_with(yyjson_doc_get_root(doc));
    lua_newtable(L);
    while ((key = yyjson_obj_iter_next(&at)) != NULL) {
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        push_member(L, yyjson_obj_iter_get_val(key));
        lua_rawset(L, -3);
    }
    return 1;
}

/* ---- letters ---- */

static bool is_ascii_kept(uint8_t byte, struct slice extra)
{
    if ((byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'))
        return true;
    return extra.len && byte && memchr(extra.data, byte, extra.len);
}

static struct regex **regex_box(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int free_regex(lua_State *L)
{
    struct regex **box = lua_touserdata(L, 1);

    regex_free(*box);
    *box = NULL;
    return 0;
}

static int letters(lua_State *L)
{
    struct slice text = lua_check_slice(L, 1), extra = lua_check_slice(L, 2);
    struct buf *out = access_push_buf(L);
    const struct regex *letter = *regex_box(L);

    for (size_t at = 0, len; at < text.len; at += len) {
        struct slice one = slice_make(text.data + at, 1);

        one.len = utf8_char(one.data, text.data + text.len);
        len = one.len ? one.len : 1;
        if (one.len == 1 ? is_ascii_kept(*one.data, extra) : one.len > 1 && regex_find(letter, one))
            buf_append(out, one.data, one.len);
    }
    if (!buf_ok(out))
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)out->data, out->len);
    buf_fini(out);
    return 1;
}

/* Pushes `letters` with its expression for one Unicode letter. */
static void push_letters(lua_State *L)
{
    struct regex **box = lua_newuserdata(L, sizeof(struct regex *));
    struct err_info info;
    const char *pattern = "\\pL";

    *box = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_regex);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    if (regex_new(slice_make(pattern, 3), box, &info) != ERR_OK)
        luaL_error(L, "%s", info.text);
    lua_pushcclosure(L, letters, 1);
}

void json_text_register(lua_State *L)
{
    access_push_buf(L);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, json_text, 1);
    lua_setfield(L, -3, "json_text");
    lua_pushcclosure(L, json_made, 1);
    lua_setfield(L, -2, "json_made");
    lua_pushcfunction(L, json_members);
    lua_setfield(L, -2, "json_members");
    push_letters(L);
    lua_setfield(L, -2, "letters");
}
