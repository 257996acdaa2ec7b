/* What scripts see, in a state as the collector makes it. */
#include "base/log.h"
#include "check.h"
#include "scripts.h"
#include "traces.h"

static const int64_t code_503 = 503, code_200 = 200;

static const struct test_span spans[] = {
    {.id = 7,
     .parent_id = 3,
     .kind = 3,
     .start_ms = 5,
     .end_ms = 60,
     .service = "cart",
     .attrs = {{"http.response.status_code", NULL, &code_503}}},
    {.id = 3,
     .kind = 2,
     .start_ms = 0,
     .end_ms = 100,
     .service = "shop",
     .name = "GET /",
     .attrs = {{"http.response.status_code", NULL, &code_200}, {"url.path", "/x", NULL}}},
    {.id = 5,
     .parent_id = 3,
     .kind = 1,
     .start_ms = 5,
     .end_ms = 9,
     .status = 2,
     .service = "shop"},
};

static struct test_state state;
static char logged[2048];

static void on_log(void *arg, const char *line, size_t len)
{
    (void)arg;
    snprintf(logged, sizeof(logged), "%.*s", (int)len, line);
}

/* Runs `body` as a policy's decide; `before` stands at file level. */
static void load(const char *before, const char *body)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "%s\nreturn { policy { name = 'p', decide = function(trace) %s end } }", before, body);
    state_must_load(&state, text);
}

static const char *decide(struct policy_verdict *v)
{
    struct test_trace t;
    const char *text;

    trace_init(&t, test_id, spans, 3);
    text = state_decide(&state, &t.trace, 1, v);
    trace_fini(&t);
    return text;
}

/* Whether `condition` holds in decide. */
static bool holds_after(const char *before, const char *condition)
{
    struct policy_verdict v;
    char body[1024];

    state_init(&state, true, 1e9);
    snprintf(body, sizeof(body), "if %s then return keep('yes') else return drop('no') end",
             condition);
    load(before, body);
    if (strcmp(decide(&v), "keep p/yes") != 0) {
        printf("  %s: %s\n", condition, logged);
        v.keep = false;
    }
    state_fini(&state);
    return v.keep;
}

static bool holds(const char *condition)
{
    return holds_after("", condition);
}

/* Whether `statement` raises a message with `want` in it. */
static bool raises(const char *statement, const char *want)
{
    struct policy_verdict v;
    bool said;

    state_init(&state, true, 1e9);
    logged[0] = 0;
    load("", statement);
    decide(&v);
    said = v.policy_error && strstr(logged, want) && strstr(logged, "test.lua:2");
    if (!said)
        printf("  %s: %s\n", statement, logged);
    state_fini(&state);
    return said;
}

static void a_trace_has_its_sums(void)
{
    CHECK(holds("trace.span_count == 3 and trace.error_count == 1"));
    CHECK(holds("trace.duration_ms == 100 and trace.start_ms == 1700000000000"));
    CHECK(holds("trace.id == '0102030405060708090a0b0c0d0e0f10' and trace.trigger == 'wait'"));
    CHECK(holds("trace.decided_ms == 1700000010000 and trace.decision == nil"));
    CHECK(holds("trace.bytes > 100 and trace.complete == false"));
}

/* Computed apart from this program: SipHash-2-4 of "canary", a zero byte and the id. */
static void a_fraction_is_the_same_on_every_node(void)
{
    CHECK(holds("trace:fraction('canary') == 0.8926086794293158"));
    CHECK(holds("trace:fraction('canary2') ~= trace:fraction('canary')"));
}

static void spans_come_in_order(void)
{
    CHECK(holds("(function() local s = '' for i, span in trace:spans() do s = s .. i .. "
                "span.id:sub(-1) end "
                "return s end)() == '132537'"));
    CHECK(holds("trace.entry.name == 'GET /' and trace.root == trace.entry"));
    CHECK(holds_after("local m = match { service = 'shop', kind = { 'internal', 'client' } }",
                      "trace:find(m).id == '0000000000000005' and trace:count(m) == 1"));
}

static void conditions_are_asked_in_c(void)
{
    CHECK(holds_after("local m = match { http = { status = range(500, 599) } }",
                      "trace:find(m).service == 'cart' and trace:find(m):matches(m)"));
    CHECK(holds_after("local m = match { kind = 'client', status = 'error' }",
                      "trace:find(m) == nil and trace:count(m) == 0"));
    CHECK(holds_after("local m = match { name = regex '^GET /' }", "trace:find(m).is_root"));
}

