#include "collector/resource.h"

#include "config/config.h"

#include <stdlib.h>

enum { EDITS_MAX = 256 };

struct resource_edits {
    struct compose_resource list[EDITS_MAX];
    size_t count;
};

static struct slice copy_string(lua_State *L, int index)
{
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    char *copy = malloc(len + 1);

    if (!copy)
        abort();
    memcpy(copy, text, len + 1);
    return slice_make(copy, len);
}

/* The attribute value at `index`; false for what attributes can't be. */
static bool read_value(lua_State *L, int index, struct value *value)
{
    double number;

    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        *value = (struct value){.type = VALUE_STRING, .bytes = copy_string(L, index)};
        return true;
    case LUA_TBOOLEAN:
        *value = (struct value){.type = VALUE_BOOL, .boolean = lua_toboolean(L, index)};
        return true;
    case LUA_TNUMBER:
        number = lua_tonumber(L, index);
        if (number >= -9e15 && number <= 9e15 && (double)(int64_t)number == number)
            *value = (struct value){.type = VALUE_INT, .integer = (int64_t)number};
        else
            *value = (struct value){.type = VALUE_DOUBLE, .number = number};
        return true;
    default:
        return false;
    }
}

static enum err add_edit(lua_State *L, struct resource_edits *r, enum compose_action action,
                         struct err_info *info)
{
    struct compose_resource *e = &r->list[r->count];

    if (r->count == EDITS_MAX)
        return err_fail(info, ERR_CONFIG, "resource: at most %d attributes can be edited",
                        EDITS_MAX);
    *e = (struct compose_resource){.action = action};
    if (action == COMPOSE_DELETE) {
        if (lua_type(L, -1) != LUA_TSTRING)
            return err_fail(info, ERR_CONFIG, "resource: delete takes a list of attribute names");
        e->key = copy_string(L, -1);
    } else {
        if (lua_type(L, -2) != LUA_TSTRING || !read_value(L, -1, &e->value))
            return err_fail(info, ERR_CONFIG,
                            "resource: attributes are name = string, number or boolean");
        e->key = copy_string(L, -2);
    }
    r->count++;
    return ERR_OK;
}

/* The edits in the table on top of the stack, which is popped; nil is none. */
static enum err read_edits(lua_State *L, struct resource_edits *r, enum compose_action action,
                           struct err_info *info)
{
    enum err err = ERR_OK;
    int table = lua_gettop(L);

    if (lua_istable(L, table)) {
        lua_pushnil(L);
        while (err == ERR_OK && lua_next(L, table)) {
            err = add_edit(L, r, action, info);
            lua_pop(L, 1);
        }
    }
    lua_settop(L, table - 1);
    return err;
}

static enum err read_processor(lua_State *L, struct resource_edits *r, struct err_info *info)
{
    static const struct {
        const char *name;
        enum compose_action action;
    } parts[] = {{"insert", COMPOSE_INSERT},
                 {"update", COMPOSE_UPDATE},
                 {"upsert", COMPOSE_UPSERT},
                 {"delete", COMPOSE_DELETE}};
    int options = lua_gettop(L);
    enum err err = ERR_OK;

    for (size_t i = 0; err == ERR_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        lua_getfield(L, options, parts[i].name);
        err = read_edits(L, r, parts[i].action, info);
    }
    return err;
}

static enum err read_processors(lua_State *L, struct resource_edits *r, struct err_info *info)
{
    int top = lua_gettop(L);
    enum err err = ERR_OK;

    config_push(L, "processors.kept");
    for (int i = 1; err == ERR_OK && lua_istable(L, top + 1); i++) {
        lua_rawgeti(L, top + 1, i);
        if (!lua_istable(L, -1))
            break;
        lua_getfield(L, -1, "options");
        if (lua_istable(L, -1))
            err = read_processor(L, r, info);
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
    return err;
}

enum err resource_edits_new(lua_State *L, struct resource_edits **out, struct err_info *info)
{
    struct resource_edits *r = calloc(1, sizeof(*r));
    enum err err;

    if (!r)
        abort();
    err = read_processors(L, r, info);
    if (err == ERR_OK) {
        config_push(L, "resource");
        err = read_edits(L, r, COMPOSE_UPSERT, info);
    }
    if (err != ERR_OK) {
        resource_edits_free(r);
        return err;
    }
    *out = r;
    return ERR_OK;
}

void resource_edits_free(struct resource_edits *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++) {
        free((void *)r->list[i].key.data);
        if (r->list[i].value.type == VALUE_STRING)
            free((void *)r->list[i].value.bytes.data);
    }
    free(r);
}

const struct compose_resource *resource_edits_list(const struct resource_edits *r, size_t *count)
{
    *count = r->count;
    return r->list;
}
