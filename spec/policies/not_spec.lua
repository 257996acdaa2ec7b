local t = require "moontail.testing"

local function opposite(policy, trace) return t.policy("not", { not_sub_policy = { policy } }):decide(trace) end
local errors = t.make "status_code" { status_codes = { "ERROR" } }

describe("not", function()
  it("keeps what its policy does not keep, and has no opinion on the rest", function()
    assert.same({ "keep", "not" }, opposite(errors, t.trace { {} }))
    assert.is_nil(opposite(errors, t.trace { { status = "error" } }))
  end)

  it("never drops", function()
    local chain = t.chain({ t.make "not" { not_sub_policy = { errors } }, errors }, t.drop())
    assert.same({ "keep", "status_code", "error" }, chain:decide(t.trace { { status = "error" } }))
  end)

  it("samples what is missing to 1", function()
    local one = t.trace { {} }
    assert.same({ "at_least", 0.75, "not" }, opposite(t.make "probabilistic" { sampling_percentage = 25 }, one))
    assert.same({ "keep", "not" }, opposite(t.make "probabilistic" { sampling_percentage = 0 }, one))
    assert.is_nil(opposite(t.make "probabilistic" { sampling_percentage = 100 }, one))
  end)

  it("twice is what it was", function()
    local inner = t.make "not/inner" { not_sub_policy = { errors } }
    assert.is_nil(opposite(inner, t.trace { {} }))
    assert.same({ "keep", "not" }, opposite(inner, t.trace { { status = "error" } }))
  end)

  it("takes exactly one policy", function()
    assert.error_matches(function() t.policy("not", { not_sub_policy = {} }) end, "1 to 1")
    assert.error_matches(function() t.policy("not", { not_sub_policy = { errors, t.make "always_sample" } }) end, "1 to 1")
  end)
end)
