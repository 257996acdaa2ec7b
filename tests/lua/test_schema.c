#include "base/buf.h"
#include "check.h"
#include "lua/schema.h"
#include "lua/state.h"

#include <stdbool.h>
#include <stddef.h>

#include <lauxlib.h>

static lua_State *state(void)
{
    return lua_state_new(&(struct lua_options){.jit = LUA_JIT_ON});
}

/* Runs trusted Lua that returns text. */
static bool says(const char *code, const char *expected)
{
    static const char prelude[] = "local schema, option, component, locate = require "
                                  "'moontail.schema', require 'moontail.option'.api, require "
                                  "'moontail.component', require 'moontail.locate'\n";
    char text[4096];
    lua_State *L = state();
    bool same;

    snprintf(text, sizeof(text), "%s%s", prelude, code);
    CHECK(luaL_loadbuffer(L, text, strlen(text), "=t.lua") == 0);
    (void)!lua_pcall(L, 0, 1, 0);
    same = lua_tostring(L, -1) && strcmp(lua_tostring(L, -1), expected) == 0;
    if (!same)
        printf("  got: %s\n", lua_tostring(L, -1));
    lua_state_close(L);
    return same;
}

/* The errors of options `given` against `fields`, both Lua, one a line. */
static bool errors(const char *fields, const char *given, const char *expected)
{
    char code[2048];

    snprintf(code, sizeof(code),
             "local run = schema.check(%s, %s, { name = 'policy \"x\"', file = 'c.lua', line = 4 "
             "})\nreturn table.concat(run.errors, '\\n')",
             given, fields);
    return says(code, expected);
}

static void options_of_policies_are_checked_by_type(void)
{
    CHECK(errors("{ n = option.number { default = 1 } }", "{}", ""));
    CHECK(errors("{ n = option.number { min = 0 } }", "{ n = -1 }",
                 "c.lua:4: policy \"x\": n is -1; allowed: a number, at least 0"));
    CHECK(errors("{ n = option.number { max = 0.5 } }", "{ n = 0/0 }",
                 "c.lua:4: policy \"x\": n is nan; allowed: a number, at most 0.5"));
    CHECK(errors("{ n = option.integer { one_of = { 1, 2 } } }", "{ n = 3 }",
                 "c.lua:4: policy \"x\": n is 3; allowed: 1, 2"));
    CHECK(errors("{ n = option.string {} }", "{}",
                 "c.lua:4: policy \"x\": n is missing; allowed: a string"));
    CHECK(errors("{ n = option.string { optional = true } }", "{}", ""));
    CHECK(errors("{ n = option.string {} }", "{ n = '' }",
                 "c.lua:4: policy \"x\": n is ''; allowed: a string"));
    CHECK(errors("{ n = option.boolean {} }", "{ n = 1 }",
                 "c.lua:4: policy \"x\": n is 1; allowed: true or false"));
    CHECK(
        errors("{ n = option.duration { min = '1s', max = '1h' } }", "{ n = '1ms' }",
               "c.lua:4: policy \"x\": n is '1ms'; allowed: a duration such as \"10s\", from 1s to "
               "1h"));
    CHECK(errors("{ n = option.size { max = '1MiB' } }", "{ n = '2MiB' }",
                 "c.lua:4: policy \"x\": n is '2MiB'; allowed: a size such as \"64MiB\", at most "
                 "1MiB"));
    CHECK(errors("{ n = option.list { one_of = { 'ERROR', 'OK' } } }", "{ n = { 'OK', 'EROR' } }",
                 "c.lua:4: policy \"x\": n[2] is 'EROR'; allowed: \"ERROR\", \"OK\" (did you mean "
                 "\"ERROR\"?)"));
    CHECK(
        errors("{ n = option.list { min = 1 } }", "{ n = {} }",
               "c.lua:4: policy \"x\": n is {}; allowed: a list of at least 1 strings, numbers or "
               "booleans"));
    CHECK(errors("{ n = option.list {} }", "{ n = { 1, nil, 3 } }",
                 "c.lua:4: policy \"x\": n is a table; allowed: a list of strings, numbers or "
                 "booleans"));
    CHECK(errors("{ n = option.map {} }", "{ n = { a = print } }",
                 "c.lua:4: policy \"x\": n.a is a function; allowed: a name with a string, number "
                 "or boolean"));
    CHECK(errors("{ n = option.match {} }", "{ n = { kind = 'server' } }",
                 "c.lua:4: policy \"x\": n is a table; allowed: match { ... }"));
    CHECK(errors("{ n = option.policies {} }", "{ n = { 'a' } }",
                 "c.lua:4: policy \"x\": n[1] is 'a'; allowed: policy \"NAME\" { ... }"));
    CHECK(errors("{}", "7", "c.lua:4: policy \"x\": is 7; allowed: a table of options"));
}

