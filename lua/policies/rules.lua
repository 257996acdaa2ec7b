-- Rules as Refinery has them, in order: the first whose conditions all hold decides, and no other policy inside is asked.
-- What it does is `drop = true`, `sampler = NAME` (of one of `samplers`), or `sample_rate` (1 in so many; 1 keeps all).
-- A trace that no rule matches is kept, or left to the policies that follow with `no_match = "pass"`.
--
-- A condition has a `field` (or `fields`: the first that is there counts), an `operator` and a `value`. With `scope = "trace"`
-- each may hold on another span, so that `!=` holds where any span differs; with `scope = "span"` one span has it all.
-- Fields are attributes of the span, else of its resource; `name`, `duration_ms`, and `error` (the status, or the
-- attribute); where no attribute is called so `trace.trace_id`, `trace.span_id`, `trace.parent_id` (a root has none), `span.kind`
-- and `type` ("server"), `status_code` (0 to 2), `status_message`, `library.name` and `library.version`; with `root.` before it of
-- the root alone. `?.NUM_DESCENDANTS` is the number of spans.
--
-- The operators are `=` `!=` `<` `<=` `>` `>=` `starts-with` `contains` `does-not-contain` `matches` `in` `not-in` `exists`
-- `not-exists` `has-root-span`. Only `not-exists` holds for what is absent: `!=` with `datatype = "string"` does not. With a
-- datatype, and with `in` and `not-in`, a text may stand for a number or the other way round, where it is compared for equality;
-- without one `!=` holds only of what is of the value's type.
--
--     policy "rules" {
--       rules = {
--         { name = "health", drop = true, conditions = { { field = "http.route", operator = "=", value = "/health" } } },
--         { name = "errors", sample_rate = 1, conditions = { { field = "error", operator = "exists" } } },
--         { name = "slow", scope = "span", sample_rate = 2, conditions = {
--           { field = "service.name", operator = "in", value = { "cart", "checkout" } },
--           { field = "duration_ms", operator = ">=", value = 500 },
--         } },
--         { name = "rest", sampler = "by_route" },
--       },
--       samplers = { policy "ema_dynamic" { name = "by_route", goal_sample_rate = 20, field_list = { "http.route" } } },
--     }

local RULE_KEYS = { name = true, drop = true, sample_rate = true, sampler = true, scope = true, conditions = true }
local CONDITION_KEYS = { field = true, fields = true, operator = true, value = true, datatype = true }
local DATATYPES = { string = true, int = true, float = true, bool = true }

local function quoted(text) return '"' .. text:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"):gsub("\t", "\\t"):gsub("\r", "\\r") .. '"' end

-- All its digits, of which tostring has 14; from 2^53 on OTTL takes them with an exponent alone.
local function number_text(n)
  if n % 1 == 0 and math.abs(n) < 2 ^ 53 then return ("%.0f"):format(n) end
  local short = tostring(n)
  return tonumber(short) == n and short or ("%.16e"):format(n)
end

local function text_of_value(value) return type(value) == "number" and number_text(value) or tostring(value) end
local function literal(value) return type(value) == "string" and quoted(value) or text_of_value(value) end

-- The number or boolean that a text says, or nil; "nan" and "inf" say none.
local function said_by(value)
  local number = tonumber(value)
  if number then return number - number == 0 and number or nil end
  if value == "true" or value == "false" then return value end
end
local function plain_regex(text) return (text:gsub("[%^%$%(%)%.%[%]%*%+%-%?{}|\\]", "\\%0")) end

-- ---- one test of one path, as a condition of OTTL ----

-- The values that count as equal: with a datatype also the text, or what the text says.
local function equal_values(value, datatype)
  local values = { literal(value) }
  if datatype and type(value) ~= "string" then values[2] = quoted(text_of_value(value)) end
  if datatype and type(value) == "string" and said_by(value) then values[2] = text_of_value(said_by(value)) end
  return values
end

