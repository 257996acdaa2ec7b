local t = require "moontail.testing"

describe("a span", function()
  local function of(span, fn)
    return t.read(t.trace { span }, function(trace) return fn(trace.entry) end)
  end

  it("has its fields", function()
    local span = {
      id = "00f067aa0ba902b7", name = "GET /cart", kind = "server", status = "error", status_message = "timeout",
      offset_ms = 0, duration_ms = 12.5, service = "shop",
    }
    of(span, function(s)
      assert.equal("00f067aa0ba902b7", s.id)
      assert.equal("0102030405060708090a0b0c0d0e0f10", s.trace_id)
      assert.is_nil(s.parent_id)
      assert.is_nil(s.parent)
      assert.equal("GET /cart", s.name)
      assert.equal("server", s.kind)
      assert.equal("error", s.status)
      assert.equal("timeout", s.status_message)
      assert.is_true(s.is_error)
      assert.is_true(s.is_root)
      assert.is_true(s.is_entry)
      assert.equal(12.5, s.duration_ms)
      assert.equal(0, s.offset_ms)
      assert.equal(1700000000000, s.start_ms)
      assert.is_true(s.bytes > 60)
      assert.equal("shop", s.service)
    end)
  end)

  it("says how many spans it stands for", function()
    local function count(trace_state) return of({ trace_state = trace_state }, function(s) return s.adjusted_count end) end
    assert.equal(1, count())
    assert.equal(1, count "vendor=th:8")
    assert.equal(1, count "ot=th:0")
    assert.equal(2, count "a=b,ot=th:8")
    assert.equal(4, count "ot=rv:ffffffffffffff;th:c")
    assert.is_true(math.abs(count "ot=th:fd70a4" - 100.00009536752259) < 1e-10)
    assert.is_true(math.abs(count "ot=th:e666" - 9.99938968568813) < 1e-10)
    assert.equal(2 ^ 56, count "ot=th:ffffffffffffff")
    assert.equal(1, count "ot=th:FF")
  end)

  it("knows the sampled flag", function()
    assert.is_true(of({ flags = 0x101 }, function(s) return s.is_sampled end))
    assert.is_false(of({ flags = 0x100 }, function(s) return s.is_sampled end))
  end)

  it("reads what is absent as nil", function()
    of({}, function(s)
      assert.is_nil(s.status_message)
      assert.is_nil(s.service)
      assert.equal("unset", s.status)
      assert.is_false(s.is_error)
      assert.is_nil(s:attr "nothing")
      assert.is_nil(s:attr_text "nothing")
      assert.is_false(s:has "nothing")
      assert.is_nil(s.http.status)
      assert.is_nil(s.http.path)
      assert.is_nil(s.db.system)
      assert.is_nil(s.rpc.method)
      assert.is_nil(s.scope.name)
      assert.is_nil(s.resource:attr "service.name")
      for _ in s:events() do error "there is no event" end
      for _ in s:links() do error "there is no link" end
    end)
  end)

  it("reads unknown numbers of kind and status as unspecified and unset", function()
    of({ kind = 77, status = 9 }, function(s)
      assert.equal("unspecified", s.kind)
      assert.equal("unset", s.status)
    end)
  end)

  it("has no duration where a time is missing or goes back", function()
    of({ start_ns = 0, end_ns = 5 }, function(s) assert.equal(0, s.duration_ms) end)
    of({ end_ns = 0 }, function(s) assert.equal(0, s.duration_ms) end)
    of({ end_ns = 1699999999999999999ULL }, function(s) assert.equal(0, s.duration_ms) end)
  end)

  it("has attributes of every type", function()
    local attr = {
      s = "text", b = true, no = false, i = 42, d = 0.5, neg = -7,
      bytes = t.bytes "\0\255", list = { "a", 1, { true } }, map = { k = { 1, 2 }, z = "y" }, empty = t.empty,
    }
    of({ attr = attr }, function(s)
      assert.equal("text", s:attr "s")
      assert.equal(true, s:attr "b")
      assert.equal(false, s:attr "no")
      assert.equal(42, s:attr "i")
      assert.equal(-7, s:attr "neg")
      assert.equal(0.5, s:attr "d")
      assert.equal("\0\255", s:attr "bytes")
      assert.same({ "a", 1, { true } }, s:attr "list")
      assert.same({ k = { 1, 2 }, z = "y" }, s:attr "map")
      assert.is_nil(s:attr "empty")
      assert.is_true(s:has "no")
      assert.is_false(s:has "empty")
    end)
  end)

  it("gives lists and maps as fresh copies", function()
    of({ attr = { list = { 1, 2 } } }, function(s)
      local list = s:attr "list"
      list[1] = 99
      assert.same({ 1, 2 }, s:attr "list")
    end)
  end)

  it("rounds large integers in attr and writes them in full in attr_text", function()
    of({ attr = { big = t.int "9007199254740993", min = t.int "-9223372036854775808" } }, function(s)
      assert.equal(2 ^ 53, s:attr "big")
      assert.equal("9007199254740993", s:attr_text "big")
      assert.equal("-9223372036854775808", s:attr_text "min")
    end)
  end)

  it("has the exact text of every value", function()
    local attr = {
      s = 'a"b', b = true, d = 0.1, whole = t.double(3), inf = t.double(math.huge), bytes = t.bytes "\0\1\2\3",
      list = { "a\n", 1.5, false, t.bytes "hi", t.empty }, map = { k = { 1 } },
    }
    of({ attr = attr }, function(s)
      assert.equal('a"b', s:attr_text "s")
      assert.equal("true", s:attr_text "b")
      assert.equal("0.1", s:attr_text "d")
      assert.equal("3", s:attr_text "whole")
      assert.equal("Infinity", s:attr_text "inf")
      assert.equal("AAECAw==", s:attr_text "bytes")
      assert.equal('["a\\n",1.5,false,"aGk=",null]', s:attr_text "list")
      assert.equal('{"k":[1]}', s:attr_text "map")
    end)
  end)

  it("takes the first of several keys that is present", function()
    of({ attr = { b = 2, c = 3, d = 4 } }, function(s)
      assert.equal(2, s:attr("a", "b"))
      assert.equal(3, s:attr("c", "b"))
      assert.equal(4, s:attr("x", "y", "z", "d", "b"))
      assert.is_nil(s:attr("x", "y", "z"))
    end)
  end)

  it("sees only the attributes of what it asks", function()
    local span = { attr = { own = 1 }, resource = { res = 2 }, scope = { name = "lib", version = "1.2", sc = 3 } }
    of(span, function(s)
      assert.equal(1, s:attr "own")
      assert.is_nil(s:attr "res")
      assert.is_nil(s:attr "sc")
      assert.equal(2, s.resource:attr "res")
      assert.is_nil(s.resource:attr "own")
      assert.equal(3, s.scope:attr "sc")
      assert.equal("lib", s.scope.name)
      assert.equal("1.2", s.scope.version)
    end)
  end)

  it("has one view of old and new conventions", function()
    of({ attr = { ["http.method"] = "GET", ["http.target"] = "/a/b?c=1", ["http.status_code"] = 404, ["http.route"] = "/a/:id" } }, function(s)
      assert.equal("GET", s.http.method)
      assert.equal("/a/b", s.http.path)
      assert.equal(404, s.http.status)
      assert.equal("/a/:id", s.http.route)
    end)
    of({ attr = { ["http.request.method"] = "PUT", ["http.method"] = "GET", ["url.full"] = "https://h:1/p/q#f", ["http.response.status_code"] = "201" } }, function(s)
      assert.equal("PUT", s.http.method)
      assert.equal("/p/q", s.http.path)
      assert.equal(201, s.http.status)
    end)
    of({ attr = { ["http.url"] = "http://host?x" } }, function(s) assert.equal("/", s.http.path) end)
    of({ attr = { ["db.system"] = "mysql", ["db.namespace"] = "shop", ["db.operation"] = "SELECT", ["db.query.text"] = "select 1" } }, function(s)
      assert.equal("mysql", s.db.system)
      assert.equal("shop", s.db.name)
      assert.equal("SELECT", s.db.operation)
      assert.equal("select 1", s.db.statement)
    end)
    of({ attr = { ["rpc.system"] = "grpc", ["rpc.service"] = "Cart", ["rpc.method"] = "Add" } }, function(s)
      assert.equal("grpc", s.rpc.system)
      assert.equal("Cart", s.rpc.service)
      assert.equal("Add", s.rpc.method)
    end)
  end)

  it("has events and links", function()
    local span = {
      events = { { name = "exception", offset_ms = 2.5, attr = { ["exception.type"] = "E", list = { 1 } } }, { name = "second" } },
      links = { { trace_id = "0000000000000000000000000000000a", span_id = "000000000000000b", attr = { k = "v" } } },
    }
    of(span, function(s)
      local seen = {}
      for i, event in s:events() do
        seen[i] = { event.name, event.offset_ms, event:attr "exception.type", event:attr "list" }
      end
      assert.same({ { "exception", 2.5, "E", { 1 } }, { "second", 0 } }, seen)
      for i, link in s:links() do
        assert.equal(1, i)
        assert.equal("0000000000000000000000000000000a", link.trace_id)
        assert.equal("000000000000000b", link.span_id)
        assert.equal("v", link:attr "k")
        assert.is_true(link:has "k")
      end
    end)
  end)

  it("is the same span however it was reached", function()
    t.read(t.trace { {}, { kind = "client" } }, function(trace)
      local list = {}
      for i, span in trace:spans() do list[i] = span end
      assert.is_true(list[1] == trace.entry)
      assert.is_true(list[2].parent == trace.root)
      assert.is_false(list[1] == list[2])
    end)
  end)
end)

