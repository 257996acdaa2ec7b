/* Ways out of the sandbox: each works in a plain state with all libraries, none in ours. */
#include "check.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <lualib.h>

/* Chunks that give true where the escape worked. `opt` is a table of options, frozen in ours;
 * `kept` is a function of another chunk. */
static const struct probe {
    const char *name, *text;
} probes[] = {
    {"ffi", "return ffi ~= nil or require('ffi') ~= nil"},
    {"require", "return require 'ffi' ~= nil"},
    {"require of ours", "return pcall(require, 'string')"},
    {"package", "return package.loaded.os ~= nil"},
    {"package.loaders", "return #package.loaders > 0"},
    {"package.preload", "return type(package.preload) == 'table'"},
    {"io", "return io.open('/dev/null') ~= nil"},
    {"os", "return os.time() > 0"},
    {"os.getenv", "return type(os.getenv) == 'function'"},
    {"debug", "return debug.getinfo(1) ~= nil"},
    {"debug.getregistry", "return type(debug.getregistry()) == 'table'"},
    {"debug.getmetatable", "return debug.getmetatable('').__index.dump ~= nil"},
    {"debug.getupvalue", "local x = 7 local function f() return x end return "
                         "select(2, debug.getupvalue(f, 1)) == 7"},
    {"debug.setupvalue",
     "local x = 7 local function f() return x end debug.setupvalue(f, 1, 8) return f() == 8"},
    {"debug.getlocal", "local x = 7 return debug.getlocal(1, 1) == 'x'"},
    {"debug.sethook", "debug.sethook() return true"},
    {"jit", "return type(jit.off) == 'function'"},
    {"jit.util", "return require('jit.util') ~= nil"},
    {"_G", "return _G ~= nil and _G._G == _G"},
    {"_G write", "_G.leak = 1 return leak == 1"},
    {"_G in rawget", "return rawget(_G, 'print') ~= nil"},
    {"load", "return load('return 1')() == 1"},
    {"load of a function",
     "local s = 'return 1' return load(function() local t = s s = nil return t "
     "end)() == 1"},
    {"loadstring", "return loadstring('return 1')() == 1"},
    {"loadfile", "return type(loadfile) == 'function'"},
    {"dofile", "return type(dofile) == 'function'"},
    {"bytecode", "return load(string.dump(function() return 1 end))() == 1"},
    {"string.dump", "return #string.dump(function() end) > 0"},
    {"method dump", "local ok, e = pcall(function() return (''):dump() end) "
                    "return e:find('function expected') ~= nil"},
    {"dump by index", "return ('').dump ~= nil"},
    {"dump in a table of strings", "return ('x')['dump'] == string.dump and string.dump ~= nil"},
    {"getfenv", "return getfenv(1) ~= nil"},
    {"getfenv 0", "return getfenv(0).io ~= nil"},
    {"getfenv of a function", "return getfenv(kept) ~= nil"},
    {"setfenv", "setfenv(1, { x = 3 }) return x == 3"},
    {"module", "return type(module) == 'function'"},
    {"newproxy", "return newproxy(true) ~= nil"},
    {"collectgarbage", "return collectgarbage('count') > 0"},
    {"gcinfo", "return gcinfo() > 0"},
    {"print", "return type(print) == 'function'"},
    {"getmetatable of a string", "return type(getmetatable('')) == 'table'"},
    {"strings by metatable", "getmetatable('').__index.evil = function() return 1 end "
                             "return ('x'):evil() == 1"},
    {"string library write", "string.evil = 1 return string.evil == 1"},
    {"string library overwrite",
     "local old = string.sub string.sub = nil local gone = string.sub == "
     "nil string.sub = old return gone"},
    {"table library write", "table.evil = 1 return table.evil == 1"},
    {"math library write", "math.floor = nil return math.floor == nil"},
    {"string by ('').", "(('').__index or string).evil = 1 return string.evil == 1"},
    {"setmetatable", "return getmetatable(setmetatable({}, { __index = 1 })) ~= nil"},
    {"setmetatable of a library", "setmetatable(math, { __index = function() return 5 end }) "
                                  "return math.nothing == 5"},
    {"__gc by newproxy", "getmetatable(newproxy(true)).__gc = function() end return true"},
    {"rawset", "local t = {} rawset(t, 1, 2) return t[1] == 2"},
    {"rawset of a library", "rawset(string, 'evil', 1) return string.evil == 1"},
    {"rawget", "return rawget(string, 'dump') ~= nil"},
    {"rawequal", "return rawequal(1, 1)"},
    {"pairs of a library", "for k in pairs(string) do if k == 'dump' then return true end end"},
    {"next of a library", "return next(string) ~= nil"},
    {"insert into a library", "table.insert(string, 'x') return string[1] == 'x'"},
    {"sort of a library", "string[1], string[2] = 2, 1 table.sort(string) return string[1] == 1"},
    {"remove from a library", "table.insert(string, 1) return table.remove(string) == 1"},
    {"concat of a library", "table.insert(math, 'q') return table.concat(math) == 'q'"},
    {"unpack of a library", "table.insert(table, 'q') return unpack(table) == 'q'"},
    {"coroutine", "return coroutine.create(function() end) ~= nil"},
    {"coroutine.wrap", "return coroutine.wrap(function() return 5 end)() == 5"},
    {"coroutine.running", "return type(coroutine.running) == 'function'"},
    {"xpcall", "return xpcall(error, function() return 1 end) == false"},
    {"an undeclared global", "leak = 5 return leak == 5"},
    {"a global of another file", "string = { sub = 1 } return string.sub == 1"},
    {"a function as a global", "function leak() end return leak ~= nil"},
    {"math.random", "return math.random() < 1"},
    {"math.randomseed", "math.randomseed(1) return true"},
    {"table.foreach", "local n = 0 table.foreach({ 1 }, function() n = 1 end) return n == 1"},
    {"cdata metatable", "return getmetatable(1ULL) ~= nil"},
    {"cdata to ffi", "return getmetatable(1ULL) == 'ffi'"},
    {"options write", "opt.threshold = 5 return opt.threshold == 5"},
    {"options new", "opt.evil = 5 return opt.evil == 5"},
    {"options by rawset", "rawset(opt, 'threshold', 5) return opt.threshold == 5"},
    {"options by insert", "table.insert(opt, 5) return opt[1] == 5"},
    {"options iterate", "return next(opt) == 'threshold'"},
    {"the counter", "__mtn = 1e9 return __mtn == 1e9"},
    {"the counter as a local", "local __mtn = 1 return __mtn == 1"},
    {"the counter as a parameter", "return (function(__mtn) return __mtn end)(true)"},
    {"the counter as a loop", "for __mtt = 1, 1 do return true end"},
    {"the counter as a key", "local t = { __mtn = true } return t.__mtn"},
    {"the counter as a method",
     "local t = { } function t:__mtt() return true end return t:__mtt()"},
    {"the counter as a label", "goto __mtn ::__mtn:: return true"},
    {"the counter as an argument", "local function f(...) return select('#', ...) == 0 end "
                                   "return f(...) and kept_tick()"},
    {"an upvalue of the counter", "local n = 0 local function f() return n end for i = 1, 9 do "
                                  "local name = debug.getupvalue(f, i) if name == 'n' then return "
                                  "true end end"},
};