static void unknown_options_name_the_nearest_or_all(void)
{
    CHECK(errors("{ threshold_ms = option.number {} }", "{ threshold_ms = 1, treshold_ms = 2 }",
                 "c.lua:4: policy \"x\": unknown key treshold_ms; did you mean threshold_ms?"));
    CHECK(errors("{}", "{ a = 1 }",
                 "c.lua:4: policy \"x\": unknown key a; no options are known here"));
    CHECK(errors("{ n = option.number {} }", "{ n = 1, [true] = 2 }",
                 "c.lua:4: policy \"x\": unknown key [true]; allowed: n"));
}

static void a_secret_is_not_shown_in_an_error(void)
{
    CHECK(errors("{ key = option.string { secret = true, one_of = { 'a' } } }",
                 "{ key = 'hunter2' }", "c.lua:4: policy \"x\": key is ****; allowed: \"a\""));
    CHECK(says("local secret = require 'moontail.secret'\n"
               "local run = schema.check({ key = secret.new 'hunter2' }, { key = option.string { "
               "secret = true } })\nreturn run.values.key",
               "hunter2"));
}

static void durations_come_in_the_unit_that_is_asked_for(void)
{
    CHECK(says("local f = { d = option.duration { default = '2s', min = '1s' } }\n"
               "local ms = schema.check({}, f, { durations = 'ms' }).values.d\n"
               "local ns = schema.check({ d = '1m' }, f, {}).values.d\n"
               "return ms .. ' ' .. ns",
               "2000 60000000000"));
}

static void lists_and_maps_are_copies(void)
{
    CHECK(says("local given = { l = { 1, 2 }, m = { a = 1 } }\n"
               "local run = schema.check(given, { l = option.list {}, m = option.map {} }, {})\n"
               "given.l[1], given.m.a = 9, 9\n"
               "return run.values.l[1] .. run.values.m.a",
               "11"));
}

static void a_wrong_declaration_of_an_option_raises(void)
{
    CHECK(says("local o = option.number { defualt = 1 }",
               "t.lua:2: option.number has no 'defualt' (did you mean 'default'?)"));
    CHECK(says("local o = option.nubmer {}",
               "t.lua:2: option has no 'nubmer' (did you mean 'number'?)"));
    CHECK(says("local o = option.number()",
               "t.lua:2: option.number takes a table: option.number { doc = \"...\" }"));
}

static void components_carry_kind_type_instance_and_line(void)
{
    CHECK(says("local policy = component.constructor 'policy'\n"
               "local p = policy 'latency/checkout' { threshold_ms = 5 }\n"
               "return table.concat({ p.kind, p.type, p.instance, p.name, p.line, "
               "p.options.threshold_ms, tostring(p) }, ' ')",
               "policy latency checkout latency/checkout 3 5 policy \"latency/checkout\""));
    CHECK(says("local policy = component.constructor 'policy'\n"
               "local plain = policy 'a'\n"
               "local one, two = plain { x = 1 }, plain { x = 2 }\n"
               "return one.options.x .. two.options.x .. tostring(next(plain.options))",
               "12nil"));
    CHECK(
        says("local policy = component.constructor 'policy'\n"
             "local p = policy { name = 'canary', decide = print }\n"
             "return tostring(component.is(p, 'policy')) .. tostring(component.is(p, 'exporter')) "
             ".. tostring(component.is 'x') .. tostring(p.spec.decide == print)",
             "truefalsefalsetrue"));
    CHECK(
        says("local policy = component.constructor 'policy'\nlocal p = policy(policy 'a')",
             "t.lua:3: what policy is this? allowed: policy \"NAME\", policy \"NAME\" { options } "
             "or policy { name = ..., ... }"));
}

