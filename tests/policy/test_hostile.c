/* Policies and processors that never end, or take all memory: they fail, and those behind them are
 * asked. */
#include "base/clock.h"
#include "base/log.h"
#include "check.h"
#include "lua/hostile.h"
#include "policy/processor.h"
#include "scripts.h"
#include "traces.h"

#include <sys/types.h>

#include <luajit.h>

#define MS UINT64_C(1000000)

static unsigned asked = 2;     /* times each; the campaign says 1000 */
static unsigned budget_ms = 4; /* and 10 */

/* What the library of policies adds; LARGE is a text of two megabytes. */
#define LARGE "local s = ('[1],'):rep(15000) for i = 1, 5 do s = s .. s end "
static const struct hostile library_scripts[] = {
    {"json of shared tables", "local a = { 1 } for i = 1, 40 do a = { a, a } end json.encode(a)"},
    {"json of long strings", LARGE "while true do json.encode { s, s } end"},
    {"decoding", LARGE "s = '[' .. s .. '1]' while true do json.decode(s) end"},
    {"digests", LARGE "while true do local a, b = sha256(s), hmac_sha256('k', s) end"},
    {"encodings", LARGE "while true do local a, b = hex(s), base64(s) end"},
    {"url_encode", LARGE "while true do url_encode(s) end"},
    {"split", LARGE "while true do text.split(s, ',') end"},
    {"contains", LARGE "while true do text.contains(s, ('[1],'):rep(500) .. '2') end"},
    {"glob", LARGE "while true do pcall(text.glob, s, '*' .. ('[1],'):rep(500) .. '2') "
                   "text.glob(('a'):rep(3000), '*' .. ('a'):rep(1000) .. 'b') end"},
    {"reasons", "local i = 0 while true do i = i + 1 local a, b = keep('r' .. i % 900), sample(i % "
                "100 / 100) end"},
    {"spans", "while true do for _, span in trace:spans() do local a = span.http.path end end"},
    {"fraction", "local i = 0 while true do i = i + 1 trace:fraction('x' .. i) end"},
};
enum {
    LIBRARY_COUNT = HOSTILE_COUNT > 1 ? sizeof(library_scripts) / sizeof(library_scripts[0]) : 1
};

static const char *only; /* NULL: all */

static const struct hostile *script_at(size_t i)
{
    if (i < HOSTILE_COUNT)
        return &hostile_scripts[i];
    return i < HOSTILE_COUNT + LIBRARY_COUNT ? &library_scripts[i - HOSTILE_COUNT] : NULL;
}

/* ---- what a call costs and leaves behind ---- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ALLOWED_MS = 1000 }; /* what goes on without a look at the clock takes longer */
#else
enum { ALLOWED_MS = 30 }; /* three of the campaign's budgets */
#endif
enum { SLACK = 64 * 1024 /* the table of strings grows by doubling */ };

struct costs {
    uint64_t began_ns, longest_ns;
    unsigned over; /* calls that took too long: where others have the machine one in many may */
    size_t bytes;  /* of the state, after the second call */
};

static void begin_call(struct costs *c)
{
    c->began_ns = clock_thread_cpu_ns();
}

static void end_call(struct costs *c)
{
    uint64_t ns = clock_thread_cpu_ns() - c->began_ns;

    c->longest_ns = ns > c->longest_ns ? ns : c->longest_ns;
    c->over += ns > ALLOWED_MS * MS;
}

static size_t bytes_in_use(lua_State *L)
{
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    for (int i = 0; i < 12; i++)
        lua_gc(L, LUA_GCCOLLECT, 0);
    return lua_state_bytes(L);
}

static void check_costs(const struct costs *c, lua_State *L, const struct hostile *h)
{
    size_t bytes = bytes_in_use(L);
    bool ok = c->over <= 1 + asked / 100 && bytes <= c->bytes + SLACK;

    if (!ok || asked > 10)
        printf("  %-28s %5.1f ms at most, %+zd bytes\n", h->name, (double)c->longest_ns / 1e6,
               (ssize_t)(bytes - c->bytes));
    CHECK(ok);
}

static uint64_t failures_of(const struct policy_shared *s, const char *policy)
{
    const char *name, *kind;
    uint64_t count, sum = 0;
    size_t at = 0;

    while (policy_errors_next(s, &at, &name, &kind, &count))
        sum += strcmp(name, policy) == 0 ? count : 0;
    return sum;
}

static void bound(lua_State *L)
{
    lua_state_configure(L, &(struct lua_options){.max_bytes = 32 << 20,
                                                 .max_cpu_ns = budget_ms * MS,
                                                 .jit = LUA_JIT_AUTO});
}

static void load(struct test_state *s, const struct hostile *h)
{
    char text[2048];

    state_init(s, true, 10);
    snprintf(text, sizeof(text),
             "return { policy { name = 'bad', decide = function(trace)\n%s end },\n"
             "policy { name = 'good', decide = function() return keep('fine') end } }, drop()",
             h->body);
    state_must_load(s, text);
    bound(s->L);
}

static const struct test_span one_span = {.id = 1, .kind = 2, .end_ms = 100, .service = "shop"};

