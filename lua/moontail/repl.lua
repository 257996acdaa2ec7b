-- The prompt's other half (`moontail repl`): what may be written there, and how values are shown. What is
-- typed runs as a policy's file does: in the closed environment, with a budget.
local access = require "moontail.access"
local assertions = require "moontail.assertions"
local c = require "moontail_testing"
local component = require "moontail.component"
local env = require "moontail.env"
local policies = require "moontail.policy"
local script = require "moontail.script"
local testing = require "moontail.testing"

local M = {}

-- A trace to begin with, where no file is given.
local SAMPLE = {
  { name = "GET /orders/{id}", kind = "server", service = "shop", duration_ms = 420, attr = { ["http.request.method"] = "GET", ["http.route"] = "/orders/{id}", ["url.path"] = "/orders/7", ["http.response.status_code"] = 500 }, status = "error" },
  { name = "cart.get", kind = "client", service = "shop", offset_ms = 10, duration_ms = 40, attr = { ["rpc.system"] = "grpc", ["rpc.service"] = "Cart", ["rpc.method"] = "Get" } },
  { name = "SELECT orders", kind = "client", service = "shop", offset_ms = 60, duration_ms = 310, attr = { ["db.system.name"] = "mysql", ["db.operation.name"] = "SELECT" }, events = { { name = "exception", offset_ms = 360, attr = { ["exception.type"] = "Timeout" } } } },
}

local help = setmetatable({}, { __tostring = function() return [[
trace, t            the trace that is read: trace.duration_ms, trace.entry.http.route, ...
use(2)              the second trace of the file; use() says how many there are
ask(policy "latency" { threshold_ms = 300 })   what a policy says of it
match{...}          trace:find(match { kind = "client", duration_ms = range(100) })
x = trace:count(match { status = "error" })    names are kept from line to line
More lines are read until a statement is complete. End with Ctrl-D.]] end })

local traces, number, proxy -- all of them; the number of the present one for C; what scripts get

local function begin(i)
  local _, made
  _, made = c.begin(traces[i])
  number = made
  proxy = access.trace()
end

-- ---- values as text ----

local function shown_trace(trace)
  local entry = trace.entry
  return ("trace %s: %s %s, %d spans, %.6g ms, %d errors"):format(
    trace.id, entry.service or "?", entry.name or "?", trace.span_count, trace.duration_ms, trace.error_count
  )
end

local function shown_span(span)
  return ("span %s: %s %s %s %s, %.6g ms"):format(span.id, span.kind, span.status, span.service or "?", span.name or "?", span.duration_ms)
end

local function shown_event(event) return "event " .. (event.name or "?") end
local function shown_link(link) return "link to " .. (link.trace_id or "?") end

local SHOWN = { trace = shown_trace, span = shown_span, event = shown_event, link = shown_link }

local function shown_verdict(kind, p, reason)
  local text = (kind == "sample" or kind == "at_least") and ("%.6g"):format(p) or nil
  if reason then text = (text and text .. ", " or "") .. assertions.show(reason) end
  return ("%s(%s)"):format(kind, text or "")
end

local function show(value)
  local meta = debug.getmetatable(value)
  if c.verdict(value) then return shown_verdict(c.verdict(value)) end
  for _, class in ipairs(access.classes) do
    if meta == class then return SHOWN[class.name] and SHOWN[class.name](value) or class.name end
  end
  return assertions.show(value)
end

-- What values look like, a line each.
function M.show(...)
  local lines = {}
  for i = 1, select("#", ...) do lines[i] = show((select(i, ...))) .. "\n" end
  return table.concat(lines)
end

-- ---- what may be written ----

-- What may be made before a trace begins, and what makes it: a prompt has no other place for them.
local function between_traces(fn, ...)
  local reader = access.reader
  local present = reader.number
  reader.number = 0
  local ok, first, second = pcall(fn, ...)
  reader.number = present
  if not ok then error(first, 3) end
  return first, second
end

local function outside(fn)
  return function(...)
    local made = between_traces(fn, ...)
    return made
  end
end

local function ask(made)
  if not component.is(made, "policy") then error('ask takes a policy: ask(policy "latency" { threshold_ms = 300 })', 2) end
  local ready, errors = between_traces(policies.prepare, { made })
  if not ready then error(errors, 0) end
  return c.ask(ready[1].ask, number)
end

local function use(i)
  if i == nil then return #traces end
  if not traces[i] then error(("use(%s): the file has the traces 1 to %d"):format(tostring(i), #traces), 2) end
  begin(i)
  return proxy
end

-- The environment of all lines: what scripts see, in front of it what lines assign.
local function environment()
  local names = env.new()
  script.add_globals(names)
  for _, name in ipairs { "match", "limit", "seen", "counter" } do names[name] = outside(names[name]) end
  for _, kind in ipairs { "policy", "processor", "exporter" } do names[kind] = component.constructor(kind) end
  names.ask, names.use, names.help, names.trace, names.t = ask, use, help, true, true
  return setmetatable({}, {
    __index = function(_, name)
      if name == "trace" or name == "t" then return proxy end
      if names[name] == nil then error("there is no '" .. tostring(name) .. "'" .. env.hint(name, names), 2) end
      return names[name]
    end,
    __metatable = false,
  })
end

-- What is wrong with the file was no mistake of a script: its sentence names no line of one.
local function read(file)
  local ok, list = pcall(testing.file, file)
  if not ok then error(list, 0) end
  return list
end

-- The traces of the file (nil: a made up one) and the environment that lines run in.
function M.open(file)
  traces = file and read(file) or { testing.trace(SAMPLE) }
  begin(1)
  return environment()
end

function M.greeting() return show(proxy) .. (#traces > 1 and (", the first of " .. #traces) or "") .. "\n" end

-- What to compile for a line: as a value, and as it is where it is none. `local x = 1` would be gone with its line.
function M.forms(text)
  local plain = text:gsub("^%s*local%s+([%a_][%w_]*%s*=)", "%1")
  local value = "return " .. plain
  return value, not loadstring(value) and plain or nil
end

-- Whether the compiler's sentence says that more is to come.
function M.is_incomplete(message) return message:find "'<eof>'$" ~= nil end

return M
