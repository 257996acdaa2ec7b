-- What a list of policies says beyond its single ones: which of them can never have a say, since one before
-- them decides every trace. Known of a policy is what it says of every trace alike: its decide never looks at
-- the trace and calls nothing but verdicts.
local locate = require "moontail.locate"

local M = {}

local VERDICTS = { keep = true, drop = true, sample = true, at_least = true }
local NEVER = { ["function"] = true, ["while"] = true, ["for"] = true, ["repeat"] = true, ["goto"] = true, [":"] = true }
local OPENS = { ["function"] = true, ["do"] = true, ["then"] = true, ["repeat"] = true }
local CLOSES = { ["end"] = true, ["until"] = true, ["elseif"] = true }
local BEFORE_VALUE = { ["return"] = true, ["and"] = true, ["or"] = true, ["not"] = true, ["if"] = true, ["elseif"] = true, ["then"] = true, ["else"] = true }

local function text_at(tokens, i)
  local t = tokens[i]
  return t and t.kind ~= "string" and t.text or ""
end

-- The index of the `function` of decide that begins on that line; nil where it can't be told.
local function find_decide(tokens, line)
  local found, count
  for i, t in ipairs(tokens) do
    if t.kind == "name" and t.text == "function" and t.line == line then
      local named = (text_at(tokens, i - 1) == "=" and text_at(tokens, i - 2) == "decide") or text_at(tokens, i + 1) == "decide"
      if named then return i end
      found, count = i, (count or 0) + 1
    end
  end
  return count == 1 and found or nil
end

-- Whether what stands before token i makes it a call of something else than a verdict.
local function is_call(tokens, i)
  local t, before = tokens[i], tokens[i - 1]
  if t.kind ~= "string" and t.text ~= "(" and t.text ~= "{" then return false end
  if before.kind == "name" then return not BEFORE_VALUE[before.text] and not VERDICTS[before.text] end
  return before.kind == "string" or before.text == ")" or before.text == "]"
end

-- Whether the function at token i says the same of every trace.
local function is_constant(tokens, i)
  while text_at(tokens, i) ~= "(" do i = i + 1 end
  local trace = tokens[i + 1].kind == "name" and tokens[i + 1].text
  if text_at(tokens, i + 1) == "." then return false end -- ...
  while text_at(tokens, i) ~= ")" do i = i + 1 end
  local depth = 1
  for k = i + 1, #tokens do
    local text = text_at(tokens, k)
    if OPENS[text] then depth = depth + 1 end
    if CLOSES[text] then depth = depth - 1 end
    if depth == 0 then return true end
    local is_field = text_at(tokens, k - 1) == "."
    if NEVER[text] or (text == trace and not is_field) or (VERDICTS[text] and is_field) then return false end
    if text == "local" or (k > i + 1 and is_call(tokens, k)) then return false end
  end
  return false
end

-- "keep", "drop", "sample" or "at_least"; nil for what is no verdict.
function M.kind_of(value)
  return (debug.getmetatable(value) or {}).__kind == "verdict" and tostring(value):match "^[%a_]+" or nil
end

-- What `decide`, written in `source`, says of every trace alike: "keep", "drop", "sample", "at_least", or "nothing";
-- nil where it looks at the trace, or may.
function M.says_always(decide, source, opt, my)
  local info = debug.getinfo(decide, "S")
  local tokens = source and locate.tokens(source) or {}
  local at = find_decide(tokens, info.linedefined)
  if not at or not is_constant(tokens, at) then return nil end
  local ok, value = pcall(decide, nil, opt, my)
  if not ok then return nil end
  if value == nil then return "nothing" end
  return (debug.getmetatable(value) or {}).__kind == "verdict" and tostring(value):match "^[%a_]+" or nil
end

local SAYS = { keep = "keeps every trace", drop = "drops every trace" }

-- Sentences about a list of { place, name, when, always }, each of what is said above.
function M.check(list)
  local lines, first_certain, first_sample, conditional = {}, nil, nil, {}
  local function hint(p, text) lines[#lines + 1] = ('%spolicy "%s" %s'):format(p.place, p.name, text) end
  for _, p in ipairs(list) do
    local before = first_certain or (p.when and conditional[p.when])
    if before then
      local every = first_certain and SAYS[before.always] or ("%ss what the same `when` matches"):format(before.always)
      hint(p, ('is never asked: policy "%s" before it %s'):format(before.name, every))
    elseif p.always == "nothing" then
      hint(p, "has no opinion on any trace")
    elseif p.always == "sample" and first_sample then
      hint(p, ('has no effect: policy "%s" before it has set the probability of every trace'):format(first_sample.name))
    end
    local decides = p.always == "keep" or p.always == "drop"
    if decides and not p.when then first_certain = first_certain or p end
    if decides and p.when then conditional[p.when] = conditional[p.when] or p end
    if p.always == "sample" and not p.when then first_sample = first_sample or p end
  end
  return lines
end

return M
