-- The table of the script API as a page (docs/policies-api.md) and as LuaCATS for editors.
local api = require "moontail.api"

local M = {}

-- ---- the page ----

local function cell(text) return (text:gsub("|", "\\|")) end

local function rows(out, entries, prefix)
  out[#out + 1] = "| name | type | |"
  out[#out + 1] = "|---|---|---|"
  for _, e in ipairs(entries) do
    local separator = prefix and (prefix .. (e[2]:find "^fun%(self" and ":" or ".")) or ""
    out[#out + 1] = ("| `%s%s` | `%s` | %s |"):format(separator, e[1], cell(e[2]), cell(e[3]))
  end
  out[#out + 1] = ""
end

local function globals_page(out)
  local group = {}
  for i, g in ipairs(api.globals) do
    if g.group then
      group = {}
      out[#out + 1] = "### " .. g.group .. "\n"
    else
      group[#group + 1] = g
    end
    local next_one = api.globals[i + 1]
    if not g.group and (not next_one or next_one.group) then rows(out, group) end
  end
end

local function class_page(out, class)
  out[#out + 1] = "### " .. class[1] .. "\n"
  if class[3] ~= "" then out[#out + 1] = class[3] .. "\n" end
  local entries = {}
  for i = 4, #class do entries[#entries + 1] = class[i] end
  if #entries > 0 then rows(out, entries, class[2]) end
end

function M.docs()
  local out = {
    "# The script API\n",
    "Written by `moontail api --docs` from the table of names that the program registers. [policies.md](policies.md)",
    "explains; `moontail api --luacats` is the same for editors.\n",
    "Units are in the names (`_ms`, `_bytes`); what is absent is nil; a name that does not exist raises and names the",
    "nearest. What is handed out is read-only and belongs to its trace. There is no clock and no random number, so that",
    "replay is exact: `trace.decided_ms` and `trace:fraction()` are there instead.\n",
    "Plain Lua has `assert error ipairs next pairs pcall select tonumber tostring type unpack`, and `string`, `table`,",
    "`math` without what reads clocks, draws numbers or runs without bound.\n",
    "## Globals\n",
  }
  globals_page(out)
  out[#out + 1] = "## A policy's fields\n"
  rows(out, api.policy_spec)
  out[#out + 1] = "## What values have\n"
  out[#out + 1] = "### Attributes\n"
  out[#out + 1] = "Span, Resource, Scope, Event and Link each see only their own.\n"
  rows(out, api.attributes, "span")
  for _, class in ipairs(api.classes) do class_page(out, class) end
  return (table.concat(out, "\n"):gsub("\n+$", "\n"))
end

-- ---- LuaCATS ----

local function field(out, e)
  out[#out + 1] = ("---@field %s %s%s"):format(e[1], e[2], e[3] ~= "" and (" # " .. e[3]) or "")
end

local function class_cats(out, name, extends, entries, first, doc)
  if doc and doc ~= "" then out[#out + 1] = "--- " .. doc end
  out[#out + 1] = "---@class " .. name .. (extends and (": " .. extends) or "")
  for i = first, #entries do field(out, entries[i]) end
  out[#out + 1] = ""
end

-- fun(a:T, b?:U):R as parameters and a return for a global function.
local function function_cats(out, e)
  out[#out + 1] = "--- " .. e[3]
  out[#out + 1] = "---@type " .. e[2]
  out[#out + 1] = e[1] .. " = nil"
  out[#out + 1] = ""
end

local function option_cats(out)
  out[#out + 1] = "---@class OptionTypes"
  for _, name in ipairs(api.option_types) do
    out[#out + 1] = ("---@field %s fun(o:{default?:any, min?:any, max?:any, one_of?:any[], optional?:boolean, secret?:boolean, doc?:string}):Option"):format(name)
  end
  out[#out + 1] = ""
end

function M.luacats()
  local out = { "---@meta moontail", "-- Written by `moontail api --luacats`: completion and checks in editors.", "" }
  for _, a in ipairs(api.aliases) do out[#out + 1] = ("---@alias %s %s%s"):format(a[1], a[2], a[3] ~= "" and (" # " .. a[3]) or "") end
  out[#out + 1] = ""
  for _, name in ipairs(api.opaque) do out[#out + 1] = "---@class " .. name end
  out[#out + 1] = ""
  class_cats(out, "Attributes", nil, api.attributes, 1)
  for _, class in ipairs(api.classes) do class_cats(out, class[1], class.extends, class, 4, class[3]) end
  class_cats(out, "PolicySpec", nil, api.policy_spec, 1)
  option_cats(out)
  out[#out + 1] = "---@class Component\n---@overload fun(options:table):Component\n"
  for _, g in ipairs(api.globals) do
    if g[1] then function_cats(out, g) end
  end
  return table.concat(out, "\n")
end

return M
