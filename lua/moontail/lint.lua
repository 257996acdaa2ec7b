-- What compiles but can't be meant: a verdict whose value is thrown away, and a comparison of a
-- kind or status with a text that it never has. Found in the text of every script when it is loaded.
local env = require "moontail.env"
local locate = require "moontail.locate"

local lint = {}

local VERDICTS = { keep = true, drop = true, sample = true, at_least = true }
local VALUES = {
  kind = { "unspecified", "internal", "server", "client", "producer", "consumer" },
  status = { "unset", "ok", "error" },
}

-- Keywords after which an expression begins; after any other name a statement does.
local BEFORE_VALUE = {
  ["return"] = true, ["and"] = true, ["or"] = true, ["not"] = true, ["in"] = true,
  ["if"] = true, ["elseif"] = true, ["while"] = true, ["until"] = true,
}
local OPENS = { ["function"] = true, ["do"] = true, ["then"] = true, ["repeat"] = true, ["{"] = true, ["("] = true, ["["] = true }
local CLOSES = { ["end"] = true, ["until"] = true, ["}"] = true, [")"] = true, ["]"] = true, ["elseif"] = true }

local function text_at(tokens, i)
  local t = tokens[i]
  return t and t.kind ~= "string" and t.text or nil
end

local function is_call(tokens, i)
  local t = tokens[i]
  return t ~= nil and (t.kind == "string" or t.text == "(" or t.text == "{")
end

-- Names that a script defines itself, or hands around: nothing is known about their calls.
local function own_names(tokens)
  local own = {}
  for i, t in ipairs(tokens) do
    local before, after = text_at(tokens, i - 1), text_at(tokens, i + 1)
    local listed = (before == "(" or before == ",") and (after == "," or after == ")")
    if t.kind == "name" and (before == "local" or before == "function" or listed) then own[t.text] = true end
  end
  return own
end

-- Whether a statement begins at token i, inside the bracket or block `inside`.
local function begins_statement(tokens, i, inside)
  local t = tokens[i - 1]
  if not t or t.kind == "string" or t.kind == "number" then return true end
  if t.kind == "name" then return not BEFORE_VALUE[t.text] and t.text ~= "function" and t.text ~= "local" and t.text ~= "goto" end
  if t.text == ";" then return inside ~= "{" end
  return t.text == ")" or t.text == "]" or t.text == "}"
end

local function check_verdict(tokens, i, inside, own, fail)
  local name = tokens[i].text
  if not VERDICTS[name] or own[name] or not is_call(tokens, i + 1) or not begins_statement(tokens, i, inside) then return end
  fail(tokens[i], ("the verdict of %s(...) is thrown away; write return %s(...)"):format(name, name))
end

-- The string that token i compares with, where it stands behind == or ~=, or before them.
local function compared(tokens, i)
  local op = text_at(tokens, i + 1)
  if (op == "=" or op == "~") and text_at(tokens, i + 2) == "=" then return tokens[i + 3] end
  local first = i
  while text_at(tokens, first - 1) == "." and (tokens[first - 2] or {}).kind == "name" do first = first - 2 end
  op = text_at(tokens, first - 2)
  if (op == "=" or op == "~") and text_at(tokens, first - 1) == "=" then return tokens[first - 3] end
end

local function check_comparison(tokens, i, fail)
  local values = VALUES[tokens[i].text]
  if not values or text_at(tokens, i - 1) ~= "." or text_at(tokens, i - 2) == "http" then return end
  local with = compared(tokens, i)
  if not with or with.kind ~= "string" then return end
  local given = with.text:match "^[\"'](.*)[\"']$"
  for _, value in ipairs(values) do
    if given == nil or value == given then return end
  end
  local near = env.hint(given:lower(), values)
  fail(tokens[i], ("'%s' is never a %s%s; allowed: %s"):format(given, tokens[i].text, near, table.concat(values, ", ")))
end

-- ---- reasons ----

local REASON_AT = { keep = 1, drop = 1, sample = 2, at_least = 2 }

-- The first token of the argument with that number, of the call whose ( is at token i.
local function argument_at(tokens, i, number)
  local depth, argument = 0, 1
  for k = i + 1, #tokens do
    if argument == number and depth == 0 then return k end
    local text = text_at(tokens, k)
    if text == "(" or text == "{" or text == "[" then depth = depth + 1 end
    if text == ")" or text == "}" or text == "]" then depth = depth - 1 end
    if depth < 0 then return nil end
    if text == "," and depth == 0 then argument = argument + 1 end
  end
end

-- A literal, nothing, or what setup or the options hold: of these there are few.
local function is_bounded(tokens, i)
  local t = tokens[i]
  if t.kind == "string" then
    local after = text_at(tokens, i + 1)
    return after == ")" or after == ","
  end
  return t.text == ")" or t.text == "nil" or t.text == "my" or t.text == "opt"
end

-- Sentences about reasons that may be many different ones, each with its line: { line, sentence }.
-- Policies see at most 64 of them as labels of metrics; then it is "other".
function lint.reasons(text)
  local tokens, found = locate.tokens(text), {}
  local own = own_names(tokens)
  for i, t in ipairs(tokens) do
    local before = text_at(tokens, i - 1)
    if t.kind == "name" and REASON_AT[t.text] and not own[t.text] and text_at(tokens, i + 1) == "(" and before ~= "." and before ~= ":" then
      local at = argument_at(tokens, i + 1, REASON_AT[t.text])
      if at and not is_bounded(tokens, at) then
        found[#found + 1] = { t.line, ("the reason of %s(...) is no literal: each different one is a label of metrics, at most 64 a policy"):format(t.text) }
      end
    end
  end
  return found
end

-- The sentence about the first of them, and its line; or nil.
function lint.check(text)
  local tokens = locate.tokens(text)
  local own, open = own_names(tokens), {}
  local line, sentence
  local function fail(t, what)
    if not sentence then line, sentence = t.line, what end
  end
  for i, t in ipairs(tokens) do
    if t.kind == "name" then
      check_verdict(tokens, i, open[#open], own, fail)
      check_comparison(tokens, i, fail)
    end
    if t.kind ~= "string" then
      if CLOSES[t.text] then open[#open] = nil end
      if OPENS[t.text] then open[#open + 1] = t.text end
    end
  end
  return sentence, line
end

return lint
