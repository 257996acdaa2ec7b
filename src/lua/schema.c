#include "lua/schema.h"

#include "lua/state.h"

#include <assert.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

static const char *const type_names[SCHEMA_TYPE_COUNT] = {
    [SCHEMA_SECTION] = "section",
    [SCHEMA_NUMBER] = "number",
    [SCHEMA_INTEGER] = "integer",
    [SCHEMA_BOOLEAN] = "boolean",
    [SCHEMA_STRING] = "string",
    [SCHEMA_LISTEN] = "listen",
    [SCHEMA_DURATION] = "duration",
    [SCHEMA_SIZE] = "size",
    [SCHEMA_SHARE] = "share",
    [SCHEMA_STRINGS] = "strings",
    [SCHEMA_MAP] = "map",
    [SCHEMA_MATCH] = "match",
    [SCHEMA_VERDICT] = "verdict",
    [SCHEMA_POLICIES] = "policies",
    [SCHEMA_PROCESSORS] = "processors",
    [SCHEMA_EXPORTERS] = "exporters",
};

struct schema_block {
    struct schema_block *next;
    alignas(max_align_t) char bytes[];
};

/* Configuration is read at start or by the builder: without memory there is nothing to go on with.
 */
static void *store_alloc(struct schema_store *s, size_t size)
{
    struct schema_block *b = calloc(1, sizeof(*b) + size);

    if (!b)
        err_no_memory("options");
    b->next = s->blocks;
    s->blocks = b;
    return b->bytes;
}

void schema_store_free(struct schema_store *s)
{
    while (s->blocks) {
        struct schema_block *next = s->blocks->next;

        free(s->blocks);
        s->blocks = next;
    }
}

const char *schema_store_text(struct schema_store *s, const char *text)
{
    size_t len;

    if (!text)
        return NULL;
    len = strlen(text) + 1;
    return memcpy(store_alloc(s, len), text, len);
}

/* ---- fields as Lua ---- */

static void set_string(lua_State *L, const char *key, const char *value)
{
    if (!value)
        return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

static void set_flag(lua_State *L, const char *key, bool value)
{
    if (!value)
        return;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, key);
}

static void set_bounds(lua_State *L, const struct schema_field *f)
{
    bool counts = f->type == SCHEMA_INTEGER; /* stored unsigned */

    if (f->min == 0 && f->max == 0 && !counts)
        return;
    lua_pushnumber(L, f->min);
    lua_setfield(L, -2, "min");
    if (f->max == 0)
        return;
    lua_pushnumber(L, f->max);
    lua_setfield(L, -2, "max");
}

static void set_one_of(lua_State *L, const char *list)
{
    int n = 0;

    if (!list)
        return;
    lua_newtable(L);
    while (*list) {
        size_t len = strcspn(list, "|");

        lua_pushlstring(L, list, len);
        lua_rawseti(L, -2, ++n);
        list += len + (list[len] == '|');
    }
    lua_setfield(L, -2, "one_of");
}

static void push_field(lua_State *L, const struct schema_field *f)
{
    lua_newtable(L);
    set_string(L, "path", f->path);
    set_string(L, "type", type_names[f->type]);
    set_string(L, "default_text", f->fallback);
    set_string(L, "short", f->shorthand);
    set_string(L, "doc", f->doc);
    set_bounds(L, f);
    set_one_of(L, f->one_of);
    set_flag(L, "required", f->flags & SCHEMA_REQUIRED);
    set_flag(L, "secret", f->flags & SCHEMA_SECRET);
    set_flag(L, "optional", f->flags & SCHEMA_OPTIONAL);
    set_flag(L, "can_be_false", f->flags & SCHEMA_OFF);
}

