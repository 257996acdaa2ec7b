local t = require "moontail.testing"
local rates = require "support.rates"

local of, rate, send = rates.of, rates.rate, rates.send

describe("total_throughput", function()
  it("gives each key the same part", function()
    local p = t.policy("total_throughput", { goal_throughput_per_sec = 10, field_list = { "name" }, clear_frequency = "10s" })
    send(p, { a = 1000, b = 200, c = 20, d = 5 })
    t.advance(10000)
    assert.equal(40, rate(p, of "a")) -- 25 of the 100 are its
    assert.equal(8, rate(p, of "b"))
    assert.equal(1, rate(p, of "c"))
    assert.equal(1, rate(p, of "d"))
  end)
end)
