/* What a script holds of a trace that is over, or has forged, reads nothing that is not there. Most
 * is in what the address sanitizer says: the bytes of each trace are freed before the next one. */
#include "base/log.h"
#include "check.h"
#include "policy/processor.h"
#include "scripts.h"
#include "traces.h"

enum { BIG = 60 };

/* `held` is what a function of the script has kept: tried in every way that scripts have. */
#define HELD                                                                                       \
    "local held, wrong, tried = nil, {}, 0\n"                                                      \
    "local fields = { 'id', 'name', 'kind', 'status', 'parent', 'resource', 'scope', 'http', "     \
    "'db',\n"                                                                                      \
    "  'rpc', 'duration_ms', 'offset_ms', 'service', 'is_entry', 'method', 'path', 'system',\n"    \
    "  'service', 'trace_id', 'span_id', 'version', 'entry', 'root', 'span_count', 'complete',\n"  \
    "  'trigger', 'decision', 'bytes', 'error_count', 'start_ms', 'decided_ms', 'parent_id',\n"    \
    "  'status_message', 'is_error', 'is_root' }\n"                                                \
    "local m = match { attr = { a = any }, event = { name = 'exception' } }\n"                     \
    "local function calls(one)\n"                                                                  \
    "  return {\n"                                                                                 \
    "    function() return one:attr('a', 'b') end, function() return one:attr_text 'a' end,\n"     \
    "    function() return one:has 'a' end, function() return one:matches(m) end,\n"               \
    "    function() for _, x in one:events() do x:attr 'inner' end return 1 end,\n"                \
    "    function() for _, x in one:links() do x:attr 'inner' end return 1 end,\n"                 \
    "    function() for _, x in one:spans() do x:attr 'a' end return 1 end,\n"                     \
    "    function() return one:find(m) end, function() return one:count(m) end,\n"                 \
    "    function() return one:has_service 'shop' end, function() return one:fraction 'x' end,\n"  \
    "    function() one:set('a', 1) return 1 end, function() one:unset 'a' return 1 end,\n"        \
    "    function() one:rename('a', 'c') return 1 end,\n"                                          \
    "    function() one:set_name 'n' return 1 end,\n"                                              \
    "    function() one:set_status 'ok' return 1 end,\n"                                           \
    "    function() return one:truncate(3) end,\n"                                                 \
    "  }\n"                                                                                        \
    "end\n"                                                                                        \
    "local function answers(one)\n"                                                                \
    "  local n = 0\n"                                                                              \
    "  for _, name in ipairs(fields) do\n"                                                         \
    "    tried = tried + 1\n"                                                                      \
    "    if pcall(function() return one[name] end) then n = n + 1 end\n"                           \
    "  end\n"                                                                                      \
    "  for _, fn in ipairs(calls(one)) do\n"                                                       \
    "    tried = tried + 1\n"                                                                      \
    "    if pcall(fn) then n = n + 1 end\n"                                                        \
    "  end\n"                                                                                      \
    "  return n\n"                                                                                 \
    "end\n"                                                                                        \
    "local function all_of(trace, span)\n"                                                         \
    "  local list = { trace, span, span.resource, span.scope, span.http, span.db, span.rpc }\n"    \
    "  for _, e in span:events() do list[#list + 1] = e end\n"                                     \
    "  for _, l in span:links() do list[#list + 1] = l end\n"                                      \
    "  return list\n"                                                                              \
    "end\n"

/* Of a trace that is over nothing answers; the loops that were begun neither. */
static const char stale[] = HELD
    "return { policy { name = 'p', decide = function(trace)\n"
    "  local before = held\n"
    "  held = all_of(trace, trace.entry)\n"
    "  held.span, held.state, held.at = trace:spans()\n"
    "  held.event, held.event_state = trace.entry:events()\n"
    "  if not before then return keep(#held >= 9 and 'first' or 'few') end\n"
    "  for i = 1, #before do\n"
    "    if answers(before[i]) > 0 then return drop('answered_' .. i) end\n"
    "  end\n"
    "  if pcall(before.span, before.state, 0) or pcall(before.event, before.event_state, 0) then\n"
    "    return drop 'loop' end\n"
    "  if tried < 400 then return drop 'few' end\n"
    "  return keep 'all raised'\n"
    "end } }";

/* A proxy is a table: what a script writes into it is checked where it is read. */
static const char forged[] = HELD
    "local values = { -1, 0, 1, 2, 59, 60, 61, 1e9, 2 ^ 31, -2 ^ 31, 2 ^ 53, 1e300, -1e300, 0.5,\n"
    "  0 / 0, 1 / 0, -1 / 0, 'x', '1', true, false, {} }\n"
    "return { policy { name = 'p', decide = function(trace)\n"
    "  local n = 0\n"
    "  for _, value in ipairs(values) do\n"
    "    for slot = 1, 3, 2 do\n"
    "      for _, one in ipairs(all_of(trace, trace.entry)) do\n"
    "        pcall(function() one[slot] = value end)\n"
    "        n = n + answers(one)\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  return keep(n > 100 and 'survived' or 'nothing was read')\n"
    "end } }";

