/* api.h: what the room keeps for one Lua state. Internal to policy. */
#pragma once

#include "policy/reader.h"

struct policy_state {
    struct reader reader;
};

/* The state's, made by policy_api_install; NULL before. */
struct policy_state *policy_state_of(lua_State *L);
