-- Which attributes the scripts ask for, so that those that never come can be named: the keys of matchers, and
-- the literals in attr("..."), attr_text and has.
local host = require "moontail.host"
local locate = require "moontail.locate"

local M = {}

local MAX = 1000

local list = {} -- { keys = { any of them }, of = "config.lua:5: policy "x"" }
local present -- { of, source }: what is being prepared; source: of one that the program carries

local function add(keys, of)
  if #list < MAX then list[#list + 1] = { keys = keys, of = of } end
end

-- From here on matchers belong to what `of` names (nil: to nobody but their own line). Gives what was
-- before, for leave.
function M.enter(of)
  local before = present
  present = of and { of = of } or nil
  return before
end

function M.leave(before) present = before end

-- A matcher asks for the key. What a script of ours asks for by itself is not worth a word: only what
-- users wrote. place: of the matcher, where it belongs to nobody.
function M.key(key, place)
  if present and present.source and present.source:find('"' .. key .. '"', 1, true) then return end
  local of = present and present.of or place
  if of then add({ key }, of) end
end

local METHODS = { attr = true, attr_text = true, has = true }

-- The strings of a call at token i, (...) or "..."; nil where they are not all literals.
local function literals(tokens, i)
  local keys = {}
  if tokens[i] and tokens[i].kind == "string" then return { locate.unquote(tokens[i]) } end
  if not tokens[i] or tokens[i].text ~= "(" then return nil end
  repeat
    local t, after = tokens[i + 1], tokens[i + 2]
    if not t or t.kind ~= "string" or not after then return nil end
    keys[#keys + 1] = locate.unquote(t)
    i = i + 2
  until tokens[i].text ~= ","
  return tokens[i].text == ")" and keys or nil
end

-- The text of a script, or config.lua, that is being prepared.
function M.read(name, source)
  local is_ours = name:find "^lua/" ~= nil
  if present then present.source = is_ours and source or nil end
  if is_ours then return end
  local tokens = locate.tokens(source)
  for i, t in ipairs(tokens) do
    if t.kind == "name" and METHODS[t.text] and (tokens[i - 1] or {}).text == ":" then
      local keys = literals(tokens, i + 1)
      if keys then add(keys, name .. ":" .. t.line .. ":") end
    end
  end
end

local function quoted(keys)
  local texts = {}
  for i, key in ipairs(keys) do texts[i] = "'" .. key .. "'" end
  return table.concat(texts, ", ")
end

-- What OpenTelemetry's conventions called a thing, and what they call it now.
local RENAMED = {
  ["http.method"] = "http.request.method", ["http.status_code"] = "http.response.status_code", ["http.url"] = "url.full",
  ["http.target"] = "url.path", ["http.user_agent"] = "user_agent.original", ["http.client_ip"] = "client.address",
  ["net.peer.name"] = "server.address", ["net.peer.port"] = "server.port", ["db.system"] = "db.system.name",
  ["db.name"] = "db.namespace", ["db.operation"] = "db.operation.name", ["db.statement"] = "db.query.text",
  ["messaging.destination"] = "messaging.destination.name", ["deployment.environment"] = "deployment.environment.name",
}
local OTHER = {}
for old, new in pairs(RENAMED) do
  OTHER[old], OTHER[new] = new, old
end

local function nearest(keys, names, seen)
  for _, key in ipairs(keys) do
    local near = OTHER[key] and seen[OTHER[key]] and OTHER[key] or host.nearest(key, names)
    if near then return (" (did you mean '%s'?)"):format(near) end
  end
  return ""
end

-- A line about each that none of the traces has: seen = { key = true }, of so many traces.
function M.unseen(seen, traces)
  local lines, names, said = {}, {}, {}
  for name in pairs(seen) do names[#names + 1] = name end
  table.sort(names)
  for _, asked in ipairs(list) do
    local is_seen = false
    for _, key in ipairs(asked.keys) do is_seen = is_seen or seen[key] end
    local what = asked.keys[2] and "any of the attributes " or "the attribute "
    local line = ("%s none of the last %d traces has %s%s%s\n"):format(asked.of, traces, what, quoted(asked.keys), nearest(asked.keys, names, seen))
    if not is_seen and not said[line] then
      said[line] = true
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines)
end

return M