local function one_of(path, list, datatype)
  local tests = {}
  for _, value in ipairs(list) do
    for _, text in ipairs(equal_values(value, datatype)) do table.insert(tests, path .. " == " .. text) end
  end
  return "(" .. table.concat(tests, " or ") .. ")"
end

local function present_and_not(path, test) return "(" .. path .. " != nil and not " .. test .. ")" end

-- Of the value's type, and another.
local function differs(path, value)
  if type(value) == "string" then return ('(HasPrefix(%s, "") and not %s == %s)'):format(path, path, quoted(value)) end
  if type(value) == "number" then return ("(%s < %s or %s > %s)"):format(path, number_text(value), path, number_text(value)) end
  return ("(%s == %s)"):format(path, tostring(not value))
end

local function ordered(sign)
  return function(path, c)
    if type(c.value) ~= "number" then error("the value of " .. sign .. " is " .. tostring(c.value) .. "; allowed: a number", 0) end
    return path .. " " .. sign .. " " .. number_text(c.value)
  end
end

local function text_of(c)
  if type(c.value) ~= "string" then error("the value of " .. c.operator .. " is " .. tostring(c.value) .. "; allowed: a string", 0) end
  return c.value
end

local function list_of(c)
  if type(c.value) ~= "table" or #c.value == 0 then error("the value of " .. c.operator .. " is no list", 0) end
  return c.value
end

local TESTS = {
  ["="] = function(path, c) return one_of(path, { c.value }, c.datatype) end,
  ["!="] = function(path, c) return c.datatype and present_and_not(path, one_of(path, { c.value }, c.datatype)) or differs(path, c.value) end,
  ["<"] = ordered "<", ["<="] = ordered "<=", [">"] = ordered ">", [">="] = ordered ">=",
  ["in"] = function(path, c) return one_of(path, list_of(c), c.datatype or "string") end,
  ["not-in"] = function(path, c) return present_and_not(path, one_of(path, list_of(c), c.datatype or "string")) end,
  ["starts-with"] = function(path, c) return "IsMatch(" .. path .. ", " .. quoted("^" .. plain_regex(text_of(c))) .. ")" end,
  contains = function(path, c) return "IsMatch(" .. path .. ", " .. quoted(plain_regex(text_of(c))) .. ")" end,
  ["does-not-contain"] = function(path, c) return present_and_not(path, "IsMatch(" .. path .. ", " .. quoted(plain_regex(text_of(c))) .. ")") end,
  matches = function(path, c) return "IsMatch(" .. path .. ", " .. quoted(text_of(c)) .. ")" end,
  exists = function(path) return path .. " != nil" end,
  ["not-exists"] = function(path) return path .. " == nil" end,
}

-- ---- fields ----

local function duration_test(c)
  if c.operator == "exists" or c.operator == "not-exists" then return tostring(c.operator == "exists") end
  local sign = c.operator == "=" and "==" or c.operator
  if type(c.value) ~= "number" then error("duration_ms is compared with a number", 0) end
  return ("end_time_unix_nano - start_time_unix_nano %s %.17g"):format(sign, c.value * 1e6)
end

local function error_test(c)
  local test = '(status.code == STATUS_CODE_ERROR or attributes["error"] == true)'
  local wanted = c.value == true or c.value == "true"
  if c.operator == "exists" or (c.operator == "=" and wanted) or (c.operator == "!=" and not wanted) then return test end
  if c.operator == "not-exists" or c.operator == "=" or c.operator == "!=" then return "not " .. test end
  error("error is compared with = and !=, or exists", 0)
end

-- A field with a few values that are numbers here; number_of: what the value says.
local function enum_test(path, number_of, c)
  if c.operator == "exists" or c.operator == "not-exists" then return tostring(c.operator == "exists") end
  local is_order = c.operator == "<" or c.operator == "<=" or c.operator == ">" or c.operator == ">="
  if is_order then return ordered(c.operator)(path, c) end
  local is_equal, tests = c.operator == "=" or c.operator == "in", {}
  if not is_equal and c.operator ~= "!=" and c.operator ~= "not-in" then error(path .. " is compared with numbers and names, = != in not-in, or exists", 0) end
  for i, value in ipairs(type(c.value) == "table" and c.value or { c.value }) do
    local number = number_of(value)
    tests[i] = number and path .. " == " .. number or "false"
  end
  return (is_equal and "(" or "not (") .. table.concat(tests, " or ") .. ")"
