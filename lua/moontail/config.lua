-- config.lua: what it may call, and what is checked about it beyond the single fields.
local asked = require "moontail.asked"
local component = require "moontail.component"
local host = require "moontail.host"
local lint = require "moontail.lint"
local locate = require "moontail.locate"
local printer = require "moontail.config_print"
local schema = require "moontail.schema"
local secret = require "moontail.secret"
local types = require "moontail.schema_types"

local M = {}

local state -- of the load that runs: { ask, errors }
local checked -- the last run of the schema, and its fields

local function place()
  local info = debug.getinfo(3, "Sl")
  return info and info.currentline > 0 and (info.source:sub(2) .. ":" .. info.currentline .. ": ") or ""
end

local function converted(text, default)
  if type(default) == "number" then return tonumber(text) end
  if type(default) ~= "boolean" then return text end
  if text == "true" or text == "1" then return true end
  if text == "false" or text == "0" then return false end
end

local function env(name, default)
  if not state then error("env can be asked only while config.lua is read", 2) end
  if type(name) ~= "string" or name == "" then error("env takes the name of a variable", 2) end
  if default ~= nil and type(default) ~= "string" and type(default) ~= "number" and type(default) ~= "boolean" then
    error("the default of env " .. name .. " is " .. schema.show(default) .. "; allowed: a string, number or boolean", 2)
  end
  local text = state.ask("env", name)
  if text == nil and default == nil then
    local errors = state.errors
    errors[#errors + 1] = place() .. "env " .. name .. " is not set and has no default; write env(\"" .. name .. "\", \"...\")"
    return schema.unknown
  end
  if text == nil then return default end
  local value = converted(text, default)
  if value ~= nil then return value end
  state.errors[#state.errors + 1] = place() .. "env " .. name .. " is " .. schema.show(text) .. "; allowed: a " .. type(default) .. ", as its default " .. tostring(default)
  return schema.unknown
end

local function make_secret(value)
  if value == schema.unknown or secret.is(value) then return value end
  if type(value) ~= "string" then error("secret takes a string, not " .. schema.show(value), 2) end
  return secret.new(value)
end

-- The text of a file beside config.lua, or at an absolute path; without its last newline.
local function file(path)
  if not state then error("file can be read only while config.lua is read", 2) end
  if type(path) ~= "string" or path == "" then error("file takes a path", 2) end
  local text, why = state.ask("file", path)
  if text then return (text:gsub("\r?\n$", "")) end
  state.errors[#state.errors + 1] = place() .. "file " .. schema.show(path) .. ": " .. tostring(why or "cannot be read")
  return schema.unknown
end

-- Before the file runs: ask(kind, name) answers env and file until M.close.
function M.open(environment, ask)
  state = { ask = ask, errors = {} }
  environment.env, environment.secret, environment.file = env, make_secret, file
  for _, kind in ipairs { "policy", "processor", "exporter" } do
    environment[kind] = component.constructor(kind)
  end
end

function M.close() state = nil end

-- What needs files has no effect at level memory.
local function hint_memory(run)
  local values = run.values
  if values["journal.ack"] ~= "memory" then return end
  local without = " has no effect with journal.ack = \"memory\", which has no files"
  if (values["journal.history"] or 0) > 0 then run:hint({ "journal", "history" }, "journal.history" .. without) end
  if values["journal.on_shutdown"] == "keep" then
    run:hint({ "journal", "on_shutdown" }, "journal.on_shutdown = \"keep\"" .. without)
  end
end

local function check_names(run, path, keys)
  local lines = {}
  for i, c in ipairs(run.values[path] or {}) do
    if lines[c.name] then
      local at = {}
      for _, key in ipairs(keys) do at[#at + 1] = key end
      at[#at + 1] = i
      run:fail(at, ("%s is there twice (line %s); call one of them %s \"%s/NAME\""):format(tostring(c), tostring(lines[c.name]), c.kind, c.type))
      c.is_twice = true
    end
    lines[c.name] = c.line or "?"
  end
end

-- Who listens where: { key, listen, ip, port }.
local function listeners(run)
  local list = {}
  for _, section in ipairs { "receivers.otlp.grpc", "receivers.otlp.http", "admin" } do
    local key = section .. ".listen"
    local listen = run.values[section] and run.values[key]
    if listen then
      local ip, port = host.address(listen)
      list[#list + 1] = { key = key, listen = listen, ip = ip, port = port }
    end
  end
  return list
end

-- Whether what listens at `all` has `ip` too: "::" takes IPv4 as well.
local function has_address(all, ip)
  return all == ip or all == "::" or (all == "0.0.0.0" and not ip:find(":", 1, true))
end

local function collide(a, b)
  return a.port == b.port and a.port ~= 0 and (has_address(a.ip, b.ip) or has_address(b.ip, a.ip))
end

-- It is said of the one that was written; the other may be a default.
local function fail_collision(run, one, other)
  if run.given[one.key] == nil then one, other = other, one end
  local default = run.given[other.key] == nil and ", its default" or ""
  run:fail(schema.keys_of(one.key), ("%s is '%s', where %s ('%s'%s) listens too; allowed: a port of its own for each of them"):format(one.key, one.listen, other.key, other.listen, default))
end

local function check_listeners(run)
  local list = listeners(run)
  for i, one in ipairs(list) do
    for j = 1, i - 1 do
      if collide(one, list[j]) then fail_collision(run, one, list[j]) end
    end
  end
end

local function check_together(run)
  local values = run.values
  local limit, spike = values["memory_limiter.limit"], values["memory_limiter.spike_limit"]
  if limit and spike and spike >= limit then
    run:fail({ "memory_limiter", "spike_limit" }, "memory_limiter.spike_limit is not below memory_limiter.limit; the soft limit is limit - spike_limit")
  end
  if not values["receivers.otlp.grpc"] and not values["receivers.otlp.http"] then
    run:fail({ "receivers", "otlp" }, "receivers.otlp has neither grpc nor http; allowed: at least one of them")
  end
  check_listeners(run)
  check_names(run, "tail_sampling.policies", { "tail_sampling", "policies" })
  check_names(run, "processors.received", { "processors", "received" })
  check_names(run, "processors.kept", { "processors", "kept" })
  check_names(run, "exporters", { "exporters" })
end

local COMPONENTS = { "tail_sampling.policies", "processors.received", "processors.kept", "exporters" }

local function holds_unknown(value, depth)
  if value == schema.unknown then return true end
  if type(value) ~= "table" or debug.getmetatable(value) or depth > 4 then return false end
  for _, inner in pairs(value) do
    if holds_unknown(inner, depth + 1) then return true end
  end
  return false
end

-- Leaves out the components whose options env or file did not answer: that has been said, and what
-- would be missed in them is no error of its own.
local function leave_out_unknown(run)
  for _, path in ipairs(COMPONENTS) do
    local known = {}
    for _, c in ipairs(run.values[path] or {}) do
      if not holds_unknown(c.options, 0) then known[#known + 1] = c end
    end
    run.values[path] = known[1] and known or nil
  end
end

-- What the file returned against the fields: a run of schema.check with all errors.
function M.check(result, fields, name, text, environment)
  locate.set(name, text)
  checked = nil
  if type(result) ~= "table" then
    local what = result == nil and "nothing" or schema.show(result)
    return { errors = { name .. ": returns " .. what .. "; allowed: return { ... }" }, hints = {} }
  end
  local run = schema.check(result, fields, { file = name, env = environment })
  hint_memory(run)
  check_together(run)
  asked.read(name, text)
  for _, found in ipairs(lint.reasons(text)) do run.hints[#run.hints + 1] = name .. ":" .. found[1] .. ": " .. found[2] end
  if state.errors[1] then leave_out_unknown(run) end
  for i = #state.errors, 1, -1 do table.insert(run.errors, 1, state.errors[i]) end
  checked = { run = run, fields = fields }
  return run
end

-- Errors of env and file that were collected before the file itself raised.
function M.collected() return state and state.errors or {} end

-- A checked value by its path, or nil.
function M.value(path) return checked and checked.run.values[path] end

-- "config.lua:12: " of the key at the path, for what C finds wrong with values.
function M.place(path) return checked and checked.run:place(schema.keys_of(path)) or "" end

local function describe(key, value, depth, lines)
  if secret.is(value) then value = secret.reveal(value) end
  if type(value) == "table" and not types.is_opaque(value) and depth < 6 then
    for k, v in pairs(value) do describe(key .. "." .. tostring(k), v, depth + 1, lines) end
  elseif type(value) ~= "table" and type(value) ~= "function" and type(value) ~= "userdata" then
    lines[#lines + 1] = key .. "=" .. tostring(value):gsub("[%c\\]", function(c) return ("\\%03d"):format(c:byte()) end)
  end
end

local LIVE = { policies = true, processors = true, verdict = true }

-- Sorted lines "key=value", to see what differs between two versions; not what decides.
function M.describe(fields)
  local lines = {}
  for _, field in ipairs(fields) do
    local value = checked and checked.run.values[field.path]
    if field.type == "exporters" then
      local names = {}
      for i, exporter in ipairs(value or {}) do
        names[i] = exporter.name
        describe("exporters." .. exporter.name, exporter.options, 0, lines)
      end
      lines[#lines + 1] = "exporters=" .. table.concat(names, ",")
    elseif not LIVE[field.type] then
      describe(field.path, value, 0, lines)
    end
  end
  table.sort(lines)
  return table.concat(lines, "\n") .. "\n"
end

function M.print(fields, defaults) return printer.print(fields, not defaults and checked and checked.run or nil) end
M.docs = printer.docs

return M
