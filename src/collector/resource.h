/* resource.h: the edits of resource attributes that the configuration asks for.
 *
 * `resource = {...}` upserts; processors "resource" { insert =, update =, delete = } in
 * processors.kept do the rest, in order. Read once per worker state; immutable afterwards.
 */
#pragma once

#include "base/err.h"
#include "export/compose.h"

#include <lua.h>

struct resource_edits;

/* Reads them from the configuration that ran in L. ERR_CONFIG with a sentence. */
enum err resource_edits_new(lua_State *L, struct resource_edits **out,
                            struct err_info *info) MUST_CHECK;
void resource_edits_free(struct resource_edits *r);

/* Borrowed. */
struct splice resource_edits_list(const struct resource_edits *r);
