local t = require "moontail.testing"

local kept = { "keep", "trace_state" }
local function of(text) return t.trace { {}, { trace_state = text } } end

describe("trace_state", function()
  local p = t.policy("trace_state", { key = "tenant", values = { "gold", "platinum" } })

  it("keeps a trace with one of the values on any span", function()
    assert.same(kept, p:decide(of "tenant=gold"))
    assert.same(kept, p:decide(of "rojo=00f067aa0ba902b7,tenant=platinum"))
    assert.same(kept, p:decide(of "a=b, \ttenant=gold ,c=d"))
    assert.is_nil(p:decide(of "tenant=silver"))
    assert.is_nil(p:decide(of "tenant=gold2"))
    assert.is_nil(p:decide(of "xtenant=gold,tenantx=gold"))
    assert.is_nil(p:decide(t.trace { {} }))
  end)

  it("takes values with an equals sign, and the first of two members", function()
    local eq = t.policy("trace_state", { key = "k", values = { "a=b" } })
    assert.same(kept, eq:decide(of "k=a=b"))
    assert.is_nil(eq:decide(of "k=a"))
    assert.is_nil(eq:decide(of "k=c,k=a=b"))
  end)

  it("survives what is no tracestate", function()
    for _, text in ipairs { "", ",", "=", "tenant", "tenant=", ",,=gold,", ("x"):rep(2000) } do assert.is_nil(p:decide(of(text))) end
  end)

  it("does not ask for the draw's own member", function()
    assert.error_matches(function() t.policy("trace_state", { key = "ot", values = { "th:0" } }) end, "trace_state.ot is the draw's own")
    assert.error_matches(function() t.policy("trace_state", { key = "k", values = { 5 } }) end, "values%[1%] is 5; allowed: a string")
  end)
end)
