-- ottl "condition": a condition of OTTL as a matcher, as match{...} makes them.
--
-- A matcher made here has steps: each tests one term and goes on by its answer. They are written from
-- the last to the first, so that where a step goes is there already.
local ffi = require "ffi"
local access = require "moontail.access"
local core = require "moontail.policy_core"
local host = require "moontail.host"
local ottl = require "moontail.ottl"
local ottl_lua = require "moontail.ottl_lua"

local fail = ottl.fail

-- enum match_kind and enum match_place
local ANY, NONE, TEXT, NUMBER, BOOL, GLOB, REGEX, REGEX_TEXT, RANGE = 0, 1, 2, 3, 4, 5, 6, 7, 8
local FIELD, ATTR, RESOURCE, SCOPE, EVENT_NAME, EVENT_ATTR, TRACE_STATE = 0, 1, 2, 3, 4, 5, 9
local REJECT, ACCEPT = -1, -2

local KINDS = { [0] = "unspecified", "internal", "server", "client", "producer", "consumer" }
local STATUSES = { [0] = "unset", "ok", "error" }
local KIND_NAMES = { "Unspecified", "Internal", "Server", "Client", "Producer", "Consumer" }

local ENUMS = {}
for number, name in pairs(KINDS) do ENUMS["SPAN_KIND_" .. name:upper()] = number end
for number, name in pairs(STATUSES) do ENUMS["STATUS_CODE_" .. name:upper()] = number end

local function field(name) return access.fields.span[name].number end

-- ---- paths ----

local OWNERS = { span = "span", resource = "resource", scope = "scope", instrumentation_scope = "scope", spanevent = "spanevent" }
local ATTRIBUTES = { span = ATTR, resource = RESOURCE, scope = SCOPE, spanevent = EVENT_ATTR }

-- What the path belongs to, and its name there: "resource", "attributes".
local function owner_of(context, node)
  local first, owner, from = node.names[1], context, 1
  if #node.names > 1 and OWNERS[first] then
    owner, from = OWNERS[first], 2
  end
  return owner, table.concat(node.names, ".", from)
end

-- plain: a text that is there with any value, so that "" and absent are one. absent: what it is there in OTTL, if not "".
local FIELDS = {
  span = {
    name = { FIELD, "name", plain = true },
    kind = { FIELD, "kind", numbers = KINDS },
    ["kind.string"] = { FIELD, "kind", names = KIND_NAMES },
    ["status.code"] = { FIELD, "status", numbers = STATUSES },
    ["status.message"] = { FIELD, "status_message", plain = true },
    ["trace_id.string"] = { FIELD, "trace_id", plain = true },
    ["span_id.string"] = { FIELD, "id", plain = true },
    ["parent_span_id.string"] = { FIELD, "parent_id", plain = true, absent = ("0"):rep(16) },
    trace_id = { FIELD, "trace_id", id = "TraceID" },
    span_id = { FIELD, "id", id = "SpanID" },
    parent_span_id = { FIELD, "parent_id", id = "SpanID" },
  },
  spanevent = { name = { EVENT_NAME, plain = true } },
  scope = { name = { FIELD, "name", scope = true, plain = true }, version = { FIELD, "version", scope = true, plain = true } },
  resource = {},
}

local function keyed(node, place)
  if #node.keys ~= 1 or type(node.keys[1]) ~= "string" then
    fail(node.at, '%s takes one key in quotes here: %s["key"]', table.concat(node.names, "."), table.concat(node.names, "."))
  end
  return { place = place, field = 0, key = node.keys[1] }
end

