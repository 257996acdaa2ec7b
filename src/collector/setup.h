/* setup.h: Lua states that have run config.lua, with every room's functions in its environment.
 *
 * Start and reload: not on the path of a span. setup_load reads and checks everything once;
 * setup_state makes one more state for a worker or the Lua export thread from what it read.
 */
#pragma once

#include "base/buf.h"
#include "base/disk.h"
#include "base/err.h"
#include "base/memory.h"
#include "config/config.h"
#include "export/export.h"
#include "policy/policy.h"
#include "policy/processor.h"

#include <lua.h>

struct setup {
    const char *path; /* of config.lua; NULL: the one that the program carries */
    const char *text; /* in place of the file's, whose folder counts; may be NULL */
    const struct lua_script_at *script; /* a script that lies somewhere else; may be NULL */
    struct disk *disk;                  /* outlives the states */
    struct memory *memory;              /* counts the states; may be NULL */
    struct policy_shared *shared;       /* outlives the states */
    const atomic_bool *stop; /* ends what is being read; outlives the states; may be NULL */
};

/* What setup_load gives; setup_fini frees it. */
struct setup_loaded {
    struct config *config;
    struct config_recording *recording;
    lua_State *L;               /* ran config.lua; the caller may take it (and set NULL) */
    size_t policies, exporters; /* how many were checked */
    const char **policy_names;  /* in order; NULL: none */
    char *description;          /* config_describe */
    bool has_door;              /* spans may be left out as they come */
};

/* Reads config.lua and everything that it names, policies and exporters included, without any other
 * effect. ERR_CONFIG: every error in `report`, a line each, nothing is left. On success `report`
 * has hints, a line each. */
enum err setup_load(const struct setup *s, struct setup_loaded *out, struct buf *report) MUST_CHECK;
void setup_fini(struct setup_loaded *l);

enum { SETUP_SEGMENT_BYTES = 2 << 20 }; /* of a journal with files: one huge page */
/* Whether journal.max_size is enough for so many workers. ERR_CONFIG with a sentence. setup_load
 * asks where the configuration says how many; else it depends on the machine. */
enum err setup_journal_fits(const struct config *config, unsigned workers,
                            struct err_info *info) MUST_CHECK;
/* Of the journal's segments. */
size_t setup_segment_bytes(const struct config *config, unsigned workers);
/* How many workers there are on a machine of so many CPUs. Where that is left to the machine, no
 * more than half of the memory has room for, with the segments that each of them holds. */
unsigned setup_workers(const struct config *config, unsigned cpus);
/* Whether memory_limiter has room for the segments of so many; as setup_journal_fits. */
enum err setup_memory_fits(const struct config *config, unsigned workers,
                           struct err_info *info) MUST_CHECK;
/* Logs the lines of a report as warnings: what is accepted and may not be meant. */
void setup_log_hints(struct slice report);

/* One more state that ran the same config.lua with the same answers. Owned by the caller. */
enum err setup_state(const struct setup *s, const struct setup_loaded *l, lua_State **L,
                     struct err_info *info) MUST_CHECK;

/* The policies of a state that ran config.lua: *out is NULL where there is no tail_sampling. */
enum err setup_policies(lua_State *L, const struct config *config, struct policy_shared *shared,
                        struct policy_set **out, struct err_info *info) MUST_CHECK;
/* The processors in Lua of a state that ran config.lua: on is "received" or "kept"; *out is NULL
 * where there are none. */
enum err setup_processors(lua_State *L, const char *on, struct policy_shared *shared,
                          struct processor_set **out, struct err_info *info) MUST_CHECK;
/* Pushes what exporters are read from (two values: the list, and an environment for their files)
 * and fills *source with it; *source is good until they are popped. Nothing is pushed on failure.
 */
enum err setup_push_exporters(const struct setup *s, lua_State *L, struct exporter_source *source,
                              struct err_info *info) MUST_CHECK;
/* The exporters of a state that ran config.lua. hints: may be NULL. */
enum err setup_exporters(const struct setup *s, lua_State *L, struct exporter_specs **out,
                         struct buf *hints, struct err_info *info) MUST_CHECK;
