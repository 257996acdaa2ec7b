local t = require "moontail.testing"

local kept = { "keep", "boolean_attribute" }
local function of(value) return t.trace { {}, { attr = { k = value } } } end

describe("boolean_attribute", function()
  it("keeps a trace with the value on a span or a resource", function()
    local yes = t.policy("boolean_attribute", { key = "k" })
    assert.same(kept, yes:decide(of(true)))
    assert.is_nil(yes:decide(of(false)))
    assert.same(kept, yes:decide(t.trace { { resource = { k = true } } }))
    local no = t.policy("boolean_attribute", { key = "k", value = false })
    assert.same(kept, no:decide(of(false)))
    assert.is_nil(no:decide(of(true)))
  end)

  it("takes nothing else for a boolean", function()
    for _, wanted in ipairs { true, false } do
      local p = t.policy("boolean_attribute", { key = "k", value = wanted })
      for _, other in ipairs { "true", "false", "", 0, 1 } do assert.is_nil(p:decide(of(other))) end
      assert.is_nil(p:decide(t.trace { {} }))
    end
  end)

  it("inverted keeps a trace where nothing has the value", function()
    local p = t.policy("boolean_attribute", { key = "k", value = true, invert_match = true })
    assert.same(kept, p:decide(t.trace { {} }))
    assert.same(kept, p:decide(of(false)))
    assert.is_nil(p:decide(of(true)))
    assert.is_nil(p:decide(t.trace { { attr = { k = false } }, { resource = { k = true } } }))
  end)
end)
