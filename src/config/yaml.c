#include "config/yaml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include <lauxlib.h>

enum { NUMBER_MAX = 64 };

static const double exact_below = 9007199254740992.0; /* 2^53 */

struct reader {
    lua_State *L;
    yaml_document_t *document;
    int made; /* stack index: tables by node number, for aliases */
    struct err_info *info;
};

static enum err push_node(struct reader *r, int number, int depth);

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

/* ---- scalars ---- */

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

static bool is_null(const char *text)
{
    static const char *const names[] = {"", "~", "null", "Null", "NULL", NULL};

    return is_one_of(text, names);
}

/* As the collector reads them, 100_000 is one. */
static bool is_number(const char *text, double *value)
{
    char plain[NUMBER_MAX];
    size_t len = 0, digits = 0;
    char *end;

    for (const char *at = text; *at; at++) {
        if (*at == '_' && digits)
            continue;
        if (!strchr("0123456789+-.eE", *at) || len == sizeof(plain) - 1)
            return false;
        plain[len++] = *at;
        digits += *at >= '0' && *at <= '9';
    }
    plain[len] = '\0';
    if (!digits)
        return false;
    *value = strtod(plain, &end);
    return *end == '\0' && (strpbrk(plain, ".eE") || fabs(*value) < exact_below);
}

static void push_null(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "null");
    lua_newtable(L);
    lua_setfield(L, -2, "keys");
    lua_newtable(L);
    lua_setfield(L, -2, "lines");
    lua_setmetatable(L, -2);
}

static void push_scalar(lua_State *L, const yaml_node_t *node)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    const char *text = (const char *)node->data.scalar.value;
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    double value;

    if (plain && is_null(text))
        push_null(L);
    else if (plain && (is_one_of(text, yes) || is_one_of(text, no)))
        lua_pushboolean(L, is_one_of(text, yes));
    else if (plain && is_number(text, &value))
        lua_pushnumber(L, value);
    else
        lua_pushlstring(L, text, node->data.scalar.length);
}

/* ---- lists and maps ---- */

static enum err push_list(struct reader *r, const yaml_node_t *node, int depth)
{
    int i = 0;

    lua_newtable(r->L);
    lua_newtable(r->L);
    lua_pushboolean(r->L, 1);
    lua_setfield(r->L, -2, "list");
    lua_setmetatable(r->L, -2);
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        enum err e = push_node(r, *item, depth + 1);

        if (e)
            return e;
        lua_rawseti(r->L, -2, ++i);
    }
    return ERR_OK;
}

/* The stack: map, keys, lines, value -> map, keys, lines. False: the key is there. */
static bool set_key(lua_State *L, const char *key, int line)
{
    lua_getfield(L, -4, key);
    if (!lua_isnil(L, -1)) {
        lua_pop(L, 2);
        return false;
    }
    lua_pop(L, 1);
    lua_setfield(L, -4, key);
    lua_pushstring(L, key);
    lua_rawseti(L, -3, (int)lua_objlen(L, -3) + 1);
    lua_pushinteger(L, line);
    lua_setfield(L, -2, key);
    return true;
}

/* The stack: map, keys, lines, other -> map, keys, lines. Own keys come before merged ones. */
static void merge(lua_State *L, int line)
{
    int other = lua_gettop(L);

    if (!lua_istable(L, other)) {
        lua_pop(L, 1);
        return;
    }
    for (lua_pushnil(L); lua_next(L, other);) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            const char *key = lua_tostring(L, -2);

            lua_pushvalue(L, other - 3);
            lua_pushvalue(L, other - 2);
            lua_pushvalue(L, other - 1);
            lua_pushvalue(L, -4);
            (void)set_key(L, key, line);
            lua_pop(L, 3);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* A key as the text that it was written as. */
static const char *key_text(const yaml_node_t *key)
{
    return key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : NULL;
}

/* One pass over the pairs: of own keys, or of "<<". */
static enum err set_pairs(struct reader *r, const yaml_node_t *node, bool merged, int depth)
{
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(r->document, pair->key);
        const char *text = key_text(key);
        enum err e;

        if (!text)
            return err_fail(r->info, ERR_CONFIG, "%d: a key must be a word", line_of(key));
        if ((strcmp(text, "<<") == 0) != merged)
            continue;
        e = push_node(r, pair->value, depth + 1);
        if (e)
            return e;
        if (merged)
            merge(r->L, line_of(key));
        else if (!set_key(r->L, text, line_of(key)))
            return err_fail(r->info, ERR_CONFIG, "%d: the key %s is there twice", line_of(key),
                            text);
    }
    return ERR_OK;
}

