/* The bounded string functions give what LuaJIT's own give. */
#include "check.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

static unsigned long rounds = 4000; /* by argument for a campaign */

/* Both on random patterns and texts over few letters; prints the first difference. */
static const char compare[] =
    "local rounds, ours = ...\n"
    "local pieces = { 'a', 'b', '.', '%a', '%d', '%s', '%W', '%z', '[ab]', '[^a]', '[%d-]', "
    "'[a-c]',\n"
    "  '(', ')', '()', '^', '$', '*', '+', '-', '?', '%1', '%bab', '%f[a]', '%', ']', '[', '%%', "
    "'\\0' }\n"
    "local texts = { 'a', 'b', 'ab', '1', ' ', '-', '\\0', 'c', '%', 'A' }\n"
    "local seed = 12345\n"
    "local function random(n) seed = (seed * 1103515245 + 12345) % 2147483648\n"
    "  return math.floor(seed / 65536) % n + 1 end\n"
    "local function some(list, n) local s = '' for i = 1, random(n) do s = s .. "
    "list[random(#list)] end "
    "return s end\n"
    "local function all(f, ...) local r = { pcall(f, ...) }\n"
    "  for i = 1, #r do r[i] = tostring(r[i]):gsub('^.-:%d+: ', '') end return table.concat(r, "
    "'|') end\n"
    "local function walk(gmatch) return function(s, p) local r = {}\n"
    "  for a, b in gmatch(s, p) do r[#r + 1] = tostring(a) .. '/' .. tostring(b) end\n"
    "  return table.concat(r, ';') end end\n"
    "local replace = { 'x', '<%0>', '%1%1', '%%', { a = 'z', b = false }, function(a, b) return b "
    "end }\n"
    "for i = 1, rounds do\n"
    "  local s, p, init = some(texts, 12), some(pieces, 6), random(7) - 4\n"
    "  local r = replace[random(#replace)]\n"
    "  for name, args in pairs { find = { s, p, init }, match = { s, p, init }, gsub = { s, p, r, "
    "random(4) } } do\n"
    "    local want, got = all(string[name], unpack(args)), all(ours[name], unpack(args))\n"
    "    if want ~= got then return ('%s(%q, %q): %q, not %q'):format(name, s, p, got, want) end\n"
    "  end\n"
    "  local want, got = all(walk(string.gmatch), s, p), all(walk(ours.gmatch), s, p)\n"
    "  if want ~= got then return ('gmatch(%q, %q): %q, not %q'):format(s, p, got, want) end\n"
    "end\n"
    "return 'same'\n";

static void patterns_find_what_the_library_finds(void)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    struct err_info info;

    CHECK(luaL_loadstring(L, compare) == 0); /* outside of the sandbox: string is the library's */
    lua_pushnumber(L, (lua_Number)rounds);
    CHECK(!lua_require(L, "moontail.host", &info));
    lua_getfield(L, -1, "patterns");
    lua_remove(L, -2);
    CHECK(lua_pcall(L, 2, 1, 0) == 0);
    if (strcmp(lua_tostring(L, -1), "same") != 0)
        printf("  %s\n", lua_tostring(L, -1));
    CHECK(strcmp(lua_tostring(L, -1), "same") == 0);
    lua_state_close(L);
}

static bool raises(const char *text, const char *said)
{
    lua_State *L = lua_state_new(&(struct lua_options){.jit = LUA_JIT_OFF});
    struct err_info info = {.text = ""};
    bool ok;

    CHECK(!lua_env_new(L, &info) && !lua_env_seal(L, -1, &info));
    CHECK(!lua_load_script(L, slice_str(text), "s.lua", -1, &info));
    ok = lua_run(L, 0, 0, &info) == ERR_SCRIPT && strcmp(info.text, said) == 0;
    if (!ok)
        printf("  %s: %s\n", text, info.text);
    lua_state_close(L);
    return ok;
}

static void what_would_take_too_long_is_refused_with_its_limit(void)
{
    CHECK(
        raises("local s = ('a'):rep(20000) s:find('.-.-.-.-b$')",
               "s.lua:1: the pattern takes more than 1000000 steps, and 32 for each byte, on this "
               "text"));
    CHECK(raises("local s = ('a'):rep(70000)", "s.lua:1: string.rep would make more than 64 KiB"));
    CHECK(raises("local t = {} for i = 1, 10001 do t[i] = i end table.sort(t)",
                 "s.lua:1: table.sort takes 10000 elements at most"));
    CHECK(raises("local t = {} for i = 1, 10002 do t[i] = i end table.insert(t, 1, 0)",
                 "s.lua:1: table.insert would move more than 10000 elements"));
    CHECK(raises("local t = {} for i = 1, 10002 do t[i] = i end table.remove(t, 1)",
                 "s.lua:1: table.remove would move more than 10000 elements"));
    CHECK(raises("local t = {} table.insert(t, 1.7e12, 'x')",
                 "s.lua:1: table.insert takes a place in the table, not 1700000000000"));
    CHECK(raises("local t = {} table.insert(t, 0 / 0, 'x')",
                 "s.lua:1: table.insert takes a place in the table, not nan"));
    CHECK(raises("local t = {} table.insert(t, '-900000000', 'x')",
                 "s.lua:1: table.insert would move more than 10000 elements"));
    CHECK(raises("local t = { 1 } table.remove(t, 2 ^ 31)",
                 "s.lua:1: table.remove takes a place in the table, not 2147483648"));
    CHECK(raises("local s = ('a'):rep(300) s:find(('(a'):rep(300))", "s.lua:1: too many captures"));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = strtoul(argv[1], NULL, 10);
    RUN(patterns_find_what_the_library_finds);
    RUN(what_would_take_too_long_is_refused_with_its_limit);
    return DONE();
}
