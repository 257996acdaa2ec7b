local t = require "moontail.testing"

local function policy(options) return t.policy("ottl_condition", options) end

describe("ottl_condition", function()
  it("keeps a trace where a condition holds on one span", function()
    local p = policy { span = { 'attributes["a"] == 1 and attributes["b"] == 2', 'name == "pay"' } }
    assert.same({ "keep", "ottl_condition" }, p:decide(t.trace { {}, { attr = { a = 1, b = 2 } } }))
    assert.is_nil(p:decide(t.trace { { attr = { a = 1 } }, { attr = { b = 2 } } }))
    assert.same({ "keep", "ottl_condition" }, p:decide(t.trace { {}, { name = "pay" } }))
  end)

  it("asks events", function()
    local p = policy { spanevent = { 'name == "exception" and attributes["exception.type"] == "Timeout"' } }
    local function events(list) return t.trace { {}, { events = list } } end
    assert.same({ "keep", "ottl_condition" }, p:decide(events { {}, { name = "exception", attr = { ["exception.type"] = "Timeout" } } }))
    assert.is_nil(p:decide(events { { name = "exception" }, { name = "other", attr = { ["exception.type"] = "Timeout" } } }))
    assert.is_nil(p:decide(events {}))
  end)

  it("says which condition is wrong, where, and what to write", function()
    local ok, text = pcall(policy, { span = { 'name == "a"', 'attributes["a"] == attributes["b"]' }, error_mode = "propagate" })
    assert.is_false(ok)
    assert.truthy(text:find('policy "ottl_condition": span[2]: a string, number, boolean, enum or nil is expected here', 1, true), text)
    assert.match('\n  attributes%["a"%] == attributes%["b"%]\n' .. (" "):rep(21) .. "%^\n", text)
    assert.match('if span:attr%("a"%) == span:attr%("b"%) then return keep%(%) end', text)
    assert.error_matches(function() policy {} end, "needs a condition in span or spanevent")
  end)
end)
