#include "lua/pattern.h"

#include "lua/heap.h"
#include "lua/pattern_match.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

enum { LOOK_BYTES = 4096 }; /* what takes as long is worth a look at the clock */

/* Capture i, or the whole match from `s` to `e` where there are none. */
static void push_capture(struct pattern *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index");
        lua_pushlstring(m->L, s, (size_t)(e - s));
    } else if (m->captures[i].len == CAPTURE_POSITION) {
        lua_pushinteger(m->L, m->captures[i].start - m->subject + 1);
    } else {
        if (m->captures[i].len == CAPTURE_OPEN)
            luaL_error(m->L, "unfinished capture");
        lua_pushlstring(m->L, m->captures[i].start, (size_t)m->captures[i].len);
    }
}

/* All captures; the whole match where there are none, unless `s` is NULL. */
static int push_captures(struct pattern *m, const char *s, const char *e)
{
    int count = m->level == 0 && s ? 1 : m->level;

    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(m, i, s, e);
    return count;
}

static const char *start_of(lua_State *L, const char *s, size_t len)
{
    ptrdiff_t init = (ptrdiff_t)luaL_optinteger(L, 3, 1);

    if (init < 0)
        init += (ptrdiff_t)len;
    else
        init--;
    if (init < 0)
        init = 0;
    return s + ((size_t)init < len ? (size_t)init : len);
}

static int find_plain(lua_State *L, const char *s, const char *from, const char *end,
                      const char *needle, size_t len)
{
    const char *at = len ? memmem(from, (size_t)(end - from), needle, len) : from;

    if (end - from > LOOK_BYTES)
        heap_check(L);
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (ptrdiff_t)len);
    return 2;
}

static bool has_specials(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] && strchr("^$*+?.([%-", p[i]))
            return true;
    return false;
}

static int search(lua_State *L, bool find)
{
    size_t len, pattern_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pattern_len), *e;
    const char *at = start_of(L, s, len);
    bool anchor = pattern_len > 0 && *p == '^';
    struct pattern m;

    if (find && (lua_toboolean(L, 4) || !has_specials(p, pattern_len)))
        return find_plain(L, s, at, s + len, p, pattern_len);
    pattern_init(&m, L, s, len, p, pattern_len);
    do {
        e = pattern_at(&m, at, p + anchor);
        if (!e)
            continue;
        if (!find)
            return push_captures(&m, at, e);
        lua_pushinteger(L, at - s + 1);
        lua_pushinteger(L, e - s);
        return 2 + push_captures(&m, NULL, NULL);
    } while (at++ < s + len && !anchor);
    lua_pushnil(L);
    return 1;
}

static int pattern_find(lua_State *L)
{
    return search(L, true);
}

static int pattern_match(lua_State *L)
{
    return search(L, false);
}

/* Upvalues: subject, pattern, where to go on. */
static int gmatch_next(lua_State *L)
{
    size_t len, pattern_len, from = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &pattern_len), *e;
    struct pattern m;

    pattern_init(&m, L, s, len, p, pattern_len);
    for (const char *at = s + from; from <= len && at <= s + len; at++) {
        e = pattern_at(&m, at, p);
        if (!e)
            continue;
        lua_pushinteger(L, e - s + (e == at));
        lua_replace(L, lua_upvalueindex(3));
        return push_captures(&m, at, e);
    }
    return 0;
}

static int pattern_gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, gmatch_next, 3);
    return 1;
}

/* The replacement string, in which %1 is the first capture. */
static void add_text(struct pattern *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t len;
    const char *text = lua_tolstring(m->L, 3, &len);

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            luaL_addchar(b, text[i]);
            continue;
        }
        i++; /* at the end: the NUL behind it */
        if (!isdigit((unsigned char)text[i])) {
            luaL_addchar(b, text[i]);
        } else if (text[i] == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else {
            push_capture(m, text[i] - '1', s, e);
            luaL_addvalue(b);
        }
    }
    if (len > LOOK_BYTES)
        heap_check(m->L);
}

static void add_value(struct pattern *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    int type = lua_type(L, 3);

    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        add_text(m, b, s, e);
        return;
    }
    if (type == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    } else {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e), 1);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, s, (size_t)(e - s));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(b);
}

static int replace_all(lua_State *L, struct pattern *m, const char *p, int most, bool anchor)
{
    const char *at = m->subject, *e;
    luaL_Buffer b;
    int count = 0;

    luaL_buffinit(L, &b);
    while (count < most) {
        e = pattern_at(m, at, p);
        if (e) {
            count++;
            add_value(m, &b, at, e);
        }
        if (e && e > at)
            at = e;
        else if (at < m->subject_end)
            luaL_addchar(&b, *at++);
        else
            break;
        if (anchor)
            break;
    }
    luaL_addlstring(&b, at, (size_t)(m->subject_end - at));
    luaL_pushresult(&b);
    lua_pushinteger(L, count);
    return 2;
}

static int pattern_gsub(lua_State *L)
{
    size_t len, pattern_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pattern_len);
    bool anchor = pattern_len > 0 && *p == '^';
    int type = lua_type(L, 3), most;
    struct pattern m;

    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TFUNCTION && type != LUA_TTABLE)
        return luaL_argerror(L, 3, "string/function/table expected");
    most = luaL_optint(L, 4, (int)len + 1);
    if (type == LUA_TNUMBER)
        lua_tostring(L, 3); /* in place */
    lua_settop(L, 4);
    pattern_init(&m, L, s, len, p, pattern_len);
    return replace_all(L, &m, p + anchor, most, anchor);
}

void lua_pattern_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"find", pattern_find},
        {"match", pattern_match},
        {"gmatch", pattern_gmatch},
        {"gsub", pattern_gsub},
        {NULL, NULL},
    };

    luaL_register(L, NULL, functions);
}