static const char source[] = "locate.set('c.lua', [==[\n"
                             "-- return { a = 1 }\n"
                             "local shared = {\n"
                             "  wait = 1,\n"
                             "}\n"
                             "local function f(x) if x then return { y = 1 } end return 2 end\n"
                             "for i = 1, 3 do f(i) end\n"
                             "return {\n"
                             "  plain = 'a } string', --[[ a\n"
                             "  comment ]] next_to = 1,\n"
                             "  [\"quoted\"] = [[long\n"
                             "]],\n"
                             "  list = {\n"
                             "    policy 'a',\n"
                             "    policy \"b\" { x = 1,\n"
                             "      deep = { 1, 2,\n"
                             "        3 } },\n"
                             "    policy('c', { z = 1 }),\n"
                             "    policy { decide = function(t)\n"
                             "      if t then return { q = 1 } elseif x then y() else z() end\n"
                             "      repeat local v = { 1 } until v\n"
                             "    end, name = 'd' },\n"
                             "  },\n"
                             "  shared = shared,\n"
                             "  computed = f({ 1 })[1] or 5,\n"
                             "  last = env(\"X\", 1);\n"
                             "}\n]==])\n";

/* The line of the key path, a Lua list, in the source above. */
static bool line_is(const char *keys, const char *line)
{
    char code[3072];

    snprintf(code, sizeof(code), "%sreturn tostring((locate.line(%s)))", source, keys);
    return says(code, line);
}

static void lines_of_keys_are_found_in_the_source(void)
{
    CHECK(line_is("{}", "7"));
    CHECK(line_is("{ 'plain' }", "8"));
    CHECK(line_is("{ 'next_to' }", "9"));
    CHECK(line_is("{ 'quoted' }", "10"));
    CHECK(line_is("{ 'list', 1 }", "13"));
    CHECK(line_is("{ 'list', 2, 'x' }", "14"));
    CHECK(line_is("{ 'list', 2, 'deep' }", "15"));
    CHECK(line_is("{ 'list', 2, 'deep', 3 }", "16"));
    CHECK(line_is("{ 'list', 3, 'z' }", "17"));
    CHECK(line_is("{ 'list', 4, 'name' }", "21"));
    CHECK(line_is("{ 'shared', 'wait' }", "3"));
    CHECK(line_is("{ 'computed' }", "24"));
    CHECK(line_is("{ 'last' }", "25"));
    CHECK(line_is("{ 'list', 2, 'absent' }", "14")); /* of what surrounds it */
}

static void any_text_is_located_without_harm(void)
{
    static const char *const texts[] = {"",
                                        "return",
                                        "return {",
                                        "return }",
                                        "return { [",
                                        "{ = }",
                                        "return {{{{",
                                        "'",
                                        "\\",
                                        "return { [[",
                                        "--[[",
                                        "return { a = function(",
                                        "return )",
                                        "local = {",
                                        "return { [1] = , }",
                                        "return { a = }",
                                        "end end end",
                                        "return { 1 2 3 }",
                                        "local x = x return x"};
    char code[512];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(code, sizeof(code), "locate.set('c', %s%s%s) locate.line { 'a' } return 'ok'",
                 "[=====[", texts[i], "]=====]");
        CHECK(says(code, "ok"));
    }
}

/* ---- from C ---- */

struct queue {
    bool on, enabled;
    double share;
    uint64_t size, count, wait;
    const char *name, *kind;
    const char *const *endpoints;
    const struct schema_pair *headers;
};

