local t = require "moontail.testing"

local function all(list, trace) return t.policy("and", { and_sub_policy = list }):decide(trace or t.trace { {} }) end
local errors = t.make "status_code" { status_codes = { "ERROR" } }
local slow = t.make "latency" { threshold_ms = 100 }
local function some(p) return t.make("probabilistic/p" .. p) { sampling_percentage = p } end

describe("and", function()
  it("keeps what all of its policies keep", function()
    assert.same({ "keep", "and" }, all({ errors, slow }, t.trace { { status = "error", duration_ms = 100 } }))
    assert.is_nil(all({ errors, slow }, t.trace { { status = "error", duration_ms = 99 } }))
    assert.is_nil(all({ errors, slow }, t.trace { { duration_ms = 100 } }))
  end)

  it("lets each find what it looks for on another span", function()
    local a = t.make "string_attribute/a" { key = "a", values = { "1" } }
    local b = t.make "string_attribute/b" { key = "b", values = { "1" } }
    assert.same({ "keep", "and" }, all({ a, b }, t.trace { { attr = { a = "1" } }, { attr = { b = "1" } } }))
  end)

  it("samples with the least of the probabilities", function()
    local failed = t.trace { { status = "error" } }
    assert.same({ "at_least", 0.1, "and" }, all({ some(50), errors, some(10) }, failed))
    assert.same({ "keep", "and" }, all({ some(100), errors }, failed))
    assert.is_nil(all({ some(0), errors }, failed))
  end)

  it("takes what is inverted as any other", function()
    local not_beta = t.make "string_attribute" { key = "group", values = { "beta" }, invert_match = true }
    assert.same({ "keep", "and" }, all({ errors, not_beta }, t.trace { { status = "error" } }))
    assert.is_nil(all({ errors, not_beta }, t.trace { { status = "error", attr = { group = "beta" } } }))
    assert.is_nil(all({ errors, not_beta }, t.trace { {} }))
  end)

  it("asks a limit only about what those before it keep", function()
    local p = t.policy("and", { and_sub_policy = { errors, t.make "rate_limiting" { spans_per_second = 1, burst_capacity = 1 } } })
    for _ = 1, 10 do assert.is_nil(p:decide(t.trace { {} })) end
    assert.same({ "keep", "and" }, p:decide(t.trace { { status = "error" } }))
    assert.is_nil(p:decide(t.trace { { status = "error" } }))
  end)

  it("leaves other traces to the policies that follow", function()
    local chain = t.chain({ t.make "and" { and_sub_policy = { errors, slow } }, t.make "always_sample" }, t.drop())
    assert.same({ "keep", "always_sample", "always" }, chain:decide(t.trace { {} }))
    assert.same({ "keep", "and", "and" }, chain:decide(t.trace { { status = "error", duration_ms = 200 } }))
  end)

  it("goes into itself", function()
    local inner = t.make "and/inner" { and_sub_policy = { errors } }
    assert.same({ "keep", "and" }, all({ inner, slow }, t.trace { { status = "error", duration_ms = 200 } }))
  end)

  it("needs a policy", function()
    assert.error_matches(function() all {} end, "at least 1")
  end)
end)
