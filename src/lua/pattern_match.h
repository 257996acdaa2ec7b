/* pattern_match.h: one match of a Lua pattern at one place. Internal to lua. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

enum { PATTERN_CAPTURES = 32 };

struct pattern {
    lua_State *L; /* raises in it: malformed patterns, too many steps, the budget */
    const char *subject, *subject_end;
    const char *pattern_end;
    uint64_t steps_left;
    int depth;
    int level; /* captures */
    struct pattern_capture {
        const char *start;
        ptrdiff_t len; /* or one of the two below */
    } captures[PATTERN_CAPTURES];
};

#define CAPTURE_OPEN     (-1)
#define CAPTURE_POSITION (-2)

/* For subject and pattern, which stay where they are. The pattern ends at a NUL. */
void pattern_init(struct pattern *m, lua_State *L, const char *subject, size_t subject_len,
                  const char *pattern, size_t pattern_len);
/* The end of a match of the pattern from `p` at `s`, or NULL. Fills the captures. */
const char *pattern_at(struct pattern *m, const char *s, const char *p);
