/* The same traces give the same decisions: compiled and interpreted, in any order of their spans,
 * with and without the table's word on the root. */
#include "base/log.h"
#include "check.h"
#include "random_traces.h"
#include "scripts.h"

enum { TRACES = 10000 };

static const char chain[] =
    "local m = match { kind = 'client', attr = { ['http.response.status_code'] = range(500, 599) } "
    "}\n"
    "local deep = match { name = glob '*b', ['not'] = { service = 'cart' }, duration_ms = "
    "range(20) }\n"
    "return {\n"
    "  policy 'drop_health_checks' { slow_ms = 80 },\n"
    "  policy { name = 'find', decide = function(trace)\n"
    "    local span = trace:find(m)\n"
    "    if span then return keep('5xx_' .. (span.service or 'none')) end end },\n"
    "  policy { name = 'walk', decide = function(trace)\n"
    "    local sum = 0\n"
    "    for i, span in trace:spans() do\n"
    "      if span.status == 'ok' and span.kind ~= 'internal' then sum = sum + i * "
    "span.duration_ms end\n"
    "      if span:attr('peer', 'http.target') == '/health' then sum = sum + 1 end\n"
    "      if span.parent and span.parent.is_entry then sum = sum - span.offset_ms end\n"
    "    end\n"
    "    if sum > 300 then return keep('walk') elseif sum < -40 then return drop('walk') end end "
    "},\n"
    "  policy { name = 'entry', decide = function(trace)\n"
    "    if trace:fraction('x') < 0.1 then return sample(trace.entry.duration_ms % 1 + 0.25, "
    "'fraction') end\n"
    "    if trace.entry.name == 'b' then return at_least(0.5, 'b') end\n"
    "    if trace:count(deep) > 1 then error('deep') end end },\n"
    "  policy 'status_code', policy 'latency' { threshold_ms = 95 },\n"
    "  policy 'probabilistic' { sampling_percentage = 30 },\n"
    "}";

static uint32_t only_root(const struct test_trace *t)
{
    uint32_t root = POLICY_ROOT_UNKNOWN, roots = 0;

    for (uint32_t i = 0; i < t->trace.count; i++)
        if (t->scanned[i].flags & SCAN_ROOT) {
            root = i;
            roots++;
        }
    return roots == 1 ? root : POLICY_ROOT_UNKNOWN;
}

struct outcome {
    struct policy_verdict v;
    char text[512];
};

static void decide(struct test_state *s, const uint8_t id[16], const struct test_span *spans,
                   uint32_t count, bool hint, struct outcome *o)
{
    struct test_trace t;

    trace_init(&t, id, spans, count);
    if (hint)
        t.trace.only_root = only_root(&t);
    snprintf(o->text, sizeof(o->text), "%s", state_decide(s, &t.trace, 1, &o->v));
    trace_fini(&t);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return strcmp(a->text, b->text) == 0 && a->v.keep == b->v.keep &&
           a->v.threshold == b->v.threshold && a->v.probability == b->v.probability &&
           a->v.policy_error == b->v.policy_error;
}

static void every_way_gives_the_same_decision(void)
{
    struct test_state jit, plain;
    unsigned differences = 0, keeps = 0, errors = 0;

    random_state = 88172645463325252;
    state_init(&jit, true, 1e9);
    state_init(&plain, false, 1e9);
    state_must_load(&jit, chain);
    state_must_load(&plain, chain);
    CHECK(lua_state_jit(jit.L) && !lua_state_jit(plain.L));
    for (int n = 0; n < TRACES; n++) {
        struct test_span spans[MOST_SPANS];
        struct outcome a, b, c;
        uint32_t count = 1 + random_below(MOST_SPANS);
        uint8_t id[16];

        for (int i = 0; i < 16; i++)
            id[i] = (uint8_t)(random_below(255) + 1);
        for (uint32_t i = 0; i < count; i++)
            make_span(&spans[i], i, count);
        decide(&jit, id, spans, count, false, &a);
        decide(&plain, id, spans, count, true, &b);
        shuffle(spans, count);
        decide(&jit, id, spans, count, true, &c);
        keeps += a.v.keep;
        errors += a.v.policy_error;
        if (same(&a, &b) && same(&a, &c))
            continue;
        if (differences++ == 0)
            printf("  trace %d: %s | %s | %s\n", n, a.text, b.text, c.text);
    }
    CHECK(differences == 0);
    CHECK(keeps > TRACES / 5 && keeps < TRACES * 4 / 5); /* the chain does decide */
    CHECK(errors > TRACES / 1000);
    state_fini(&jit);
    state_fini(&plain);
}

int main(void)
{
    log_configure(LOG_ERROR, LOG_LOGFMT);
    RUN(every_way_gives_the_same_decision);
    return DONE();
}
