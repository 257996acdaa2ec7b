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

  it("does not depend on the order of the spans", function()
    local short = t.policy("latency", { threshold_ms = 0.001, upper_threshold_ms = 50 })
    local spans = { { parent = false, duration_ms = 10 }, { parent = false, offset_ms = 190, duration_ms = 10 }, { parent = false, offset_ms = 100, duration_ms = 1 } }
    for _, order in ipairs { { 1, 2, 3 }, { 1, 3, 2 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 3, 2, 1 } } do
      assert.is_nil(short:decide(t.trace { spans[order[1]], spans[order[2]], spans[order[3]] }))
    end
  end)

  it("has an upper threshold, inclusive", function()
    local between = t.policy("latency", { threshold_ms = 100, upper_threshold_ms = 200 })
    assert.is_nil(between:decide(t.trace { { duration_ms = 99 } }))
    assert.same({ "keep", "slow" }, between:decide(t.trace { { duration_ms = 100 } }))
    assert.same({ "keep", "slow" }, between:decide(t.trace { { duration_ms = 200 } }))
    assert.is_nil(between:decide(t.trace { { duration_ms = 200.001 } }))
  end)
end)
