local t = require "moontail.testing"

local kept = { "keep", "string_attribute" }
local function policy(options) return t.policy("string_attribute", options) end

describe("string_attribute", function()
  local p = policy { key = "k", values = { "a", "b" } }

  it("keeps a trace with one of the values on any span", function()
    assert.same(kept, p:decide(t.trace { {}, { attr = { k = "b" } }, {} }))
    assert.is_nil(p:decide(t.trace { { attr = { k = "c" } }, { attr = { other = "a" } } }))
    assert.is_nil(p:decide(t.trace { { attr = { k = "A" } } }))
  end)

  it("looks at resources", function()
    assert.same(kept, p:decide(t.trace { {}, { resource = { k = "a" } } }))
    assert.is_nil(p:decide(t.trace { { resource = { k = "" } } }))
  end)

  it("compares strings only", function()
    local five = policy { key = "k", values = { "5", "true" } }
    assert.is_nil(five:decide(t.trace { { attr = { k = 5 } }, { attr = { k = true } } }))
    assert.same(kept, five:decide(t.trace { { attr = { k = "5" } } }))
    assert.error_matches(function() policy { key = "k", values = { "a", 5 } } end, "values%[2%] is 5; allowed: a string")
  end)

  it("takes regular expressions, which may match anywhere in a value", function()
    local expressions = policy { key = "k", values = { "^v1/", "cart" }, enabled_regex_matching = true, cache_max_size = 10 }
    assert.same(kept, expressions:decide(t.trace { { attr = { k = "v1/x" } } }))
    assert.same(kept, expressions:decide(t.trace { {}, { resource = { k = "my cart" } } }))
    assert.is_nil(expressions:decide(t.trace { { attr = { k = "/v1/x" } } }))
    assert.error_matches(function() policy { key = "k", values = { "(" }, enabled_regex_matching = true } end, "regex '%('")
    local literal = policy { key = "k", values = { "a.c" } }
    assert.is_nil(literal:decide(t.trace { { attr = { k = "abc" } } }))
  end)

  it("inverted keeps a trace where nothing has the value", function()
    local inverted = policy { key = "k", values = { "a" }, invert_match = true }
    assert.same(kept, inverted:decide(t.trace { {}, {} }))
    assert.same(kept, inverted:decide(t.trace { { attr = { k = "b" } } }))
    assert.is_nil(inverted:decide(t.trace { { attr = { k = "b" } }, { attr = { k = "a" } } }))
    assert.is_nil(inverted:decide(t.trace { {}, { resource = { k = "a" } } }))
  end)

  it("says what is missing", function()
    assert.error_matches(function() policy { values = { "a" } } end, "key is missing")
    assert.error_matches(function() policy { key = "k" } end, "values is missing")
    assert.error_matches(function() policy { key = "k", values = {} } end, "at least 1")
  end)
end)