static enum err push_map(struct reader *r, const yaml_node_t *node, int depth)
{
    lua_State *L = r->L;
    enum err e;

    lua_newtable(L);
    lua_newtable(L); /* keys */
    lua_newtable(L); /* lines */
    e = set_pairs(r, node, false, depth);
    if (!e)
        e = set_pairs(r, node, true, depth);
    if (e)
        return e;
    lua_newtable(L);
    lua_insert(L, -3); /* map, metatable, keys, lines */
    lua_setfield(L, -3, "lines");
    lua_setfield(L, -2, "keys");
    lua_setmetatable(L, -2);
    return ERR_OK;
}

static enum err push_new(struct reader *r, int number, const yaml_node_t *node, int depth)
{
    enum err e;

    if (node->type == YAML_SCALAR_NODE) {
        push_scalar(r->L, node);
        return ERR_OK;
    }
    e = node->type == YAML_SEQUENCE_NODE ? push_list(r, node, depth) : push_map(r, node, depth);
    if (!e) {
        lua_pushvalue(r->L, -1);
        lua_rawseti(r->L, r->made, number);
    }
    return e;
}

static enum err push_node(struct reader *r, int number, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(r->document, number);

    if (depth > YAML_DEPTH_MAX)
        return err_fail(r->info, ERR_CONFIG, "%d: nested deeper than %d", line_of(node),
                        YAML_DEPTH_MAX);
    luaL_checkstack(r->L, 16, "YAML");
    lua_rawgeti(r->L, r->made, number);
    if (!lua_isnil(r->L, -1))
        return ERR_OK;
    lua_pop(r->L, 1);
    return push_new(r, number, node, depth);
}

static enum err push_document(lua_State *L, yaml_document_t *document, struct err_info *info)
{
    int top = lua_gettop(L);
    struct reader r = {.L = L, .document = document, .made = top + 1, .info = info};
    enum err e = ERR_OK;

    lua_newtable(L);
    if (yaml_document_get_root_node(document))
        e = push_node(&r, 1, 0); /* the root is the first node */
    else
        push_null(L);
    if (e) {
        lua_settop(L, top);
        return e;
    }
    lua_replace(L, top + 1);
    return ERR_OK;
}

/* The line where the first document is nested too deep, 0 if it is not. What loads documents takes
 * hours over a deep one. */
static size_t too_deep_at(struct slice text)
{
    yaml_parser_t parser;
    yaml_event_t event;
    size_t depth = 0, line = 0;
    bool more = true;

    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, text.data, text.len);
    while (more && yaml_parser_parse(&parser, &event)) {
        if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT)
            depth++;
        else if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
            depth--;
        if (depth > YAML_DEPTH_MAX + 1)
            line = event.start_mark.line + 1;
        more =
            !line && event.type != YAML_DOCUMENT_END_EVENT && event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return line;
}

enum err yaml_push(lua_State *L, struct slice text, struct err_info *info)
{
    size_t line;
    yaml_parser_t parser;
    yaml_document_t document;
    enum err e;

    if (text.len > YAML_TEXT_MAX)
        return err_fail(info, ERR_CONFIG, "more than %d MiB of YAML", YAML_TEXT_MAX >> 20);
    line = too_deep_at(text);
    if (line)
        return err_fail(info, ERR_CONFIG, "%zu: nested deeper than %d", line, YAML_DEPTH_MAX);
    if (!yaml_parser_initialize(&parser))
        return err_fail(info, ERR_CONFIG, "not enough memory");
    yaml_parser_set_input_string(&parser, text.data, text.len);
    if (yaml_parser_load(&parser, &document)) {
        e = push_document(L, &document, info);
        yaml_document_delete(&document);
    } else {
        e = err_fail(info, ERR_CONFIG, "%zu: %s%s%s", parser.problem_mark.line + 1,
                     parser.context ? parser.context : "", parser.context ? ", " : "",
                     parser.problem ? parser.problem : "not enough memory");
    }
    yaml_parser_delete(&parser);
    return e;
}