static void make_trace(struct test_trace *t, uint32_t count)
{
    static const int64_t one = 1;
    struct test_span spans[BIG] = {{0}};

    for (uint32_t i = 0; i < count; i++)
        spans[i] = (struct test_span){.id = i + 1,
                                      .parent_id = i,
                                      .kind = 2,
                                      .start_ms = i,
                                      .end_ms = 100,
                                      .service = "shop",
                                      .attrs = {{"a", "text", NULL}, {"b", NULL, &one}},
                                      .inner = true};
    trace_init(t, test_id, spans, count);
}

/* Each trace in memory of its own, which is gone afterwards. */
static bool decides(struct test_state *s, uint32_t spans, const char *want)
{
    struct test_trace *t = malloc(sizeof(*t));
    struct policy_verdict v;
    const char *text;

    make_trace(t, spans);
    text = state_decide(s, &t->trace, 1, &v);
    trace_fini(t);
    free(t);
    if (strcmp(text, want) != 0)
        printf("  %s, not %s\n", text, want);
    return strcmp(text, want) == 0;
}

static void what_is_held_of_a_trace_that_is_over_raises(void)
{
    for (int jit = 0; jit < 2; jit++) {
        struct test_state s;

        state_init(&s, jit, 10);
        state_must_load(&s, stale);
        CHECK(decides(&s, 3, "keep p/first"));
        for (int i = 0; i < 8; i++)
            CHECK(decides(&s, i % 2 ? BIG : 1, "keep p/all raised"));
        state_fini(&s);
    }
}

static void forged_proxies_read_nothing_outside(void)
{
    for (int jit = 0; jit < 2; jit++) {
        struct test_state s;

        state_init(&s, jit, 10);
        state_must_load(&s, forged);
        for (int i = 0; i < 2; i++)
            CHECK(decides(&s, i % 2 ? BIG : 2, "keep p/survived"));
        state_fini(&s);
    }
}

/* ---- processors ---- */

/* Nothing of the trace before answers; of this one the spans before can be read and not edited. */
static const char held_by_processor[] = HELD
    "local edits = { set = true }\n"
    "return { processor { name = 'p', on = 'kept', on_error = 'drop',\n"
    "  span = function(span, opt, my, trace)\n"
    "    local before = held\n"
    "    held = all_of(trace, span)\n"
    "    held.id = trace.id\n"
    "    held.span = span\n"
    "    span:set('seen', 1)\n"
    "    if not before then return end\n"
    "    if before.id ~= trace.id then\n"
    "      for i = 1, #before do if answers(before[i]) > 0 then error('answered ' .. i) end end\n"
    "    elseif pcall(function() before.span:set('x', 1) end) or before.span:has 'x' then\n"
    "      error 'another span was edited'\n"
    "    end\n"
    "  end } }";

static struct processor_set *load_processor(struct test_state *s, bool jit, const char *text)
{
    struct processor_set *set = NULL;
    struct err_info info;
    struct buf errors;

    state_init(s, jit, 10);
    buf_init(&errors, 4096, NULL);
    if (state_run(s, text, 1, &info) ||
        processor_set_new(s->L, "kept", -1, &s->shared, &set, &errors)) {
        printf("  %s %.*s\n", info.text, (int)errors.len, (const char *)errors.data);
        abort();
    }
    lua_settop(s->L, 0);
    buf_fini(&errors);
    return set;
}

static bool all_edited(struct processor_set *set, uint32_t spans, uint8_t id)
{
    struct test_trace *t = malloc(sizeof(*t));
    struct processed left;
    bool ok;

    make_trace(t, spans);
    t->trace.id[0] = id;
    ok = processor_set_run(set, &t->trace, UINT32_MAX, 1, &left) && left.count == spans;
    for (uint32_t i = 0; ok && i < left.count; i++) {
        struct value v;

        ok = view_owner_attr(OWNER_SPAN, left.views[i].span, slice_str("seen"), &v);
    }
    processor_set_end(set);
    trace_fini(t);
    free(t);
    return ok;
}

static void a_processor_edits_the_span_that_it_is_asked_about_and_no_other(void)
{
    for (int jit = 0; jit < 2; jit++) {
        struct processor_set *set;
        struct test_state s;

        set = load_processor(&s, jit, held_by_processor);
        for (int i = 0; i < 6; i++)
            CHECK(all_edited(set, i % 2 ? BIG : 2, (uint8_t)(i + 1)));
        processor_set_free(set);
        state_fini(&s);
    }
}

int main(void)
{
    log_configure(LOG_WARN, LOG_LOGFMT);
    RUN(what_is_held_of_a_trace_that_is_over_raises);
    RUN(forged_proxies_read_nothing_outside);
    RUN(a_processor_edits_the_span_that_it_is_asked_about_and_no_other);
    return DONE();
}
