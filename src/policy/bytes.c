#include "policy/bytes.h"

#include "base/encode.h"
#include "base/utf8.h"
#include "lua/host.h"
#include "lua/state.h"
#include "otlp/json.h"
#include "policy/access.h"

#include <yyjson.h>

#include <lauxlib.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum {
    JSON_MAX_DEPTH = 64,
    LOOK_BYTES = 4096, /* what is made of as many is worth a look at the clock */
    LOOK_VALUES = 256,
};

static struct slice check_slice(lua_State *L, int index)
{
    struct slice bytes = lua_check_slice(L, index);

    if (bytes.len > LOOK_BYTES)
        lua_run_look(L);
    return bytes;
}

static int push_encoded(lua_State *L, void (*put)(struct buf *out, struct slice bytes))
{
    struct slice bytes = check_slice(L, 1);
    struct buf *out = access_push_buf(L);

    put(out, bytes);
    if (!buf_ok(out))
        return luaL_error(L, "not enough memory");
    lua_pushlstring(L, (const char *)out->data, out->len);
    return 1;
}

static int bytes_hex(lua_State *L)
{
    return push_encoded(L, encode_hex);
}

static int bytes_base64(lua_State *L)
{
    return push_encoded(L, encode_base64);
}

/* json_string(text): with its quotes. */
static int bytes_json_string(lua_State *L)
{
    if (!utf8_valid(check_slice(L, 1)))
        return luaL_error(L, "a string for JSON is not UTF-8; write base64(...) of it");
    return push_encoded(L, json_put_string);
}

static int bytes_sha256(lua_State *L)
{
    struct slice bytes = check_slice(L, 1);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;

    if (EVP_Digest(bytes.data, bytes.len, digest, &len, EVP_sha256(), NULL) != 1)
        return luaL_error(L, "sha256 failed");
    lua_pushlstring(L, (const char *)digest, len);
    return 1;
}

/* hmac_sha256(key, text) */
static int bytes_hmac_sha256(lua_State *L)
{
    struct slice key = check_slice(L, 1), bytes = check_slice(L, 2);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;

    if (key.len > INT32_MAX ||
        !HMAC(EVP_sha256(), key.data, (int)key.len, bytes.data, bytes.len, digest, &len))
        return luaL_error(L, "hmac_sha256 failed");
    lua_pushlstring(L, (const char *)digest, len);
    return 1;
}

/* ---- JSON to Lua ---- */

static void push_json(lua_State *L, yyjson_val *value, int depth);

static void push_array(lua_State *L, yyjson_val *array, int depth)
{
    yyjson_arr_iter at = yyjson_arr_iter_with(array);
    yyjson_val *value;

    lua_createtable(L, (int)yyjson_arr_size(array), 0);
    for (int i = 1; (value = yyjson_arr_iter_next(&at)) != NULL; i++) {
        if (i % LOOK_VALUES == 0)
            lua_run_look(L);
        push_json(L, value, depth);
        lua_rawseti(L, -2, i);
    }
}

static void push_object(lua_State *L, yyjson_val *object, int depth)
{
    yyjson_obj_iter at = yyjson_obj_iter_with(object);
    yyjson_val *key;

    lua_run_look(L);
    lua_createtable(L, 0, (int)yyjson_obj_size(object));
    while ((key = yyjson_obj_iter_next(&at)) != NULL) {
        lua_pushlstring(L, yyjson_get_str(key), yyjson_get_len(key));
        push_json(L, yyjson_obj_iter_get_val(key), depth);
        lua_rawset(L, -3);
    }
}

static void push_json(lua_State *L, yyjson_val *value, int depth)
{
    if (depth == JSON_MAX_DEPTH)
        luaL_error(L, "JSON is nested deeper than %d", JSON_MAX_DEPTH);
    luaL_checkstack(L, 4, "JSON");
    if (yyjson_is_str(value))
        lua_pushlstring(L, yyjson_get_str(value), yyjson_get_len(value));
    else if (yyjson_is_num(value))
        lua_pushnumber(L, yyjson_get_num(value));
    else if (yyjson_is_bool(value))
        lua_pushboolean(L, yyjson_get_bool(value));
    else if (yyjson_is_arr(value))
        push_array(L, value, depth + 1);
    else if (yyjson_is_obj(value))
        push_object(L, value, depth + 1);
    else
        lua_pushlightuserdata(L, NULL); /* json.null */
}

/* json_decode(text): the parser works in memory of the Lua state, so that an error leaks nothing.
 */
static int bytes_json_decode(lua_State *L)
{
    struct slice text = check_slice(L, 1);
    size_t size = yyjson_read_max_memory_usage(text.len, YYJSON_READ_NOFLAG);
    void *memory = lua_newuserdata(L, size);
    yyjson_alc pool;
    yyjson_read_err err;
    yyjson_doc *doc;

    yyjson_alc_pool_init(&pool, memory, size);
    doc = yyjson_read_opts((char *)(uintptr_t)text.data, text.len, YYJSON_READ_NOFLAG, &pool, &err);
    if (!doc) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s at byte %d", err.msg, (int)err.pos);
        return 2;
    }
    push_json(L, yyjson_doc_get_root(doc), 0);
    return 1;
}

void bytes_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hex", bytes_hex},
        {"base64", bytes_base64},
        {"sha256", bytes_sha256},
        {"hmac_sha256", bytes_hmac_sha256},
        {"json_string", bytes_json_string},
        {"json_decode", bytes_json_decode},
        {NULL, NULL},
    };

    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "json_null");
}
