/* The policies of one worker: made from the configuration, asked about each trace. */
#include "lua/state.h"
#include "policy/api.h"
#include "policy/match.h"
#include "policy/redact_lua.h"
#include "policy/script.h"
#include "policy/verdict.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { CACHED_LABELS = 8, GUARDS = 2 };

static const char no_memory_text[] = "no memory to read the trace";

struct cached_label {
    uint64_t serial; /* of the verdict; 0: none */
    uint16_t label;
};

struct policy {
    struct script script;
    const struct match *guards[GUARDS]; /* it is asked where they hold; NULL: none */
    const struct verdict *says;         /* of each such trace; NULL: ask */
    int said;                           /* reference to that verdict */
    int ask; /* reference to its function: number of the trace -> verdict */
    uint16_t error_label;
    uint16_t vote_labels[FAILURE_COUNT];      /* of its votes; 0: it has not failed so yet */
    struct cached_label cache[CACHED_LABELS]; /* by serial */
};

/* What the default of the chain is, copied out of Lua. */
struct fallback {
    enum verdict_kind kind;
    double p;
    uint16_t label;
};

/* What the last draw was with: most are with the same. */
struct drawn {
    double probability;
    uint64_t threshold;
};

struct policy_set {
    lua_State *L;
    struct policy_state *state;
    struct reader *reader; /* of the state */
    struct policy_shared *shared;
    struct fallback fallback;
    struct policy_vote *votes; /* by policy, of the present trace */
    bool looks;                /* one of them read the root of the last trace */
    struct drawn drawn;
    size_t count;
    struct policy policies[];
};

/* ---- making ---- */

/* Matchers live as long as the state. */
static void init_guards(struct policy_set *p, struct policy *policy)
{
    lua_getfield(p->L, -1, "guards");
    for (int i = 0; i < GUARDS; i++) {
        lua_rawgeti(p->L, -1, i + 1);
        policy->guards[i] = match_get(p->L, -1);
        lua_pop(p->L, 1);
    }
    lua_pop(p->L, 1);
}

static void init_policy(struct policy_set *p, struct policy *policy)
{
    struct script *s = &policy->script;

    script_init(s, p->L, p->shared->failures);
    s->health_label = labels_intern(p->shared->quarantines, slice_str(s->name), (struct slice){0});
    lua_getfield(p->L, -1, "plain_ask");
    policy->ask = luaL_ref(p->L, LUA_REGISTRYINDEX);
    lua_getfield(p->L, -1, "says");
    policy->says = verdict_get(p->L, -1);
    policy->said = luaL_ref(p->L, LUA_REGISTRYINDEX);
    init_guards(p, policy);
    policy->error_label =
        labels_intern(p->shared->labels, slice_str(s->name), slice_str("policy_error"));
}

static enum err read_fallback(struct policy_set *p, int index, struct buf *errors)
{
    const struct verdict *v = verdict_get(p->L, index);
    struct slice reason = slice_str("default");

    if (lua_isnoneornil(p->L, index)) {
        p->fallback = (struct fallback){.kind = VERDICT_DROP};
    } else if (!v || v->kind == VERDICT_AT_LEAST) {
        buf_str(errors, "tail_sampling.default is not keep(), drop() or sample(p)\n");
        return ERR_CONFIG;
    } else {
        p->fallback = (struct fallback){.kind = v->kind, .p = v->p};
        reason = v->has_reason ? verdict_reason(v) : reason;
    }
    p->fallback.label = labels_intern(p->shared->labels, slice_str("default"), reason);
    return ERR_OK;
}

static int absolute(lua_State *L, int index)
{
    return index < 0 && index > LUA_REGISTRYINDEX ? lua_gettop(L) + index + 1 : index;
}

enum err policy_set_new(lua_State *L, int policies, int default_verdict,
                        struct policy_shared *shared, struct policy_set **out, struct buf *errors)
{
    struct policy_state *state = policy_state_of(L);
    struct policy_set *p;
    enum err e;
    size_t count;

