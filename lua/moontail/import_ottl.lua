-- Conditions in OTTL that an import takes over as they are: those that moontail does not understand are in
-- the report, with what it says of them.
local ottl_match = require "moontail.ottl_match"

local M = {}

-- The conditions of the list at `key`, a span's or (key "spanevent") an event's, {} where it is absent; nil
-- where one is not understood, since without it the others would say something else.
function M.of(s, key)
  local good, all = {}, true
  for i, condition in ipairs(s:list(key) or {}) do
    local ok, why = false, "a condition is a text without variables"
    if type(condition) == "string" then
      ok, why = pcall(ottl_match.api.ottl, condition, key)
    end
    if ok then
      good[#good + 1] = condition
    else
      all = false
      s:add("not mapped", ("%s[%d]"):format(key, i), (tostring(why):gsub("^[^\n]-:%d+: ", ""):gsub("\n", "\n    ")))
    end
  end
  return all and good or nil
end

-- One condition that holds where one of them does.
function M.any(list)
  if #list == 1 then return list[1] end
  local parts = {}
  for i, condition in ipairs(list) do parts[i] = "(" .. condition .. ")" end
  return table.concat(parts, " or ")
end

return M
