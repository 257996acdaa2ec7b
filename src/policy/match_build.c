/* Builds matchers for lua/moontail/match.lua, which has validated what it hands over. */
#include "policy/match.h"

#include <math.h>
#include <stdlib.h>

#include <lauxlib.h>

static const char metatable_name[] = "moontail.match";

const struct match *match_check(const void *userdata, size_t size)
{
    const struct match *m = userdata;

    return m && size >= sizeof(*m) && m->magic == MATCH_MAGIC ? m : NULL;
}

const struct match *match_get(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA)
        return NULL;
    return match_check(lua_touserdata(L, index), lua_objlen(L, index));
}

static int match_gc(lua_State *L)
{
    struct match *m = lua_touserdata(L, 1);

    for (uint32_t i = 0; i < m->test_count; i++) {
        if (m->tests[i].kind == MATCH_REGEX || m->tests[i].kind == MATCH_REGEX_TEXT)
            regex_free(m->tests[i].regex);
        if (m->tests[i].kind == MATCH_TEXT || m->tests[i].kind == MATCH_GLOB)
            free((void *)m->tests[i].text.data);
    }
    for (uint32_t i = 0; i < m->term_count; i++)
        free((void *)m->terms[i].key.data);
    free(m->terms);
    free(m->tests);
    free(m->steps);
    m->term_count = m->test_count = m->step_count = 0;
    m->terms = NULL;
    m->tests = NULL;
    m->steps = NULL;
    return 0;
}

/* match_new() -> a matcher that holds on every span. Kept as long as the state. */
static int build_new(lua_State *L)
{
    struct match *m = lua_newuserdata(L, sizeof(*m));

    *m = (struct match){.magic = MATCH_MAGIC};
    luaL_getmetatable(L, metatable_name);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    luaL_ref(L, LUA_REGISTRYINDEX);
    return 1;
}

static struct match *build_check(lua_State *L)
{
    struct match *m = (struct match *)match_get(L, 1);

    luaL_argcheck(L, m != NULL, 1, "not a match{}");
    return m;
}

/* A copy that match_gc frees. Raises without memory. */
static struct slice copy_text(lua_State *L, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    char *copy = malloc(len + 1);

    if (!copy) {
        luaL_error(L, "no memory for a match{}");
        return slice_make(NULL, 0); /* luaL_error does not return */
    }
    memcpy(copy, text, len + 1);
    return slice_make(copy, len);
}

/* Grows at powers of two. */
static void *one_more(lua_State *L, void *array, uint32_t count, size_t size)
{
    void *grown;

    if (count & (count - 1) || (array && count == 0))
        return array;
    grown = realloc(array, (count ? 2 * (size_t)count : 1) * size);
    if (!grown)
        luaL_error(L, "no memory for a match{}");
    return grown;
}

/* Which items alone have what a term looks at; 0: all have. */
static unsigned items_of(const struct match_term *t)
{
    if (t->place == PLACE_FIELD && t->field >= FIELD_METRIC_NAME)
        return MATCH_OF_METRICS;
    if (t->place == PLACE_FIELD && t->field >= FIELD_LOG_SEVERITY)
        return MATCH_OF_LOGS;
    if (t->place == PLACE_FIELD)
        return t->field >= FIELD_SERVICE ? 0 : MATCH_OF_SPANS;
    return t->place >= PLACE_EVENT_NAME && t->place <= PLACE_TRACE_STATE ? MATCH_OF_SPANS : 0;
}

/* match_term(m, place, field, key or nil, negated) */
static int build_term(lua_State *L)
{
    struct match *m = build_check(L);
    struct match_term t = {
        .place = (enum match_place)luaL_checkinteger(L, 2),
        .field = (unsigned)luaL_checkinteger(L, 3),
        .negated = lua_toboolean(L, 5),
        .first = m->test_count,
    };

    luaL_argcheck(L, t.place < PLACE_COUNT && t.field < FIELD_COUNT, 2, "no such place");
    m->terms = one_more(L, m->terms, m->term_count, sizeof(*m->terms));
    if (!lua_isnil(L, 4))
        t.key = copy_text(L, 4);
    m->terms[m->term_count++] = t;
    m->asks_items |= items_of(&t);
    m->has_not |= t.negated;
    m->asks_decision |= t.place == PLACE_DECISION;
    if (t.place == PLACE_DECISION || t.place == PLACE_TRACE)
        m->asks_trace = true;
    else
        m->asks_span = true;
    return 0;
}

static struct regex *compile_regex(lua_State *L, int index)
{
    struct err_info info;
    struct regex *regex;
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);

    if (regex_new(slice_make(text, len), &regex, &info))
        luaL_error(L, "%s", info.text);
    return regex;
}