    policies = absolute(L, policies);
    default_verdict = absolute(L, default_verdict);
    if (!state) {
        buf_str(errors, "the state has no policies\n");
        return ERR_CONFIG;
    }
    lua_pushvalue(L, policies);
    e = script_prepare(L, "moontail.policy", 1, errors);
    if (e)
        return e;
    count = lua_objlen(L, -1);
    p = calloc(1, sizeof(*p) + count * sizeof(p->policies[0]));
    if (!p)
        err_no_memory("the policies");
    p->votes = calloc(count + 1, sizeof(*p->votes));
    if (!p->votes)
        err_no_memory("the policies");
    p->L = L;
    p->state = state;
    p->reader = &state->reader;
    p->shared = shared;
    p->drawn = (struct drawn){0, THRESHOLD_NEVER};
    for (p->count = 0; p->count < count; p->count++) {
        lua_rawgeti(L, -1, (int)p->count + 1);
        init_policy(p, &p->policies[p->count]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    e = read_fallback(p, default_verdict, errors);
    if (e) {
        policy_set_free(p);
        return e;
    }
    *out = p;
    return ERR_OK;
}

void policy_set_free(struct policy_set *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        luaL_unref(p->L, LUA_REGISTRYINDEX, p->policies[i].ask);
        luaL_unref(p->L, LUA_REGISTRYINDEX, p->policies[i].said);
        script_fini(&p->policies[i].script);
    }
    free(p->votes);
    free(p);
}

size_t policy_set_count(const struct policy_set *p)
{
    return p->count;
}

const char *policy_set_name(const struct policy_set *p, size_t i)
{
    return p->policies[i].script.name;
}

const struct policy_vote *policy_set_votes(const struct policy_set *p)
{
    return p->votes;
}

/* ---- asking ---- */

/* The chain's answers so far. */
struct chain {
    const struct policy *failed; /* the first */
    bool final, keep;
    bool sampled, raised; /* by sample(p), by at_least(p) */
    double p, at_least;
    uint16_t label, at_least_label;
    /* The probability of that verdict is unknown: its policy asked what other traces left. */
    bool unknown, at_least_unknown;
};

static uint16_t verdict_label(struct policy_set *p, struct policy *policy, const struct verdict *v)
{
    struct cached_label *c = &policy->cache[v->serial % CACHED_LABELS];

    if (c->serial != v->serial) {
        struct slice reason = v->has_reason ? verdict_reason(v) : slice_str(policy->script.type);

        c->label = labels_intern(p->shared->labels, slice_str(policy->script.name),
                                 policy_redacted(policy_state_of(p->L), reason));
        c->serial = v->serial;
    }
    return c->label;
}

static struct policy_vote *vote_of(struct policy_set *p, const struct policy *policy)
{
    return &p->votes[policy - p->policies];
}

static uint16_t vote_label(struct policy_set *p, struct policy *policy, enum policy_failure kind)
{
    uint16_t *label = &policy->vote_labels[kind];

    if (!*label)
        *label = labels_intern(p->shared->labels, slice_str(policy->script.name),
                               slice_str(policy_failure_name(kind)));
    return *label;
}

/* It has no opinion; without one of others the trace may be kept for that. */
static void note_failure(struct policy_set *p, struct policy *policy, enum policy_failure kind,
                         struct chain *chain)
{
    atomic_fetch_add_explicit(&p->shared->errors[policy->script.failure_labels[kind]], 1,
                              memory_order_relaxed);
    *vote_of(p, policy) =
        (struct policy_vote){OPINION_FAILED, vote_label(p, policy, kind), .probability = -1};
    if (!chain->failed)
        chain->failed = policy;
}

static void fail(struct policy_set *p, struct policy *policy, enum policy_failure kind,
                 struct chain *chain, const char *text, uint64_t now_ns)
{
    static const struct script_words words = {
        "policy", "decide", "a policy failed too often; it is not asked until the next reload"};

    char shown[sizeof(((struct err_info *)NULL)->text)];

