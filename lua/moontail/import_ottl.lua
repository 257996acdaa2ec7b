-- Conditions in OTTL that an import takes over as they are: those that moontail does not understand are in
-- the report, with what it says of them.
local ottl = require "moontail.ottl"
local ottl_match = require "moontail.ottl_match"
local report = require "moontail.import_report"

local M = {}

-- ---- whose a path is ----

-- Adds the places of the paths that say no owner.
local function add_bare(node, places)
  if node.op == "path" and #node.names == 1 then places[#places + 1] = node.at end
  for _, inner in ipairs(node.args or node) do add_bare(inner, places) end
end

-- A condition in the context of a resource or scope as one of spans.
local function owned(condition, owner)
  local ok, tree = pcall(ottl.parse, condition)
  local places = {}
  if ok then add_bare(tree, places) end -- what is wrong is said where it is compiled
  table.sort(places, function(a, b) return a > b end)
  for _, at in ipairs(places) do condition = condition:sub(1, at - 1) .. owner .. "." .. condition:sub(at) end
  return condition
end

-- ---- lists ----

-- The condition as one of a span (context "spanevent": of an event), or nil: `where` of the section says why.
local function understood(s, where, condition, context)
  local ok, why = false, "a condition is a text without variables"
  if type(condition) == "string" then
    if context == "resource" or context == "scope" then condition = owned(condition, context) end
    ok, why = pcall(ottl_match.api.ottl, condition, context == "spanevent" and context or "span")
  end
  if ok then return condition end
  s:add("not mapped", where, (tostring(why):gsub("^[^\n]-:%d+: ", ""):gsub("\n", "\n    ")))
end

-- The conditions of the list at `key`, which is their context too, {} where it is absent; nil where one is not
-- understood, since without it the others would say something else.
function M.of(s, key)
  local good, all = {}, true
  for i, condition in ipairs(s:list(key) or {}) do
    local taken = understood(s, ("%s[%d]"):format(key, i), condition, key)
    if taken then good[#good + 1] = taken else all = false end
  end
  return all and good or nil
end

M.EVENTS = "moontail drops spans, not events of them; write a processor"

-- Takes one of trace_conditions into `good`. What it is about its paths say, or `context`. False: it is not understood.
local function take(s, where, condition, context, good)
  if context == "spanevent" or (type(condition) == "string" and condition:find "%f[%w_]spanevent%.") then
    s:add("not mapped", where, M.EVENTS)
    return true
  end
  local taken = understood(s, where, condition, context)
  good[#good + 1] = taken
  return taken ~= nil
end

-- trace_conditions: texts, or lists of them with a context; else as M.of.
function M.of_traces(s)
  local good, all, value = {}, true, s:raw "trace_conditions"
  for i, item in ipairs(report.is_list(value) and value or { value }) do
    local where, group, context = ("trace_conditions[%d]"):format(i), s, nil
    local list = { type(item) == "string" and report.expand(item) or item }
    if report.is_map(item) then
      group = report.section(s.notes, item, s.path .. "." .. where)
      group:raw "error_mode"
      where, list, context = "conditions", group:list "conditions" or {}, group:string "context"
    end
    for _, condition in ipairs(list) do all = take(group, where, condition, context, good) and all end
    if group ~= s then group:done() end
  end
  return all and good or nil
end

-- Several lists as one; nil where one of them is nil.
function M.together(...)
  local all = {}
  for i = 1, select("#", ...) do
    local list = select(i, ...)
    if not list then return nil end
    for _, condition in ipairs(list) do all[#all + 1] = condition end
  end
  return all
end

-- One condition that holds where one of them does.
function M.any(list)
  if #list == 1 then return list[1] end
  local parts = {}
  for i, condition in ipairs(list) do parts[i] = "(" .. condition .. ")" end
  return table.concat(parts, " or ")
end

return M