static const struct schema_field fields[] = {
    {"queue", SCHEMA_SECTION, .flags = SCHEMA_OFF, .offset = offsetof(struct queue, on)},
    {"queue.size", SCHEMA_SIZE, "\"1MiB\"", .offset = offsetof(struct queue, size)},
    {"queue.count", SCHEMA_INTEGER, "3", .offset = offsetof(struct queue, count)},
    {"wait", SCHEMA_DURATION, NULL, 1e6, 1e9, .offset = offsetof(struct queue, wait)},
    {"name", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .offset = offsetof(struct queue, name)},
    {"kind", SCHEMA_STRING, "\"a\"", .one_of = "a|b", .offset = offsetof(struct queue, kind)},
    {"enabled", SCHEMA_BOOLEAN, "true", .offset = offsetof(struct queue, enabled)},
    {"share", SCHEMA_SHARE, "\"5%\"", .offset = offsetof(struct queue, share)},
    {"endpoints", SCHEMA_STRINGS, .offset = offsetof(struct queue, endpoints)},
    {"headers", SCHEMA_MAP, .flags = SCHEMA_SECRET, .offset = offsetof(struct queue, headers)},
    {"where", SCHEMA_MATCH, .offset = SCHEMA_NOWHERE},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static enum err read(lua_State *L, const char *table, struct queue *q, struct schema_store *store,
                     struct buf *report)
{
    struct schema_where where = {.name = "exporter \"x\""};
    enum err e;

    CHECK(luaL_dostring(L, table) == 0);
    e = schema_read(L, -1, fields, FIELDS, &where, q, store, report, NULL);
    CHECK(lua_gettop(L) == (e ? 1 : 2));
    lua_settop(L, 0);
    buf_byte(report, 0);
    return e;
}

static void a_table_of_fields_fills_a_struct(void)
{
    lua_State *L = state();
    struct schema_store store = {0};
    struct queue q = {0};
    struct buf report;

    buf_init(&report, 4096, NULL);
    CHECK(!read(L,
                "return { name = 'n', queue = { count = 7 }, wait = '2ms', endpoints = 'u', "
                "headers = { b = 1, a = 'x' } }",
                &q, &store, &report));
    lua_state_close(L); /* nothing of it is borrowed */
    CHECK(q.on && q.size == 1 << 20 && q.count == 7 && q.wait == 2000000 && q.enabled);
    CHECK(strcmp(q.name, "n") == 0 && strcmp(q.kind, "a") == 0 && q.share == 0.05);
    CHECK(strcmp(q.endpoints[0], "u") == 0 && q.endpoints[1] == NULL);
    CHECK(strcmp(q.headers[0].key, "a") == 0 && strcmp(q.headers[0].value, "x") == 0);
    CHECK(strcmp(q.headers[1].value, "1") == 0 && q.headers[2].key == NULL);
    schema_store_free(&store);
    buf_fini(&report);
}

static void a_section_can_be_switched_off(void)
{
    lua_State *L = state();
    struct schema_store store = {0};
    struct queue q = {0};
    struct buf report;

    buf_init(&report, 4096, NULL);
    CHECK(!read(L, "return { name = 'n', queue = false }", &q, &store, &report));
    CHECK(!q.on && q.size == 1 << 20 && q.endpoints == NULL && q.headers == NULL);
    schema_store_free(&store);
    buf_fini(&report);
    lua_state_close(L);
}

static void every_error_of_a_table_is_reported(void)
{
    lua_State *L = state();
    struct schema_store store = {0};
    struct queue q = {0};
    struct buf report;

    buf_init(&report, 4096, NULL);
    CHECK(
        read(L,
             "return { queue = { count = -1, num_consumers = 4 }, kind = 'c', sending_queue = {} }",
             &q, &store, &report) == ERR_CONFIG);
    CHECK(strcmp((const char *)report.data,
                 "exporter \"x\": unknown key sending_queue; write queue = { max_size = \"256MiB\" "
                 "}\n"
                 "exporter \"x\": unknown key queue.num_consumers; not needed: requests overlap as "
                 "the window allows\n"
                 "exporter \"x\": queue.count is -1; allowed: a whole number, at least 0\n"
                 "exporter \"x\": name is missing; allowed: a string\n"
                 "exporter \"x\": kind is 'c'; allowed: \"a\", \"b\"\n") == 0);
    CHECK(store.blocks == NULL);
    buf_fini(&report);
    lua_state_close(L);
}

int main(void)
{
    RUN(options_of_policies_are_checked_by_type);
    RUN(unknown_options_name_the_nearest_or_all);
    RUN(a_secret_is_not_shown_in_an_error);
    RUN(durations_come_in_the_unit_that_is_asked_for);
    RUN(lists_and_maps_are_copies);
    RUN(a_wrong_declaration_of_an_option_raises);
    RUN(components_carry_kind_type_instance_and_line);
    RUN(lines_of_keys_are_found_in_the_source);
    RUN(any_text_is_located_without_harm);
    RUN(a_table_of_fields_fills_a_struct);
    RUN(a_section_can_be_switched_off);
    RUN(every_error_of_a_table_is_reported);
    return DONE();
}
