local t = require "moontail.testing"
local rates = require "support.rates"

local of, rate, send = rates.of, rates.rate, rates.send

describe("windowed_throughput", function()
  it("follows what came in its window", function()
    local p = t.policy("windowed_throughput", { goal_throughput_per_sec = 10, field_list = { "name" }, lookback_frequency = "10s", update_frequency = "1s" })
    assert.equal(1, rate(p, of "a"))
    send(p, { a = 999 })
    assert.equal(10, rate(p, of "a"))
    assert.equal(1, rate(p, of "b"))
    assert.equal(20, rate(p, of "a"))
    t.advance(20000)
    assert.equal(1, rate(p, of "a"))
  end)
end)
