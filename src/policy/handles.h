/* handles.h: limit{}, seen{} and counter{} as scripts hold them. Internal to policy.
 *
 * A handle belongs to one Lua state and names a table of cells; it takes hold of the table in the
 * state's world when it is first asked, so that a world can be chosen after the scripts have run.
 */
#pragma once

#include "policy/api.h"

/* What lua/moontail/cells.lua calls: the declarations are also the text that Lua parses. A handle
 * is the payload of the userdata. key NULL: none. Answers below 0 are enum handle_trouble. */
#define HANDLES_DECLARATIONS                                                                       \
    double (*take)(void *handle, const char *key, size_t len, double cost, double left);           \
    double (*share)(void *handle, const char *key, size_t len);                                    \
    double (*seen_add)(void *handle, const char *key, size_t len);                                 \
    double (*seen_has)(void *handle, const char *key, size_t len);                                 \
    double (*count)(void *handle, const char *key, size_t len, double n);                          \
    double (*per_second)(void *handle, const char *key, size_t len);                               \
    double (*rate)(void *handle, const char *key, size_t len, double n); /* of rates{} */

enum handle_trouble { HANDLE_NO_TIME = -1, HANDLE_NO_ROOM = -2 };

struct handles {
    HANDLES_DECLARATIONS
};

/* Adds handle_new and the functions to the table on top: for moontail.cells. */
void handles_register(lua_State *L, struct policy_state *s);
/* Lets all handles take hold of their tables in another world. */
void handles_use(struct policy_state *s, struct cells *cells, uint64_t now_ns);
/* The state ends; handles may be collected after it. */
void handles_fini(struct policy_state *s);
