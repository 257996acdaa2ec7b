local t = require "moontail.testing"

local function policy(rules, more)
  local options = more or {}
  options.rules = rules
  return t.policy("rules", options)
end

-- Whether a rule with these conditions matches.
local function matches(conditions, spans, scope)
  local said = policy({ { name = "it", scope = scope, conditions = conditions } }):decide(t.trace(spans))
  return said[2] == "it"
end

local function one(field, operator, value, datatype)
  return { { field = field, operator = operator, value = value, datatype = datatype } }
end

local function is(expected, operator, value, attribute, datatype)
  local spans = { {}, { attr = { f = attribute } } }
  assert.equal(expected, matches(one("f", operator, value, datatype), spans), operator .. " " .. tostring(value) .. " of " .. tostring(attribute))
end

describe("rules", function()
  it("decides by the first rule that matches", function()
    local p = policy {
      { name = "health", drop = true, conditions = one("http.route", "=", "/health") },
      { name = "errors", sample_rate = 1, conditions = one("error", "exists") },
      { name = "gone", sample_rate = 0, conditions = one("gone", "=", true) },
      { name = "rest", sample_rate = 4 },
    }
    assert.same({ "drop", "health" }, p:decide(t.trace { { status = "error", attr = { ["http.route"] = "/health" } } }))
    assert.same({ "keep", "errors" }, p:decide(t.trace { {}, { status = "error" } }))
    assert.same({ "drop", "gone" }, p:decide(t.trace { { attr = { gone = true } } }))
    assert.same({ "sample", 0.25, "rest" }, p:decide(t.trace { {} }))
  end)

  it("keeps what no rule matches, or leaves it", function()
    local rules = { { name = "x", drop = true, conditions = one("f", "exists") } }
    assert.same({ "keep", "no_rule_matched" }, policy(rules):decide(t.trace { {} }))
    assert.is_nil(policy(rules, { no_match = "pass" }):decide(t.trace { {} }))
  end)

  it("compares for equality", function()
    is(true, "=", "a", "a")
    is(false, "=", "a", "b")
    is(false, "=", 5, "5")
    is(true, "=", 5, "5", "int")
    is(true, "=", "5", 5, "string")
    is(true, "=", "true", true, "bool")
    is(true, "!=", "a", "b")
    is(false, "!=", "a", "a")
    is(true, "in", { "a", "b" }, "b")
    is(false, "in", { "a", "b" }, "c")
    is(true, "in", { 1, 2 }, 2)
    is(true, "not-in", { "a", "b" }, "c")
    is(false, "not-in", { "a", "b" }, "a")
  end)

  it("compares all digits of a number", function()
    is(true, "=", 1234567890123456, 1234567890123456)
    is(false, "=", 1234567890123456, 1234567890123457)
    is(true, "in", { 1, 1234567890123456 }, 1234567890123456)
    is(true, "=", 1234567890123456, "1234567890123456", "int")
    is(true, "=", "1234567890123456", 1234567890123456, "string")
    is(true, "=", 1 / 3, t.double(1 / 3))
    is(true, "=", 0.1, "0.1", "float")
    for _, large in ipairs { 2 ^ 53, 2 ^ 53 + 2, 1e16, 1e20, -1e16 } do
      is(true, "=", large, t.double(large))
      is(false, "=", large, t.double(large + 2 ^ 20))
      is(true, ">=", large, t.double(large))
      is(false, ">", large, t.double(large))
    end
  end)

  it("takes no text for a number that can't be compared", function()
    is(true, "=", "nan", "nan", "string")
    is(true, "=", "inf", "inf", "string")
    is(true, "in", { "Infinity", "a" }, "a", "string")
  end)

  it("compares for order", function()
    is(true, ">", 4, 5)
    is(false, ">", 5, 5)
    is(true, ">=", 5, 5)
    is(true, "<", 5.5, 5)
    is(true, "<=", 5, 5)
    is(false, "<", 5, "1")
    is(true, ">", 0.5, t.double(0.75))
  end)

  it("compares texts", function()
    is(true, "starts-with", "/api.", "/api.v1")
    is(false, "starts-with", "/api.", "/apixv1")
    is(false, "starts-with", "pi", "/api")
    is(true, "contains", 'a"b\\', 'x a"b\\ y')
    is(false, "contains", "a.b", "axb")
    is(true, "does-not-contain", "x", "abc")
    is(false, "does-not-contain", "b", "abc")
    is(true, "matches", "^5..$", 503)
    is(false, "matches", "^5..$", 403)
  end)

  it("takes only not-exists as true of what is absent", function()
    for operator, value in pairs { ["!="] = "a", ["not-in"] = { "a" }, ["does-not-contain"] = "a", ["="] = "a", ["<"] = 5, exists = true } do
      assert.is_false(matches(one("absent", operator, value), { {} }), operator)
      assert.is_false(matches(one("absent", operator, value, "string"), { {} }), operator)
    end
    assert.is_true(matches(one("absent", "not-exists"), { {} }))
    assert.is_true(matches(one("f", "exists"), { { attr = { f = "" } } }))
    assert.is_false(matches(one("f", "not-exists"), { { attr = { f = 1 } } }))
  end)

  it("reads resources, names, durations and errors", function()
    local spans = { { name = "GET /", service = "cart", duration_ms = 500, status = "error" } }
    assert.is_true(matches(one("service.name", "=", "cart"), spans))
    assert.is_true(matches(one("name", "starts-with", "GET "), spans))
    assert.is_true(matches(one("duration_ms", ">=", 500), spans))
    assert.is_false(matches(one("duration_ms", ">", 500), spans))
    assert.is_true(matches(one("error", "=", true), spans))
    assert.is_false(matches(one("error", "not-exists"), spans))
    assert.is_false(matches(one("error", "exists"), { {} }))
    assert.is_true(matches(one("error", "!=", true), { {} }))
  end)

  it("differs only from what is of one type", function()
    is(true, "!=", 5, 6)
    is(true, "!=", 5, t.double(4.5))
    is(false, "!=", 5, 5)
    is(false, "!=", 5, "x")
    is(false, "!=", "x", 5)
    is(true, "!=", "", "x")
    is(true, "!=", true, false)
    is(false, "!=", true, "false")
    is(true, "!=", 5, "6", "int")
  end)

  it("takes texts and numbers of a list for each other", function()
    is(true, "in", { "5", "6" }, 5)
    is(true, "in", { 5, 6 }, "5")
    is(false, "not-in", { "5", "6" }, 5)
    is(true, "not-in", { "5", "6" }, 7)
  end)

  it("reads what a span has besides attributes", function()
    local root, child = { id = "00000000000000aa" }, { parent = "00000000000000aa", kind = "server", status = "error", status_message = "no", scope = { name = "lib" } }
    local function of_child(field, operator, value, datatype)
      return matches({ { field = "c", operator = "exists" }, one(field, operator, value, datatype)[1] }, { root, (function()
        local copy = { attr = { c = 1 } }
        for k, v in pairs(child) do copy[k] = v end
        return copy
      end)() }, "span")
    end
    assert.is_true(matches(one("trace.parent_id", "not-exists"), { root }, "span"))
    assert.is_false(matches(one("trace.parent_id", "exists"), { root }, "span"))
    assert.is_false(of_child("trace.parent_id", "not-exists"))
    assert.is_true(of_child("trace.parent_id", "=", "00000000000000aa"))
    assert.is_true(of_child("trace.parent_id", "!=", "root"))
    assert.is_true(of_child("trace.trace_id", "exists"))
    for _, field in ipairs { "span.kind", "type" } do
      assert.is_true(of_child(field, "=", "server"))
      assert.is_false(of_child(field, "!=", "server"))
      assert.is_true(of_child(field, "in", { "client", "server" }))
      assert.is_true(of_child(field, "not-in", { "client", "other" }))
    end
    assert.is_true(of_child("status_code", "=", 2))
    assert.is_true(of_child("status_code", "=", "2", "int"))
    assert.is_true(of_child("status_code", ">", 1))
    assert.is_false(of_child("status_code", "!=", 2))
    assert.is_true(of_child("status_message", "contains", "n"))
    assert.is_false(matches(one("status_message", "exists"), { root }, "span"))
    assert.is_true(of_child("library.name", "=", "lib"))
    assert.is_false(of_child("library.version", "exists"))
    assert.is_true(matches(one("type", "=", "cron"), { { attr = { type = "cron" } } }))
    assert.is_true(matches({ { fields = { "status_message", "f" }, operator = "=", value = "x" } }, { { attr = { f = "x" } } }))
    assert.is_true(matches(one("root.span.kind", "=", "internal"), { { kind = "internal" } }))
  end)

  it("takes the first of several fields that is there", function()
    local c = { { fields = { "new", "old" }, operator = ">=", value = 500 } }
    assert.is_true(matches(c, { { attr = { new = 500 } } }))
    assert.is_true(matches(c, { { attr = { old = 503 } } }))
    assert.is_false(matches(c, { { attr = { new = 200, old = 503 } } }))
    assert.is_false(matches(c, { {} }))
    assert.is_true(matches({ { fields = { "new", "old" }, operator = "not-exists" } }, { {} }))
    assert.is_false(matches({ { fields = { "new", "old" }, operator = "not-exists" } }, { { attr = { old = 1 } } }))
  end)

  it("may have each condition on another span, or all on one", function()
    local c = { { field = "a", operator = "=", value = 1 }, { field = "b", operator = "=", value = 2 } }
    local apart, together = { { attr = { a = 1 } }, { attr = { b = 2 } } }, { {}, { attr = { a = 1, b = 2 } } }
    assert.is_true(matches(c, apart, "trace"))
    assert.is_false(matches(c, apart, "span"))
    assert.is_true(matches(c, together, "span"))
    assert.is_true(matches(one("a", "!=", 1), { { attr = { a = 1 } }, { attr = { a = 2 } } }))
  end)

  it("asks the root alone", function()
    local spans = { { attr = { f = "root" } }, { attr = { f = "child" } } }
    assert.is_true(matches(one("root.f", "=", "root"), spans))
    assert.is_false(matches(one("root.f", "=", "child"), spans))
    assert.is_false(matches(one("root.f", "=", "child"), { { parent = "00000000000000ff", attr = { f = "child" } } }))
    assert.is_true(matches(one("root.f", "not-exists"), { { parent = "00000000000000ff" } }))
    local orphan = { { parent = "00000000000000ff" } }
    assert.is_true(matches({ { operator = "has-root-span", value = true } }, spans))
    assert.is_false(matches({ { operator = "has-root-span", value = true } }, orphan))
    assert.is_true(matches({ { operator = "has-root-span", value = false } }, orphan))
    assert.is_false(matches({ { operator = "has-root-span", value = true } }, spans, "span"))
  end)

  it("counts spans", function()
    assert.is_true(matches(one("?.NUM_DESCENDANTS", ">", 1), { {}, {} }))
    assert.is_false(matches(one("?.NUM_DESCENDANTS", ">", 2), { {}, {} }))
    assert.is_true(matches(one("?.NUM_DESCENDANTS", "=", 2), { {}, {} }))
  end)

  it("takes long lists as it takes short ones", function()
    local function list(count, ...)
      local values = { ... }
      for i = 1, count do values[#values + 1] = "customer-" .. i end
      return values
    end
    local traces = {
      { { attr = { f = "x" } } }, { { attr = { f = "customer-9" }, resource = { f = "x" } } }, { { resource = { f = "x" } } }, { {} },
      { { attr = { f = 5 } } }, { { attr = { f = "5" } } }, { { attr = { f = true } } }, { { attr = { f = { "x" } } } },
      { { attr = { f = "y" } }, { attr = { f = "x", g = 1 } } }, { { attr = { f = "y", g = 1 } }, { attr = { f = "x" } } },
      { { parent = "00000000000000ff", attr = { f = "x" } } }, { { name = "x", attr = { h = "x" } } }, { { attr = { h = "x" } } },
    }
    for _, operator in ipairs { "in", "not-in" } do
      for _, datatype in ipairs { false, "string", "int" } do
        for _, scope in ipairs { "trace", "span" } do
          for _, field in ipairs { "f", "root.f", "name", "trace.parent_id", "span.kind", "status_message", "library.name" } do
            local is_text = field ~= "f" and field ~= "root.f"
            local function conditions(count)
              local value = is_text and list(count, "x", "00000000000000ff", "internal") or list(count, "x", 5, "true")
              return {
                { fields = field == "f" and { "f", "h" } or { field }, operator = operator, datatype = not is_text and datatype or nil, value = value },
                field == "f" and scope == "span" and { field = "g", operator = "not-exists" } or nil,
              }
            end
            for i, spans in ipairs(traces) do
              local said = table.concat({ operator, tostring(datatype), scope, field, i }, " ")
              assert.equal(matches(conditions(9), spans, scope), matches(conditions(3000), spans, scope), said)
            end
          end
        end
      end
    end
  end)

  it("asks a rule's sampler", function()
    local p = policy({ { name = "rest", sampler = "tenth" } }, { samplers = { t.make "deterministic" { name = "tenth", sample_rate = 10 } } })
    assert.same({ "sample", 0.1, "rest" }, p:decide(t.trace { {} }))
    local errors = policy({ { name = "rest", sampler = "status_code" } }, { samplers = { t.make "status_code" } })
    assert.same({ "keep", "rest" }, errors:decide(t.trace { { status = "error" } }))
    assert.same({ "drop", "rest" }, errors:decide(t.trace { {} }))
  end)

  it("takes samplers of any name", function()
    for _, name in ipairs { "it's", "a>b", "'>'" } do
      local p = policy({ { sampler = name } }, { samplers = { t.make "deterministic" { name = name, sample_rate = 10 } } })
      assert.same({ "sample", 0.1, "rules" }, p:decide(t.trace { {} }))
    end
  end)

  it("says what is wrong", function()
    local function wrong(pattern, rule) assert.error_matches(function() policy { {}, rule } end, pattern) end
    wrong("rules%[2%]: the operator is like; known are", { conditions = one("f", "like", 1) })
    wrong("rules%[2%]: the value of > is a; allowed: a number", { conditions = one("f", ">", "a") })
    wrong("rules%[2%]: the value of in is no list", { conditions = one("f", "in", 5) })
    wrong("rules%[2%]: a condition lacks its field", { conditions = { { operator = "exists" } } })
    wrong("rules%[2%]: there is no sampler 'x' in samplers", { sampler = "x" })
    wrong("rules%[2%]: a rule has no 'rate'", { rate = 5 })
    wrong("rules%[2%]: a condition has no 'op'", { conditions = { { op = "=" } } })
    wrong("rules%[2%]: sample_rate is %-1", { sample_rate = -1 })
    wrong('rules%[2%]: scope is spans; allowed: "trace", "span"', { scope = "spans" })
    local long = ("x"):rep(20000)
    wrong("rules%[2%]: what has to hold on one span has %d+ bytes, as conditions of OTTL; allowed: at most 16384", { conditions = one("f", "=", long) })
    wrong("missing %)", { conditions = one("f", "matches", "(") })
    assert.error_matches(function() policy { 5 } end, "rules%[1%] is 5; allowed: a table")
    assert.error_matches(function() policy {} end, "at least 1")
  end)
end)