enum { PROBES = sizeof(probes) / sizeof(probes[0]) };

static struct err_info info;

/* A plain state, as the command luajit makes it. */
static bool works_plain(const struct probe *p)
{
    lua_State *L = luaL_newstate();
    bool works;

    luaL_openlibs(L);
    CHECK(luaL_dostring(L, "opt = { threshold = 1 } function kept() end function kept_tick() "
                           "return true end ffi = require 'ffi'") == 0);
    works = luaL_loadstring(L, p->text) == 0 && lua_pcall(L, 0, 1, 0) == 0 && lua_toboolean(L, -1);
    lua_close(L);
    return works;
}

static void push_function(lua_State *L, const char *text)
{
    CHECK(luaL_loadstring(L, text) == 0);
    lua_call(L, 0, 1);
}

static bool works_closed(const struct probe *p, bool jit)
{
    lua_State *L = lua_state_new(
        &(struct lua_options){.jit = jit ? LUA_JIT_ON : LUA_JIT_OFF, .max_bytes = 32 << 20});
    bool works;

    CHECK(!lua_env_new(L, &info));
    push_function(L, "return require('moontail.env').frozen({ threshold = 1 }, 'opt')");
    lua_setfield(L, -2, "opt");
    push_function(L, "return function() end");
    lua_setfield(L, -2, "kept");
    CHECK(!lua_env_seal(L, -1, &info));
    works = !lua_load_script(L, slice_str(p->text), "p.lua", -1, &info) &&
            !lua_run(L, 0, 1, &info) && lua_toboolean(L, -1);
    lua_state_close(L);
    return works;
}

static void every_way_out_is_closed(void)
{
    CHECK(PROBES >= 60);
    for (size_t i = 0; i < PROBES; i++) {
        bool plain = works_plain(&probes[i]), closed = works_closed(&probes[i], i % 2);

        if (!plain)
            printf("  %s: is no escape\n", probes[i].name);
        if (closed)
            printf("  %s: works\n", probes[i].name);
        CHECK(plain && !closed);
    }
}

/* What has no counterpart in a plain state. */
static void nothing_leaks_through_what_scripts_get(void)
{
    static const struct probe leaks[] = {
        {"varargs of the file", "return select('#', ...) > 0"},
        {"a metatable that is given out", "return pcall(function() return ('').__metatable.x end)"},
        {"tostring of the counter", "return tostring(pcall):find('__mt') ~= nil"},
        {"an error's text", "local ok, e = pcall(function() local x = nil; x.y = 1 end) "
                            "return e:find('__mt') ~= nil"},
        {"a suggestion", "local ok, e = pcall(function() return _mtn end) "
                         "return e:find('__mt', 1, true) ~= nil"},
        {"error objects", "local ok, e = pcall(error, string) e.evil = 1 return string.evil == 1"},
        {"iterators", "local f, s = pairs({}) s.x = f return f == pcall"},
        {"gmatch's state", "local f = ('a'):gmatch('a') return type(f) ~= 'function'"},
        {"gsub with a library", "return (('floor'):gsub('%a+', math)) ~= 'floor'"},
        {"cdata arithmetic", "return pcall(function() return (1ULL)[0] end)"},
        {"cdata call", "return pcall(function() return (1ULL)() end)"},
        {"cdata fields", "return pcall(function() return (1LL).x end)"},
        {"cdata write", "return pcall(function() (1LL).x = 1 end)"},
    };

    for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
        bool works = works_closed(&leaks[i], true);

        if (works)
            printf("  %s: works\n", leaks[i].name);
        CHECK(!works);
    }
}

int main(void)
{
    RUN(every_way_out_is_closed);
    RUN(nothing_leaks_through_what_scripts_get);
    return DONE();
}
