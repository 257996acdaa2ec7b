-- Runs specs: describe, it, before_each and so on as busted has them, without busted. Blocks are read
-- first, then their tests run in the order in which they are written.
local assertions = require "moontail.assertions"

local M = {}

-- ---- reading ----

local current -- the block that is being read

local function block(name) return { name = name, parent = current, setup = {}, teardown = {}, before = {}, after = {} } end

local function full_name(of)
  local names = {}
  while of do
    if of.name then table.insert(names, 1, of.name) end
    of = of.parent
  end
  return table.concat(names, " ")
end

-- ---- failures ----

-- The innermost line of the spec that is being run, as "file:line: "; "" where it isn't there.
local function place(path)
  for level = 2, 100 do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.source == "@" .. path and info.currentline > 0 then return path .. ":" .. info.currentline .. ": " end
  end
  return ""
end

-- Calls `fn`; nil, or what went wrong, with the line.
local function failure_of(path, fn)
  local ok, message = xpcall(fn, function(raised)
    local text = (type(raised) == "string" or assertions.is_failure(raised)) and tostring(raised) or "error value " .. assertions.show(raised)
    local where = place(path)
    return text:find(path .. ":", 1, true) == 1 and text or where .. text
  end)
  if not ok then return message end
end

-- ---- running ----

local Run = {}
Run.__index = Run

function Run:fail(name, message)
  self.failed = self.failed + 1
  self.write(("FAILED %s\n  %s\n"):format(name, (message:gsub("\n", "\n  "))))
end

-- All functions of a list, whatever the ones before it did; the first failure.
local function each(path, list)
  local first
  for _, fn in ipairs(list) do
    local failure = failure_of(path, fn)
    first = first or failure
  end
  return first
end

-- From the outermost block in.
local function before_each(path, of)
  local failure = of.parent and before_each(path, of.parent)
  return failure or each(path, of.before)
end

local function after_each(path, of)
  local failure = each(path, of.after)
  local outer = of.parent and after_each(path, of.parent)
  return failure or outer
end

function Run:test(path, test)
  local failure = before_each(path, test.parent) or failure_of(path, test.fn)
  failure = after_each(path, test.parent) or failure
  local name = full_name(test)
  if failure then return self:fail(name, failure) end
  self.passed = self.passed + 1
  if self.verbose then self.write("ok " .. name .. "\n") end
end

function Run:block(path, of)
  local failure = each(path, of.setup)
  if failure then self:fail(full_name(of) .. " (setup)", failure) end
  for _, child in ipairs(failure and {} or of) do
    if child.fn then self:test(path, child) else self:block(path, child) end
  end
  failure = each(path, of.teardown)
  if failure then self:fail(full_name(of) .. " (teardown)", failure) end
end

function Run:pend(name, why)
  self.pending = self.pending + 1
  self.write("PENDING " .. name .. (type(why) == "string" and (": " .. why) or "") .. "\n")
end

-- ---- what specs see ----

function Run:environment(path)
  local names = { assert = assertions.assert }

  local function adder(key)
    return function(fn) table.insert(current[key], fn) end
  end

  function names.describe(name, fn)
    local inner, outer = block(tostring(name)), current
    table.insert(outer, inner)
    current = inner
    local failure = failure_of(path, fn)
    current = outer
    if failure then self:fail(full_name(inner), failure) end
  end

  function names.it(name, fn)
    if type(fn) ~= "function" then return self:pend(full_name(current) .. " " .. tostring(name)) end
    table.insert(current, { name = tostring(name), parent = current, fn = fn })
  end

  function names.pending(name, why) self:pend(full_name(current) .. " " .. tostring(name), why) end

  names.context, names.insulate, names.expose = names.describe, names.describe, names.describe
  names.test, names.spec = names.it, names.it
  names.before_each, names.after_each = adder "before", adder "after"
  names.setup, names.lazy_setup, names.strict_setup = adder "setup", adder "setup", adder "setup"
  names.teardown, names.lazy_teardown, names.strict_teardown = adder "teardown", adder "teardown", adder "teardown"
  return setmetatable({}, {
    __index = function(_, name)
      local value = names[name]
      if value == nil then value = _G[name] end
      return value
    end,
  })
end

local NO_TEST = [[
NO TEST in %s: a test is it("what it does", function() ... end)
]]

-- What fails as a whole may be the file that specs are about.
local function hint_of(path)
  local name = path:match "([^/\\]+)%.lua$"
  if not name or name:find "_spec$" then return "" end
  return ("\nis this a spec? That of %s is spec/%s_spec.lua: `moontail test` without arguments runs all"):format(path, name)
end

function Run:count() return self.passed + self.failed + self.pending end

function Run:file(path)
  local chunk, why = loadfile(path)
  if not chunk then return self:fail(path, why) end
  local before = self:count()
  current = block(nil)
  local root = current
  local failure = failure_of(path, setfenv(chunk, self:environment(path)))
  if failure then return self:fail(path, failure .. hint_of(path)) end
  self:block(path, root)
  if self:count() == before then self.write(NO_TEST:format(path)) end
end

-- Runs the specs in `files`. write(text) gets what fails (verbose: each test), files without a test, and a last line,
-- "N passed, N failed". Gives how many passed, failed and are pending.
function M.run(files, write, verbose)
  local run = setmetatable({ passed = 0, failed = 0, pending = 0, write = write, verbose = verbose }, Run)
  for _, path in ipairs(files) do run:file(path) end
  local pending = run.pending > 0 and (", " .. run.pending .. " pending") or ""
  write(("%d passed, %d failed%s\n"):format(run.passed, run.failed, pending))
  return run.passed, run.failed, run.pending
end

-- ---- busted itself ----

local MISSING = [[
busted can't be used here: %s
install it for Lua 5.1 (luarocks --lua-version 5.1 install busted, or the system's package lua-busted), or leave
--busted out: moontail has describe, it, before_each and assert by itself]]

-- Runs the specs with the busted that is installed; it writes by itself. Gives its exit code, or nil and why
-- there is none.
function M.busted(files, verbose)
  local ok, run = pcall(require, "busted.runner")
  if not ok then return nil, MISSING:format((tostring(run):match "^[^\n]*":gsub(":$", ""))) end
  local exit, code = {}, nil
  local before = os.exit
  os.exit = function(number) -- luacheck: ignore
    code = number
    error(exit, 0)
  end
  _G.arg = { [0] = "moontail test", "--ignore-lua", "--output", "plainTerminal", verbose and "--verbose" or nil }
  for _, path in ipairs(files) do table.insert(_G.arg, path) end
  local done, raised = pcall(run, { standalone = false })
  os.exit = before -- luacheck: ignore
  if not done and raised ~= exit then return nil, tostring(raised) end
  if code == nil or code == true then return 0 end
  return tonumber(code) or 1
end

return M
