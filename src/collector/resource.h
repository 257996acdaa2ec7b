/* resource.h: the edits of resource attributes that the configuration asks for.
 *
 * What was detected is inserted first; `resource = {...}` upserts; processors "resource" { insert
 * =, update =, delete = } in processors.kept do the rest, in order. Read once per worker state;
 * immutable afterwards.
 */
#pragma once

#include "base/err.h"
#include "export/compose.h"

#include <lua.h>

struct resource_edits;

struct config;
/* Reads them from the configuration that ran in L, of which `config` is the snapshot (NULL: there
 * is none), which outlives them. ERR_CONFIG with a sentence. */
enum err resource_edits_new(lua_State *L, const struct config *config, struct resource_edits **out,
                            struct err_info *info) MUST_CHECK;
void resource_edits_free(struct resource_edits *r);

/* Borrowed. */
struct splice resource_edits_list(const struct resource_edits *r);