/* match_test(m, kind, value, high): one more alternative of the last term. */
static int build_test(lua_State *L)
{
    struct match *m = build_check(L);
    struct match_test t = {.kind = (enum match_kind)luaL_checkinteger(L, 2)};

    luaL_argcheck(L, m->term_count > 0 && t.kind < MATCH_KIND_COUNT, 2, "no such test");
    if (m->test_count >= MATCH_MAX_TESTS)
        return luaL_error(L, "a match{} has at most %d values", MATCH_MAX_TESTS);
    m->tests = one_more(L, m->tests, m->test_count, sizeof(*m->tests));
    if (t.kind == MATCH_TEXT || t.kind == MATCH_GLOB)
        t.text = copy_text(L, 3);
    else if (t.kind == MATCH_REGEX || t.kind == MATCH_REGEX_TEXT)
        t.regex = compile_regex(L, 3);
    else if (t.kind == MATCH_NUMBER)
        t.number = luaL_checknumber(L, 3);
    else if (t.kind == MATCH_BOOL)
        t.boolean = lua_toboolean(L, 3);
    else if (t.kind == MATCH_RANGE)
        t = (struct match_test){.kind = MATCH_RANGE,
                                .low = luaL_optnumber(L, 3, -HUGE_VAL),
                                .high = luaL_optnumber(L, 4, HUGE_VAL)};
    t.whole = m->whole && t.kind != MATCH_REGEX_TEXT;
    m->tests[m->test_count++] = t;
    m->terms[m->term_count - 1].count++;
    return 0;
}

/* Where a step goes: a number of an earlier one, -1 to reject, -2 to accept. */
static uint32_t step_target(lua_State *L, int index, const struct match *m)
{
    lua_Integer to = luaL_checkinteger(L, index);

    luaL_argcheck(L, to >= -2 && to < (lua_Integer)m->step_count, index, "no such step");
    return to == -1 ? MATCH_REJECT : to == -2 ? MATCH_ACCEPT : (uint32_t)to;
}

/* match_step(m, if it does not hold, if it holds) -> its number: tests the last term. The matcher
 * begins with the last step. */
static int build_step(lua_State *L)
{
    struct match *m = build_check(L);
    struct match_step s = {.next = {step_target(L, 2, m), step_target(L, 3, m)}};

    luaL_argcheck(L, m->term_count > 0, 1, "no term");
    s.term = m->term_count - 1;
    m->steps = one_more(L, m->steps, m->step_count, sizeof(*m->steps));
    m->steps[m->step_count] = s;
    lua_pushinteger(L, (lua_Integer)m->step_count++);
    return 1;
}

/* match_each_event(m): the steps are about one event. */
static int build_each_event(lua_State *L)
{
    build_check(L)->each_event = true;
    return 0;
}

/* match_whole(m): no test that follows but those of MATCH_REGEX_TEXT looks into lists. */
static int build_whole(lua_State *L)
{
    build_check(L)->whole = true;
    return 0;
}

/* match_asks(m) -> whether it has trace or decision fields, whether it has decision fields, and
 * whether it has fields of spans, of metrics and of logs alone. */
static int build_asks(lua_State *L)
{
    const struct match *m = build_check(L);

    lua_pushboolean(L, m->asks_trace);
    lua_pushboolean(L, m->asks_decision);
    lua_pushboolean(L, (m->asks_items & MATCH_OF_SPANS) != 0);
    lua_pushboolean(L, (m->asks_items & MATCH_OF_METRICS) != 0);
    lua_pushboolean(L, (m->asks_items & MATCH_OF_LOGS) != 0);
    return 5;
}

/* match_regex(pattern, text or nil) -> whether it is found there. Raises what is wrong with it. */
static int build_regex(lua_State *L)
{
    struct regex *regex = compile_regex(L, 1);
    size_t len;
    const char *text = lua_tolstring(L, 2, &len);

    lua_pushboolean(L, text && regex_find(regex, slice_make(text, len)));
    regex_free(regex);
    return 1;
}

static int match_tostring(lua_State *L)
{
    lua_pushliteral(L, "match{...}");
    return 1;
}

void match_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"match_new", build_new},
        {"match_term", build_term},
        {"match_test", build_test},
        {"match_asks", build_asks},
        {"match_regex", build_regex},
        {"match_step", build_step},
        {"match_each_event", build_each_event},
        {"match_whole", build_whole},
        {NULL, NULL},
    };

    luaL_newmetatable(L, metatable_name);
    lua_pushcfunction(L, match_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, match_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "match");
    lua_setfield(L, -2, "__kind");
    lua_pushliteral(L, "match"); /* what getmetatable gives: compiled code can ask it */
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