end

local KINDS = { unspecified = 0, internal = 1, server = 2, client = 3, producer = 4, consumer = 5 }
local function kind_test(c) return enum_test("kind", function(value) return KINDS[value] end, c) end
local function status_test(c) return enum_test("status.code", tonumber, c) end

-- A text, and the condition under which it is absent.
local function text_test(path, absent)
  return function(c, without)
    local as_text = { operator = c.operator, value = c.value }
    if type(c.value) == "number" or type(c.value) == "boolean" then as_text.value = text_of_value(c.value) end
    local test = c.operator == "!=" and "not " .. path .. " == " .. quoted(as_text.value) or TESTS[c.operator](path, as_text)
    return ("((not %s and %s) or (%s and %s))"):format(absent, test, absent, without)
  end
end

-- What a span has besides attributes, under the names that it has there: c, what holds without it -> a condition.
local OF_SPAN = {
  ["trace.trace_id"] = text_test("trace_id.string", "false"),
  ["trace.span_id"] = text_test("span_id.string", "false"),
  ["trace.parent_id"] = text_test("parent_span_id.string", "IsRootSpan()"),
  ["span.kind"] = kind_test,
  type = kind_test,
  status_code = status_test,
  status_message = text_test("status.message", '(status.message == "")'),
  ["library.name"] = text_test("scope.name", '(scope.name == "")'),
  ["library.version"] = text_test("scope.version", '(scope.version == "")'),
}

-- The test of the first field that is there.
local function test_of(fields, c)
  local text = c.operator == "not-exists" and "true" or "false"
  for i = #fields, 1, -1 do
    local name = fields[i]
    if name == "duration_ms" then
      text = duration_test(c)
    elseif name == "error" then
      text = error_test(c)
    elseif name == "name" then
      text = TESTS[c.operator]("name", c)
    else
      local span, resource = "attributes[" .. quoted(name) .. "]", "resource.attributes[" .. quoted(name) .. "]"
      local here, there = TESTS[c.operator](span, c), TESTS[c.operator](resource, c)
      if OF_SPAN[name] then text = OF_SPAN[name](c, text) end
      text = ("((%s != nil and %s) or (%s == nil and %s != nil and %s) or (%s == nil and %s == nil and (%s)))"):format(
        span, here, span, resource, there, span, resource, text)
    end
  end
  return "(" .. text .. ")"
end

local function fields_of(c)
  local fields, of_root, others = c.fields or { c.field }, {}, {}
  for _, name in ipairs(fields) do
    if type(name) ~= "string" then error("a field is " .. tostring(name) .. "; allowed: a name", 0) end
    local root_name = name:match "^root%.(.+)"
    table.insert(root_name and of_root or others, root_name or name)
  end
  if #of_root > 0 and #others > 0 then error("fields are either all of the root or none", 0) end
  if #of_root + #others == 0 then error("a condition lacks its field", 0) end
  return #of_root > 0 and of_root or others, #of_root > 0
end

-- ---- long lists: a table of the values, asked span by span ----

local MANY = 50

local function is_long_list(c)
  return (c.operator == "in" or c.operator == "not-in") and type(c.value) == "table" and #c.value > MANY
end

local BOOLEANS = { ["true"] = true, ["false"] = false }

-- What equal_values says, as keys.
local function set_of(list, datatype)
  local set = {}
  for _, value in ipairs(list) do
    set[value] = true
    if datatype and type(value) ~= "string" then set[text_of_value(value)] = true end
    local said = datatype and type(value) == "string" and said_by(value)
    if BOOLEANS[said] ~= nil then said = BOOLEANS[said] end
    if said ~= nil then set[said] = true end
  end
  return set
end

