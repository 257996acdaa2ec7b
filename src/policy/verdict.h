/* verdict.h: what a policy returns. Internal to policy. */
#pragma once

#include "base/slice.h"

#include <lua.h>

#define VERDICT_MAGIC UINT64_C(0x6d6f6f6e76657264)

enum verdict_kind { VERDICT_KEEP, VERDICT_DROP, VERDICT_SAMPLE, VERDICT_AT_LEAST };

/* The payload of a userdata: `magic` tells it from others; nothing in it ever changes. */
struct verdict {
    uint64_t magic;
    uint64_t serial; /* of this state's verdicts: never used again */
    enum verdict_kind kind;
    double p;
    bool has_reason;
    size_t reason_len;
    char reason[];
};

/* The verdict at the index, or NULL. Valid as long as it is on the stack. */
const struct verdict *verdict_get(lua_State *L, int index);
struct slice verdict_reason(const struct verdict *v);

/* Adds verdict_new to the table on top: for moontail.verdict. */
void verdict_register(lua_State *L);
