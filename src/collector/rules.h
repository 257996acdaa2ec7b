/* rules.h: one version of all that decides, for one worker; a reload exchanges it for the next.
 *
 * Made by whoever reads the configuration (the start, the builder), then a worker's alone, then the
 * builder's again, which frees it: closing a Lua state takes longer than a worker may stand still.
 */
#pragma once

#include "collector/resource.h"
#include "config/config.h"
#include "export/export.h"
#include "journal/journal.h"
#include "policy/policy.h"
#include "policy/processor.h"

#include <lua.h>

struct rules {
    const struct config *config; /* borrowed: outlives it */
    uint32_t version;            /* in records: the upper half of the configuration's hash */
    lua_State *L;
    struct policy_state *scripts; /* of L; NULL without any */
    struct policy_set *policies;  /* NULL: no tail_sampling, everything is kept */
    uint16_t *policy_labels;      /* of a policy without an opinion, by policy */
    struct decision_vote *votes;  /* scratch: one for each policy */
    struct resource_edits *resource;
    uint64_t head_threshold;                 /* T of head_sampling; 0: every trace comes in */
    struct processor_set *received, *kept;   /* NULL: none */
    const struct match *where[EXPORTER_MAX]; /* of exporters, by bit; in L */
    size_t where_count;                      /* bits below it have one */
    uint64_t every_exporter;                 /* mask of those without where */
    uint64_t exporters;                      /* of all */
    uint64_t takers[OTLP_SIGNALS];           /* of those that take a signal */
};

/* `L` has `config` in it (setup.h), with `exporters`; it is owned from now on, also after a
 * failure. ERR_CONFIG with a sentence. */
enum err rules_new(lua_State *L, const struct config *config,
                   const struct exporter_specs *exporters, struct policy_shared *shared,
                   struct rules **out, struct err_info *info) MUST_CHECK;
void rules_free(struct rules *r); /* NULL is allowed */
