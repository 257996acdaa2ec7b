/* hostile.h: scripts that would never end, or take all memory, as the bodies of functions. */
#pragma once

#include <stddef.h>

static const struct hostile {
    const char *name, *body;
} hostile_scripts[] = {
    {"while", "while true do end"},
    {"repeat", "repeat local x = 1 until x == 2"},
    {"for", "for i = 1, 1e300 do end"},
    {"for without a step", "local n = 0 for i = 1, 2, 0 do n = n + i end"},
    {"for in", "for i in function() return 1 end do end"},
    {"goto", "::a:: goto a"},
    {"goto in blocks", "local i = 0 ::a:: do i = i + 1 if i > 0 then goto a end end"},
    {"tail call", "local function f(n) return f(n + 1) end f(1)"},
    {"two tail calls",
     "local g local function f() return g() end g = function() return f() end f()"},
    {"recursion", "local function f(n) return 1 + f(n + 1) end f(1)"},
    {"method", "local t = {} function t:go() return self:go() end t:go()"},
    {"compiled arithmetic", "local s = 0 while true do for i = 1, 100 do s = s + i % 7 end end"},
    {"pcall around", "while true do pcall(function() while true do end end) end"},
    {"pcall in pcall", "local function p() pcall(p) return p() end p()"},
    {"pcall in a tail", "local function p() return pcall(p) end while true do p() end"},
    {"errors", "while true do pcall(error, {}) end"},
    {"tables", "local t = {} while true do t[#t + 1] = { t } end"},
    {"hash", "local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end"},
    {"closures", "local t = {} while true do t[#t + 1] = function() return t end end"},
    {"doubling", "local s = 'xy' while true do s = s .. s end"},
    {"doubling, caught",
     "while true do pcall(function() local s = 'xy' while true do s = s .. s end end) end"},
    {"long strings", "local s = ('x'):rep(60000) for i = 1, 5 do s = s .. s end "
                     "while true do local x = s .. 'y' end"},
    {"comparing", "local s = ('x'):rep(60000) for i = 1, 5 do s = s .. s end "
                  "local a, b = s .. 'a', s .. 'b' local n = 0 "
                  "while true do if a < b then n = n + 1 end end"},
    {"emptied table", "local t = {} for i = 1, 2e5 do t['k' .. i % 1000 .. i] = i end "
                      "for k in pairs(t) do t[k] = nil end while true do next(t) end"},
    {"rep", "while true do local x = ('x'):rep(65536) end"},
    {"upper", "local s = ('x'):rep(65536) while true do local x = s:upper():lower():reverse() end"},
    {"format", "local s = ('x'):rep(60000) while true do local x = ('%s%s%q'):format(s, s, s) end"},
    {"sort", "local t = {} for i = 1, 9000 do t[i] = i * 7919 % 9001 end "
             "while true do table.sort(t) table.sort(t, function(a, b) return a > b end) end"},
    {"sort by a loop", "local t = { 1, 2 } table.sort(t, function() while true do end end)"},
    {"insert in front", "local t = {} for i = 1, 9000 do t[i] = i end "
                        "while true do table.insert(t, 1, 0) table.remove(t, 1) end"},
    {"concat", "local t = {} for i = 1, 1e5 do t[i] = 'abcdefgh' end "
               "while true do local x = table.concat(t) end"},
    {"pattern", "while true do pcall(string.find, ('a'):rep(20000), '.-.-.-.-b$') end"},
    {"gsub", "local s = ('a'):rep(60000) while true do local x = s:gsub('a', '%0%0') end"},
    {"gsub by a loop", "local x = ('a'):gsub('.', function() while true do end end)"},
    {"gmatch", "while true do for x in ('a b c'):gmatch '%a' do end end"},
    {"plain find", "local s, n = ('a'):rep(60000), ('a'):rep(30000) .. 'b' "
                   "while true do s:find(n, 1, true) end"},
    {"unpack", "local t = {} for i = 1, 5000 do t[i] = i end "
               "while true do local a = select('#', unpack(t)) end"},
    {"large strings, new ones",
     "local s, i = ('x'):rep(60000), 0 for i = 1, 5 do s = s .. s end while true do i = i + 1 "
     "local a, b, c, d = s .. i, i .. s, s .. i .. s, s .. 'x' .. i end"},
    {"large strings, known ones", "local s = ('x'):rep(60000) for i = 1, 5 do s = s .. s end while "
                                  "true do local a = s .. 1 end"},
    {"large strings, caught", "local s = ('x'):rep(60000) for i = 1, 4 do s = s .. s end "
                              "while true do pcall(function() local x = s .. s .. s .. s end) end"},
    {"large upper", "local s = ('x'):rep(60000) for i = 1, 5 do s = s .. s end "
                    "while true do local x = s:upper():lower():reverse():sub(2) end"},
    {"large format", "local s = ('x'):rep(60000) for i = 1, 5 do s = s .. s end "
                     "while true do local x = ('%s%s%q'):format(s, 1, s) end"},
    {"large tostring", "local s = (' '):rep(60000) for i = 1, 5 do s = s .. s end "
                       "while true do local x, y = tonumber(s), tostring(s) end"},
    {"large concat", "local t = {} for i = 1, 3e5 do t[i] = 'abcdefgh' end "
                     "while true do local x = table.concat(t, ', ') end"},
    {"rehash", "while true do local t = {} for i = 1, 2e5 do t[i * 7.5] = i end end"},
    {"rehash to and fro",
     "local t = {} for i = 1, 1e5 do t[i] = i end while true do for i = 1, 1e5 do "
     "t[i] = nil end for i = 1, 1e5 do t[i] = i t['x'] = i t['x'] = nil end end"},
    {"sort of long strings",
     "local s, t = ('x'):rep(60000), {} for i = 1, 3 do s = s .. s end "
     "local a, b = s .. 'a', s .. 'b' for i = 1, 9000 do t[i] = i % 3 == 0 and a or b end "
     "while true do table.sort(t) end"},
    {"many small tables",
     "local t = {} while true do for i = 1, 1e5 do t[i] = { i, { i } } end end"},
    {"error of long strings", "local s = ('x'):rep(60000) for i = 1, 4 do s = s .. s end "
                              "while true do pcall(error, s) pcall(error, s .. 'x', 0) end"},
    {"swallowed",
     "pcall(function() while true do end end) pcall(function() while true do end end)"},
};

/* The thread sanitizer keeps a frame of each C function that an error leaves, 65536 at most. */
#ifdef __SANITIZE_THREAD__
enum { HOSTILE_COUNT = 1 };
#else
enum { HOSTILE_COUNT = sizeof(hostile_scripts) / sizeof(hostile_scripts[0]) };
#endif
