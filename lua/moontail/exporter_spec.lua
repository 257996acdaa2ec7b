-- What the file of an exporter in Lua says, and the options of one exporter of it.
local component = require "moontail.component"
local frozen = require "moontail.frozen"
local host = require "moontail.host"
local option = require "moontail.option"
local schema = require "moontail.schema"

local M = {}

-- Options of every exporter: C reads them.
local COMMON = { where = true, signals = true, batch = true, queue = true, timeout = true, retry = true, circuit = true }
local KEYS = { doc = "string", encode = "function", options = "table", setup = "function", reply = "function", batch = "table", queue = "table", signals = "table", name = "string" }

M.keys = KEYS -- for the test that holds them and the table of the API together

local function nearest(key)
  local names = {}
  for name in pairs(KEYS) do names[#names + 1] = name end
  table.sort(names)
  local near = type(key) == "string" and host.nearest(key, names)
  return near and ("; did you mean " .. near .. "?") or ("; allowed: " .. table.concat(names, ", "))
end

local function check_options(options, fail)
  for name, field in pairs(options) do
    if type(name) ~= "string" or not option.is(field) then
      fail("options." .. tostring(name) .. " must be option.TYPE { ... }")
    elseif COMMON[name] then
      fail("options." .. name .. ": every exporter has it; take another name")
    end
  end
end

-- What encode can take: a list of signals; traces alone where the file does not say.
local function signals_of(spec) return spec.signals or { "traces" } end

local function check_signals(list, what, allowed, fail)
  if type(list) ~= "table" then return end -- C says what is wrong with it
  for _, signal in ipairs(list) do
    if not allowed[signal] then fail(what .. " has '" .. tostring(signal) .. "'; allowed: " .. allowed.text) end
  end
end

local function set_of(list)
  local set = { text = table.concat(list, ", ") }
  for _, signal in ipairs(list) do set[signal] = true end
  return set
end

local function check_spec(spec, fail)
  for key, value in pairs(spec) do
    local wanted = KEYS[key]
    if not wanted then
      fail("unknown key " .. tostring(key) .. nearest(key))
    elseif type(value) ~= wanted then
      fail(key .. " must be a " .. wanted)
    end
  end
  if not spec.encode then fail "encode is missing: function(batch, opt, my)" end
  if not spec.doc then fail "doc is missing: say in a sentence what it does" end
  check_signals(spec.signals, "signals", set_of { "traces", "metrics", "logs" }, fail)
  if type(spec.options) == "table" then check_options(spec.options, fail) end
end

-- The options that the file defines, without those of every exporter.
local function own_options(c)
  local own = {}
  for key, value in pairs(c.options) do
    if not COMMON[key] then own[key] = value end
  end
  return own
end

local function read_options(c, spec)
  return schema.check(own_options(c), spec.options or {}, component.where(c, { durations = "ms" }))
end

-- The options of every exporter: batch and queue of the file, then what the config says.
local function common_options(c, spec)
  local common = {}
  for key in pairs(COMMON) do common[key] = c.options[key] end
  for _, name in ipairs { "batch", "queue" } do
    if spec[name] and (common[name] == nil or type(common[name]) == "table") then
      local merged = {}
      for key, value in pairs(spec[name]) do merged[key] = value end
      for key, value in pairs(common[name] or {}) do merged[key] = value end
      common[name] = merged
    end
  end
  common.signals = common.signals or signals_of(spec)
  return common
end

-- The common options of component `c`, or nil and all errors, a line each.
function M.check(c, spec)
  local errors = {}
  local function fail(text) errors[#errors + 1] = tostring(c) .. ": " .. text end
  if type(spec) ~= "table" then
    fail "its file must return exporter { doc = ..., encode = function(batch, opt, my) ... end }"
  else
    check_spec(spec, fail)
  end
  if #errors == 0 then check_signals(c.options.signals, "signals", set_of(signals_of(spec)), fail) end
  if #errors == 0 then
    for _, text in ipairs(read_options(c, spec).errors) do errors[#errors + 1] = text end
  end
  if #errors > 0 then return nil, table.concat(errors, "\n") .. "\n" end
  return common_options(c, spec)
end

-- An instance: { name, spec, opt, my }.
function M.open(c, spec)
  local opt, check = frozen.options(read_options(c, spec).values, spec.options or {})
  local my = spec.setup and spec.setup(opt)
  check()
  return { name = c.name, spec = spec, opt = opt, my = my }
end

return M
