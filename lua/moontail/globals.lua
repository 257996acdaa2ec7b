-- Globals that a script reads or writes and that there are not: found in its bytecode when it is loaded, so that a
-- slip in a function that runs seldom is an error of the file and not of some trace at night.
local bit = require "bit"
local util = require "jit.util"

local M = {}

local function opcode(ins) return bit.band(ins, 0xff) end

-- The constant of an instruction of the form "A D".
local function constant_of(proto, ins) return util.funck(proto, -bit.rshift(ins, 16) - 1) end

-- Numbers of instructions differ between versions of LuaJIT: asks the compiler for one.
local function opcode_in(text)
  local fn = assert(loadstring(text))
  for pc = 1, util.funcinfo(fn).bytecodes - 1 do
    local ins = util.funcbc(fn, pc)
    if ins and constant_of(fn, ins) == "probe" then return opcode(ins) end
  end
  error "the bytecode of this LuaJIT is not known"
end

local READ, WRITE = opcode_in "return probe", opcode_in "probe = 1"

-- The functions that are written inside of one.
local function each_inner(proto, visit)
  for i = -1, -util.funcinfo(proto).gcconsts, -1 do
    local inner = util.funck(proto, i)
    if type(inner) == "proto" then visit(inner) end
  end
end

local function index(t, name) return t[name] end

-- Why the environment hasn't the name; nil where it has.
local function missing(env, name)
  local ok, why = pcall(index, env, name)
  return not ok and (tostring(why):match "^[^\n]-:%d+: (.*)$" or tostring(why)) or nil
end

-- Calls visit(name, is_write, line) for each use of a global in a function and those inside of it.
local function each_use(proto, visit)
  for pc = 1, util.funcinfo(proto).bytecodes - 1 do
    local ins = util.funcbc(proto, pc)
    local code = ins and opcode(ins)
    if code == READ or code == WRITE then
      visit(constant_of(proto, ins), code == WRITE, util.funcinfo(proto, pc).currentline)
    end
  end
  each_inner(proto, function(inner) each_use(inner, visit) end)
end

local function cannot_write(env, name)
  if missing(env, name) then return ("'%s' is not declared: write 'local %s'"):format(name, name) end
  return ("'%s' can't be assigned"):format(name)
end

-- The sentence about the first global of `fn` that its environment has not, or can't take, and its line; or nil.
-- What the function itself writes into an environment that takes it is there.
function M.check(fn, env)
  local is_closed = (debug.getmetatable(env) or {}).__newindex ~= nil
  local written, sentence, line = {}, nil, nil
  each_use(fn, function(name, is_write) written[name] = written[name] or (is_write and not is_closed) end)
  each_use(fn, function(name, is_write, at)
    local why
    if is_write then why = is_closed and cannot_write(env, name) else why = not written[name] and missing(env, name) end
    if why and (not line or at < line) then sentence, line = why, at end
  end)
  return sentence, line
end

return M