static void ask_policy(const struct hostile *h)
{
    struct costs costs = {0};
    struct policy_verdict v;
    struct test_state s;
    struct test_trace t;

    if (only && strcmp(only, h->name) != 0)
        return;
    load(&s, h);
    trace_init(&t, test_id, &one_span, 1);
    for (unsigned n = 0; n < asked; n++) {
        begin_call(&costs);
        CHECK(strcmp(state_decide(&s, &t.trace, n + 1, &v), "keep good/fine") == 0);
        end_call(&costs);
        if (n == 1)
            costs.bytes = bytes_in_use(s.L);
    }
    if (failures_of(&s.shared, "bad") != asked)
        printf("  %s did not fail\n", h->name);
    CHECK(failures_of(&s.shared, "bad") == asked && failures_of(&s.shared, "good") == 0);
    check_costs(&costs, s.L, h);
    trace_fini(&t);
    state_fini(&s);
}

static void no_hostile_policy_stops_the_chain(void)
{
    const struct hostile *h;

    for (size_t i = 0; (h = script_at(i)); i++)
        ask_policy(h);
}

/* ---- processors ---- */

static struct processor_set *load_processors(struct test_state *s, const struct hostile *h)
{
    struct processor_set *set = NULL;
    struct err_info info;
    struct buf errors;
    char text[2048];

    state_init(s, true, 10);
    buf_init(&errors, 4096, NULL);
    snprintf(text, sizeof(text),
             "return { processor { name = 'bad', on = 'kept', span = function(span, _, _, trace)\n"
             "span:set('half', 'done') %s end },\n"
             "processor { name = 'good', on = 'kept', span = function(span) "
             "if span:has 'half' then error 'half' end span:set('good', 1) end } }",
             h->body);
    if (state_run(s, text, 1, &info)) {
        printf("%s\n", info.text);
        abort();
    }
    CHECK(!processor_set_new(s->L, "kept", -1, &s->shared, &set, &errors));
    lua_settop(s->L, 0);
    bound(s->L);
    buf_fini(&errors);
    return set;
}

static uint64_t processor_failures(const struct policy_shared *s, const char *processor)
{
    const char *name, *kind;
    uint64_t count, sum = 0;
    size_t at = 0;

    while (processor_errors_next(s, &at, &name, &kind, &count))
        sum += strcmp(name, processor) == 0 ? count : 0;
    return sum;
}

static bool is_good(const struct processed *p)
{
    struct value v;

    return p->count == 1 && view_owner_attr(OWNER_SPAN, p->views[0].span, slice_str("good"), &v) &&
           !view_owner_attr(OWNER_SPAN, p->views[0].span, slice_str("half"), &v);
}

static void ask_processor(const struct hostile *h)
{
    struct costs costs = {0};
    struct processor_set *set;
    struct processed out;
    struct test_state s;
    struct test_trace t;

    if (only && strcmp(only, h->name) != 0)
        return;
    set = load_processors(&s, h);
    trace_init(&t, test_id, &one_span, 1);
    for (unsigned n = 0; n < asked; n++) {
        begin_call(&costs);
        CHECK(processor_set_run(set, &t.trace, 0, n + 1, &out));
        end_call(&costs);
        CHECK(is_good(&out));
        processor_set_end(set);
        if (n == 1)
            costs.bytes = bytes_in_use(s.L);
    }
    CHECK(processor_failures(&s.shared, "bad") == asked);
    CHECK(processor_failures(&s.shared, "good") == 0);
    check_costs(&costs, s.L, h);
    trace_fini(&t);
    processor_set_free(set);
    state_fini(&s);
}

static void no_hostile_processor_holds_up_the_next_or_leaves_half_an_edit(void)
{
    const struct hostile *h;

    for (size_t i = 0; (h = script_at(i)); i++)
        ask_processor(h);
}

static void edits_that_never_end_are_stopped(void)
{
    static const struct hostile edits[] = {
        {"a growing span",
         "local v, i = ('v'):rep(60000), 0 while true do i = i + 1 span:set('k' .. i, v) end"},
        {"a deep value", "local t = { 1 } for i = 1, 7 do t = { t, t, t, t, t, t, t, t } end "
                         "while true do span:set('k', t) end"},
        {"a wide value", "local t = {} for i = 1, 1e5 do t[i] = i end while true do "
                         "span:set('k', t) end"},
        {"renaming", "for i = 1, 50 do span:set('k' .. i, ('v'):rep(10000)) end "
                     "while true do span:rename('k1', 'l') span:rename('l', 'k1') end"},
        {"truncating", "for i = 1, 50 do span:set('k' .. i, ('v'):rep(10000)) end "
                       "local n = 1e6 while true do n = n - 1 span:truncate(n) end"},
        {"names", "while true do span:set_name(('n'):rep(60000)) span:set_status('ok') end"},
    };

    for (size_t i = 0; i < (HOSTILE_COUNT > 1 ? sizeof(edits) / sizeof(edits[0]) : 1); i++)
        ask_processor(&edits[i]);
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
    struct err_info info;

    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        struct test_state s;
        struct test_trace t;
        char text[512];

        state_init(&s, true, 10);
        snprintf(text, sizeof(text),
                 "return { policy { name = 'bad', decide = function(trace) %s end } }, drop()",
                 tries[i]);
        if (state_load(&s, text, &info)) { /* a global that is not there */
            CHECK(strstr(info.text, "there is no '"));
            state_fini(&s);
            continue;
        }
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
    if (argc > 1) {
        asked = (unsigned)strtoul(argv[1], NULL, 10);
        budget_ms = 10;
    }
    if (argc > 2)
        only = argv[2];
    RUN(no_hostile_policy_stops_the_chain);
    RUN(no_hostile_processor_holds_up_the_next_or_leaves_half_an_edit);
    RUN(edits_that_never_end_are_stopped);
    RUN(proxies_and_options_stay_as_they_are);
    return DONE();
}