void schema_push_fields(lua_State *L, const struct schema_field *fields, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        push_field(L, &fields[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* ---- values as C ---- */

static const char *const *store_strings(lua_State *L, struct schema_store *s)
{
    size_t n = lua_objlen(L, -1);
    const char **list = store_alloc(s, (n + 1) * sizeof(*list));

    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        list[i] = schema_store_text(s, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    return list;
}

static struct schema_pair store_pair(lua_State *L, struct schema_store *s)
{
    struct schema_pair pair = {.key = schema_store_text(s, lua_tostring(L, -2))};
    double number = lua_tonumber(L, -1);
    char text[32];

    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        pair.value = lua_toboolean(L, -1) ? "true" : "false";
        pair.type = 'b';
        break;
    case LUA_TNUMBER:
        pair.type =
            number >= -0x1p53 && number <= 0x1p53 && number == (double)(int64_t)number ? 'i' : 'n';
        snprintf(text, sizeof(text), pair.type == 'i' ? "%.0f" : "%.17g", number);
        pair.value = schema_store_text(s, text);
        break;
    default:
        pair.value = schema_store_text(s, lua_tostring(L, -1));
        pair.type = 's';
    }
    return pair;
}

static int pair_compare(const void *a, const void *b)
{
    return strcmp(((const struct schema_pair *)a)->key, ((const struct schema_pair *)b)->key);
}

/* By key, so that what is made from them does not depend on the order of a hash table. */
static const struct schema_pair *store_map(lua_State *L, struct schema_store *s)
{
    struct schema_pair *pairs;
    size_t n = 0;

    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    pairs = store_alloc(s, (n + 1) * sizeof(*pairs));
    n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        pairs[n++] = store_pair(L, s);
    qsort(pairs, n, sizeof(*pairs), pair_compare);
    return pairs;
}

/* The value on the top (nil: not given, the member stays zero) into the member of its type. */
static void store_value(lua_State *L, const struct schema_field *f, char *out,
                        struct schema_store *s)
{
    void *member = out + f->offset;

    if (lua_isnil(L, -1))
        return;
    switch (f->type) {
    case SCHEMA_SECTION:
    case SCHEMA_BOOLEAN:
        *(bool *)member = lua_toboolean(L, -1);
        break;
    case SCHEMA_NUMBER:
    case SCHEMA_SHARE:
        *(double *)member = lua_tonumber(L, -1);
        break;
    case SCHEMA_INTEGER:
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        *(uint64_t *)member = (uint64_t)lua_tonumber(L, -1);
        break;
    case SCHEMA_STRING:
    case SCHEMA_LISTEN:
        *(const char **)member = schema_store_text(s, lua_tostring(L, -1));
        break;
    case SCHEMA_STRINGS:
        *(const char *const **)member = store_strings(L, s);
        break;
    case SCHEMA_MAP:
        *(const struct schema_pair **)member = store_map(L, s);
        break;
    default:
        assert(!"a field of this type stays in Lua: its offset is SCHEMA_NOWHERE");
    }
}

void schema_store_values(lua_State *L, const struct schema_field *fields, size_t n, void *out,
                         struct schema_store *store)
{
    for (size_t i = 0; i < n; i++) {
        if (fields[i].offset == SCHEMA_NOWHERE || !out)
            continue;
        lua_getfield(L, -1, fields[i].path);
        store_value(L, &fields[i], out, store);
        lua_pop(L, 1);
    }
}

/* ---- the call ---- */

static void append_lines(lua_State *L, int run, const char *list, struct buf *to)
{
    lua_getfield(L, run, list);
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        if (to)
            buf_printf(to, "%s\n", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The `where` of schema.check: from the component if there is one. */
static void push_where(lua_State *L, const struct schema_where *where)
{
    static const char *const keys[] = {"file", "line", "path"};

    lua_newtable(L);
    if (!where)
        return;
    for (size_t i = 0; where->component && i < sizeof(keys) / sizeof(keys[0]); i++) {
        lua_getfield(L, where->component, keys[i]);
        lua_setfield(L, -2, keys[i]);
    }
    set_string(L, "name", where->name);
    if (where->env) {
        lua_pushvalue(L, where->env);
        lua_setfield(L, -2, "env");
    }
}

/* index, fields: as given; pushes what schema.check returns. */
static enum err call_check(lua_State *L, int index, const struct schema_field *fields, size_t n,
                           const struct schema_where *where, struct buf *errors)
{
    struct err_info info;
    enum err e = lua_require(L, "moontail.schema", &info);

    if (!e) {
        lua_getfield(L, -1, "check");
        lua_remove(L, -2);
        lua_pushvalue(L, index);
        schema_push_fields(L, fields, n);
        push_where(L, where);
        e = lua_run(L, 3, 1, &info);
    }
    if (e)
        buf_printf(errors, "%s\n", info.text);
    return e;
}

/* NOLINTNEXTLINE(readability-function-size): every parameter is another party's */
enum err schema_read(lua_State *L, int index, const struct schema_field *fields, size_t n,
                     const struct schema_where *where, void *out, struct schema_store *store,
                     struct buf *errors, struct buf *hints)
{
    size_t len = errors->len;

    if (index < 0 && index > LUA_REGISTRYINDEX)
        index = lua_gettop(L) + index + 1;
    if (call_check(L, index, fields, n, where, errors))
        return ERR_CONFIG;
    append_lines(L, lua_gettop(L), "errors", errors);
    append_lines(L, lua_gettop(L), "hints", hints);
    if (errors->len > len || errors->failed) {
        lua_pop(L, 1);
        return ERR_CONFIG;
    }
    lua_getfield(L, -1, "values");
    lua_remove(L, -2);
    schema_store_values(L, fields, n, out, store);
    return ERR_OK;
}