local STATUS_CODES = { unset = 0, ok = 1, error = 2 }
local function not_empty(text) return text ~= "" and text or nil end
local function kind_of(span) return span.kind end

-- As OF_SPAN.
local VALUES = {
  ["trace.trace_id"] = function(span) return span.trace_id end,
  ["trace.span_id"] = function(span) return span.id end,
  ["trace.parent_id"] = function(span) return span.parent_id end,
  ["span.kind"] = kind_of,
  type = kind_of,
  status_code = function(span) return STATUS_CODES[span.status] end,
  status_message = function(span) return not_empty(span.status_message) end,
  ["library.name"] = function(span) return not_empty(span.scope.name) end,
  ["library.version"] = function(span) return not_empty(span.scope.version) end,
}

local function value_of(span, fields)
  for i = 1, #fields do
    if fields[i] == "name" then return span.name end
    local value = span:attr(fields[i])
    if value == nil then value = span.resource:attr(fields[i]) end
    if value == nil and VALUES[fields[i]] then value = VALUES[fields[i]](span) end
    if value ~= nil then return value end
  end
end

-- A function of a span.
local function list_test(fields, c)
  local set, wanted = set_of(c.value, c.datatype or "string"), c.operator == "in"
  for _, name in ipairs(fields) do
    if name == "duration_ms" or name == "error" then error(name .. " has no list of values to be in", 0) end
  end
  return function(span)
    local value = value_of(span, fields)
    return value ~= nil and (set[value] == true) == wanted
  end
end

local function all_hold(tests, span)
  for i = 1, #tests do
    if not tests[i](span) then return false end
  end
  return true
end

-- ---- rules ----

