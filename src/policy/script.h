/* script.h: what a policy and a processor of one worker have in common: what they are called, where
 * they were written, and what is said of their failures. Internal to policy.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "policy/shared.h"

#include <lua.h>

/* How one talks of a kind of scripts. */
struct script_words {
    const char *kind;        /* "policy" */
    const char *function;    /* "decide": what `where` is about */
    const char *quarantined; /* the sentence for the last failure */
};

struct script {
    char *name, *type;
    char *where;                            /* file:line of its function */
    uint16_t failure_labels[FAILURE_COUNT]; /* of what is counted */
    uint16_t health_label;                  /* of its quarantine, among those of all scripts */
    uint64_t next_log_ns, unlogged;
};

/* Calls `prepare` of a trusted module with the `args` on the stack, which are popped, and pushes
 * the list that it gives. ERR_CONFIG: `errors` has them, nothing is pushed. */
enum err script_prepare(lua_State *L, const char *module, int args, struct buf *errors) MUST_CHECK;

/* One of that list: the table on the top of the stack, which stays. Its failures are labels of
 * `failures`; health_label is the caller's to fill in. Aborts without memory: at start. */
void script_init(struct script *s, lua_State *L, struct labels *failures);
void script_fini(struct script *s);

static inline bool script_is_out(const struct script *s, const struct policy_shared *shared)
{
    return policy_shared_is_out(shared, s->health_label);
}

/* It failed on the trace `id`: logged now and then, and towards its quarantine. `what` is the
 * sentence for the log, `text` the error. */
void script_failed(struct script *s, struct policy_shared *shared, const struct script_words *words,
                   const char *what, const uint8_t id[16], const char *text, uint64_t now_ns);