describe("a trace", function()
  it("has its fields", function()
    local spans = { id = "000102030405060708090a0b0c0d0e0f", trigger = "root", decided_ms = 1700000005000 }
    spans[1] = { duration_ms = 100 }
    spans[2] = { offset_ms = 50, duration_ms = 100, status = "error" }
    t.read(t.trace(spans), function(trace)
      assert.equal("000102030405060708090a0b0c0d0e0f", trace.id)
      assert.equal("root", trace.trigger)
      assert.equal(1700000005000, trace.decided_ms)
      assert.equal(1700000000000, trace.start_ms)
      assert.equal(150, trace.duration_ms)
      assert.equal(2, trace.span_count)
      assert.equal(1, trace.error_count)
      assert.is_true(trace.complete)
      assert.is_true(trace.bytes > 100)
      assert.is_nil(trace.decision)
    end)
  end)

  it("shows spans by start, then id, whatever their order was", function()
    local spans = {
      { id = "0000000000000003", name = "c", offset_ms = 1, parent = false },
      { id = "0000000000000002", name = "b", offset_ms = 1, parent = false },
      { id = "0000000000000009", name = "a", offset_ms = 0, parent = false },
    }
    local last = t.match { name = "c" }
    t.read(t.trace(spans), function(trace)
      local names = {}
      for i, span in trace:spans() do names[i] = span.name end
      assert.same({ "a", "b", "c" }, names)
      assert.equal("a", trace.root.name)
      assert.equal("c", trace:find(last).name)
    end)
  end)

  it("may have thousands of spans", function()
    local spans = {}
    for i = 1, 3000 do
      spans[i] = { offset_ms = (i * 7919) % 3001, parent = i > 1 and math.floor(i / 2) or false, kind = i % 10 == 0 and "client" or "internal" }
    end
    local clients = t.match { kind = "client", is_entry = false }
    t.read(t.trace(spans), function(trace)
      local last, seen = -1, 0
      for i, span in trace:spans() do
        assert(span.offset_ms >= last and i == seen + 1)
        last, seen = span.offset_ms, i
        assert(span.parent == nil and span.is_root or span.parent_id == span.parent.id)
      end
      assert.equal(3000, seen)
      assert.equal(300, trace:count(clients))
    end)
  end)

  it("has an entry also without a root", function()
    local spans = {
      { id = "0000000000000001", name = "child", parent = "0000000000000002", offset_ms = 0 },
      { id = "0000000000000002", name = "late orphan", parent = "00000000000000ff", offset_ms = 9 },
      { id = "0000000000000003", name = "orphan", parent = "00000000000000ee", offset_ms = 5 },
    }
    t.read(t.trace(spans), function(trace)
      assert.is_nil(trace.root)
      assert.is_false(trace.complete)
      assert.equal("orphan", trace.entry.name)
      assert.is_true(trace.entry.is_entry)
      assert.is_false(trace.entry.is_root)
    end)
    local circle = {
      { id = "0000000000000001", name = "one", parent = "0000000000000002", offset_ms = 3 },
      { id = "0000000000000002", name = "two", parent = "0000000000000001", offset_ms = 2 },
    }
    t.read(t.trace(circle), function(trace) assert.equal("two", trace.entry.name) end)
  end)

  it("knows its services", function()
    t.read(t.trace { { service = "shop" }, { service = "cart" } }, function(trace)
      assert.is_true(trace:has_service "cart")
      assert.is_false(trace:has_service "car")
    end)
  end)

  it("has a fraction of its own for every salt", function()
    t.read(t.trace { id = "0102030405060708090a0b0c0d0e0f10", {} }, function(trace)
      local a, b = trace:fraction "a", trace:fraction "b"
      assert.is_true(a >= 0 and a < 1 and b >= 0 and b < 1 and a ~= b)
      assert.equal(a, trace:fraction "a")
    end)
  end)
end)