    note_failure(p, policy, kind, chain);
    script_failed(&policy->script, p->shared, &words,
                  "a policy failed; it has no opinion on this trace", p->reader->trace->id,
                  policy_redacted_str(p->L, text, shown, sizeof(shown)), now_ns);
}

static void take_verdict(struct policy_set *p, struct policy *policy, const struct verdict *v,
                         struct chain *chain)
{
    static const enum policy_opinion opinions[] = {[VERDICT_KEEP] = OPINION_KEEP,
                                                   [VERDICT_DROP] = OPINION_DROP,
                                                   [VERDICT_SAMPLE] = OPINION_SAMPLE,
                                                   [VERDICT_AT_LEAST] = OPINION_AT_LEAST};
    bool certain = v->kind == VERDICT_KEEP || v->kind == VERDICT_DROP;
    uint16_t label = verdict_label(p, policy, v);

    *vote_of(p, policy) = (struct policy_vote){opinions[v->kind], label, certain ? -1 : v->p};
    if (certain) {
        chain->final = true;
        chain->keep = v->kind == VERDICT_KEEP;
        chain->label = label;
        chain->unknown = p->state->asked_cells;
    } else if (v->kind == VERDICT_SAMPLE && !chain->sampled) {
        chain->sampled = true;
        chain->p = v->p;
        chain->label = label;
        chain->unknown = p->state->asked_cells;
    } else if (v->kind == VERDICT_AT_LEAST && (!chain->raised || v->p > chain->at_least)) {
        chain->raised = true;
        chain->at_least = v->p;
        chain->at_least_label = label;
        chain->at_least_unknown = p->state->asked_cells;
    }
}

static void bad_verdict(struct policy_set *p, struct policy *policy, struct chain *chain,
                        uint64_t now_ns)
{
    char text[128];

    snprintf(text, sizeof(text), "decide returned a %s; allowed: a verdict or nil",
             luaL_typename(p->L, -1));
    fail(p, policy, FAILURE_BAD_VERDICT, chain, text, now_ns);
}

/* Why the call of Lua that just ended failed. */
static enum policy_failure failure_of(const struct policy_set *p)
{
    enum lua_failure how = lua_run_failure(p->L);

