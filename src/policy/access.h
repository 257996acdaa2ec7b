/* access.h: what lua/moontail/access.lua calls: plain C functions that compiled Lua code reaches
 * through pointers, so that nothing needs to be exported. Internal to policy.
 *
 * Spans and positions come as doubles that a script may have forged: every function checks them.
 * A value that was read lies in the reader's face until the next read.
 */
#pragma once

#include "policy/reader.h"

#include <lua.h>

/* The declarations are also the text that Lua parses. `r` is the reader, as its face. */
#define ACCESS_DECLARATIONS                                                                        \
    double (*root)(void *r);  /* a span, or -1 */                                                  \
    double (*entry)(void *r); /* likewise, as all below */                                         \
    double (*order)(void *r, double rank);                                                         \
    double (*parent)(void *r, double span);                                                        \
    int (*kind)(void *r, double span);                                                             \
    int (*status)(void *r, double span);                                                           \
    int (*field)(void *r, double span, int field); /* the type of what lies in the face then */    \
    int (*attr)(void *r, double span, int owner, double at, const char *key, size_t len);          \
    double (*inner_next)(void *r, double span, int owner, double at); /* the position behind */    \
    int (*inner_field)(void *r, double span, int owner, double at, int field);                     \
    double (*find)(void *r, const void *match); /* -2: it is one for `where` */                    \
    double (*count)(void *r, const void *match);                                                   \
    double (*matches)(void *r, double span, const void *match); /* 1, 0, -2 */                     \
    bool (*holds)(void *r, const void *match);                  /* on the trace: as match_trace */ \
    bool (*has_service)(void *r, const char *name, size_t len);                                    \
    double (*fraction)(void *r, const char *salt, size_t len);                                     \
    int (*shape)(void *r, const void *fields, int spans); /* a string in the face, or absent */

struct access {
    ACCESS_DECLARATIONS
};

/* Adds the functions, the texts of their types and what works on the Lua stack to the table on
 * top: for moontail.access. `r` outlives the state's scripts. */
void access_register(lua_State *L, struct reader *r);

/* Pushes a value as Lua sees it: lists and maps as fresh tables, nil if absent. May raise. */
void access_push_value(lua_State *L, const struct value *v);
/* Pushes the exact text of a value. May raise. */
void access_push_text(lua_State *L, const struct value *v);
/* Pushes an empty buffer that Lua frees, of at most 64 MiB, so that nothing leaks when something
 * raises. May raise. */
struct buf *access_push_buf(lua_State *L);
