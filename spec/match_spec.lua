local t = require "moontail.testing"
local match, any, none, glob, regex, range = t.match, t.any, t.none, t.glob, t.regex, t.range

-- Whether one span matches.
local function matches(span, conditions)
  local m = match(conditions)
  return t.read(t.trace { span }, function(trace) return trace.entry:matches(m) end)
end

local function attr(value, condition) return matches({ attr = { k = value } }, { attr = { k = condition } }) end

describe("match", function()
  it("asks the tracestate and the sampled flag", function()
    local span = { trace_state = "a=1, tenant=gold ,b=x=y", flags = 1 }
    assert.is_true(matches(span, { trace_state = { tenant = "gold" }, is_sampled = true }))
    assert.is_true(matches(span, { trace_state = { b = glob "x=*", c = none } }))
    assert.is_false(matches(span, { trace_state = { tenant = "g" } }))
    assert.is_false(matches(span, { is_sampled = false }))
    assert.is_true(matches({}, { is_sampled = false, trace_state = { tenant = none } }))
    assert.is_true(matches({ flags = 2 }, { ["not"] = { is_sampled = true } }))
    assert.error_matches(function() match { trace_state = { ot = any } } end, "trace_state.ot is the draw's own")
  end)

  it("compares scalars without conversion", function()
    assert.is_true(attr("x", "x"))
    assert.is_false(attr("x", "X"))
    assert.is_true(attr(5, 5))
    assert.is_true(attr(t.double(5), 5))
    assert.is_false(attr("5", 5))
    assert.is_false(attr(5, "5"))
    assert.is_true(attr(true, true))
    assert.is_false(attr(true, false))
    assert.is_false(attr("true", true))
    assert.is_false(attr(1, true))
    assert.is_false(attr(t.bytes "x", "x"))
  end)

  it("compares integers exactly", function()
    assert.is_true(attr(t.int "9007199254740992", 2 ^ 53))
    assert.is_false(attr(t.int "9007199254740993", 2 ^ 53))
    assert.is_false(attr(t.int "9223372036854775807", 2 ^ 63))
    assert.is_true(attr(t.int "-9223372036854775808", -2 ^ 63))
    assert.is_false(attr(5, 5.5))
    assert.is_false(attr(-5, -5.5))
  end)

  it("takes one of a list", function()
    assert.is_true(attr("b", { "a", "b" }))
    assert.is_false(attr("c", { "a", "b" }))
    assert.is_true(attr(2, { "a", 2, true }))
    assert.is_true(attr("abc", { "x", glob "a*" }))
  end)

  it("knows presence and absence", function()
    assert.is_true(attr("", any))
    assert.is_true(attr(false, any))
    assert.is_false(attr(t.empty, any))
    assert.is_true(attr(t.empty, none))
    assert.is_false(matches({}, { attr = { k = any } }))
    assert.is_true(matches({}, { attr = { k = none } }))
    assert.is_false(attr("x", none))
    for _, condition in ipairs { "", 0, false, range(0, 1), glob "*", regex "" } do
      assert.is_false(matches({}, { attr = { k = condition } }))
    end
  end)

  it("has globs of whole values", function()
    assert.is_true(attr("/api/cart", glob "/api/*"))
    assert.is_false(attr("x/api/cart", glob "/api/*"))
    assert.is_true(attr("abc", glob "a?c"))
    assert.is_false(attr("ac", glob "a?c"))
    assert.is_true(attr("a*c", glob "a\\*c"))
    assert.is_false(attr("abc", glob "a\\*c"))
    assert.is_true(attr("", glob "*"))
    assert.is_true(attr("aXbXc", glob "*X*c"))
    assert.is_false(attr("aXbXd", glob "*X*c"))
    assert.is_false(attr(5, glob "*"))
    assert.is_true(attr("a\\", glob "a\\"))
  end)

  it("has regular expressions, unanchored", function()
    assert.is_true(attr("GET /v2/cart", regex [[/v\d+/]]))
    assert.is_false(attr("GET /vx/cart", regex [[/v\d+/]]))
    assert.is_true(attr("abc", regex "^a.c$"))
    assert.is_false(attr("xabc", regex "^a.c$"))
    assert.is_false(attr(5, regex "5"))
  end)

  it("has inclusive ranges", function()
    assert.is_true(attr(10, range(10, 20)))
    assert.is_true(attr(20, range(10, 20)))
    assert.is_false(attr(9, range(10, 20)))
    assert.is_false(attr(t.double(20.5), range(10, 20)))
    assert.is_true(attr(1e9, range(10)))
    assert.is_true(attr(-5, range(nil, 10)))
    assert.is_false(attr("15", range(10, 20)))
    assert.is_false(attr(t.int "9007199254740993", range(nil, 2 ^ 53)))
    assert.is_true(attr(t.int "9007199254740993", range(2 ^ 53)))
    assert.is_false(attr(t.double(0 / 0), range(0)))
  end)

  it("is content with one element of an array", function()
    assert.is_true(attr({ "a", "b" }, "b"))
    assert.is_false(attr({ "a", "b" }, "c"))
    assert.is_true(attr({ 1, 500 }, range(500, 599)))
    assert.is_true(attr({ "x-1" }, glob "x-*"))
    assert.is_true(attr({ "a" }, any))
    assert.is_false(attr({ "a" }, none))
  end)

  it("reads every field", function()
    local span = {
      name = "GET", kind = "client", status = "error", status_message = "m", duration_ms = 250, service = "shop",
      attr = { ["http.response.status_code"] = 503, ["db.system"] = "mysql", ["rpc.method"] = "Add" },
      resource = { region = "eu" }, scope = { name = "lib", version = "1", tag = "x" },
    }
    for _, conditions in ipairs {
      { name = "GET" }, { kind = "client" }, { kind = { "server", "client" } }, { status = "error" }, { status_message = any },
      { duration_ms = 250 }, { duration_ms = range(200, 250) }, { service = "shop" }, { is_root = true }, { is_entry = true },
      { is_error = true }, { http = { status = range(500) } }, { db = { system = any } }, { rpc = { method = "Add" } },
      { resource = { region = "eu", ["service.name"] = "shop" } }, { scope = { name = "lib", version = "1", tag = "x" } },
      { parent_id = none }, { offset_ms = 0 }, { bytes = range(1) }, {},
      { kind = "client", status = "error", attr = { ["db.system"] = any, missing = none } },
    } do
      assert.is_true(matches(span, conditions))
    end
    for _, conditions in ipairs {
      { name = "GETS" }, { kind = "server" }, { status = "ok" }, { status_message = none }, { duration_ms = range(250.001) },
      { service = none }, { is_root = false }, { http = { status = 502 } }, { http = { method = any } },
      { resource = { ["db.system"] = any } }, { scope = { name = "other" } }, { scope = { region = any } },
      { kind = "client", status = "ok" },
    } do
      assert.is_false(matches(span, conditions))
    end
  end)

  it("wants all fields on one span", function()
    local mixed, failed = match { kind = "server", status = "error" }, match { kind = "client", status = "error" }
    local all, client = match {}, match { kind = "client" }
    t.read(t.trace { { kind = "server", status = "ok" }, { kind = "client", status = "error" } }, function(trace)
      assert.is_nil(trace:find(mixed))
      assert.equal("client", trace:find(failed).kind)
      assert.equal(2, trace:count(all))
      assert.equal(1, trace:count(client))
    end)
  end)

  it("wants all of an event's fields on one event", function()
    local span = {
      events = { { name = "retry", attr = { n = 1 } }, { name = "exception", attr = { ["exception.type"] = "E" } } },
      links = { { span_id = "000000000000000b", attr = { k = "v" } } },
    }
    assert.is_true(matches(span, { event = { name = "exception", attr = { ["exception.type"] = "E" } } }))
    assert.is_false(matches(span, { event = { name = "retry", attr = { ["exception.type"] = "E" } } }))
    assert.is_true(matches(span, { event = { attr = { n = 1 } } }))
    assert.is_false(matches({}, { event = { name = any } }))
    assert.is_true(matches(span, { link = { span_id = "000000000000000b", attr = { k = any } } }))
    assert.is_false(matches(span, { link = { span_id = "000000000000000c" } }))
  end)

  it("negates one level", function()
    local span = { kind = "server", attr = { a = 1 } }
    assert.is_true(matches(span, { kind = "server", ["not"] = { attr = { a = 2 } } }))
    assert.is_false(matches(span, { kind = "server", ["not"] = { attr = { a = 1 } } }))
    assert.is_true(matches(span, { ["not"] = { kind = "server", attr = { a = 2 } } }))
    assert.is_true(matches(span, { ["not"] = { event = { name = "exception" } } }))
  end)

  it("tells what is wrong, where it was written", function()
    local function refuses(conditions, text)
      local ok, message = pcall(function()
        local m = match(conditions)
        return m
      end)
      assert.is_false(ok)
      assert.match("match_spec.lua:%d+: ", message)
      assert.is_truthy(message:find(text, 1, true), message)
    end
    refuses({ knd = "server" }, "match{} has no field 'knd' (did you mean 'kind'?)")
    refuses({ http = { statu = 1 } }, "http has no field 'statu' (did you mean 'status'?)")
    refuses({ event = { nam = "x" } }, "event has no field 'nam' (did you mean 'name'?)")
    refuses({ kind = "SERVER" }, "kind is never 'SERVER'")
    refuses({ duration_ms = "10" }, "duration_ms is a number, never '10'; allowed: a number, a list of them, range, any, none")
    refuses({ is_error = "true" }, "is_error is true or false, never 'true'; allowed: true, false, any, none")
    refuses({ is_root = range(0, 1) }, "is_root is true or false, never range(0, 1)")
    refuses({ trace = { complete = 1 } }, "trace.complete is true or false, never 1")
    refuses({ decision = { p = "0.1" } }, "decision.p is a number, never '0.1'")
    refuses({ duration_ms = true }, "duration_ms is a number, never true")
    refuses({ duration_ms = { 5, "10" } }, "duration_ms is a number, never '10'")
    refuses({ ["not"] = { duration_ms = regex "1." } }, "not.duration_ms is a number, never regex '1.'")
    refuses({ trace = { span_count = "3" } }, "trace.span_count is a number, never '3'")
    refuses({ status = { "ERROR" } }, "status is never 'ERROR'")
    refuses({ attr = "x" }, "attr is 'x'; allowed: a table")
    refuses({ attr = { [1] = "x" } }, "attr has the key 1")
    refuses({ name = {} }, "a list of allowed values has one or more")
    refuses({ name = { a = 1 } }, "a list of allowed values has one or more")
    refuses({ name = { { "a" } } }, "name is a table; allowed")
    refuses({ name = function() end }, "name is function")
    refuses({ ["not"] = { ["not"] = { kind = "server" } } }, "one level")
    refuses({ ["not"] = {} }, "is empty")
    assert.error_matches(function() regex "a(" end, "regex 'a%(': missing %)")
    assert.error_matches(function() range() end, "range needs a bound")
    assert.error_matches(function() range(5, 1) end, "range%(5, 1%) holds nothing")
    assert.error_matches(function() range "1" end, "range takes numbers")
  end)

  it("is compiled before traces come", function()
    local p = t.policy { name = "late", decide = function() return t.match { kind = "server" } end }
    assert.error_matches(function() p:decide(t.trace { {} }) end, "match{} inside of decide would be compiled for every trace")
  end)
end)

describe("where", function()
  local trace = t.trace { { kind = "server", service = "shop" }, { kind = "client" } }

  it("knows the decision and the trace", function()
    assert.is_true(t.where(match { decision = { policy = "latency", reason = { "error", "slow" } } }, trace, "latency", "slow"))
    assert.is_false(t.where(match { decision = { reason = "error" } }, trace, "latency", "slow"))
    assert.is_true(t.where(match { trace = { span_count = 2, complete = true, error_count = 0 } }, trace))
    assert.is_false(t.where(match { trace = { span_count = range(3) } }, trace))
    assert.is_true(t.where(match { trace = { span_count = 2 }, service = "shop" }, trace))
    assert.is_false(t.where(match { trace = { span_count = 2 }, service = "shop", kind = "client" }, trace))
  end)

  it("can't be asked by a policy", function()
    assert.error_matches(function()
      t.policy("always_sample", { when = match { decision = { reason = "x" } } })
    end, "which only an exporter's where knows")
    local p = t.policy { name = "asks", decide = (function()
      local m = match { trace = { span_count = 1 } }
      return function(tr) return tr:find(m) and t.keep() end
    end)() }
    assert.error_matches(function() p:decide(trace) end, "only an exporter's where knows")
  end)
end)
