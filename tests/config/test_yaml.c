#include "base/buf.h"
#include "check.h"
#include "config/yaml.h"

#include <stdlib.h>

#include <lauxlib.h>
#include <lualib.h>

/* A document as text: {k=v,...} in order, [a,...], null, strings in quotes. */
static void describe(lua_State *L, int index, struct buf *out);

static void describe_list(lua_State *L, int index, struct buf *out)
{
    buf_byte(out, '[');
    for (int i = 1; i <= (int)lua_objlen(L, index); i++) {
        buf_str(out, i > 1 ? "," : "");
        lua_rawgeti(L, index, i);
        describe(L, lua_gettop(L), out);
        lua_pop(L, 1);
    }
    buf_byte(out, ']');
}

static void describe_map(lua_State *L, int index, struct buf *out)
{
    luaL_getmetafield(L, index, "keys");
    buf_byte(out, '{');
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        buf_str(out, i > 1 ? "," : "");
        lua_rawgeti(L, -1, i);
        buf_printf(out, "%s=", lua_tostring(L, -1));
        lua_rawget(L, index);
        describe(L, lua_gettop(L), out);
        lua_pop(L, 1);
    }
    buf_byte(out, '}');
    lua_pop(L, 1);
}

static void describe(lua_State *L, int index, struct buf *out)
{
    luaL_checkstack(L, 8, "");
    if (lua_type(L, index) == LUA_TSTRING)
        buf_printf(out, "'%s'", lua_tostring(L, index));
    else if (lua_type(L, index) == LUA_TNUMBER)
        buf_printf(out, "%.17g", lua_tonumber(L, index));
    else if (lua_type(L, index) == LUA_TBOOLEAN)
        buf_str(out, lua_toboolean(L, index) ? "true" : "false");
    else if (luaL_getmetafield(L, index, "null"))
        lua_pop(L, 1), buf_str(out, "null");
    else if (luaL_getmetafield(L, index, "list"))
        lua_pop(L, 1), describe_list(L, index, out);
    else
        describe_map(L, index, out);
}

static char got[4096];

static const char *read_slice(struct slice text)
{
    lua_State *L = luaL_newstate();
    struct err_info info;
    struct buf out;

    buf_init(&out, sizeof(got) - 1, NULL);
    if (yaml_push(L, text, &info))
        buf_printf(&out, "error %s", info.text);
    else
        describe(L, lua_gettop(L), &out);
    snprintf(got, sizeof(got), "%.*s", (int)out.len, (char *)out.data);
    CHECK(lua_gettop(L) == (strncmp(got, "error", 5) != 0));
    buf_fini(&out);
    lua_close(L);
    return got;
}

static const char *read(const char *text)
{
    return read_slice(slice_str(text));
}

#define READS(text, wanted)                                                                        \
    do {                                                                                           \
        CHECK(strcmp(read(text), wanted) == 0);                                                    \
        if (strcmp(got, wanted) != 0)                                                              \
            printf("  got %s\n", got);                                                             \
    } while (0)

static void maps_keep_the_order_of_their_keys(void)
{
    READS("b: 1\na: {z: 2, y: [3, 4]}\n", "{b=1,a={z=2,y=[3,4]}}");
    READS("- a\n- - b\n  - c\n", "['a',['b','c']]");
}

static void plain_scalars_have_types_and_quoted_ones_are_strings(void)
{
    READS("[1, -2.5, 1e3, '1', \"true\", true, False, ~, null, Null, x]",
          "[1,-2.5,1000,'1','true',true,false,null,null,null,'x']");
    READS("[yes, 0x10, 1.2.3, 10s, .5, -, 12345678901234567890, 123456789012345]",
          "['yes','0x10','1.2.3','10s',0.5,'-','12345678901234567890',123456789012345]");
    READS("[100_000, -1_0.5, _1, 1_s, '1_0', 1_]", "[100000,-10.5,'_1','1_s','1_0',1]");
    READS("a:\nb: ''\n", "{a=null,b=''}");
    READS("", "null");
    READS("# nothing\n", "null");
}

static void aliases_and_merges_are_followed(void)
{
    READS("base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\n", "{base={x=1,y=2},mine={y=3,x=1}}");
    READS("a: &l [1]\nb: *l\n", "{a=[1],b=[1]}");
}

static void what_is_wrong_is_said_with_its_line(void)
{
    READS("a: 1\nb: 2\na: 3\n", "error 3: the key a is there twice");
    READS("a: 1\n[x]: 2\n", "error 2: a key must be a word");
    CHECK(strncmp(read("a: [1\nb: 2\n"), "error 2: ", 9) == 0);
    CHECK(strncmp(read("a: *nothing\n"), "error 1: ", 9) == 0);
}

static void depth_and_loops_are_bounded(void)
{
    char deep[2 * YAML_DEPTH_MAX + 16];

    memset(deep, '[', YAML_DEPTH_MAX + 2);
    memset(deep + YAML_DEPTH_MAX + 2, ']', YAML_DEPTH_MAX + 2);
    CHECK(strstr(read_slice(slice_make(deep, 2 * YAML_DEPTH_MAX + 4)), "nested deeper than 64"));
    CHECK(strstr(read_slice(slice_make(deep, YAML_DEPTH_MAX + 2)), "1: nested deeper than 64"));
    CHECK(strstr(read("&a [*a]"), "nested deeper than 64"));
}

/* Each list holds the one before nine times: 9^20 values, were they copies. */
static void aliases_of_aliases_cost_nothing(void)
{
    lua_State *L = luaL_newstate();
    struct err_info info;
    struct buf text;

    buf_init(&text, 65536, NULL);
    buf_str(&text, "l0: &l0 [x]\n");
    for (int i = 1; i <= 20; i++) {
        buf_printf(&text, "l%d: &l%d [", i, i);
        for (int j = 0; j < 9; j++)
            buf_printf(&text, "%s*l%d", j ? "," : "", i - 1);
        buf_str(&text, "]\n");
    }
    CHECK(yaml_push(L, buf_slice(&text), &info) == ERR_OK);
    CHECK(lua_gc(L, LUA_GCCOUNT, 0) < 1024);
    buf_fini(&text);
    lua_close(L);
}

static void a_text_that_is_too_long_is_refused(void)
{
    char *text = calloc(1, YAML_TEXT_MAX + 2);

    memset(text, '#', YAML_TEXT_MAX + 1);
    CHECK(strstr(read_slice(slice_make(text, YAML_TEXT_MAX + 1)), "more than 4 MiB"));
    free(text);
}

int main(void)
{
    RUN(maps_keep_the_order_of_their_keys);
    RUN(plain_scalars_have_types_and_quoted_ones_are_strings);
    RUN(aliases_and_merges_are_followed);
    RUN(what_is_wrong_is_said_with_its_line);
    RUN(depth_and_loops_are_bounded);
    RUN(aliases_of_aliases_cost_nothing);
    RUN(a_text_that_is_too_long_is_refused);
    return DONE();
}
