-- Where the keys of config.lua stand: Lua's tables carry no lines, so the source is read again.
--
-- Follows table constructors from the `return` at the top level, through calls (policy "x" { ... })
-- and local names whose value is a constructor. What it can't follow has the line of what surrounds it.
local locate = {}

local current -- { file, root, text }

local OPENS = { ["function"] = true, ["do"] = true, ["then"] = true, ["repeat"] = true, ["{"] = true, ["("] = true, ["["] = true }
local CLOSES = { ["end"] = true, ["until"] = true, ["}"] = true, [")"] = true, ["]"] = true, ["elseif"] = true }

local function long_bracket_end(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at, true)
  return stop or #text
end

local function quoted_end(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote then
      return i
    end
    i = i + 1
  end
  return #text
end

-- The end of the token at `at`, and its kind.
local function token_end(text, at)
  local c = text:sub(at, at)
  if text:find("^%-%-", at) then
    local stop = long_bracket_end(text, at + 2)
    return stop or (text:find("\n", at, true) or #text + 1) - 1, "comment"
  end
  if c == '"' or c == "'" then return quoted_end(text, at), "string" end
  local long = c == "[" and long_bracket_end(text, at)
  if long then return long, "string" end
  local _, stop = text:find("^[%a_][%w_]*", at)
  if stop then return stop, "name" end
  _, stop = text:find("^%.?%d[%w.]*", at)
  if stop then return stop, "number" end
  return at, "symbol"
end

local function count_lines(text, from, to)
  local lines = 0
  for _ in text:sub(from, to):gmatch "\n" do lines = lines + 1 end
  return lines
end

-- A list of { kind, text, line, from, to }; comments and space are left out.
local function tokens_of(text)
  local list, at, line = {}, 1, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c == "\n" then line = line + 1 end
    if c:find "%s" then
      at = at + 1
    else
      local stop, kind = token_end(text, at)
      if kind ~= "comment" then
        list[#list + 1] = { kind = kind, text = text:sub(at, stop), line = line, from = at, to = stop }
      end
      line = line + count_lines(text, at, stop)
      at = stop + 1
    end
  end
  return list
end

locate.tokens = tokens_of

local parse_table

-- Whether the expression that stands at `depth` 0 ends before token t.
local function ends_before(t)
  if t.kind == "symbol" then return t.text == "," or t.text == ";" or t.text == "}" or t.text == ")" end
  return t.kind == "name" and (t.text == "local" or t.text == "return")
end

-- How token t changes the depth; and whether it does so as a keyword (a block, not a bracket).
local function depth_change(t)
  if t.kind == "string" or t.kind == "number" or t.text == "else" then return 0, false end
  if OPENS[t.text] then return 1, t.kind == "name" end
  if CLOSES[t.text] then return -1, t.kind == "name" end
  return 0, false
end

-- The expression from token i: gives the index of what ends it and the node of its first
-- constructor outside of functions, if it has one.
local function parse_expression(state, i)
  local tokens, depth, blocks, node = state.tokens, 0, 0, nil
  local first = tokens[i]
  while tokens[i] and not (depth == 0 and ends_before(tokens[i])) do
    local t = tokens[i]
    if t.kind == "symbol" and t.text == "{" and depth <= 1 and blocks == 0 and not node then
      i, node = parse_table(state, i)
    else
      local change, keyword = depth_change(t)
      depth = depth + change
      if keyword then blocks = blocks + change end
      if depth < 0 then break end
      i = i + 1
    end
  end
  if not node and first and first.kind == "name" and tokens[i - 1] == first then
    node = state.locals[first.text]
  end
  return i, node
end

local function unquote(t)
  if t.text:sub(1, 1) == "[" then return t.text:match "^%[=*%[(.*)%]=*%]$" end
  return t.text:sub(2, -2)
end

locate.unquote = unquote

-- The key before `=` at token i: its name and the index behind `=`; or nil.
local function parse_key(tokens, i)
  local t, u = tokens[i], tokens[i + 1]
  if not t or not u then return nil end
  if t.kind == "name" and u.text == "=" and (tokens[i + 2] or {}).text ~= "=" then return t.text, i + 2 end
  if t.text ~= "[" or not tokens[i + 3] or tokens[i + 2].text ~= "]" or tokens[i + 3].text ~= "=" then return nil end
  if u.kind == "string" then return unquote(u), i + 4 end
  if u.kind == "number" then return tonumber(u.text), i + 4 end
end

-- From the `{` at token i: the index behind its `}`, and { line, keys = { key -> node } }.
function parse_table(state, i)
  local tokens = state.tokens
  local node = { line = tokens[i].line, keys = {} }
  local position = 0
  i = i + 1
  while tokens[i] and tokens[i].text ~= "}" do
    local start = tokens[i]
    local key, value = parse_key(tokens, i)
    if not key then
      position = position + 1
      key, value = position, i
    end
    local stop, inner = parse_expression(state, value)
    local from, to = tokens[value], tokens[stop - 1]
    node.keys[key] = {
      line = start.line,
      keys = inner and inner.keys or {},
      from = from and from.from,
      to = to and to.to,
    }
    if stop == i then stop = i + 1 end
    i = stop
    if tokens[i] and (tokens[i].text == "," or tokens[i].text == ";") then i = i + 1 end
  end
  return i + 1, node
end

local function parse(text)
  local state = { tokens = tokens_of(text), locals = {} }
  local i, root, depth = 1, nil, 0
  local tokens = state.tokens
  while tokens[i] do
    local t, following = tokens[i], tokens[i + 1] or {}
    if t.kind == "name" and depth == 0 and t.text == "local" and (tokens[i + 2] or {}).text == "=" then
      i, state.locals[following.text] = parse_expression(state, i + 3)
    elseif t.kind == "name" and depth == 0 and t.text == "return" then
      root = select(2, parse_expression(state, i + 1))
      break
    else
      depth = depth + depth_change(t)
      i = i + 1
    end
  end
  return root
end

-- From here on lines and sources are those of this text.
function locate.set(file, text)
  current = { file = file, text = text, root = parse(text) }
end

function locate.file() return current and current.file end
function locate.text() return current and current.text end

local function find(keys)
  local node, depth = current and current.root, 0
  for _, key in ipairs(keys) do
    local below = node and node.keys[key]
    if not below then break end
    node, depth = below, depth + 1
  end
  return node, depth
end

-- The line of the key path, or of as much of it as is found; and how many keys that is.
function locate.line(keys)
  local node, depth = find(keys)
  return node and node.line, depth
end

-- The source of the value at the key path, or nil.
function locate.source(keys)
  local node, depth = find(keys)
  if not node or depth < #keys or not node.from then return nil end
  return current.text:sub(node.from, node.to)
end

return locate
