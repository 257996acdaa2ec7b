/* Rewritten scripts do what they did, on the lines they were on. */
#include "base/memory.h"
#include "check.h"
#include "lua/embed.h"
#include "lua/rewrite.h"
#include "lua/state.h"

#include <stdlib.h>

#include <lauxlib.h>

static struct err_info info;

static bool gives(const char *text, const char *expected)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    const char *got = info.text;
    bool ok;

    CHECK(!lua_env_new(L, &info));
    info.text[0] = 0;
    if (!lua_load_script(L, slice_str(text), "s.lua", -1, &info) && !lua_run(L, 0, 1, &info))
        got = lua_tostring(L, -1);
    ok = got && strcmp(got, expected) == 0;
    if (!ok)
        printf("  %s\n  gives %s\n", text, got);
    lua_state_close(L);
    return ok;
}

static int ticks_in(const char *text)
{
    struct buf out;
    int count = 0;

    buf_init(&out, 1 << 20, NULL);
    CHECK(!lua_rewrite(slice_str(text), "s.lua", &out, &info));
    buf_byte(&out, 0);
    for (const char *p = (char *)out.data; (p = strstr(p, "__mtn<0")); p++)
        count++;
    buf_fini(&out);
    return count;
}

static void every_way_to_repeat_counts(void)
{
    CHECK(ticks_in("while x do end") == 1 && ticks_in("for i = 1, 2 do end") == 1);
    CHECK(ticks_in("repeat until x") == 1 && ticks_in("::a:: goto a") == 1);
    CHECK(ticks_in("local function f(a, ...) return f(a) end") == 1);
    CHECK(ticks_in("function t.a.b:c() end return function() return function(x) end end") == 3);
    CHECK(ticks_in("local a = ... goto done ::done::") == 1);
    CHECK(ticks_in("for i = 1, 2 do goto continue ::continue:: end") == 2);
    CHECK(ticks_in("::a::goto a") == 1 && ticks_in("goto--[[x]]a ::a::") == 1);
    CHECK(ticks_in("function f( -- a )\n) end") == 1);
}

static void what_only_looks_like_a_loop_does_not(void)
{
    CHECK(ticks_in("return 'while do end', \"repeat\", [[do]], [==[ ]] goto x ]==]") == 0);
    CHECK(ticks_in("-- do\n--[[ do\nrepeat ]] --[=[ ]] do ]=] return 1") == 0);
    CHECK(ticks_in("return '\\'do', \"\\\\\", 'x\\z  \n do'") == 0);
    CHECK(ticks_in("local redo, do_, _do = 1 return 0xdo") == 0);
    CHECK(ticks_in("return t.goto, t:goto(), goto == 1, { goto = 1 }, x..goto") == 0);
    CHECK(ticks_in("return 1e-5, 0x1p-3, 1ULL, 0x10i, 3..'do'") == 0);
    CHECK(ticks_in("#!/usr/bin/do\nreturn 1") == 0 && ticks_in("") == 0);
}

static void scripts_do_what_they_did(void)
{
    CHECK(gives("local s = 0 for i = 1, 10 do if i == 5 then goto continue end s = s + i "
                "::continue:: end return s",
                "50"));
    CHECK(gives("local t = { n = 1 } function t:add(k) self.n = self.n + k return self end "
                "return t:add(2):add(3).n",
                "6"));
    CHECK(gives("local function f(...) return select('#', ...) end return f(nil, nil)", "2"));
    CHECK(gives("local n = 0 repeat local m = n n = n + 1 until m == 4 return n", "5"));
    CHECK(gives("local i = 0 while true do i = i + 1 if i > 7 then break end end return i -- end",
                "8"));
    CHECK(gives("local t = { goto = 3 } return t.goto", "3"));
    CHECK(gives("local goto = 4 return goto", "4"));
    CHECK(gives("\xef\xbb\xbf#!x do\nreturn select('#', ...)", "0"));
    CHECK(gives("local f = function() return 1 end (f)() return 'x'", "x"));
    CHECK(gives("return 'a\\\nb' .. [[\nc]] .. '\\z   d'", "a\nbcd"));
    CHECK(gives("return tostring(1ULL + 2)", "3ULL"));
}

