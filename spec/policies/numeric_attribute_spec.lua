local t = require "moontail.testing"

local kept = { "keep", "numeric_attribute" }
local function policy(options)
  options.key = "k"
  return t.policy("numeric_attribute", options)
end
local function of(value) return t.trace { {}, { attr = { k = value } } } end

describe("numeric_attribute", function()
  it("includes both bounds", function()
    local p = policy { min_value = 10, max_value = 20 }
    assert.same(kept, p:decide(of(10)))
    assert.same(kept, p:decide(of(20)))
    assert.same(kept, p:decide(of(15)))
    assert.is_nil(p:decide(of(9)))
    assert.is_nil(p:decide(of(21)))
    assert.is_nil(p:decide(t.trace { { attr = { other = 15 } } }))
    assert.same(kept, p:decide(t.trace { { resource = { k = 15 } } }))
  end)

  it("takes 0 as a bound", function()
    local zero = policy { min_value = 0, max_value = 0 }
    assert.same(kept, zero:decide(of(0)))
    assert.is_nil(zero:decide(of(1)))
    assert.is_nil(zero:decide(of(-1)))
    local negative = policy { max_value = 0 }
    assert.same(kept, negative:decide(of(-5)))
    assert.is_nil(negative:decide(of(1)))
  end)

  it("is open where there is no bound", function()
    assert.same(kept, policy({ min_value = 5 }):decide(of(1e15)))
    assert.is_nil(policy({ min_value = 5 }):decide(of(4)))
  end)

  it("compares doubles as they are, and nothing that is no number", function()
    local p = policy { min_value = 0, max_value = 0.5 }
    assert.same(kept, p:decide(of(0.5)))
    assert.is_nil(p:decide(of(0.51)))
    for _, other in ipairs { "0", "x", false, t.bytes "0", t.map { a = 0 } } do assert.is_nil(p:decide(of(other))) end
  end)

  it("is exact on large integers", function()
    local p = policy { min_value = 2 ^ 53 }
    assert.is_nil(p:decide(of(t.int "9007199254740991")))
    assert.same(kept, p:decide(of(t.int "9007199254740993")))
  end)

  it("inverted keeps a trace where nothing has such a number", function()
    local p = policy { min_value = 1, max_value = 3, invert_match = true }
    assert.same(kept, p:decide(t.trace { {} }))
    assert.same(kept, p:decide(of(4)))
    assert.is_nil(p:decide(of(2)))
    assert.is_nil(p:decide(t.trace { { attr = { k = 4 } }, { resource = { k = 1 } } }))
  end)

  it("needs a bound, and one that holds something", function()
    assert.error_matches(function() policy {} end, "needs min_value, max_value or both")
    assert.error_matches(function() policy { min_value = 2, max_value = 1 } end, "min_value is above max_value")
  end)
end)
