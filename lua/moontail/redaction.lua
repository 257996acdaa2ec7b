-- redaction{}: rules of what is taken out of texts, compiled once; C finds it.
local access = require "moontail.access"
local core = require "moontail.policy_core"
local env = require "moontail.env"
local host = require "moontail.host"
local secret = require "moontail.secret"

local type, error, tostring, pairs, ipairs, tonumber = type, error, tostring, pairs, ipairs, tonumber
local sort, concat = table.sort, table.concat

local FIELDS = { rules = true, action = true, keys = true, values = true, ignore_keys = true, allow_values = true, hmac_key = true }
-- enum redact_action
local OFF, MASK, HMAC, DROP, LAST, NETWORK = 0, 1, 2, 3, 4, 5
local ACTIONS = { mask = MASK, hmac = HMAC, drop = DROP, keep_last = LAST, network = NETWORK }
local KEEP, KEEP_MAX = 4, 8
local ON_OR_OFF = { sql = true, command = true }
local NETWORKS = { ipv4 = true, ipv6 = true }
local MIN_KEY = 16

local M = { api = {} }
M.rules = core.redact_rules -- name -> { number, default action }

local function names_of(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  sort(names)
  return names
end

local function show(v) return type(v) == "string" and ("'" .. v .. "'") or tostring(v) end
local function fail(text) error({ redaction = text }, 0) end

local ALLOWED = "; allowed: true, false, mask, hmac, drop, keep_last, keep_last 2 (up to 8), network"

-- What is written -> action, how many letters stay.
local function action_of(path, value, default)
  if value == true then return default, KEEP end
  if value == false then return OFF, KEEP end
  local word, count
  if type(value) == "string" then
    word, count = value:match "^([%a_]+) *(%d*)$"
  end
  local action = word and ACTIONS[word]
  if not action then
    local near = word and host.nearest(word, names_of(ACTIONS))
    fail(path .. " is " .. show(value) .. (near and (" (did you mean '" .. near .. "'?)") or "") .. ALLOWED)
  end
  local keep = count ~= "" and tonumber(count) or KEEP
  if (count ~= "" and action ~= LAST) or keep < 1 or keep > KEEP_MAX then
    fail(path .. " is " .. show(value) .. ALLOWED)
  end
  return action, keep
end

local function check_action(made, path, name, action)
  if action == NETWORK and not NETWORKS[name] then fail(path .. ": network is for ipv4 and ipv6") end
  if ON_OR_OFF[name] and action ~= OFF and action ~= MASK and action ~= DROP then
    fail(path .. ": of statements the literals are taken out: true, false or drop")
  end
  if action == HMAC and not made.has_key then fail(path .. ": hmac needs hmac_key = secret(...)") end
end

local function list_of(t, key)
  local list = t[key]
  if list == nil then return {} end
  if type(list) ~= "table" then fail(key .. " is " .. show(list) .. "; allowed: a list of strings") end
  for i, one in ipairs(list) do
    if type(one) ~= "string" or one == "" then fail(key .. "[" .. i .. "] is " .. show(one) .. "; allowed: a string") end
  end
  return list
end

local function map_of(t, key, what)
  local map = t[key]
  if map == nil then return {} end
  if type(map) ~= "table" then fail(key .. " is " .. show(map) .. "; allowed: a table, " .. what) end
  return map
end

local function add(made, kind, path, text, name)
  local ok, result = pcall(core.redact_add, made.redaction, kind, text, name)
  if not ok then fail(path .. ": " .. tostring(result)) end
  return result
end

local function add_key(made, t)
  local key = t.hmac_key
  if secret.is(key) then key = secret.reveal(key) end
  if key == nil then return end
  if type(key) ~= "string" or #key < MIN_KEY then fail("hmac_key is a secret of at least " .. MIN_KEY .. " bytes") end
  add(made, "hmac_key", "hmac_key", key)
  made.has_key = true
end

local function add_lists(made, t)
  for field, kind in pairs { keys = "key", ignore_keys = "ignore", allow_values = "allow" } do
    for i, text in ipairs(list_of(t, field)) do add(made, kind, field .. "[" .. i .. "]", text) end
  end
end

-- Named patterns: in the order of the names.
local function add_values(made, t)
  local values, numbers = map_of(t, "values", "name = pattern"), {}
  for _, name in ipairs(names_of(values)) do
    if type(name) ~= "string" or not name:find "^[%w_.-]+$" then fail("values has the name " .. show(name) .. "; allowed: letters, digits, _ . -") end
    if M.rules[name] then fail("values." .. name .. ": a built-in rule is called so") end
    local pattern = values[name]
    if type(pattern) ~= "string" or pattern == "" then fail("values." .. name .. " is " .. show(pattern) .. "; allowed: a pattern (RE2 syntax)") end
    numbers[name] = add(made, "value", "values." .. name, pattern, name)
  end
  return numbers
end

local function check_names(rules, own)
  local known = names_of(M.rules)
  for name in pairs(own) do known[#known + 1] = name end
  sort(known)
  for _, name in ipairs(names_of(rules)) do
    if not M.rules[name] and not own[name] then
      local near = type(name) == "string" and host.nearest(name, known)
      fail("rules has no rule " .. show(name) .. (near and (" (did you mean '" .. near .. "'?)") or ("; allowed: " .. concat(known, ", "))))
    end
  end
end

-- A rule that is on by default takes the action of all; one that drops or masks literals has its own.
local function default_of(name, own_default, all)
  if name == "sql_parameter" then return DROP end
  if ON_OR_OFF[name] then return MASK end
  if own_default == OFF and NETWORKS[name] then return NETWORK end
  return all
end

local function set_rules(made, t)
  local own = add_values(made, t)
  local rules = map_of(t, "rules", "name = action")
  local all, all_keep = action_of("action", t.action == nil and "mask" or t.action, MASK)
  if all == OFF or all == NETWORK then fail("action is " .. show(t.action) .. "; allowed: mask, hmac, drop, keep_last") end
  check_names(rules, own)
  local function set(name, number, built_in)
    local default = default_of(name, built_in, all)
    local action, keep = default, all_keep
    if rules[name] ~= nil then
      action, keep = action_of("rules." .. name, rules[name], default)
      if rules[name] == true then keep = all_keep end
    elseif built_in == OFF then
      action = OFF
    end
    check_action(made, "rules." .. name, name, action)
    core.redact_set(made.redaction, number, action, keep)
  end
  for name, rule in pairs(M.rules) do set(name, rule[1], rule[2]) end
  for name, number in pairs(own) do set(name, number, MASK) end
end

local function build(t)
  local made = { redaction = core.redact_new() }
  for _, key in ipairs(names_of(t)) do
    if not FIELDS[key] then
      fail("redaction{} has no '" .. tostring(key) .. "'" .. env.hint(key, FIELDS))
    end
  end
  add_key(made, t)
  add_lists(made, t)
  set_rules(made, t)
  return made.redaction
end

function M.api.redaction(t)
  if access.reader.number ~= 0 then error("redaction{} inside of a call would be made for every span: write it at file level or in setup", 2) end
  if t ~= nil and type(t) ~= "table" then error("redaction takes a table: redaction { rules = { email = \"hmac\" } }", 2) end
  local ok, result = pcall(build, t or {})
  if ok then return result end
  error(type(result) == "table" and result.redaction or result, 2)
end

return M
