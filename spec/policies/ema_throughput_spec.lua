local t = require "moontail.testing"
local rates = require "support.rates"

local of, rate, send = rates.of, rates.rate, rates.send

describe("ema_throughput", function()
  it("comes to its goal whatever comes", function()
    local p = t.policy("ema_throughput", { goal_throughput_per_sec = 10, field_list = { "name" }, adjustment_interval = "1s", weight = 1 })
    assert.equal(10, rate(p, of "a"))
    for _, load in ipairs { 200, 2000, 100 } do
      send(p, { a = load })
      t.advance(1000)
      assert.is_true(math.abs(rate(p, of "a") - load / 10) <= 1)
    end
    assert.equal(4, rate(t.policy("ema_throughput", { goal_throughput_per_sec = 10, field_list = { "name" }, initial_sample_rate = 4 }), of "a"))
  end)
end)
