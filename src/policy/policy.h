/* policy.h: asks the policies of one worker about one trace and combines their answers.
 *
 * Data path: trace table -> [policies] -> composer. One policy_set belongs to one worker and one
 * Lua state; what is shared between workers (labels, the bound on policy_error keeps) is in struct
 * policy_shared. Semantics: design: first keep or drop is final; else the first sample(p) sets the
 * probability, raised by any at_least(p); else the default; one draw on 56 bits.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/memory.h"
#include "otlp/scan.h"
#include "otlp/view.h"
#include "policy/cells.h"
#include "policy/labels.h"

#include <stdatomic.h>

#include <lua.h>

#define THRESHOLD_NONE  UINT64_MAX          /* no th */
#define THRESHOLD_NEVER (UINT64_C(1) << 56) /* p = 0: R is always smaller */

enum { POLICY_ROOT_UNKNOWN = UINT32_MAX };

struct policy_state;

/* What the policies see: filled by the worker, borrowed for one call. Spans are asked for one at a
 * time and only when somebody looks, so that a trace that is judged by its sums touches no bytes.
 */
struct policy_trace {
    uint8_t id[16];
    const char *trigger; /* "wait", ... */
    bool complete;
    struct scan_sums sums;
    uint64_t decided_unix_ns;
    uint32_t count;
    /* The index of the only span without a parent id, where the caller knows it; else
     * POLICY_ROOT_UNKNOWN (also with none or several): then it is found in the bytes. */
    uint32_t only_root;
    /* The span at i < count, in any fixed order; borrowed as long as the trace. */
    struct span_view (*span)(void *arg, uint32_t i);
    void *span_arg;
    const struct policy_verdict *decision; /* exporters and processors only; else NULL */
    /* Of metrics and logs there is one, a log record, a metric or a data point, in place of a span;
     * or a resource alone. Zero (OWNER_SPAN): these are spans. */
    enum attr_owner item;
    struct slice metric; /* of a data point */
};

/* For `span`, where span_arg is an array of struct span_view. */
struct span_view policy_span_in_array(void *views, uint32_t i);

struct policy_verdict {
    bool keep;
    uint16_t label;
    double probability; /* p of a sampled keep or drop, as it was asked for; < 0: certain */
    uint64_t threshold; /* T of the draw; 0: certain keep; THRESHOLD_NONE: unknown probability */
    bool policy_error;
    bool unknown;   /* nobody can say how probable this verdict was: it hung on other traces */
    uint32_t entry; /* of a kept trace: the index of trace.entry; UINT32_MAX: it has no spans */
};

/* Why a call of a policy gave no verdict. */
enum policy_failure {
    FAILURE_ERROR,
    FAILURE_BAD_VERDICT,
    FAILURE_MEMORY,
    FAILURE_BUDGET,     /* of CPU time */
    FAILURE_QUARANTINE, /* it was not asked: it had failed too often */
    FAILURE_COUNT
};
/* "error", "bad_verdict", "memory", "budget", "quarantine" */
const char *policy_failure_name(enum policy_failure f);

/* A call of a script that failed. */
struct policy_failed {
    const char *kind; /* "policy", "processor" */
    const char *name;
    const char *where; /* file:line of its function */
    const char *text;  /* the error */
    const uint8_t *trace_id;
};