describe("what is wrong in a script", function()
  local function message(fn)
    local ok, text = pcall(t.read, t.trace { { events = { { name = "e" } } } }, fn)
    assert.is_false(ok)
    return text
  end

  it("names the nearest field and the script's line", function()
    assert.match("api_spec.lua:%d+: trace has no field 'durationms' %(did you mean 'duration_ms'%?%)", message(function(trace) return trace.durationms end))
    assert.match("api_spec.lua:%d+: span has no field 'stauts' %(did you mean 'status'%?%)", message(function(trace) return trace.entry.stauts end))
    assert.match("http has no field 'statsu' %(did you mean 'status'%?%)", message(function(trace) return trace.entry.http.statsu end))
    assert.match("api_spec.lua:%d+: span has no field 'http.route'; an attribute is asked for with span:attr 'http.route'$", message(function(trace) return trace.entry["http.route"] end))
    assert.match("resource has no field 'service.name'; an attribute is asked for with resource:attr 'service.name'$", message(function(trace) return trace.entry.resource["service.name"] end))
    assert.match("event has no field 'nme'", message(function(trace)
      local value
      for _, event in trace.entry:events() do value = event.nme end
      return value
    end))
  end)

  it("can't write", function()
    assert.match("trace can't be changed: 'x'", message(function(trace) trace.x = 1 end))
    assert.match("span can't be changed: 'name'", message(function(trace) trace.entry.name = "x" end))
    assert.match("resource can't be changed", message(function(trace) trace.entry.resource.a = 1 end))
  end)

  it("can't keep a proxy past its trace", function()
    local kept = {}
    t.read(t.trace { { events = { { name = "e" } } } }, function(trace)
      kept.trace, kept.span, kept.resource = trace, trace.entry, trace.entry.resource
      for _, event in trace.entry:events() do kept.event = event end
    end)
    assert.match("this span belongs to a trace that is over", message(function() return kept.span.name end))
    assert.match("this trace belongs to a trace that is over", message(function() return kept.trace.duration_ms end))
    assert.match("this resource belongs", message(function() return kept.resource:attr "x" end))
    assert.match("this event belongs", message(function() return kept.event.name end))
    assert.match("this trace belongs", message(function()
      for i in kept.trace:spans() do assert(i) end
    end))
    assert.match("api_spec.lua:%d+: this span", message(function() return kept.span.name end))
    assert.match("api_spec.lua:%d+: this span", message(function()
      local value = kept.span:attr "x"
      return value
    end))
  end)

  it("can't reach outside of the trace with a forged proxy", function()
    t.read(t.trace { {} }, function(trace)
      for _, forged in ipairs { -1, 1, 1e300, 0 / 0, 0.5 } do
        local span = trace.entry
        span[1] = forged
        assert.is_nil(forged ~= 0.5 and span.name or nil)
        assert.is_true(span.http.path == nil)
        assert.is_nil(span.parent)
      end
    end)
  end)

  it("says what a key, a salt and a matcher are", function()
    assert.match("the key of an attribute is a string, not nil", message(function(trace) return trace.entry:attr() end))
    assert.match("takes a salt", message(function(trace) return trace:fraction() end))
    assert.match("trace:find takes a match", message(function(trace) return trace:find {} end))
  end)
end)

