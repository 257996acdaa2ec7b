local t = require "moontail.testing"

describe("latency", function()
  local p = t.policy("latency", { threshold_ms = 250 })

  it("keeps a trace exactly at the threshold", function()
    assert.same({ "keep", "slow" }, p:decide(t.trace { { duration_ms = 250 } }))
  end)

  it("has no opinion just under it", function()
    assert.is_nil(p:decide(t.trace { { duration_ms = 249.999 } }))
  end)

  it("takes the trace from its earliest start to its latest end", function()
    local spans = { { duration_ms = 100 }, { offset_ms = 150, duration_ms = 100 } }
    assert.same({ "keep", "slow" }, p:decide(t.trace(spans)))
    spans[2].duration_ms = 99
    assert.is_nil(p:decide(t.trace(spans)))
  end)

  it("leaves out spans without a time", function()
    assert.is_nil(p:decide(t.trace { { duration_ms = 100 }, { start_ns = 0 }, { end_ns = 0 } }))
  end)

  it("has an upper threshold, inclusive", function()
    local between = t.policy("latency", { threshold_ms = 100, upper_threshold_ms = 200 })
    assert.is_nil(between:decide(t.trace { { duration_ms = 99 } }))
    assert.same({ "keep", "slow" }, between:decide(t.trace { { duration_ms = 100 } }))
    assert.same({ "keep", "slow" }, between:decide(t.trace { { duration_ms = 200 } }))
    assert.is_nil(between:decide(t.trace { { duration_ms = 200.001 } }))
  end)
end)