/* One per process, and one for each trial of policies aside of what runs. */
struct policy_shared {
    struct labels *labels;                 /* decisions; borrowed */
    struct cells *cells;                   /* the live world; borrowed; NULL: there is none */
    _Atomic double keep_traces_per_second; /* bound on policy_error keeps */
    _Atomic uint64_t bucket_ns;            /* the token bucket for them */
    _Atomic uint64_t quarantine_errors;    /* within quarantine_window_ns; 0: never */
    _Atomic uint64_t quarantine_window_ns;
    struct labels *quarantines;         /* who can get there: a policy, "processor NAME"; owned */
    struct policy_health *health;       /* by label of them; owned */
    struct labels *failures;            /* (policy, kind); owned */
    _Atomic uint64_t errors[LABEL_MAX]; /* failed calls, by label of `failures` */
    struct memory *memory;  /* counts what processors make; NULL at first: nothing does */
    struct labels *filters; /* (processor, reason) of dropped spans; owned */
    struct labels *processor_failures;            /* (processor, kind); owned */
    _Atomic uint64_t processor_errors[LABEL_MAX]; /* by label of them */
    _Atomic uint64_t truncated;                   /* strings that processors cut */
    struct labels *redactions;                    /* (processor, rule); owned */
    _Atomic uint64_t redacted[LABEL_MAX];         /* texts, by label of them */
    /* Hears of each failure instead of the log; all is borrowed. NULL, as it is at first: it is
     * logged. */
    void (*on_failed)(void *arg, const struct policy_failed *f);
    void *on_failed_arg;
    bool is_quiet; /* log.info and log.warn of scripts say nothing */
};
/* Start-up only: ends without memory. `labels` outlives it. */
void policy_shared_init(struct policy_shared *s, struct labels *labels,
                        double keep_traces_per_second);
void policy_shared_fini(struct policy_shared *s);
/* Walks moontail_policy_errors_total: *at starts at 0; false at the end. Every kind of every policy
 * that was ever made is there, with 0 too. Names are borrowed for life. Any thread. */
bool policy_errors_next(const struct policy_shared *s, size_t *at, const char **policy,
                        const char **kind, uint64_t *count);

/* Walks the policies and processors ("processor NAME"): `out` is whether it is in quarantine, which
 * all workers share: it failed quarantine_errors times within the window, so it is not asked until
 * policy_quarantine_lift. *at, names and threads as above. */
bool policy_quarantine_next(const struct policy_shared *s, size_t *at, const char **policy,
                            bool *out);
/* All are asked again, as after a reload. Any thread. */
void policy_quarantine_lift(struct policy_shared *s);

struct policy_set;

/* Makes the policies in the table at `policies` (the value of tail_sampling.policies in a config
 * that ran in L) ready: loads their files, validates options, runs setup. default_verdict: index of
 * tail_sampling.default. ERR_CONFIG with all sentences in `errors`, a line each. Owned by the
 * caller; L outlives it. */
enum err policy_set_new(lua_State *L, int policies, int default_verdict,
                        struct policy_shared *shared, struct policy_set **out,
                        struct buf *errors) MUST_CHECK;
void policy_set_free(struct policy_set *p);
/* Appends what is allowed in the policies made since the last call and may not be meant, a line
 * each. */
void policy_take_hints(lua_State *L, struct buf *hints);

size_t policy_set_count(const struct policy_set *p);
const char *policy_set_name(const struct policy_set *p, size_t i);

/* What one policy said of a trace. */
enum policy_opinion {
    OPINION_NOT_ASKED,
    OPINION_NONE,
    OPINION_KEEP,
    OPINION_DROP,
    OPINION_SAMPLE,
    OPINION_AT_LEAST,
    OPINION_FAILED, /* the label's reason says how: a policy_failure_name */
};
struct policy_vote {
    enum policy_opinion opinion;
    uint16_t label;     /* of those that have one: all but not asked and none */
    double probability; /* of sample and at_least */
};
/* What each policy said of the trace decided last, in order; borrowed until the next one. */
const struct policy_vote *policy_set_votes(const struct policy_set *p);

/* Asks the policies in order. Never fails: a policy that raises has no opinion (invariant 4).
 * now_ns is for the bound on policy_error only. */
void policy_set_decide(struct policy_set *p, const struct policy_trace *trace, uint64_t now_ns,
                       struct policy_verdict *verdict);

/* Asks each policy, also behind one whose verdict is final: for who wants to know which fail. Its
 * votes are there as after policy_set_decide. */
void policy_set_ask_each(struct policy_set *p, const struct policy_trace *trace, uint64_t now_ns);

