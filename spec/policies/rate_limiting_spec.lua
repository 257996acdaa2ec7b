local t = require "moontail.testing"

local function trace(count)
  local spans = {}
  for i = 1, count do spans[i] = {} end
  return t.trace(spans)
end

describe("rate_limiting", function()
  it("keeps twice its rate at once, then its rate", function()
    local p, one, kept = t.policy("rate_limiting", { spans_per_second = 10 }), trace(1), 0
    for _ = 1, 10000 do
      if p:decide(one) then kept = kept + 1 end
      t.advance(1)
    end
    assert.equal(20 + 99, kept)
  end)

  it("counts spans, and takes a trace as a whole", function()
    local p = t.policy("rate_limiting", { spans_per_second = 10, burst_capacity = 10 })
    assert.same({ "keep", "rate_limiting" }, p:decide(trace(8)))
    assert.is_nil(p:decide(trace(3)))
    assert.same({ "keep", "rate_limiting" }, p:decide(trace(2)))
    t.advance(60000)
    assert.is_nil(p:decide(trace(11)))
    assert.same({ "keep", "rate_limiting" }, p:decide(trace(10)))
  end)

  it("keeps without a th", function()
    local chain = t.chain({ t.make "rate_limiting" { spans_per_second = 10 } }, t.drop())
    assert.is_true(chain:is_unknown(trace(1)))
  end)
end)
