/* schema.h: options of components that C implements, by the same validator as everything in Lua.
 *
 * A table of fields says names, types, bounds, defaults and docs once; schema_read checks a Lua
 * table against it, collects every error, and stores the values into a struct by offset. Used by
 * config (config.lua itself) and export (exporters). Belongs to the thread of the state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#include <lua.h>

enum schema_type {                  /* what the member at `offset` is: */
                   SCHEMA_SECTION,  /* a table of further fields; bool: it is there (not false) */
                   SCHEMA_NUMBER,   /* double */
                   SCHEMA_INTEGER,  /* uint64_t: min >= 0 */
                   SCHEMA_BOOLEAN,  /* bool */
                   SCHEMA_STRING,   /* const char *; NULL: not given */
                   SCHEMA_LISTEN,   /* const char *: "IP:PORT" or ":PORT" */
                   SCHEMA_DURATION, /* uint64_t, ns */
                   SCHEMA_SIZE,     /* uint64_t, bytes */
                   SCHEMA_SHARE,    /* double: below 1 a share, else bytes */
                   SCHEMA_STRINGS,  /* const char *const *, NULL-terminated; NULL: not given */
                   SCHEMA_MAP, /* const struct schema_pair *, ended by key NULL; NULL: not given */
                   SCHEMA_MATCH,      /* stays in Lua: read it from the table of values */
                   SCHEMA_VERDICT,    /* stays in Lua */
                   SCHEMA_POLICIES,   /* stays in Lua */
                   SCHEMA_PROCESSORS, /* stays in Lua */
                   SCHEMA_EXPORTERS,  /* stays in Lua */
                   SCHEMA_TYPE_COUNT  /* must stay last */
};

/* A map's value as text: numbers and booleans as Lua writes them. */
struct schema_pair {
    const char *key, *value;
    char type; /* 's', 'n', 'i' (a whole number), 'b' */
};

#define SCHEMA_NOWHERE SIZE_MAX /* an offset: don't store */

struct schema_field {
    const char *path; /* "queue.max_size"; parents come before their fields */
    enum schema_type type;
    const char *fallback;  /* the default, as Lua: "\"10s\"", "0"; NULL: none (nil) */
    double min, max;       /* of the stored unit, or of a list's length; both 0: no bounds */
    const char *one_of;    /* "auto|on|off"; NULL: anything */
    const char *shorthand; /* SECTION: the key that a plain value stands for */
    unsigned flags;
    const char *doc; /* one sentence without a full stop */
    size_t offset;
};

enum {
    SCHEMA_REQUIRED = 1, /* missing is an error (where its section is there) */
    SCHEMA_SECRET = 2,   /* takes secret(v); never shown */
    SCHEMA_OPTIONAL = 4, /* SECTION: not there unless given */
    SCHEMA_OFF = 8,      /* SECTION: false turns it off */
};

/* Where the table comes from, for messages. All may be NULL or 0. */
struct schema_where {
    const char *name; /* exporter "otlp/errors" */
    int component;    /* stack index of the component's table (has file, line, path); 0: none */
    int env;          /* stack index of the environment in which defaults run; 0: empty */
};

/* What schema_read allocated: strings and lists. Start with {0}. */
struct schema_store {
    struct schema_block *blocks;
};
void schema_store_free(struct schema_store *s);
/* A copy that lives as long as the store; NULL for NULL. */
const char *schema_store_text(struct schema_store *s, const char *text);

/* Checks the table (or nil: all defaults) at `index` against n fields and stores the values into
 * `out` (of the caller's making, zeroed). `hints` (may be NULL) gets sentences about what is
 * accepted without effect. On success pushes the table of checked values by path. On failure
 * appends every error to `errors`, a line each, and pushes nothing: ERR_CONFIG. */
enum err schema_read(lua_State *L, int index, const struct schema_field *fields, size_t n,
                     const struct schema_where *where, void *out, struct schema_store *store,
                     struct buf *errors, struct buf *hints) MUST_CHECK;

/* Stores the table of checked values on the top of the stack into `out`; pops nothing. */
void schema_store_values(lua_State *L, const struct schema_field *fields, size_t n, void *out,
                         struct schema_store *store);

/* Pushes the fields as the list that lua/moontail/schema.lua takes. */
void schema_push_fields(lua_State *L, const struct schema_field *fields, size_t n);
