-- policy "TYPE/instance" { options }, and the same for exporters and processors: a named component
-- as config.lua writes it. Loading what the name stands for is its room's.
local types = require "moontail.schema_types"

local component = {}

local function allowed(kind)
  return kind .. ' "NAME", ' .. kind .. ' "NAME" { options }' .. (kind == "exporter" and "" or " or " .. kind .. " { name = ..., ... }")
end

local metas = {}

local function make(kind, fields)
  fields.kind = kind
  return setmetatable(fields, metas[kind])
end

local function caller_line(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and info.currentline > 0 and info.currentline or nil, info and info.source:match "^@(.*)"
end

local function named(kind, name)
  local line, file = caller_line(3)
  local type_, instance = name:match "^([%w_]+)/([%w_.-]+)$"
  type_ = type_ or name:match "^[%w_]+$"
  if not type_ then
    error(("'%s' is not a name; allowed: %s \"TYPE\" or %s \"TYPE/instance\" of letters, digits and _"):format(name, kind, kind), 3)
  end
  return make(kind, { type = type_, instance = instance, name = name, line = line, file = file, options = {} })
end

local function inline(kind, spec)
  local line, file = caller_line(3)
  if kind == "exporter" and not spec.encode then error("an exporter without a name: allowed: " .. allowed(kind), 3) end
  if spec.name == nil then error(("an inline %s needs a name: %s { name = \"canary\", ... }"):format(kind, kind), 3) end
  if type(spec.name) ~= "string" or not spec.name:find "^[%w_./-]+$" then
    error(("the name of an inline %s is %s; allowed: a string of letters, digits, _ . / and -"):format(kind, types.show(spec.name)), 3)
  end
  return make(kind, { type = spec.name, name = spec.name, line = line, file = file, options = {}, spec = spec })
end

-- The constructor for scripts. { kind, type, instance?, name, options, line, file, spec? (inline) };
-- once config.lua is checked also path, the keys from its root.
function component.constructor(kind)
  metas[kind] = metas[kind]
    or {
      __kind = kind,
      __metatable = false,
      __tostring = function(self) return kind .. ' "' .. self.name .. '"' end,
      __call = function(self, options, ...)
        if type(options) ~= "table" or select("#", ...) > 0 or self.spec then
          error(kind .. ' "' .. self.name .. '" takes one table of options', 2)
        end
        local copy = { type = self.type, instance = self.instance, name = self.name, line = self.line, file = self.file }
        copy.options = options
        return make(kind, copy)
      end,
    }
  return function(what)
    -- No tail calls: the lines and levels of errors count this frame.
    local made
    if type(what) == "string" then
      made = named(kind, what)
    elseif type(what) == "table" and not debug.getmetatable(what) then
      made = inline(kind, what)
    end
    if made then return made end
    error("what " .. kind .. " is this? allowed: " .. allowed(kind), 2)
  end
end

-- Whether `value` is a component (of this kind).
function component.is(value, kind)
  local meta = debug.getmetatable(value)
  return meta ~= nil and meta.__kind ~= nil and metas[meta.__kind] == meta and (kind == nil or meta.__kind == kind)
end

-- What schema.check wants to know about the options of `c`.
function component.where(c, extra)
  local where = { file = c.file, line = c.line, path = c.path, name = tostring(c) }
  for key, value in pairs(extra or {}) do where[key] = value end
  return where
end

return component
