local t = require "moontail.testing"

-- Whether the condition holds on the span.
local function holds(condition, span, context)
  local m = t.ottl(condition, context)
  return t.read(t.trace { span }, function(trace) return trace.entry:matches(m) end)
end
local function is_true(condition, span, context) assert.is_true(holds(condition, span or {}, context), condition) end
local function is_false(condition, span, context) assert.is_false(holds(condition, span or {}, context), condition) end

local function message(condition, context)
  local ok, text = pcall(function()
    local m = t.ottl(condition, context)
    return m
  end)
  assert.is_false(ok, condition)
  return text
end

-- The sentence, and the column of the caret.
local function wrong(condition, sentence, column, context)
  local text = message(condition, context)
  assert.match(sentence, text)
  local caret = text:match "\n( *)%^\n"
  assert.equal(column, #caret - 2, text)
  assert.truthy(text:find("or write it in Lua:\npolicy {", 1, true))
end

describe("ottl", function()
  it("compares attributes with what has their type", function()
    local span = { attr = { s = "x", i = 5, d = 2.5, b = true } }
    is_true('attributes["s"] == "x"', span)
    is_false('attributes["s"] == "y"', span)
    is_true('attributes["i"] == 5', span)
    is_true('attributes["i"] == 5.0', span)
    is_false('attributes["i"] == "5"', span)
    is_true('attributes["d"] == 2.5', span)
    is_true('attributes["b"] == true', span)
    is_false('attributes["b"] == false', span)
    is_true('span.attributes["s"] == "x"', span)
    is_true('"x" == attributes["s"]', span)
  end)

  it("takes what is absent or of another type as different", function()
    local span = { attr = { s = "x", i = 5 } }
    is_true('attributes["no"] != "x"', span)
    is_false('attributes["no"] == "x"', span)
    is_true('attributes["i"] != "5"', span)
    is_true('attributes["s"] != 5', span)
    is_false('attributes["s"] > 0', span)
    is_false('attributes["no"] < 0', span)
    is_true('attributes["no"] == nil', span)
    is_false('attributes["s"] == nil', span)
    is_true('attributes["s"] != nil', span)
    is_true('nil != attributes["s"]', span)
  end)

  it("takes a list as one value, of which IsMatch alone sees the elements", function()
    local span = { attr = { l = { "x", "y" }, n = { 5 }, b = { true } } }
    is_false('attributes["l"] == "x"', span)
    is_true('attributes["l"] != "x"', span)
    is_false('attributes["n"] == 5', span)
    is_false('attributes["n"] > 4', span)
    is_true('not (attributes["n"] <= 5)', span)
    is_false('attributes["b"] == true', span)
    is_false('HasPrefix(attributes["l"], "x")', span)
    is_false('HasSuffix(attributes["l"], "y")', span)
    is_false('attributes["l"] == nil', span)
    is_true('IsMatch(attributes["l"], "^y$")', span)
    is_true('attributes["l"] == "y"', { events = { { name = "e", attr = { l = "y" } } } }, "spanevent")
    is_false('attributes["l"] == "y"', { events = { { name = "e", attr = { l = { "y" } } } } }, "spanevent")
  end)

  it("takes a text that is not there as what it is then", function()
    local span = { trace_state = "tenant=gold" }
    is_true('IsMatch(status.message, "^$")', span)
    is_false('IsMatch(status.message, ".")', span)
    is_true('HasPrefix(status.message, "")', span)
    is_true('trace_state["other"] == ""', span)
    is_false('trace_state["tenant"] == ""', span)
    is_true('trace_state["other"] != "silver"', span)
    is_true('IsMatch(trace_state["other"], "^$")', span)
    is_false('IsMatch(trace_state["tenant"], "^$")', span)
    is_true('parent_span_id.string == "0000000000000000"', span)
    is_true('HasSuffix(parent_span_id.string, "00")', span)
    is_true('IsMatch(parent_span_id.string, "^0+$")', span)
    is_false('HasPrefix(parent_span_id.string, "1")', span)
  end)

  it("orders numbers exactly", function()
    local span = { attr = { i = 5, d = 0.1, z = 0, n = -3 } }
    is_true('attributes["i"] >= 5', span)
    is_true('attributes["i"] <= 5', span)
    is_false('attributes["i"] > 5', span)
    is_false('attributes["i"] < 5', span)
    is_true('attributes["i"] > 4.999999999', span)
    is_false('attributes["d"] > 0.1', span)
    is_true('attributes["d"] > 0', span)
    is_false('attributes["z"] > 0', span)
    is_false('attributes["z"] < 0', span)
    is_true('attributes["n"] < -2', span)
    is_false('attributes["n"] < -3', span)
    is_true('3 < attributes["i"]', span)
    is_false('5 < attributes["i"]', span)
    is_false('attributes["i"] > 9007199254740991', { attr = { i = t.int "9007199254740991" } })
    is_true('attributes["i"] > 9007199254740991', { attr = { i = t.int "9007199254740992" } })
  end)

  it("combines with and, or, not and parentheses", function()
    local function of(a, b, c) return { attr = { a = a, b = b, c = c } } end
    local function all(condition, expected)
      for number = 0, 7 do
        local a, b, c = number % 2 == 1, math.floor(number / 2) % 2 == 1, number >= 4
        local text = condition:gsub("%f[%w][abc]%f[%W]", function(name) return 'attributes["' .. name .. '"] == true' end)
        assert.equal(expected(a, b, c), holds(text, of(a, b, c)), text .. " " .. number)
      end
    end
    all("a and b", function(a, b) return a and b end)
    all("a or b and c", function(a, b, c) return a or (b and c) end)
    all("(a or b) and c", function(a, b, c) return (a or b) and c end)
    all("not a and b", function(a, b) return not a and b end)
    all("not (a and b) or c", function(a, b, c) return not (a and b) or c end)
    all("not (a or not (b and not c))", function(a, b, c) return not (a or not (b and not c)) end)
    all("a and true or false", function(a) return a end)
    all("(false and a) or b", function(_, b) return b end)
    all("(a and false) or b", function(_, b) return b end)
    all("true or a", function() return true end)
    all("false", function() return false end)
    all("not false and not (a and not a)", function() return true end)
  end)

  it("knows kinds and statuses by enum, number and name", function()
    local span = { kind = "server", status = "error", status_message = "broken" }
    is_true("kind == SPAN_KIND_SERVER", span)
    is_false("kind == SPAN_KIND_CLIENT", span)
    is_true("kind != SPAN_KIND_CLIENT", span)
    is_true("kind == 2", span)
    is_true("span.kind >= 2 and kind <= 2 and kind < 3", span)
    is_true('kind.string == "Server"', span)
    is_true('kind.string != "Client"', span)
    is_false('kind.string == "server"', span)
    is_true("status.code == STATUS_CODE_ERROR", span)
    is_true("status.code != STATUS_CODE_OK", span)
    is_true("status.code > 0", span)
    is_false("status.code == 7", span)
    is_true("STATUS_CODE_ERROR == status.code", span)
    is_true('status.message == "broken"', span)
    is_true('status.message == ""', {})
    is_false('status.message != ""', {})
    is_true('attributes["x"] == STATUS_CODE_ERROR', { attr = { x = 2 } })
  end)

  it("reads resources, scopes, ids, names and the tracestate", function()
    local span = {
      name = "GET /", id = "00000000000000ab", resource = { team = "shop" }, scope = { name = "lib", version = "1.2", k = "v" },
      trace_state = "tenant=gold,ot=th:0",
    }
    is_true('name == "GET /"', span)
    is_false("name == nil", span)
    is_true('resource.attributes["team"] == "shop"', span)
    is_true('instrumentation_scope.name == "lib" and instrumentation_scope.version == "1.2"', span)
    is_true('scope.attributes["k"] == "v"', span)
    is_true('scope.name == ""', {})
    is_true('trace_state["tenant"] == "gold"', span)
    is_true('trace_state["other"] == nil', span)
    is_true('span_id.string == "00000000000000ab" and span_id == SpanID(0x00000000000000AB)', span)
    is_true('trace_id == TraceID(0x0102030405060708090a0b0c0d0e0f10)', span)
    is_true('parent_span_id.string == "" and parent_span_id == SpanID(0x0000000000000000)', span)
    is_true("IsRootSpan()", span)
    is_false("IsRootSpan()", { parent = "00000000000000ff" })
    is_true('parent_span_id != SpanID(0x0000000000000000)', { parent = "00000000000000ff" })
  end)

  it("matches texts, and numbers by their text", function()
    local span = { name = "GET /api/cart", attr = { code = 503, d = 0.1, b = true, s = "a*c?" } }
    is_true('IsMatch(name, "^GET /api/")', span)
    is_false('IsMatch(name, "^/api/")', span)
    is_true('IsMatch(attributes["code"], "^5..$")', span)
    is_true('IsMatch(attributes["d"], "^0\\\\.1$")', span)
    is_true('IsMatch(attributes["b"], "^true$")', span)
    is_false('IsMatch(attributes["no"], ".*")', span)
    is_true('HasPrefix(name, "GET ") and HasSuffix(name, "cart")', span)
    is_false('HasPrefix(name, "get")', span)
    is_true('HasPrefix(attributes["s"], "a*") and HasSuffix(attributes["s"], "c?")', span)
    is_false('HasPrefix(attributes["s"], "a?")', span)
    is_true('not HasSuffix(name, "x")', span)
  end)

  it("measures how long a span took", function()
    local span = { duration_ms = 100.5 }
    is_true('end_time - start_time > Duration("100ms")', span)
    is_true('(end_time - start_time) > Duration("100ms")', span)
    is_true('not ((end_time - start_time) < Duration("100ms"))', span)
    is_false('end_time - start_time > Duration("100500us")', span)
    is_true('end_time - start_time >= Duration("100500us")', span)
    is_true('Duration("1s") > end_time - start_time', span)
    is_true("end_time_unix_nano - start_time_unix_nano == 100500000", span)
    is_true("span.end_time_unix_nano - span.start_time_unix_nano > 100499999", span)
    is_true("Milliseconds(end_time - start_time) == 100", span)
    is_false("Milliseconds(end_time - start_time) > 100", span)
    is_true("Milliseconds(end_time - start_time) <= 100", span)
    is_false("Milliseconds(end_time - start_time) < 100", span)
    is_true("Milliseconds(end_time - start_time) != 101", span)
    is_true("Milliseconds(end_time - start_time) >= 99.5", span)
    is_true("Seconds(end_time - start_time) > 0.1", span)
  end)

  it("asks one event in conditions about events", function()
    local span = { name = "work", status = "error", events = {
      { name = "retry", attr = { n = 1 } }, { name = "exception", attr = { type = "IO" } },
    } }
    is_true('name == "retry" and attributes["n"] == 1', span, "spanevent")
    is_false('name == "retry" and attributes["type"] == "IO"', span, "spanevent")
    is_true('spanevent.name == "exception" and span.name == "work" and span.status.code == STATUS_CODE_ERROR', span, "spanevent")
    is_true('attributes["n"] == nil', span, "spanevent")
    is_false('attributes["n"] == nil', { name = "no events" }, "spanevent")
    is_true("true", span, "spanevent")
  end)

  it("may stand in when", function()
    local p = t.policy("always_sample", { when = t.ottl 'name == "pay" or attributes["vip"] == true' })
    assert.same({ "keep", "always" }, p:decide(t.trace { {}, { attr = { vip = true } } }))
    assert.is_nil(p:decide(t.trace { {} }))
  end)

  it("shows where it does not understand", function()
    wrong('attributes["a"] = 1', "this is not understood", 16)
    wrong('name == "x', "the string does not end", 8)
    wrong('nme == "x"', "span has no field nme here %(did you mean name%?%)", 0)
    wrong('(name == "x"', "this parenthesis is not closed", 0)
    wrong('name == "x")', "the condition should end here", 11)
    wrong('name == "x" nd true', "the condition should end here", 12)
    wrong('name == "x" and', "a value is expected here", 15)
    wrong("name", "a comparison is expected here", 0)
    wrong("", "a condition is expected here", 0)
    wrong('attributes == "x"', 'takes one key in quotes here', 0)
    wrong('attributes["a"]["b"] == 1', 'takes one key in quotes here', 0)
    wrong('name > "x"', "strings are compared with == and != only", 5)
    wrong("name == 5", "name is no number", 8)
    wrong('kind == "SPAN_KIND_SERVER"', "kind is no string; compare it with SPAN_KIND_SERVER", 8)
    wrong("kind == SPAN_KIND_SERVR", "the enum SPAN_KIND_SERVR is not known", 8)
    wrong('isMatch(name, "x")', "the function isMatch is not known here %(did you mean IsMatch%?%)", 0)
    wrong('name == Concat([], "")', "lists and maps are not understood", 15)
    wrong('Len(name) > 5', "the function Len is not known here", 0)
    wrong('IsMatch(name, "(")', "missing %)", 14)
    wrong('IsMatch(name, attributes["x"])', "takes a text in quotes", 14)
    wrong('attributes["x"] + 1 == 2', "a field is expected here", 0)
    wrong('end_time - start_time > 5', "a Duration is expected here", 24)
    wrong('end_time - start_time > Duration("x")', 'Duration takes a text such as "100ms"', 24)
    wrong('trace_state["ot"] == "th:0"', "the member ot is the draw's own", 0)
    wrong('trace_id == TraceID(0x01)', "TraceID takes 0x and 32 digits", 12)
    wrong('1 == 1', "a field is expected on one side", 5)
    wrong('spanevent.name == "x"', "events are asked in conditions of spanevent", 0)
    wrong('name == "a\\q"', "this escape is not known", 10)
    wrong(("("):rep(40) .. "true" .. (")"):rep(40), "more than 32 parentheses", 32)
    assert.match("ottl_spec.lua:%d+: the function", message "Len(name) > 5")
    assert.error_matches(function() t.ottl(5) end, "ottl takes a condition, a string, not number")
    assert.error_matches(function() t.ottl("true", "metric") end, 'the context is "span" or "spanevent"')
  end)

  it("shows the Lua to write instead", function()
    local function instead(condition, lua, context)
      local text = message(condition, context)
      assert.truthy(text:find("if " .. lua .. " then return keep() end", 1, true), text)
      assert(loadstring("local policy, keep = ...; return " .. text:match "Lua:\n(.*)$"), text)
    end
    instead('attributes["a"] == attributes["b"] and kind == SPAN_KIND_SERVER', '(span:attr("a") == span:attr("b") and span.kind == "server")')
    instead('Len(resource.attributes["a"]) > 5 or not IsRootSpan()', '(#span.resource:attr("a") > 5 or not (span.is_root))')
    instead('name != attributes["b"]', 'event.name ~= event:attr("b")', "spanevent")
    instead('Foo(name) == "a"', 'nil --[[ Foo(name) == "a" ]] == "a"')
    instead('attributes["a"] % 2', '--[[ attributes["a"] % 2 ]] false')
  end)

  it("answers any text with a matcher or a sentence", function()
    local words = {
      "and", "or", "not", "(", ")", "==", "!=", "<", ">=", "name", 'attributes["a"]', "resource", ".", "[", "]", '"x"', "5", "-", "0x1f", "nil",
      "true", "IsMatch", "(name,", '"("', "kind", "SPAN_KIND_SERVER", "end_time - start_time", "Duration", '("1s")', "trace_state", "\n", "\\", "ü", '"',
    }
    local seed, made = 1, 0
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    for _ = 1, 1000 do
      local parts = {}
      for i = 1, random(8) do parts[i] = words[random(#words)] end
      local ok, result = pcall(t.ottl, table.concat(parts, " "))
      if ok then
        made = made + 1
        t.read(t.trace { {} }, function(trace) return trace:find(result) end)
      else
        assert.equal("string", type(result))
        assert.truthy(result:find("or write it in Lua:\npolicy {", 1, true), result)
      end
    end
    assert.is_true(made > 3, made)
  end)

  it("is bounded", function()
    assert.match("more than 16384 bytes are not understood", message(("x"):rep(20000)))
    local parts = {}
    for i = 1, 400 do parts[i] = 'attributes["k' .. i .. '"] == ' .. i end
    is_true(table.concat(parts, " or "), { attr = { k400 = 400 } })
    is_false(table.concat(parts, " and "), { attr = { k400 = 400 } })
  end)
end)
