-- What a file is, by what it returns: that of a policy, a processor or an exporter; else a configuration.
local component = require "moontail.component"

local M = {}

local made -- by policy { ... } and the like: its kind, by the table
local nameless -- the kind of the last that has no name, as one inside of a configuration would

local function maker(kind)
  local named = component.constructor(kind)
  return function(what)
    if type(what) ~= "table" then
      local by_name = named(what)
      return by_name
    end
    made[what] = kind
    if what.name == nil then nameless = kind end
    return what
  end
end

-- What a configuration or the file of a script may call, beside the API of scripts.
function M.install(target)
  made, nameless = {}, nil
  for _, kind in ipairs { "policy", "processor", "exporter" } do target[kind] = maker(kind) end
  target.env = function(_, default) return default == nil and "" or default end
  target.secret = function(value) return value end
  target.file = function() return "" end
end

-- "policy", "processor" or "exporter" by what the file returned, or nil. One that returns nothing may
-- have forgotten its `return`.
function M.of(result)
  if result == nil then return nameless end
  return made[result]
end

return M
