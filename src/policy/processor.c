/* The processors of one worker: made from the configuration, asked about spans. */
#include "lua/state.h"
#include "policy/processor_parts.h"
#include "policy/redact_lua.h"
#include "policy/verdict.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

enum { BODY_MAX = 1 << 30 };

/* ---- making ---- */

int processor_reference(lua_State *L, const char *key)
{
    lua_getfield(L, -1, key);
    if (!lua_isnil(L, -1))
        return luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
    return LUA_NOREF;
}

/* Where it redacts whole bodies, by what. */
static void init_body(struct processor_set *p, struct processor *x)
{
    lua_getfield(p->L, -1, "redaction");
    x->redacts_body = redact_get(p->L, -1);
    lua_pop(p->L, 1);
    x->body = processor_reference(p->L, "redaction");
    if (x->redacts_body)
        redact_count_memory(x->redacts_body, p->shared->memory);
    else if (x->span != LUA_NOREF || x->trace != LUA_NOREF)
        p->span_count++;
}

/* Where it redacts kept spans, and has nothing else to say of them. */
static void init_spans(struct processor_set *p, struct processor *x)
{
    lua_getfield(p->L, -1, "redacts_spans");
    x->redacts_spans = redact_get(p->L, -1); /* `bodies` holds it */
    lua_pop(p->L, 1);
    if (x->redacts_spans)
        redact_count_memory(x->redacts_spans, p->shared->memory);
}

static enum on_error on_error_of(lua_State *L)
{
    enum on_error how = ON_ERROR_PASS;

    lua_getfield(L, -1, "on_error");
    if (strcmp(lua_tostring(L, -1), "strip") == 0)
        how = ON_ERROR_STRIP;
    else if (strcmp(lua_tostring(L, -1), "drop") == 0)
        how = ON_ERROR_DROP;
    lua_pop(L, 1);
    return how;
}

static void init_processor(struct processor_set *p, struct processor *x)
{
    lua_State *L = p->L;
    char quarantine[256];

    script_init(&x->script, L, p->shared->processor_failures);
    snprintf(quarantine, sizeof(quarantine), "processor %s", x->script.name);
    x->script.health_label =
        labels_intern(p->shared->quarantines, slice_str(quarantine), (struct slice){0});
    x->on_error = on_error_of(L);
    x->span = processor_reference(L, "span");
    x->trace = processor_reference(L, "trace");
    init_body(p, x);
    init_spans(p, x);
    processor_items_init(p, x);
    lua_getfield(L, -1, "when");
    x->when = match_get(L, -1);
    lua_pop(L, 1);
    x->when_ref = processor_reference(L, "when");
    x->error_label =
        labels_intern(p->shared->filters, slice_str(x->script.name), slice_str("error"));
}

enum err processor_set_new(lua_State *L, const char *on, int list, struct policy_shared *shared,
                           struct processor_set **out, struct buf *errors)
{
    struct policy_state *state = policy_state_of(L);
    struct processor_set *p;
    size_t count;

    *out = NULL;
    if (!state)
        return ERR_CONFIG;
    lua_pushvalue(L, list);
    lua_pushstring(L, on);
    if (script_prepare(L, "moontail.processor", 2, errors))
        return ERR_CONFIG;
    count = lua_objlen(L, -1);
    if (count > 0) {
        p = calloc(1, sizeof(*p) + count * sizeof(p->processors[0]));
        if (!p)
            err_no_memory("the processors");
        p->L = L;
        p->reader = &state->reader;
        p->editor = &state->editor;
        p->shared = shared;
        editor_count(p->editor, shared->memory);
        buf_init(&p->bodies[0], BODY_MAX, shared->memory);
        buf_init(&p->bodies[1], BODY_MAX, shared->memory);
        buf_init(&p->metric, BODY_MAX, shared->memory);
        buf_init(&p->resource, BODY_MAX, shared->memory);
        for (; p->count < count; p->count++) {
            lua_rawgeti(L, -1, (int)p->count + 1);
            init_processor(p, &p->processors[p->count]);
            lua_pop(L, 1);
        }
        *out = p;
    }
    lua_pop(L, 1);
    return ERR_OK;
}

void processor_set_free(struct processor_set *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        struct processor *x = &p->processors[i];

        luaL_unref(p->L, LUA_REGISTRYINDEX, x->span);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->trace);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->body);
        luaL_unref(p->L, LUA_REGISTRYINDEX, x->when_ref);
        processor_items_fini(p, x);
        script_fini(&x->script);
    }
    buf_fini(&p->bodies[0]);
    buf_fini(&p->bodies[1]);
    buf_fini(&p->metric);
    buf_fini(&p->resource);
    free(p->views);
    free(p);
}

size_t processor_set_count(const struct processor_set *p)
{
    return p ? p->count : 0;
}

bool processor_set_has_spans(const struct processor_set *p)
{
    return p && p->span_count > 0;
}

/* ---- asking ---- */

/* By what its on_error is, to a span and to an item of metrics and logs. */
static const char *const done[][2] = {
    [ON_ERROR_PASS] = {"a processor failed; the span passes",
                       "a processor failed; the item passes"},
    [ON_ERROR_STRIP] = {"a processor failed; the span is stripped",
                        "a processor failed; the item is stripped"},
    [ON_ERROR_DROP] = {"a processor failed; the span is dropped",
                       "a processor failed; the item is dropped"}};

void processor_count_failure(struct processor_set *p, struct processor *x, enum policy_failure kind)
{
    atomic_fetch_add_explicit(&p->shared->processor_errors[x->script.failure_labels[kind]], 1,
                              memory_order_relaxed);
}

