-- What scripts get as `opt`: options that stay as they were configured.
local env = require "moontail.env"

local M = {}

-- Lists and maps are real tables, so that ipairs, pairs and # work. A new key raises at once; another
-- value for one that is there is seen at the next read, or when setup is over.
local frozen_meta = {
  __newindex = function(_, key) error("an option can't be changed: '" .. tostring(key) .. "'", 2) end,
  __metatable = false,
}

local function is_plain(value) return type(value) == "table" and not debug.getmetatable(value) end

local function copy_of(master)
  local copy = {}
  for key, value in pairs(master) do copy[key] = is_plain(value) and copy_of(value) or value end
  return setmetatable(copy, frozen_meta)
end

local function is_changed(copy, master)
  for key, value in pairs(master) do
    local now = copy[key]
    if is_plain(value) then
      if type(now) ~= "table" or is_changed(now, value) then return true end
    elseif now ~= value then
      return true
    end
  end
  return false
end

-- What a script's functions get: reads options that are not given as nil, raises for other names; and
-- a function that raises where a list or map has been changed.
function M.options(values, fields)
  local known, plain, masters, copies = {}, {}, {}, {}
  for name in pairs(fields) do known[name] = true end
  for name, value in pairs(values) do
    if is_plain(value) then
      masters[name], copies[name] = value, copy_of(value)
    else
      plain[name] = value
    end
  end
  local function unchanged(name, level)
    local copy = copies[name]
    if copy and is_changed(copy, masters[name]) then
      copies[name] = copy_of(masters[name]) -- who comes next gets what was configured
      error("opt." .. name .. " was changed; an option can't be: copy it and change the copy", level)
    end
    return copy
  end
  setmetatable(plain, {
    __index = function(_, name)
      local copy = unchanged(name, 3)
      if copy then return copy end
      if not known[name] then error("opt has no '" .. tostring(name) .. "'" .. env.hint(name, known), 2) end
    end,
  })
  local opt = setmetatable({}, {
    __index = plain,
    __newindex = function(_, name) error("opt can't be changed: '" .. tostring(name) .. "'", 2) end,
    __metatable = false,
  })
  return opt, function()
    for name in pairs(masters) do
      local ok, why = pcall(unchanged, name, 0)
      if not ok then error("setup: " .. why, 0) end
    end
  end
end

return M