describe("verdicts", function()
  it("are immutable and one of each", function()
    assert.is_true(t.keep "a" == t.keep "a")
    assert.is_true(t.keep() == t.keep())
    assert.is_true(t.sample(0.5, "x") == t.sample(0.5, "x"))
    assert.is_false(t.sample(0.5, "x") == t.sample(0.25, "x"))
    assert.is_false(t.keep "a" == t.drop "a")
    assert.has_error(function() t.keep().x = 1 end)
  end)

  it("refuse what is no probability", function()
    assert.error_matches(function() t.sample(10) end, "10 is not a probability: did you mean 0.10%?")
    assert.error_matches(function() t.at_least(-1) end, "-1 is not a probability")
    assert.error_matches(function() t.sample(0 / 0) end, "nan is not a probability")
    assert.error_matches(function() t.sample "0.1" end, "a probability is a number from 0 to 1, not string")
    assert.error_matches(function() t.keep(5) end, "a reason is a string, not number")
  end)
end)

describe("text", function()
  it("has plain functions", function()
    assert.is_true(t.text.starts("abc", "ab"))
    assert.is_false(t.text.starts("abc", "b"))
    assert.is_true(t.text.ends("abc", "bc"))
    assert.is_true(t.text.ends("abc", ""))
    assert.is_false(t.text.ends("c", "bc"))
    assert.is_true(t.text.contains("a.c", "."))
    assert.is_false(t.text.contains("abc", "."))
    assert.is_true(t.text.glob("/a/b", "/a/*"))
    assert.equal("abc", t.text.lower "ABC")
    assert.same({ "a", "", "b" }, t.text.split("a,,b", ","))
  end)
end)
