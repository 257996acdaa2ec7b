/* The mapping to X-Ray reads whole spans: no byte outside of them, whatever they hold. */
#include "check.h"
#include "otlp/json.h"
#include "scripts.h"
#include "traces.h"

#include <string.h>

enum { MUTATIONS = 400, MOST = 4 };

/* Values of every type, events, links, stacks, a resource; two spans. */
static const char request[] =
    "{'resourceSpans':[{'resource':{'attributes':[{'key':'service.name','value':{'stringValue':"
    "'shop'}},{'key':'telemetry.sdk.language','value':{'stringValue':'java'}},{'key':'aws.log."
    "group.names','value':{'arrayValue':{'values':[{'stringValue':'g'}]}}}]},'scopeSpans':[{"
    "'spans':[{'traceId':'5f84c7a1e7d1852db8c4fd35d88bf49a','spanId':'1111111111111111','name':"
    "'gr\\u00f6\\u00dfe','kind':2,'startTimeUnixNano':'1700000000123456789','endTimeUnixNano':'"
    "1700000001123456789','attributes':[{'key':'http.method','value':{'stringValue':'GET'}},{"
    "'key':'big','value':{'intValue':'9007199254740993'}},{'key':'whole','value':{'doubleValue':5}"
    "},{'key':'list','value':{'arrayValue':{'values':[{'intValue':'1'},{'stringValue':'x'}]}}},{"
    "'key':'bytes','value':{'bytesValue':'AP8='}},{'key':'empty','value':{}},{'key':'aws.xray."
    "metadata.own','value':{'stringValue':'{\\'a\\':[1]}'}},{'key':'map','value':{'kvlistValue':{"
    "'values':[{'key':'k','value':{'boolValue':true}}]}}}],'events':[{'name':'exception',"
    "'timeUnixNano':'1700000000123456789','attributes':[{'key':'exception.stacktrace','value':{"
    "'stringValue':'T: m\\n\\tat a.b(C.java:1)\\nCaused by: X: y\\n\\tat c.d(E.java:2)'}}]}],"
    "'links':[{'traceId':'0123456789abcdef0123456789abcdef','spanId':'0123456789abcdef',"
    "'attributes':[{'key':'k','value':{}}]}],'status':{'code':2,'message':'no'}},{'traceId':"
    "'5f84c7a1e7d1852db8c4fd35d88bf49a','spanId':'2222222222222222','parentSpanId':"
    "'1111111111111111','name':'call','kind':3,'startTimeUnixNano':'1700000000223456789',"
    "'attributes':[{'key':'aws.span.kind','value':{'stringValue':'LOCAL_ROOT'}},{'key':"
    "'AWSTraceHeader','value':{'stringValue':'Root=1-67891233-abcdef012345678912345678;Parent="
    "53995c3f42cd8ad8'}}]}]}]}]}";

/* How many documents there are, and all of them with every mapping. */
static const char map_all[] =
    "local xray = require('moontail.xray').api local maps = { xray.mapping { compat = true }, "
    "xray.mapping { index_all_attributes = true }, xray.mapping { semconv = 'v1', "
    "indexed_attributes "
    "= { 'big', 'list' } } } return function(trace) local n = 0 for _, span in trace:spans() do "
    "for "
    "_, map in ipairs(maps) do for _, d in ipairs { map:documents(span) } do assert(xray.text(d)) "
    "xray.text(d, 300) n = n + 1 end end end return n end";

static void body_of(struct buf *body)
{
    char json[sizeof(request)];
    struct err_info info;

    memcpy(json, request, sizeof(request));
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    buf_init(body, 1 << 16, NULL);
    if (json_to_traces(slice_str(json), body, 1 << 20, &info))
        printf("  %s\n", info.text);
}

/* Documents of the body; -1: it is no request; -2: the mapping failed. */
static int map_body(lua_State *L, struct slice body)
{
    struct scan_span spans[MOST];
    struct span_view views[MOST];
    struct scan_result result;
    struct policy_trace trace = {.trigger = "wait", .only_root = POLICY_ROOT_UNKNOWN};
    struct err_info info;
    int documents = -2;

    if (scan_traces(body, spans, MOST, &result) || result.spans == 0 || result.spans > MOST)
        return -1;
    for (size_t i = 0; i < result.spans; i++) {
        views[i] = span_view_of(body, &spans[i]);
        scan_sum(&trace.sums, &spans[i]);
    }
    trace.count = (uint32_t)result.spans;
    trace.span = policy_span_in_array;
    trace.span_arg = views;
    lua_pushvalue(L, 1);
    if (policy_push_trace(L, &trace) == ERR_OK && lua_run(L, 1, 1, &info) == ERR_OK)
        documents = (int)lua_tointeger(L, -1);
    else
        printf("  %s\n", info.text);
    policy_end_trace(L);
    lua_settop(L, 1);
    return documents;
}

static void start(struct test_state *s)
{
    struct err_info info;

    state_init(s, true, 0);
    CHECK(state_run(s, "return 1", 0, &info) == ERR_OK);
    lua_settop(s->L, 0);
    CHECK(luaL_loadstring(s->L, map_all) == 0 && lua_run(s->L, 0, 1, &info) == ERR_OK);
}

static void spans_of_every_kind_become_documents(void)
{
    struct test_state s;
    struct buf body;

    start(&s);
    body_of(&body);
    CHECK(map_body(s.L, buf_slice(&body)) == 9); /* three times a segment, and the two of a call */
    buf_fini(&body);
    state_fini(&s);
}

static void what_is_damaged_is_left_out_and_never_read_beyond(void)
{
    struct test_state s;
    struct buf body;
    uint64_t state = 88172645463325252;
    int mapped = 0;

    start(&s);
    body_of(&body);
    for (int i = 0; i < MUTATIONS; i++) {
        uint8_t *copy = malloc(body.len); /* its own block: reading past it is seen */

        memcpy(copy, body.data, body.len);
        for (int k = 0; k < 2; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            copy[state % body.len] = (uint8_t)(state >> 40);
        }
        int documents = map_body(s.L, slice_make(copy, body.len));
        CHECK(documents != -2);
        mapped += documents >= 0;
        free(copy);
    }
    CHECK(mapped > MUTATIONS / 4);
    buf_fini(&body);
    state_fini(&s);
}

int main(void)
{
    RUN(spans_of_every_kind_become_documents);
    RUN(what_is_damaged_is_left_out_and_never_read_beyond);
    return DONE();
}