local function known_names(owner)
  local list = { "attributes" }
  for name in pairs(FIELDS[owner]) do list[#list + 1] = name end
  if owner == "span" then list[#list + 1] = "trace_state" end
  table.sort(list)
  return list
end

-- What a path reads: { place, field, key, and what is special about it }.
local function resolve(run, node)
  if node.op ~= "path" then fail(node.at, "a field is expected here, such as attributes[\"key\"]") end
  local owner, name = owner_of(run.context, node)
  if owner == "spanevent" and run.context ~= "spanevent" then fail(node.at, "events are asked in conditions of spanevent") end
  if name == "attributes" then return keyed(node, ATTRIBUTES[owner]) end
  if name == "trace_state" and owner == "span" then
    if node.keys[1] == "ot" then fail(node.at, "the member ot is the draw's own and can't be asked") end
    local member = keyed(node, TRACE_STATE)
    member.absent = ""
    return member
  end
  local known = FIELDS[owner][name]
  if not known or #node.keys > 0 then
    local names = known_names(owner)
    local near = host.nearest(name, names)
    fail(node.at, "%s has no field %s here%s", owner, name, near and (" (did you mean " .. near .. "?)") or "; known are " .. table.concat(names, ", "))
  end
  local fields = known.scope and access.fields.scope or access.fields.span
  return {
    place = known[1], field = known[2] and fields[known[2]].number or 0, name = name,
    plain = known.plain, absent = known.plain and (known.absent or ""), numbers = known.numbers, names = known.names, id = known.id,
  }
end

-- ---- numbers ----

local bits = ffi.new "union { double number; int64_t whole; }"

-- The next double above it.
local function above(number)
  if number == 0 then return 2 ^ -1074 end
  bits.number = number
  bits.whole = bits.whole + (number > 0 and 1 or -1)
  return bits.number
end
local function below(number) return -above(-number) end

local function range_of(sign, number)
  if sign == ">" then return above(number), nil end
  if sign == ">=" then return number, nil end
  if sign == "<" then return nil, below(number) end
  return nil, number
end

local HOLDS = {
  ["=="] = function(a, b) return a == b end,
  ["!="] = function(a, b) return a ~= b end,
  ["<"] = function(a, b) return a < b end,
  ["<="] = function(a, b) return a <= b end,
  [">"] = function(a, b) return a > b end,
  [">="] = function(a, b) return a >= b end,
}
local MIRRORED = { ["<"] = ">", ["<="] = ">=", [">"] = "<", [">="] = "<=", ["=="] = "==", ["!="] = "!=" }

-- ---- steps ----

-- A term with its tests, { kind, value, high } each; gives the number of its step.
local function add_term(run, what, tests, on_false, on_true)
  if #tests == 0 then return on_false end
  core.match_term(run.matcher, what.place, what.field, what.key, false)
  for _, test in ipairs(tests) do core.match_test(run.matcher, test[1], test[2], test[3]) end
  run.last = core.match_step(run.matcher, on_false, on_true)
  return run.last
end

-- == holds where a test does; != where none does, and so for what is absent.
local function equals(run, what, sign, tests, on_false, on_true)
  if sign == "!=" then on_false, on_true = on_true, on_false end
  return add_term(run, what, tests, on_false, on_true)
end

local function only_equal(node, what)
  if node.sign ~= "==" and node.sign ~= "!=" then fail(node.sign_at, "%s compared with == and != only", what) end
end

local function compare_nil(run, node, what, _, on_false, on_true)
  only_equal(node, "nil is")
  if what.plain or what.numbers or what.names or what.id then return node.sign == "!=" and on_true or on_false end
  return equals(run, what, node.sign, { { NONE } }, on_false, on_true)
end

local function compare_text(run, node, what, value, on_false, on_true)
  only_equal(node, "strings are")
  if what.numbers or what.id then
    local hint = what.numbers and (what.name == "kind" and "SPAN_KIND_SERVER" or "STATUS_CODE_ERROR") or (what.id .. "(0x...)")
    fail(value.at, "%s is no string; compare it with %s", what.name, hint)
  end
  local tests = { { TEXT, value.value } }
  if what.names then
    tests = {}
    for number, name in ipairs(what.names) do
      if name == value.value then tests[1] = { TEXT, KINDS[number - 1] } end
    end
  elseif value.value == what.absent or (what.plain and value.value == "") then
    tests[2] = { NONE }
  end
  return equals(run, what, node.sign, tests, on_false, on_true)
end

-- A kind or status with a number: with the names of all that hold.
local function compare_enum(run, sign, what, number, on_false, on_true)
  local tests = {}
  for i = 0, #what.numbers do
    if HOLDS[sign](i, number) then tests[#tests + 1] = { TEXT, what.numbers[i] } end
  end
  return add_term(run, what, tests, on_false, on_true)
end

local function compare_number(run, sign, what, number, on_false, on_true)
  if what.numbers then return compare_enum(run, sign, what, number, on_false, on_true) end
  if sign == "==" or sign == "!=" then return equals(run, what, sign, { { NUMBER, number } }, on_false, on_true) end
  local low, high = range_of(sign, number)
  return add_term(run, what, { { RANGE, low, high } }, on_false, on_true)
end

local function check_number(what, value)
  if what.plain or what.names or what.id then fail(value.at, "%s is no number", what.name) end
end

local values = {
  ["nil"] = compare_nil,
  string = compare_text,
  number = function(run, node, what, value, on_false, on_true)
    check_number(what, value)
    return compare_number(run, node.sign, what, value.value, on_false, on_true)
  end,
  enum = function(run, node, what, value, on_false, on_true)
    check_number(what, value)
    if not ENUMS[value.name] then fail(value.at, "the enum %s is not known", value.name) end
    return compare_number(run, node.sign, what, ENUMS[value.name], on_false, on_true)
  end,
  bool = function(run, node, what, value, on_false, on_true)
    only_equal(node, "booleans are")
    if what.plain or what.numbers or what.names or what.id then fail(value.at, "%s is no boolean", what.name) end
    return equals(run, what, node.sign, { { BOOL, value.value } }, on_false, on_true)
  end,
}

-- TraceID(0x...), SpanID(0x...)
local function compare_id(run, node, what, call, on_false, on_true)
  only_equal(node, "ids are")
  if what.id ~= call.name then fail(call.at, "%s is compared with ids: %s", call.name, call.name == "TraceID" and "trace_id" or "span_id") end
  local hex = call.args[1] and call.args[1].hex
  local wanted = call.name == "TraceID" and 32 or 16
  if not hex or #hex ~= wanted or #call.args > 1 then fail(call.at, "%s takes 0x and %d digits", call.name, wanted) end
  local tests = { { TEXT, hex } }
  if not hex:find "[^0]" then tests[2] = { NONE } end
  return equals(run, what, node.sign, tests, on_false, on_true)
end

-- ---- durations ----

local UNITS = { Nanoseconds = 1e-6, Microseconds = 1e-3, Milliseconds = 1, Seconds = 1e3, Minutes = 6e4, Hours = 3.6e6 }
local WHOLE = { Nanoseconds = true, Microseconds = true, Milliseconds = true }

-- end_time - start_time, or the same in nanoseconds: what one unit is in ms.
local function difference(node, context)
  if node.op ~= "math" or node.sign ~= "-" or node[1].op ~= "path" or node[2].op ~= "path" then return nil end
  local one, to = owner_of(context, node[1])
  local other, from = owner_of(context, node[2])
  if one ~= "span" or other ~= "span" then return nil end
  if to == "end_time" and from == "start_time" then return "time" end
  if to == "end_time_unix_nano" and from == "start_time_unix_nano" then return 1e-6 end
end

-- { ms of one unit, whole } where the node is a duration of the span.
local function duration_of(node, context)
  local plain = difference(node, context)
  if plain then return { unit = plain } end
  local unit = node.op == "call" and UNITS[node.name]
  if unit and #node.args == 1 and difference(node.args[1], context) == "time" then return { unit = unit, whole = WHOLE[node.name] } end
end

-- Of what a duration is compared with, in ms.
local function duration_value(value, unit)
  if value.op == "number" and unit ~= "time" then return value.value * unit end
  if value.op == "call" and value.name == "Duration" and unit == "time" then
    local text = value.args[1] and value.args[1].op == "string" and value.args[1].value
    local ns = text and host.duration(text)
    if ns then return ns / 1e6 end
    fail(value.at, 'Duration takes a text such as "100ms"')
  end
  fail(value.at, unit == "time" and 'a Duration is expected here: Duration("100ms")' or "a number is expected here")
end

-- A whole number of units that was cut off, compared: as a comparison of what it was.
local function uncut(sign, number)
  if sign == ">" then return ">=", math.floor(number) + 1 end
  if sign == ">=" then return ">=", math.ceil(number) end
  if sign == "<" then return "<", math.ceil(number) end
  return "<", math.floor(number) + 1
end

local function compare_duration(run, node, duration, value, on_false, on_true)
  local what = { place = FIELD, field = field "duration_ms" }
  local sign, number = node.sign, duration_value(value, duration.unit)
  if not duration.whole or duration.unit == 1e-6 then return compare_number(run, sign, what, number, on_false, on_true) end
  number = value.value
  if sign == "==" or sign == "!=" then
    if sign == "!=" then on_false, on_true = on_true, on_false end
    if number % 1 ~= 0 then return on_false end
    return add_term(run, what, { { RANGE, number * duration.unit, below((number + 1) * duration.unit) } }, on_false, on_true)
  end
  sign, number = uncut(sign, number)
  return compare_number(run, sign, what, number * duration.unit, on_false, on_true)
end

-- ---- conditions ----

local function text_arg(node, i)
  local arg = node.args[i]
  if #node.args ~= 2 then fail(node.at, "%s takes a field and a text", node.name) end
  if arg.op ~= "string" then fail(arg.at, "%s takes a text in quotes here", node.name) end
  return arg.value
end

local function check_text(what, node)
  if what.numbers or what.names or what.id then fail(node.at, "%s is no text here", what.name) end
end

local function escaped(text) return (text:gsub("[*?\\]", "\\%0")) end

-- A test of a text; it holds for what is absent too where it does for what that says.
local function text_term(run, what, test, holds_absent, on_false, on_true)
  return add_term(run, what, { test, holds_absent and { NONE } or nil }, on_false, on_true)
end

-- holds(text, of): what the glob says.
local function glob_call(pattern, holds)
  return function(run, node, on_false, on_true)
    local text = text_arg(node, 2)
    local what = resolve(run, node.args[1])
    check_text(what, node.args[1])
    local holds_absent = what.absent and holds(text, what.absent)
    return text_term(run, what, { GLOB, pattern:format((escaped(text))) }, holds_absent, on_false, on_true)
  end
end

local calls = {
  HasPrefix = glob_call("%s*", function(text, of) return of:sub(1, #text) == text end),
  HasSuffix = glob_call("*%s", function(text, of) return text == "" or of:sub(-#text) == text end),
  IsMatch = function(run, node, on_false, on_true)
    local pattern = text_arg(node, 2)
    local what = resolve(run, node.args[1])
    check_text(what, node.args[1])
    local ok, found = pcall(core.match_regex, pattern, what.absent)
    if not ok then fail(node.args[2].at, "%s", tostring(found)) end
    return text_term(run, what, { what.absent and REGEX or REGEX_TEXT, pattern }, found, on_false, on_true)
  end,
  IsRootSpan = function(run, node, on_false, on_true)
    if #node.args > 0 then fail(node.at, "IsRootSpan takes nothing") end
    return add_term(run, { place = FIELD, field = field "is_root" }, { { BOOL, true } }, on_false, on_true)
  end,
}

local KNOWN = { "Duration", "HasPrefix", "HasSuffix", "IsMatch", "IsRootSpan", "Microseconds", "Milliseconds", "Nanoseconds", "Seconds", "SpanID", "TraceID" }

local function unknown_call(node)
  local near = host.nearest(node.name, KNOWN)
  fail(node.at, "the function %s is not known here%s", node.name, near and (" (did you mean " .. near .. "?)") or "; known are " .. table.concat(KNOWN, ", "))
end

local function is_constant(node) return values[node.op] ~= nil or node.op == "bytes" end

local function compare(run, node, on_false, on_true)
  local left, right = node[1], node[2]
  local from_left, from_right = duration_of(left, run.context), duration_of(right, run.context)
  if not from_left and (from_right or is_constant(left) or (left.op == "call" and right.op == "path")) then
    node = { sign = MIRRORED[node.sign], sign_at = node.sign_at }
    left, right, from_left = right, left, from_right
  end
  if from_left then return compare_duration(run, node, from_left, right, on_false, on_true) end
  if left.op == "call" and not calls[left.name] then unknown_call(left) end
  if is_constant(left) then fail(left.at, "a field is expected on one side") end
  local what = resolve(run, left)
  if right.op == "call" then
    if right.name == "TraceID" or right.name == "SpanID" then return compare_id(run, node, what, right, on_false, on_true) end
    unknown_call(right)
  end
  if not values[right.op] then fail(right.at, "a string, number, boolean, enum or nil is expected here") end
  return values[right.op](run, node, what, right, on_false, on_true)
end

local compile

local compilers = {
  ["and"] = function(run, node, on_false, on_true)
    return compile(run, node[1], on_false, compile(run, node[2], on_false, on_true))
  end,
  ["or"] = function(run, node, on_false, on_true)
    return compile(run, node[1], compile(run, node[2], on_false, on_true), on_true)
  end,
  ["not"] = function(run, node, on_false, on_true) return compile(run, node[1], on_true, on_false) end,
  bool = function(_, node, on_false, on_true) return node.value and on_true or on_false end,
  compare = compare,
  call = function(run, node, on_false, on_true)
    if not calls[node.name] then unknown_call(node) end
    return calls[node.name](run, node, on_false, on_true)
  end,
}

-- The step where the condition begins.
function compile(run, node, on_false, on_true)
  local of = compilers[node.op]
  if not of then fail(node.at, "a comparison is expected here") end
  return of(run, node, on_false, on_true)
end

-- A matcher begins with the last step: where the condition begins elsewhere, one that can only go there.
local function finish(run, first)
  if first == run.last then return end
  core.match_term(run.matcher, FIELD, field "name", nil, false)
  core.match_test(run.matcher, ANY)
  core.match_step(run.matcher, first, first)
end

local function build(tree, context)
  local run = { matcher = core.match_new(), context = context }
  core.match_whole(run.matcher)
  if context == "spanevent" then core.match_each_event(run.matcher) end
  finish(run, compile(run, tree, REJECT, ACCEPT))
  return run.matcher
end

-- ---- errors ----

local function line_of(text, at)
  local from = 1
  for before in text:gmatch "()\n" do
    if before < at then from = before + 1 end
  end
  return text:sub(from):match "^[^\n]*", at - from
end

local function instead(text, tree, context)
  return ottl_lua.policy(tree, context, text, {
    source = function(node) return text:sub(node.at):match "^[^\n]*" end,
    owner_of = function(node) return owner_of(context, node) end,
    is_duration = function(node) return difference(node, context) ~= nil end,
  })
end

local function sentence(text, wrong, tree, context)
  local line, column = line_of(text, wrong.at)
  return ("%s\n  %s\n  %s^\nor write it in Lua:\n%s"):format(wrong.why, line, (" "):rep(column), instead(text, tree, context))
end

local M = { api = {} }

local function checked(ok, result, text, tree, context)
  if ok then return result end
  if type(result) ~= "table" then error(result, 0) end
  error(sentence(text, result, tree, context), 3)
end

function M.api.ottl(text, context)
  context = context or "span"
  if access.reader.number ~= 0 then error("ottl inside of decide would be compiled for every trace: write it at file level or in setup", 2) end
  if type(text) ~= "string" then error("ottl takes a condition, a string, not " .. type(text), 2) end
  if context ~= "span" and context ~= "spanevent" then error('the context is "span" or "spanevent"', 2) end
  local ok, tree = pcall(ottl.parse, text)
  tree = checked(ok, tree, text, nil, context)
  local built, matcher = pcall(build, tree, context)
  return (checked(built, matcher, text, tree, context))
end

return M