-- Of a text that is too long for ottl nobody wrote what ottl would show.
local function matcher(text)
  local ok, made = pcall(ottl, text)
  if ok then return made end
  local most = made:match "more than (%d+) bytes are not understood"
  if not most then error(made, 0) end
  error(("what has to hold on one span has %d bytes, as conditions of OTTL; allowed: at most %s"):format(#text, most), 0)
end

local function check_keys(t, known, what)
  for key in pairs(t) do
    if not known[key] then error(what .. " has no '" .. tostring(key) .. "'", 0) end
  end
end

local COUNTS = { ["="] = true, ["<"] = true, ["<="] = true, [">"] = true, [">="] = true, ["!="] = true }

local function add_condition(rule, c, texts)
  check_keys(c, CONDITION_KEYS, "a condition")
  if c.datatype ~= nil and not DATATYPES[c.datatype] then error("datatype is " .. tostring(c.datatype) .. "; allowed: string, int, float, bool", 0) end
  if c.operator == "has-root-span" then
    rule.wants_root = c.value ~= false
  elseif c.field == "?.NUM_DESCENDANTS" then
    if not COUNTS[c.operator] or type(c.value) ~= "number" then error("?.NUM_DESCENDANTS is compared with a number", 0) end
    table.insert(rule.counts, { c.operator, c.value })
  elseif not TESTS[c.operator] then
    error("the operator is " .. tostring(c.operator) .. "; known are = != < <= > >= starts-with contains does-not-contain matches in not-in exists not-exists has-root-span", 0)
  else
    local fields, of_root = fields_of(c)
    rule.root_needed = rule.root_needed or (of_root and c.operator ~= "not-exists")
    if is_long_list(c) then
      table.insert(of_root and rule.root_lists or rule.lists, list_test(fields, c))
    elseif of_root then
      table.insert(rule.of_root, matcher(test_of(fields, c)))
    else
      table.insert(texts, test_of(fields, c))
    end
  end
end

local function verdict_of(my)
  if my.drop or my.sample_rate == 0 then return drop(my.name) end
  local rate = my.sample_rate or 1
  if type(rate) ~= "number" or rate < 1 then error("sample_rate is " .. tostring(rate) .. "; allowed: a number of 1 or more", 0) end
  if rate == 1 then return keep(my.name) end
  return sample(1 / rate, my.name)
end

local function compile(given, samplers)
  check_keys(given, RULE_KEYS, "a rule")
  local rule, texts = { on_spans = {}, of_root = {}, lists = {}, root_lists = {}, counts = {}, name = given.name, never = false }, {}
  local scope = given.scope or "trace"
  if scope ~= "trace" and scope ~= "span" then error("scope is " .. tostring(scope) .. '; allowed: "trace", "span"', 0) end
  for _, c in ipairs(given.conditions or {}) do add_condition(rule, c, texts) end
  if scope == "span" and #texts > 0 then texts = { table.concat(texts, " and ") } end
  for i, text in ipairs(texts) do rule.on_spans[i] = matcher(text) end
  rule.on_one = scope == "span"
  rule.never = scope == "span" and rule.wants_root ~= nil -- as Refinery has it
  if given.sampler ~= nil then
    rule.sampler = samplers[given.sampler] or error("there is no sampler '" .. tostring(given.sampler) .. "' in samplers", 0)
  end
  rule.verdict = verdict_of(given)
  return rule
end

local function count_holds(sign, count, value)
  if sign == "=" then return count == value end
  if sign == "!=" then return count ~= value end
  if sign == "<" then return count < value end
  if sign == "<=" then return count <= value end
  if sign == ">" then return count > value end
  return count >= value
end

local function root_holds(rule, trace)
  local root = trace.root
  if rule.wants_root ~= nil and (root ~= nil) ~= rule.wants_root then return false end
  if root == nil then return not rule.root_needed end
  for i = 1, #rule.of_root do
    if not root:matches(rule.of_root[i]) then return false end
  end
  return all_hold(rule.root_lists, root)
end

-- Whether one span has all that is asked of it, lists too.
local function one_span_holds(rule, trace)
  for _, span in trace:spans() do
    if (not rule.on_spans[1] or span:matches(rule.on_spans[1])) and all_hold(rule.lists, span) then return true end
  end
  return false
end

local function some_span_holds(test, trace)
  for _, span in trace:spans() do
    if test(span) then return true end
  end
  return false
end

local function spans_hold(rule, trace)
  if rule.on_one and #rule.lists > 0 then return one_span_holds(rule, trace) end
  for i = 1, #rule.on_spans do
    if not trace:find(rule.on_spans[i]) then return false end
  end
  for i = 1, #rule.lists do
    if not some_span_holds(rule.lists[i], trace) then return false end
  end
  return true
end

local function holds(rule, trace)
  if rule.never then return false end
  for i = 1, #rule.counts do
    if not count_holds(rule.counts[i][1], trace.span_count, rule.counts[i][2]) then return false end
  end
  local asks_root = rule.wants_root ~= nil or #rule.of_root > 0 or #rule.root_lists > 0
  if asks_root and not root_holds(rule, trace) then return false end
  return spans_hold(rule, trace)
end

return policy {
  doc = "Decide by the first rule whose conditions all hold.",
  options = {
    rules = option.tables { min = 1, doc = "{ name, conditions, scope, and drop, sampler or sample_rate }" },
    samplers = option.policies { default = {}, doc = "policies that rules name as their sampler" },
    no_match = option.string { default = "keep", one_of = { "keep", "pass" }, doc = "what becomes of other traces" },
  },
  setup = function(opt)
    local samplers, my = {}, { keeps = opt.no_match == "keep" }
    for _, p in ipairs(opt.samplers) do samplers[p.name] = p end
    for i, given in ipairs(opt.rules) do
      local ok, result = pcall(compile, given, samplers)
      if not ok then error("rules[" .. i .. "]: " .. tostring(result), 0) end
      my[i] = result
    end
    return my
  end,
  decide = function(trace, _, my)
    for i = 1, #my do
      local rule = my[i]
      if holds(rule, trace) then
        if not rule.sampler then return rule.verdict end
        local p = vote(rule.sampler, trace)
        if p == 0 then return drop(my[i].name) end
        if p == 1 then return keep(my[i].name) end
        return sample(p, my[i].name)
      end
    end
    if my.keeps then return keep("no_rule_matched") end
  end,
}