/* Whether a file with `statement` in a function is refused with `want` in the message. */
static bool is_refused(const char *statement, const char *want)
{
    struct err_info info;
    char text[512];
    bool said;

    state_init(&state, true, 1e9);
    snprintf(text, sizeof(text), "return { policy { name = 'p', decide = function() %s end } }",
             statement);
    said = state_load(&state, text, &info) && strstr(info.text, want);
    if (!said)
        printf("  %s: %s\n", statement, info.text);
    state_fini(&state);
    return said;
}

static void mistakes_name_line_and_nearest_name(void)
{
    CHECK(raises("return trace.durationms", "did you mean 'duration_ms'?"));
    CHECK(raises("return trace.entry.http.pth", "did you mean 'path'?"));
    CHECK(raises("trace.id = 1", "trace can't be changed: 'id'"));
    CHECK(raises("local x = match { kind = 'server' } return x", "inside of decide"));
    CHECK(raises("local x = sample(10) return x", "10 is not a probability: did you mean 0.10?"));
    CHECK(raises("return sample(10)", "10 is not a probability: did you mean 0.10?"));
    CHECK(is_refused("local x = ffi return x", "test.lua:1: there is no 'ffi'"));
    CHECK(is_refused("x = 1", "'x' is not declared"));
}

static void a_dot_in_place_of_a_colon_is_said_where_it_is(void)
{
    CHECK(raises("local n = trace.count('x')",
                 "test.lua:2: count is called with a colon: write :count(...)"));
    CHECK(raises("return trace.count('x')",
                 "error=\"a method is called with a colon: write trace:spans()"));
    CHECK(raises("local s = trace.spans()", "test.lua:2: spans is called with a colon"));
    CHECK(raises("for s in trace.spans do end", "test.lua:2: a method is called with a colon"));
    CHECK(raises("local a = trace.entry.attr('a')", "test.lua:2: attr is called with a colon"));
    CHECK(raises("local a = trace.entry.resource.has('a')", "test.lua:2: has is called with a"));
}

static void a_wrong_verdict_is_logged_with_the_trace(void)
{
    struct policy_verdict v;

    state_init(&state, true, 1e9);
    load("", "return 'keep'");
    decide(&v);
    CHECK(v.policy_error);
    CHECK(strstr(logged, "decide returned a string") != NULL);
    CHECK(strstr(logged, "0102030405060708090a0b0c0d0e0f10") != NULL);
    state_fini(&state);
}

static void a_proxy_does_not_outlive_its_trace(void)
{
    struct policy_verdict v;

    state_init(&state, true, 1e9);
    load("local old",
         "if old then return keep(old.name) end old = trace.entry return drop('first')");
    CHECK(strcmp(decide(&v), "drop p/first") == 0);
    for (int i = 0; i < 300; i++) /* compiled by then */
        CHECK(strcmp(decide(&v), "keep p/policy_error") == 0);
    CHECK(strstr(logged, "this span belongs to a trace that is over") != NULL);
    state_fini(&state);
}

static void a_pooled_trace_is_read_anew(void)
{
    struct policy_verdict v;
    bool keep = true;

    state_init(&state, true, 1e9);
    load("local n = 0", "n = n + 1 if trace.span_count == 3 and trace.entry.http.path == '/x' and "
                        "trace.entry:attr 'http.response.status_code' == 200 then return keep() "
                        "end return drop()");
    for (int i = 0; i < 1000; i++) {
        decide(&v);
        keep &= v.keep;
    }
    CHECK(keep);
    state_fini(&state);
}

static void a_memory_hog_is_counted_as_one(void)
{
    struct lua_options options = {.jit = LUA_JIT_ON, .max_bytes = 8 << 20};
    struct policy_verdict v;
    const char *policy, *kind;
    uint64_t count = 0;
    size_t at = 0;

    state_init(&state, true, 1e9);
    lua_state_close(state.L);
    state.L = lua_state_new(&options);
    load("", "local t = {} for i = 1, 1e9 do t[i] = { i } end");
    decide(&v);
    CHECK(v.policy_error);
    while (policy_errors_next(&state.shared, &at, &policy, &kind, &count))
        if (strcmp(kind, "memory") == 0)
            break;
    CHECK(count == 1);
    state_fini(&state);
}

int main(void)
{
    log_configure(LOG_WARN, LOG_PRETTY);
    log_redirect(on_log, NULL);
    RUN(a_trace_has_its_sums);
    RUN(a_fraction_is_the_same_on_every_node);
    RUN(spans_come_in_order);
    RUN(conditions_are_asked_in_c);
    RUN(mistakes_name_line_and_nearest_name);
    RUN(a_dot_in_place_of_a_colon_is_said_where_it_is);
    RUN(a_wrong_verdict_is_logged_with_the_trace);
    RUN(a_proxy_does_not_outlive_its_trace);
    RUN(a_pooled_trace_is_read_anew);
    RUN(a_memory_hog_is_counted_as_one);
    return DONE();
}