static void errors_are_on_the_line_of_the_file(void)
{
    CHECK(gives("#!x\n\nerror('e')", "s.lua:3: e"));
    CHECK(gives("for i = 1, 1 do\nlocal s = [[\n\n]] do\nerror('e') end end", "s.lua:5: e"));
    CHECK(gives("local f = function(\na,\nb) error('e') end\r\nf()", "s.lua:3: e"));
    CHECK(gives("do do do\r\r\n\n\rend end error('e') end", "s.lua:4: e"));
    CHECK(gives("while x do do", "s.lua:1: 'end' expected near '<eof>'"));
    CHECK(gives("return 1 end", "s.lua:1: '<eof>' expected near 'end'"));
}

static void the_names_of_the_counter_are_refused(void)
{
    const char *said = "s.lua:2: '__mtn' can't be used: names that begin with __mt are the "
                       "collector's";

    CHECK(gives("\n__mtn = 1e9", said) && gives("\nlocal __mtn = 1", said));
    CHECK(gives("\nlocal t = {} t.__mtn = 1", said) && gives("\n::__mtn:: goto __mtn", said));
    CHECK(gives("\nfor __mtn = 1, 2 do end", said) && gives("\nreturn function(__mtn) end", said));
    CHECK(gives("-- __mtn\nreturn '__mtt'", "__mtt"));
}

#define BEFORE "local __mtn,__mtt=100,... return function(...) "
#define TICK   " __mtn=__mtn-1 if __mtn<0 then __mtn=__mtt() end "

/* Whether `out` is `text` but for the counts: so no line has moved. */
static bool only_counts_more(struct slice text, struct buf *out)
{
    size_t before = strlen(BEFORE), tick = strlen(TICK), len = 0;
    const char *from = (char *)out->data + before, *end = (char *)out->data + out->len - 4;
    char *rest = malloc(out->len);
    bool same;

    while (from < end) {
        if ((size_t)(end - from) >= tick && memcmp(from, TICK, tick) == 0)
            from += tick;
        else
            rest[len++] = *from++;
    }
    /* A first line with # is not there. */
    same = len <= text.len && memcmp(text.data + text.len - len, rest, len) == 0;
    free(rest);
    return same && memcmp(out->data, BEFORE, before) == 0;
}

static void our_own_files_are_rewritten(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});

    CHECK(embedded_file_count > 10);
    for (size_t i = 0; i < embedded_file_count; i++) {
        const struct embedded_file *f = &embedded_files[i];
        struct buf out;

        buf_init(&out, 1 << 22, NULL);
        CHECK(!lua_rewrite(slice_make(f->text, (size_t)(f->end - f->text)), f->name, &out, &info));
        CHECK(luaL_loadbuffer(L, (char *)out.data, out.len, f->name) == 0);
        CHECK(only_counts_more(slice_make(f->text, (size_t)(f->end - f->text)), &out));
        lua_settop(L, 0);
        buf_fini(&out);
    }
    lua_state_close(L);
}

/* A campaign's: the files named by the arguments, one a line on stdin without. */
static int rewrite_files(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    unsigned counts[4] = {0};
    char path[4096];

    while (fgets(path, sizeof(path), stdin)) {
        struct buf out, text;
        FILE *file;
        int got, kind;

        path[strcspn(path, "\n")] = 0;
        file = fopen(path, "rb");
        if (!file)
            continue;
        buf_init(&out, 1 << 26, NULL);
        buf_init(&text, 1 << 24, NULL);
        while ((got = fgetc(file)) != EOF)
            buf_byte(&text, (uint8_t)got);
        fclose(file);
        if (luaL_loadbuffer(L, (char *)text.data, text.len, "=f") != 0)
            kind = 0;
        else if (lua_rewrite(buf_slice(&text), path, &out, &info))
            kind = 1;
        else
            kind = luaL_loadbuffer(L, (char *)out.data, out.len, "=f") == 0 &&
                           only_counts_more(buf_slice(&text), &out)
                       ? 3
                       : 2;
        counts[kind]++;
        if (kind == 1 || kind == 2)
            printf("%s: %s\n", path, kind == 1 ? info.text : lua_tostring(L, -1));
        lua_settop(L, 0);
        buf_fini(&out);
        buf_fini(&text);
    }
    printf("%u rewritten, %u not LuaJIT, %u refused, %u broken\n", counts[3], counts[0], counts[1],
           counts[2]);
    lua_state_close(L);
    return counts[2] != 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-") == 0) /* find / -name '*.lua' | lua_test_rewrite - */
        return rewrite_files();
    RUN(every_way_to_repeat_counts);
    RUN(what_only_looks_like_a_loop_does_not);
    RUN(scripts_do_what_they_did);
    RUN(errors_are_on_the_line_of_the_file);
    RUN(the_names_of_the_counter_are_refused);
    RUN(our_own_files_are_rewritten);
    return DONE();
}
