/* embed.h: the Lua files that the program carries: lua/ and config.lua, made by the build.
 *
 * Read-only, any thread. Names are paths from the project's root ("lua/policies/latency.lua").
 */
#pragma once

#include <stddef.h>

struct embedded_file {
    const char *name;
    const char *text;
    const char *end; /* text runs to here; a NUL follows */
};

extern const struct embedded_file embedded_files[];
extern const size_t embedded_file_count;

/* The file called `name`, or NULL. */
const struct embedded_file *embedded_find(const char *name);
