#include "collector/resource.h"

#include "base/utf8.h"
#include "config/config.h"
#include "lua/schema.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { EDITS_MAX = 256 };

struct resource_edits {
    struct splice_edit list[EDITS_MAX];
    size_t count;
    struct schema_store store; /* keys and texts */
};

/* The options of one processor "resource". */
struct options {
    const struct schema_pair *insert, *update, *upsert;
    const char *const *names; /* to delete */
};

#define MAP(key, text)                                                                             \
    {                                                                                              \
        .path = #key, .type = SCHEMA_MAP, .doc = text, .offset = offsetof(struct options, key)     \
    }

static const struct schema_field fields[] = {
    MAP(insert, "attributes set where they are not there"),
    MAP(update, "attributes set where they are there"),
    MAP(upsert, "attributes set in any case"),
    {.path = "delete",
     .type = SCHEMA_STRINGS,
     .doc = "names of attributes taken away",
     .offset = offsetof(struct options, names)},
};

static struct value value_of(const struct schema_pair *pair)
{
    switch (pair->type) {
    case 'b':
        return (struct value){.type = VALUE_BOOL, .boolean = pair->value[0] == 't'};
    case 'i':
        return (struct value){.type = VALUE_INT, .integer = strtoll(pair->value, NULL, 10)};
    case 'n':
        return (struct value){.type = VALUE_DOUBLE, .number = strtod(pair->value, NULL)};
    default:
        return (struct value){.type = VALUE_STRING, .bytes = slice_str(pair->value)};
    }
}

static bool add_edit(struct resource_edits *r, enum splice_action action, const char *key)
{
    if (r->count == EDITS_MAX)
        return false;
    r->list[r->count++] = (struct splice_edit){.action = action, .key = slice_str(key)};
    return true;
}

/* NULL is none; false: too many. */
static bool add_pairs(struct resource_edits *r, enum splice_action action,
                      const struct schema_pair *pairs)
{
    for (; pairs && pairs->key; pairs++) {
        if (!add_edit(r, action, pairs->key))
            return false;
        r->list[r->count - 1].value = value_of(pairs);
    }
    return true;
}

static bool add_options(struct resource_edits *r, const struct options *o)
{
    if (!add_pairs(r, SPLICE_INSERT, o->insert) || !add_pairs(r, SPLICE_UPDATE, o->update) ||
        !add_pairs(r, SPLICE_UPSERT, o->upsert))
        return false;
    for (const char *const *name = o->names; name && *name; name++)
        if (!add_edit(r, SPLICE_DELETE, *name))
            return false;
    return true;
}

/* Strict decoders refuse all that leaves with what is not UTF-8. */
static void check_texts(const struct resource_edits *r, size_t from, const char *name,
                        struct buf *errors)
{
    for (size_t i = from; i < r->count; i++) {
        const struct splice_edit *e = &r->list[i];

        if (!utf8_valid(e->key) || (e->value.type == VALUE_STRING && !utf8_valid(e->value.bytes)))
            buf_printf(errors, "%s: the attribute '%.*s' or its value is not UTF-8\n", name,
                       (int)e->key.len, (const char *)e->key.data);
    }
}

/* Reads the table of options on the top of the stack, which it pops. component: its place on the
 * stack, 0: none. */
static void read_options(lua_State *L, struct resource_edits *r, const char *name, int component,
                         struct buf *errors)
{
    struct schema_where where = {.name = name, .component = component};
    struct options o = {0};
    int table = lua_gettop(L);
    size_t count = r->count;

    if (schema_read(L, table, fields, sizeof(fields) / sizeof(fields[0]), &where, &o, &r->store,
                    errors, NULL) == ERR_OK &&
        !add_options(r, &o))
        buf_printf(errors, "%s: at most %d resource attributes can be edited\n", name, EDITS_MAX);
    check_texts(r, count, name, errors);
    lua_settop(L, table - 1);
}

/* The processor on the top of the stack. That others are not there is config's to say. */
static void read_processor(lua_State *L, struct resource_edits *r, struct buf *errors)
{
    int processor = lua_gettop(L);
    char name[128];

    lua_getfield(L, processor, "type");
    lua_getfield(L, processor, "name");
    if (strcmp(lua_tostring(L, -2), "resource") != 0)
        return;
    snprintf(name, sizeof(name), "processor \"%s\"", lua_tostring(L, -1));
    lua_getfield(L, processor, "options");
    read_options(L, r, name, processor, errors);
}

static void read_processors(lua_State *L, struct resource_edits *r, struct buf *errors)
{
    int list = lua_gettop(L) + 1;

    config_push(L, "processors.kept");
    for (int i = 1; lua_istable(L, list); i++) {
        lua_rawgeti(L, list, i);
        if (!lua_istable(L, -1))
            break;
        read_processor(L, r, errors);
        lua_settop(L, list);
    }
    lua_settop(L, list - 1);
}

/* `resource = {...}` is an upsert after all processors. */
static void read_resource(lua_State *L, struct resource_edits *r, struct buf *errors)
{
    lua_newtable(L);
    config_push(L, "resource");
    lua_setfield(L, -2, "upsert");
    read_options(L, r, "resource", 0, errors);
}

enum err resource_edits_new(lua_State *L, const struct config *config, struct resource_edits **out,
                            struct err_info *info)
{
    struct resource_edits *r = calloc(1, sizeof(*r));
    struct buf errors;
    enum err err = ERR_OK;

    if (!r)
        err_no_memory("the resource");
    buf_init(&errors, 64 << 10, NULL);
    if (config && !add_pairs(r, SPLICE_INSERT, config->detected))
        buf_printf(&errors, "resource_detection: too many attributes\n");
    read_processors(L, r, &errors);
    read_resource(L, r, &errors);
    if (errors.len) {
        err = err_fail(info, ERR_CONFIG, "%.*s", (int)errors.len - 1, (char *)errors.data);
        resource_edits_free(r);
    } else {
        *out = r;
    }
    buf_fini(&errors);
    return err;
}

void resource_edits_free(struct resource_edits *r)
{
    if (!r)
        return;
    schema_store_free(&r->store);
    free(r);
}

struct splice resource_edits_list(const struct resource_edits *r)
{
    return (struct splice){r->list, r->count};
}
