/* Policies that never end, or take all memory: they fail, and those behind them are asked. */
#include "base/clock.h"
#include "base/log.h"
#include "check.h"
#include "lua/hostile.h"
#include "scripts.h"
#include "traces.h"

#define MS UINT64_C(1000000)

static unsigned asked = 3; /* times each; the campaign says 1000 */

static uint64_t failures_of(const struct policy_shared *s, const char *policy)
{
    const char *name, *kind;
    uint64_t count, sum = 0;
    size_t at = 0;

    while (policy_errors_next(s, &at, &name, &kind, &count))
        sum += strcmp(name, policy) == 0 ? count : 0;
    return sum;
}

static void load(struct test_state *s, const struct hostile *h)
{
    const struct lua_options bounds = {
        .max_bytes = 32 << 20, .max_cpu_ns = 5 * MS, .jit = LUA_JIT_AUTO};
    char text[2048];

    state_init(s, true, 10);
    snprintf(text, sizeof(text),
             "return { policy { name = 'bad', decide = function(trace)\n%s end },\n"
             "policy { name = 'good', decide = function() return keep('fine') end } }, drop()",
             h->body);
    state_must_load(s, text);
    lua_state_configure(s->L, &bounds);
}

static void no_hostile_policy_stops_the_chain(void)
{
    static const struct test_span span = {.id = 1, .kind = 2, .end_ms = 100, .service = "shop"};

    for (size_t i = 0; i < HOSTILE_COUNT; i++) {
        struct test_state s;
        struct test_trace t;
        struct policy_verdict v;

        load(&s, &hostile_scripts[i]);
        trace_init(&t, test_id, &span, 1);
        for (unsigned n = 0; n < asked; n++)
            CHECK(strcmp(state_decide(&s, &t.trace, n + 1, &v), "keep good/fine") == 0);
        if (failures_of(&s.shared, "bad") != asked)
            printf("  %s did not fail\n", hostile_scripts[i].name);
        CHECK(failures_of(&s.shared, "bad") == asked && failures_of(&s.shared, "good") == 0);
        trace_fini(&t);
        state_fini(&s);
    }
}

/* Frozen tables and proxies: what the library's raw functions could write. */
static void proxies_and_options_stay_as_they_are(void)
{
    static const struct test_span span = {.id = 1, .kind = 2, .end_ms = 100, .service = "shop"};
    static const char *const tries[] = {
        "table.insert(trace, 1)",
        "table.insert(trace.entry, 1, 5)",
        "table.remove(trace.entry)",
        "table.sort(trace.entry)",
        "trace.entry.name = 'x'",
        "trace.entry.resource.x = 1",
        "trace.evil = 1",
        "local v = keep() v.p = 1",
        "local v = keep() table.insert(v, 1)",
        "getmetatable(trace)",
        "setmetatable(trace, {})",
        "trace.__index.x = 1",
        "local n = trace.entry.http n.path = '/x'",
    };
    struct policy_verdict v;

    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        struct test_state s;
        struct test_trace t;
        char text[512];

        state_init(&s, true, 10);
        snprintf(text, sizeof(text),
                 "return { policy { name = 'bad', decide = function(trace) %s end } }, drop()",
                 tries[i]);
        state_must_load(&s, text);
        trace_init(&t, test_id, &span, 1);
        state_decide(&s, &t.trace, 1, &v);
        if (failures_of(&s.shared, "bad") != 1)
            printf("  %s did not fail\n", tries[i]);
        CHECK(failures_of(&s.shared, "bad") == 1);
        trace_fini(&t);
        state_fini(&s);
    }
}

int main(int argc, char **argv)
{
    log_configure(LOG_ERROR, LOG_LOGFMT);
    if (argc > 1)
        asked = (unsigned)strtoul(argv[1], NULL, 10);
    RUN(no_hostile_policy_stops_the_chain);
    RUN(proxies_and_options_stay_as_they_are);
    return DONE();
}