/* In quarantine its on_error goes on, without asking it. */
static bool is_out(struct processor_set *p, struct processor *x)
{
    if (!script_is_out(&x->script, p->shared))
        return false;
    processor_count_failure(p, x, FAILURE_QUARANTINE);
    return true;
}

static enum answer fail(struct processor_set *p, struct processor *x, enum policy_failure kind,
                        const char *text, uint64_t now_ns)
{
    static const struct script_words words = {
        "processor", "function",
        "a processor failed too often; it is not asked until the next reload"};
    char shown[sizeof(((struct err_info *)NULL)->text)];
    bool is_span = p->reader->trace->item == OWNER_SPAN;

    processor_count_failure(p, x, kind);
    script_failed(&x->script, p->shared, &words, done[x->on_error][!is_span],
                  is_span ? p->reader->trace->id : NULL,
                  policy_redacted_str(p->L, text, shown, sizeof(shown)), now_ns);
    return ANSWER_FAILED;
}

static enum policy_failure failure_of(const struct processor_set *p)
{
    enum lua_failure how = lua_run_failure(p->L);

    if (p->reader->no_memory || p->editor->no_memory || how == LUA_NO_MEMORY)
        return FAILURE_MEMORY;
    return how == LUA_OVERRUN ? FAILURE_BUDGET : FAILURE_ERROR;
}

/* Runs the function and its `args` on the stack; false: it failed, nothing is on the stack. */
static bool run(struct processor_set *p, struct processor *x, int args, int results,
                uint64_t now_ns)
{
    struct err_info info;

    if (lua_run_bounded(p->L, args, results, &info)) {
        fail(p, x, failure_of(p), info.text, now_ns);
        return false;
    }
    if (!p->reader->no_memory)
        return true;
    lua_pop(p->L, results);
    fail(p, x, FAILURE_MEMORY, "no memory to read the trace", now_ns);
    return false;
}

static uint16_t drop_label(struct processor_set *p, struct processor *x, const struct verdict *v)
{
    struct slice reason = v->has_reason ? verdict_reason(v) : slice_str(x->script.type);

    if (x->serial != v->serial) {
        x->label = labels_intern(p->shared->filters, slice_str(x->script.name),
                                 policy_redacted(policy_state_of(p->L), reason));
        x->serial = v->serial;
    }
    return x->label;
}

/* What it returned is on the stack. */
static enum answer answer_of(struct processor_set *p, struct processor *x, uint64_t now_ns,
                             uint16_t *label)
{
    const struct verdict *v = verdict_get(p->L, -1);
    char text[128];

    if (v && v->kind == VERDICT_DROP) {
        *label = drop_label(p, x, v);
        return ANSWER_DROP;
    }
    if (lua_isnil(p->L, -1))
        return ANSWER_LEAVE;
    snprintf(text, sizeof(text), "%s returned %s; allowed: drop() or nil",
             p->reader->trace->item == OWNER_SPAN ? "span" : "the function",
             v ? "another verdict" : luaL_typename(p->L, -1));
    return fail(p, x, FAILURE_BAD_VERDICT, text, now_ns);
}

enum answer processor_ask(struct processor_set *p, struct processor *x, int function, size_t span,
                          uint64_t now_ns, uint16_t *label)
{
    enum answer answer;

    if (is_out(p, x))
        return ANSWER_FAILED;
    reader_retry(p->reader);
    lua_rawgeti(p->L, LUA_REGISTRYINDEX, function);
    lua_pushnumber(p->L, p->reader->face.number);
    lua_pushnumber(p->L, (double)span);
    if (!run(p, x, 2, 1, now_ns))
        return ANSWER_FAILED;
    answer = answer_of(p, x, now_ns, label);
    lua_pop(p->L, 1);
    return answer;
}

bool processor_ask_trace(struct processor_set *p, struct processor *x, uint64_t now_ns)
{
    if (x->trace == LUA_NOREF)
        return true;
    if (is_out(p, x))
        return false;
    lua_rawgeti(p->L, LUA_REGISTRYINDEX, x->trace);
    lua_pushnumber(p->L, p->reader->face.number);
    return run(p, x, 1, 0, now_ns);
}

bool processor_set_drops(struct processor_set *p, const uint8_t trace_id[16],
                         struct span_view *view, uint64_t now_ns, uint16_t *label)
{
    struct policy_trace one = {.trigger = "wait",
                               .count = 1,
                               .only_root = POLICY_ROOT_UNKNOWN,
                               .span = policy_span_in_array,
                               .span_arg = view};
    bool dropped = false;

    if (p->span_count == 0)
        return false;
    memcpy(one.id, trace_id, sizeof(one.id));
    policy_begin_time(p->L, now_ns);
    reader_begin(p->reader, &one);
    for (size_t i = 0; i < p->count && !dropped; i++) {
        struct processor *x = &p->processors[i];
        enum answer answer;

        if (x->redacts_body || x->span == LUA_NOREF || !reader_ready(p->reader) ||
            (x->when && !match_reads(x->when, p->reader, 0)))
            continue;
        answer = processor_ask(p, x, x->span, 0, now_ns, label);
        if (answer == ANSWER_FAILED)
            *label = x->error_label;
        dropped =
            answer == ANSWER_DROP || (answer == ANSWER_FAILED && x->on_error == ON_ERROR_DROP);
    }
    reader_end(p->reader);
    policy_end_time(p->L);
    return dropped;
}
