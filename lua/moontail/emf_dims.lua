-- Which sets of labels are dimensions of a metric: roll-ups and declarations, as the collector's awsemf
-- exporter has them.
local core = require "moontail.policy_core"

local M = {}

local DIMENSIONS_MAX, NAME_MAX, VALUE_MAX = 30, 250, 1024
local SCOPE = "OTelLib" -- the label with the scope's name
local COLON = 58 -- its byte; no name begins with it

local byte, find = string.byte, string.find

M.scope_label = SCOPE
M.rollups = { "ZeroAndSingleDimensionRollup", "SingleDimensionRollupOnly", "NoDimensionRollup" }

-- ---- declarations ----

local function regexes(list, what)
  local made = {}
  if type(list) ~= "table" then error(what .. " is a list of regular expressions", 0) end
  for i, pattern in ipairs(list) do
    local ok, regex = pcall(core.regex_new, pattern)
    if not ok then error(("%s: '%s': %s"):format(what, tostring(pattern), tostring(regex)), 0) end
    made[i] = regex
  end
  return made
end

local function any(list, text)
  for _, regex in ipairs(list) do
    if core.regex_find(regex, text) then return true end
  end
  return false
end

local DECLARATION = { dimensions = true, metric_name_selectors = true, label_matchers = true }
local MATCHER = { label_names = true, separator = true, regex = true }

local function check_keys(t, allowed, what)
  if type(t) ~= "table" then error(what .. " is a table", 0) end
  for key in pairs(t) do
    if not allowed[key] then error(what .. " has no '" .. tostring(key) .. "'", 0) end
  end
end

local function matcher_of(m)
  check_keys(m, MATCHER, "a label_matcher")
  if type(m.label_names) ~= "table" or #m.label_names == 0 then error("a label_matcher needs label_names", 0) end
  return { names = m.label_names, separator = m.separator or ";", regex = regexes({ m.regex or "" }, "label_matchers.regex") }
end

-- Of the option metric_declarations.
function M.declarations(list)
  local made = {}
  for i, d in ipairs(list or {}) do
    check_keys(d, DECLARATION, "a metric_declaration")
    local one = { sets = {}, names = regexes(d.metric_name_selectors or {}, "metric_name_selectors"), matchers = {} }
    if #one.names == 0 then error("a metric_declaration needs metric_name_selectors", 0) end
    for n, set in ipairs(d.dimensions or {}) do
      if type(set) ~= "table" then error("dimensions are lists of labels: { { \"a\", \"b\" }, { \"a\" } }", 0) end
      if #set <= DIMENSIONS_MAX then one.sets[n] = set end
    end
    for n, m in ipairs(d.label_matchers or {}) do one.matchers[n] = matcher_of(m) end
    made[i] = one
  end
  return #made > 0 and made or nil
end

local function holds(matcher, labels)
  local values = {}
  for i, name in ipairs(matcher.names) do values[i] = labels[name] or "" end
  return any(matcher.regex, table.concat(values, matcher.separator))
end

local function declares(d, labels)
  if #d.matchers == 0 then return true end
  for _, matcher in ipairs(d.matchers) do
    if holds(matcher, labels) then return true end
  end
  return false
end

-- ---- sets ----

-- Printable ASCII, and not blank: CloudWatch takes no event with another one.
local function is_text(text, max) return #text <= max and find(text, "[!-~]") ~= nil and not find(text, "[^ -~]") end

local function is_value(text) return is_text(text, VALUE_MAX) end

local function is_name(text) return is_text(text, NAME_MAX) and byte(text) ~= COLON end

local function add(sets, seen, set)
  table.sort(set)
  local key = table.concat(set, "\0")
  if #set > DIMENSIONS_MAX or seen[key] then return end
  seen[key] = true
  sets[#sets + 1] = set
end

-- names: all labels in order; scope: whether one of them is the scope's.
local function add_rollups(sets, seen, rollup, names, scope)
  local function with(...)
    local set = { ... }
    if scope then set[#set + 1] = SCOPE end
    return set
  end
  if rollup == M.rollups[1] and #names > 0 then add(sets, seen, with()) end
  for _, name in ipairs(rollup ~= M.rollups[3] and names or {}) do add(sets, seen, with(name)) end
end

-- The labels that can be dimensions, without the scope's; whether there is one of a scope.
local function names_of(labels)
  local names, scope = {}, false
  for name, value in pairs(labels) do
    if name == SCOPE then
      scope = is_value(value)
    elseif is_value(value) and is_name(name) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names, scope
end

-- Without declarations: all labels, and roll-ups; all of them alone where there is at most one.
local function plain(labels, rollup)
  local names, scope = names_of(labels)
  local sets, seen, full = {}, {}, { unpack(names) }
  if scope then full[#full + 1] = SCOPE end
  if #names > 1 or rollup == M.rollups[3] then add(sets, seen, full) end
  add_rollups(sets, seen, rollup, names, scope)
  if #sets == 0 then sets[1] = #full <= DIMENSIONS_MAX and full or {} end
  return sets
end

local PLAIN_MAX = 1000

-- The same for the same names: they are few, points are many.
local function cached_plain(my, labels)
  local list = {}
  for name, value in pairs(labels) do list[#list + 1] = is_value(value) and name or nil end
  table.sort(list)
  local key = table.concat(list, "\0")
  local sets = my.plain_sets[key]
  if sets then return sets end
  if my.plain_count == PLAIN_MAX then my.plain_sets, my.plain_count = {}, 0 end
  sets = plain(labels, my.rollup)
  my.plain_sets[key], my.plain_count = sets, my.plain_count + 1
  return sets
end

local function has_all(labels, set)
  for _, name in ipairs(set) do
    if not labels[name] or not is_value(labels[name]) or not is_name(name) then return false end
  end
  return true
end

-- By the numbers of the declarations that a metric meets: "1;3" -> sets.
local function declared(declarations, which, labels, rollup)
  local sets, seen = {}, {}
  for _, i in ipairs(which) do
    for _, set in ipairs(declarations[i].sets) do
      if has_all(labels, set) then add(sets, seen, { unpack(set) }) end
    end
  end
  add_rollups(sets, seen, rollup, names_of(labels))
  return sets
end

-- ---- of a group of metrics ----

-- metrics: names in order -> list of { metrics = names, sets }, one for each directive. What no declaration
-- takes is in none.
function M.directives(my, labels, metrics)
  if not my.declarations then return { { metrics = metrics, sets = cached_plain(my, labels) } } end
  local list, by_key, here = {}, {}, {}
  for i, d in ipairs(my.declarations) do here[i] = declares(d, labels) end
  for _, name in ipairs(metrics) do
    local which = {}
    for i, d in ipairs(my.declarations) do
      if here[i] and any(d.names, name) then which[#which + 1] = i end
    end
    local key = table.concat(which, ";")
    if #which > 0 and not by_key[key] then
      local sets = declared(my.declarations, which, labels, my.rollup)
      by_key[key] = { metrics = {}, sets = sets }
      if #sets > 0 then list[#list + 1] = by_key[key] end
    end
    if #which > 0 then table.insert(by_key[key].metrics, name) end
  end
  return list
end

return M