    if (how == LUA_OVERRUN)
        return FAILURE_BUDGET;
    return how == LUA_NO_MEMORY || p->reader->no_memory ? FAILURE_MEMORY : FAILURE_ERROR;
}

/* Its verdict, or whatever else is there, is pushed unless it fails. */
static bool call(struct policy_set *p, struct policy *policy, struct chain *chain, uint64_t now_ns)
{
    struct err_info info;

    lua_rawgeti(p->L, LUA_REGISTRYINDEX, policy->ask);
    lua_pushnumber(p->L, p->reader->face.number);
    if (lua_run_bounded(p->L, 1, 1, &info) == ERR_OK)
        return true;
    fail(p, policy, failure_of(p), chain, info.text, now_ns);
    return false;
}

static void ask_lua(struct policy_set *p, struct policy *policy, struct chain *chain,
                    uint64_t now_ns)
{
    const struct verdict *v;

    if (!call(p, policy, chain, now_ns))
        return;
    v = verdict_get(p->L, -1);
    if (p->reader->no_memory)
        fail(p, policy, FAILURE_MEMORY, chain, no_memory_text, now_ns);
    else if (v)
        take_verdict(p, policy, v, chain);
    else if (lua_isnil(p->L, -1))
        vote_of(p, policy)->opinion = OPINION_NONE;
    else
        bad_verdict(p, policy, chain, now_ns);
    lua_pop(p->L, 1);
}

/* Whether the trace is one that it may have an opinion on. */
static bool is_concerned(struct policy_set *p, const struct policy *policy)
{
    for (int i = 0; i < GUARDS && policy->guards[i]; i++)
        if (!match_trace(policy->guards[i], p->reader))
            return false;
    return true;
}

static void ask(struct policy_set *p, struct policy *policy, struct chain *chain, uint64_t now_ns)
{
    bool concerned;

    if (script_is_out(&policy->script, p->shared)) {
        note_failure(p, policy, FAILURE_QUARANTINE, chain);
        return;
    }
    reader_retry(p->reader);
    p->state->asked_cells = false;
    concerned = is_concerned(p, policy);
    if (p->reader->no_memory)
        fail(p, policy, FAILURE_MEMORY, chain, no_memory_text, now_ns);
    else if (!concerned)
        vote_of(p, policy)->opinion = OPINION_NONE;
    else if (policy->says)
        take_verdict(p, policy, policy->says, chain);
    else
        ask_lua(p, policy, chain, now_ns);
}

/* ---- combining ---- */

static void decide_certain(struct policy_verdict *verdict, bool keep, uint16_t label)
{
    *verdict = (struct policy_verdict){.keep = keep, .label = label, .probability = -1};
}

static uint64_t threshold_of(struct policy_set *p, double probability)
{
    if (probability != p->drawn.probability)
        p->drawn = (struct drawn){probability, sampling_threshold(probability)};
    return p->drawn.threshold;
}

static void decide_sampled(struct policy_set *p, struct policy_verdict *verdict, double probability,
                           uint16_t label)
{
    uint64_t threshold = threshold_of(p, probability);

    *verdict = (struct policy_verdict){
        .keep = threshold < THRESHOLD_NEVER && reader_randomness(p->reader) >= threshold,
        .label = label,
        .probability = probability,
        .threshold = threshold,
    };
}

static void decide_fallback(struct policy_set *p, struct policy_verdict *verdict)
{
    if (p->fallback.kind == VERDICT_SAMPLE)
        decide_sampled(p, verdict, p->fallback.p, p->fallback.label);
    else
        decide_certain(verdict, p->fallback.kind == VERDICT_KEEP, p->fallback.label);
}

/* Without a th: nobody can say how many traces this one stands for. */
static void forget_threshold(struct policy_verdict *verdict, bool unknown)
{
    verdict->unknown = unknown;
    if (unknown && verdict->keep)
        verdict->threshold = THRESHOLD_NONE;
}

static void combine(struct policy_set *p, const struct chain *c, uint64_t now_ns,
                    struct policy_verdict *verdict)
{
    if (c->final) {
        decide_certain(verdict, c->keep, c->label);
        forget_threshold(verdict, c->unknown);
    } else if (c->failed && policy_shared_may_keep(p->shared, now_ns)) {
        decide_certain(verdict, true, c->failed->error_label);
        verdict->threshold = THRESHOLD_NONE;
        verdict->policy_error = verdict->unknown = true;
    } else if (c->raised && (!c->sampled || c->at_least > c->p)) {
        decide_sampled(p, verdict, c->at_least, c->at_least_label);
        forget_threshold(verdict, c->at_least_unknown);
    } else if (c->sampled) {
        decide_sampled(p, verdict, c->p, c->label);
        forget_threshold(verdict, c->unknown);
    } else {
        decide_fallback(p, verdict);
    }
}

static void begin(struct policy_set *p, const struct policy_trace *trace, uint64_t now_ns)
{
    memset(p->votes, 0, p->count * sizeof(*p->votes));
    p->state->now_ns = now_ns;
    p->state->has_time = true;
    reader_begin(p->reader, trace);
}

static void end(struct policy_set *p)
{
    reader_end(p->reader);
    p->state->has_time = false;
}

void policy_set_ask_each(struct policy_set *p, const struct policy_trace *trace, uint64_t now_ns)
{
    begin(p, trace, now_ns);
    for (size_t i = 0; i < p->count; i++) {
        struct chain chain = {.failed = NULL};

        ask(p, &p->policies[i], &chain, now_ns);
    }
    end(p);
}

void policy_set_decide(struct policy_set *p, const struct policy_trace *trace, uint64_t now_ns,
                       struct policy_verdict *verdict)
{
    struct chain chain = {.failed = NULL};

    begin(p, trace, now_ns);
    if (p->looks) /* the way there takes as long as the bytes */
        reader_fetch_root(p->reader);
    for (size_t i = 0; i < p->count && !chain.final; i++)
        ask(p, &p->policies[i], &chain, now_ns);
    combine(p, &chain, now_ns, verdict);
    p->looks = reader_has_read_root(p->reader);
    if (verdict->keep)
        verdict->entry = (uint32_t)reader_entry(p->reader); /* READER_NONE: UINT32_MAX */
    end(p);
}
