/* What exporters in Lua see of metrics. */
#include "check.h"
#include "otlp/metric_sample.h"
#include "scripts.h"

enum { MUTATIONS = 400 };

static const char whole[] =
    "local each = require('moontail.metrics').each "
    "return function(body) local seen = {} "
    "local function add(...) seen[#seen + 1] = table.concat({...}, ' ') end "
    "local list = {} for i, m in each(body) do list[i] = m "
    "add(m.name, tostring(m.type), tostring(m.temporality), tostring(m.monotonic)) "
    "for _, p in m:points() do add(tostring(p.value), tostring(p.count), tostring(p.sum), "
    "tostring(p.no_value)) end end "
    "assert(list[1].resource == list[6].resource and list[6].resource ~= list[7].resource) "
    "assert(list[1].scope == list[3].scope and list[3].scope ~= list[4].scope) "
    "assert(list[1].resource.cores == 8 and list[1].scope.attributes.s == true) "
    "assert(list[1].scope.name == 'lib' and list[1].scope.version == '1.2') "
    "assert(list[1].description == 'How warm.' and list[1].unit == 'Cel') "
    "assert(not pcall(function() return list[1].value end)) "
    "assert(not pcall(list[1].points, list[1])) "
    "return table.concat(seen, '\\n') end";

static const char parts[] =
    "local each = require('moontail.metrics').each "
    "return function(body) local by = {} for _, m in each(body, 'text') do by[m.name] = {} "
    "for i, p in m:points() do by[m.name][i] = p end end "
    "local p = by.temp[1] assert(p.attributes.big == '9007199254740993' and p.time_ms == "
    "1700000000500 and p.start_ms == nil) "
    "local e = by.calls[1].exemplars[1] assert(e.trace_id == '5f84c7a1e7d1852db8c4fd35d88bf49a' "
    "and e.span_id == '1111111111111111' and e.value == 3 and e.attributes.u == 'v') "
    "local h = by.latency[1] assert(h.bounds[2] == 2 and #h.bounds == 2 and h.counts[3] == 3 and "
    "h.min == 0.25 and h.max == 4) "
    "local x = by.sizes[1] assert(x.scale == -1 and x.zero_count == 2 and x.zero_threshold == "
    "0.001 and x.positive.offset == -3 and x.positive.counts[3] == 4 and x.negative.offset == 2 "
    "and x.negative.counts[1] == 2 and x.min == nil) "
    "local q = by.quantiles[1].quantiles assert(q[1].quantile == 0.5 and q[2].value == 5) "
    "return 'good' end";

static void start(struct test_state *s, const char *text)
{
    struct err_info info;

    state_init(s, true, 0);
    CHECK(state_run(s, "return 1", 0, &info) == ERR_OK);
    lua_settop(s->L, 0);
    CHECK(luaL_loadstring(s->L, text) == 0 && lua_run(s->L, 0, 1, &info) == ERR_OK);
}

/* What the function makes of the body; an error's text. */
static const char *run(lua_State *L, struct slice body)
{
    static char text[2048];
    struct err_info info;

    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)body.data, body.len);
    if (lua_run(L, 1, 1, &info) == ERR_OK)
        snprintf(text, sizeof(text), "%s", lua_tostring(L, -1));
    else
        snprintf(text, sizeof(text), "failed: %s", info.text);
    lua_settop(L, 1);
    return text;
}

static void a_script_reads_metrics_of_every_type(void)
{
    struct test_state s;
    struct buf body;

    metric_body(metric_sample, &body);
    start(&s, whole);
    CHECK(strcmp(run(s.L, buf_slice(&body)),
                 "temp gauge nil false\n21.5 nil nil false\nnil nil nil true\n"
                 "calls sum cumulative true\n-7 nil nil false\n"
                 "latency histogram delta false\nnil 6 7.5 false\n"
                 "sizes exponential_histogram cumulative false\nnil 9 12 false\n"
                 "quantiles summary nil false\nnil 4 8 false\n"
                 "nothing nil nil false\n"
                 "other gauge nil false\n1 nil nil false") == 0);
    state_fini(&s);
    start(&s, parts);
    CHECK(strcmp(run(s.L, buf_slice(&body)), "good") == 0);
    state_fini(&s);
    buf_fini(&body);
}

/* As many points as there are, of all metrics. */
static const char count[] =
    "local each = require('moontail.metrics').each return function(body) local n = 0 "
    "for _, m in each(body, 'text') do for _, p in m:points() do n = n + 1 end end return n end";

static void what_is_damaged_is_absent(void)
{
    uint64_t state = 88172645463325252;
    struct test_state s;
    struct buf body;
    int good = 0;

    start(&s, count);
    metric_body(metric_sample, &body);
    for (int i = 0; i < MUTATIONS; i++) {
        struct buf copy;

        buf_init(&copy, 1 << 20, NULL);
        buf_append(&copy, body.data, body.len);
        for (int k = 0; k < 2; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            copy.data[state % copy.len] = (uint8_t)(state >> 40);
        }
        CHECK(strncmp(run(s.L, buf_slice(&copy)), "failed", 6) != 0);
        good += atoi(run(s.L, buf_slice(&copy))) > 0;
        buf_fini(&copy);
    }
    CHECK(good > MUTATIONS / 4);
    buf_fini(&body);
    state_fini(&s);
}

int main(void)
{
    RUN(a_script_reads_metrics_of_every_type);
    RUN(what_is_damaged_is_absent);
    return DONE();
}
