/* trial_world.h: the policies and processors of one version of the configuration, aside of what
 * runs: in a Lua state of their own, with labels, counts and a bound on policy_error keeps of their
 * own, and on cells that are thrown away.
 *
 * Off the data path: the builder thread and commands. One thread.
 */
#pragma once

#include "collector/recent.h"
#include "collector/setup.h"

struct trial_world;

/* Processors of another state than that of the policies. */
struct trial_processors {
    lua_State *L;
    struct processor_set *received, *kept; /* NULL: none */
};

struct trial_world_options {
    const struct setup *setup; /* its `shared` is not used; borrowed for the world's life, as: */
    const struct setup_loaded *loaded;
    struct cells *cells; /* what limits and the like begin with: they are copied. NULL: nothing */
    uint64_t now_ns;
    bool is_quiet; /* log lines of scripts are not written */
    /* Each policy is asked about each trace, and each is kept, so that all scripts run: for who
     * looks for those that fail. */
    bool asks_each;
    /* In place of those of `loaded`; borrowed for the world's life. NULL: those. */
    const struct trial_processors *processors;
};

/* ERR_CONFIG, ERR_FULL with a sentence. Owned by the caller. */
enum err trial_world_new(const struct trial_world_options *options, struct trial_world **out,
                         struct err_info *info) MUST_CHECK;
void trial_world_free(struct trial_world *w);            /* NULL is allowed */
lua_State *trial_world_lua(const struct trial_world *w); /* its state; borrowed */

/* What would become of a trace. Borrowed until the next one. */
struct trial_verdict {
    bool keep;
    bool is_filtered;            /* nothing was left of it at the door: nobody was asked */
    const char *policy, *reason; /* is_filtered: the processor's */
    double probability;          /* < 0: certain */
    uint32_t spans;              /* that the policies saw */
    uint32_t sent;               /* that are left behind the processors of what is kept */
    uint32_t errors;             /* of what the policies saw, as: */
    uint64_t duration_ns;
    struct slice service, name;      /* of its entry span; may be empty */
    const struct policy_vote *votes; /* of each policy, in order */
    size_t vote_count;
};

/* Asks about one trace. Time goes on from options.now_ns as it did between the traces' decisions.
 * ERR_FULL: no memory; ERR_PARSE: its bytes are no spans. */
enum err trial_world_judge(struct trial_world *w, const struct recent_trace *trace,
                           struct trial_verdict *verdict) MUST_CHECK;

const char *trial_world_policy(const struct trial_world *w, size_t i); /* by vote */
/* Of a vote that has a label. */
const char *trial_world_reason(const struct trial_world *w, const struct policy_vote *vote);

/* A script that failed. */
struct trial_failure {
    const char *kind, *name; /* "policy", "mine" */
    char text[256];          /* of its first failure: file:line: ... */
    unsigned times;
};
enum { TRIAL_FAILURES = 16 };
/* Those so far, in the order in which they failed first, at most TRIAL_FAILURES. Borrowed. */
const struct trial_failure *trial_world_failures(const struct trial_world *w, size_t *count);

/* Copies what comes from scripts and senders into a line of text: control characters become '?'. */
void trial_copy_line(char *to, size_t size, const char *from, size_t len);