/* ---- consistent probability sampling (W3C tracestate ot=th, rv; OTel TraceState handling) ---- */

/* T(p) = round((1 - p) * 2^56), rounded to 4 hex digits after leading f's or 0's; p in 0..1. */
uint64_t sampling_threshold(double p);
/* R of a trace: the root's rv (without a root, of the smallest span id that has one), else the last
 * 7 bytes of the id. */
uint64_t sampling_randomness(const struct policy_trace *trace);
/* Without any rv: of the last 7 bytes of the id. */
uint64_t sampling_randomness_of_id(const uint8_t id[16]);
/* 1 - T / 2^56. */
double sampling_probability(uint64_t threshold);
/* The value of the first member with that key; borrowed from trace_state. False: there is none. */
bool sampling_member(struct slice trace_state, struct slice key, struct slice *value);
/* The `ot` member of a tracestate. rv: exactly 14 lower-case hex digits; th: 1 to 14. False if
 * absent or malformed. */
bool sampling_rv(struct slice trace_state, uint64_t *rv);
bool sampling_th(struct slice trace_state, uint64_t *threshold);
/* The lower-case hex of th without trailing zeros ("0" for 0) into text[15]. */
void sampling_threshold_text(uint64_t threshold, char text[15]);

/* ---- matchers ---- */

struct match; /* a compiled match{} */
/* The matcher at stack index, or NULL if it is none. Lives as long as the state. */
const struct match *match_get(lua_State *L, int index);
bool match_span(const struct match *m, const struct policy_trace *trace, uint32_t span);
/* exporter.where: decision and trace fields, and that one span has all its span fields. */
bool match_where(const struct match *m, const struct policy_trace *trace,
                 const struct labels *labels);

/* Installs the script API (match, any, none, glob, regex, range, keep, drop, sample, at_least,
 * policy, option, ...) into the environment table at `env` and the accessors into L. */
enum err policy_api_install(lua_State *L, int env, struct policy_shared *shared,
                            struct err_info *info) MUST_CHECK;
/* Pushes what the script API is, from its table: what "luacats" (for editors) or "docs" (the page
 * docs/policies-api.md). Nothing need be installed in L. */
enum err policy_api_text(lua_State *L, const char *what, struct err_info *info) MUST_CHECK;
/* From now on limit, seen and counter of the scripts in L, also those declared before, work on
 * `cells`, which outlives L or the next call: the live world, or a copy of it for a trial. NULL, as
 * it is at first: on an empty world of the state's own, so that nobody touches the live one by
 * mistake. */
void policy_use_cells(lua_State *L, struct cells *cells, uint64_t now_ns);
/* The time that they see until policy_end_time; without it they raise. policy_set_decide says it by
 * itself. */
void policy_begin_time(lua_State *L, uint64_t now_ns);
void policy_end_time(lua_State *L);
/* What the room keeps for L, as long as L; NULL before policy_api_install. */
struct policy_state *policy_state_of(lua_State *L);
/* What the redactions that scripts of a state made leave of a text that people will see: a reason,
 * an error, a name. The text itself where there are none. Borrowed until the next call. */
struct slice policy_redacted(struct policy_state *s, struct slice text);
/* From now on also what the redactions of `other` leave; it outlives L or the next call. NULL, as
 * it is at first: of L alone. */
void policy_show_as(lua_State *L, lua_State *other);
/* Appends what those that scripts in L made leave of a body that was scanned. ERR_FULL: no memory,
 * and what is in `out` is of no use. */
enum err policy_redact_body(lua_State *L, struct slice body, struct buf *out) MUST_CHECK;
/* Pushes the trace proxy for `trace`, which stays readable until policy_end_trace or the next one:
 * for Lua exporters and processors. ERR_FULL without memory, nothing pushed. */
enum err policy_push_trace(lua_State *L, const struct policy_trace *trace) MUST_CHECK;
void policy_end_trace(lua_State *L);
