-- option.number { default = 500, min = 0, doc = "..." }: the options of policies, processors, exporters.
local api = require "moontail.api"
local env = require "moontail.env"

local KEYS = { default = true, min = true, max = true, one_of = true, optional = true, secret = true, doc = true }

local meta = { __kind = "option", __metatable = false }

local option = {}
for _, name in ipairs(api.option_types) do
  option[name] = function(attributes)
    if type(attributes) ~= "table" then error("option." .. name .. " takes a table: option." .. name .. " { doc = \"...\" }", 2) end
    local field = { type = name }
    for key, value in pairs(attributes) do
      if not KEYS[key] then
        error(("option.%s has no '%s'%s"):format(name, tostring(key), env.hint(key, KEYS)), 2)
      end
      field[key] = value
    end
    -- Without a default it must be given, unless it says that it need not be.
    field.required = field.default == nil and not field.optional
    return setmetatable(field, meta)
  end
end

local M = { api = env.frozen(option, "option") }

-- Whether `value` was made by option.TYPE { ... }.
function M.is(value) return debug.getmetatable(value) == meta end

return M
