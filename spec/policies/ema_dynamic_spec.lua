local t = require "moontail.testing"
local rates = require "support.rates"

local of, rate, send = rates.of, rates.rate, rates.send

describe("ema_dynamic", function()
  it("averages over the intervals", function()
    local p = t.policy("ema_dynamic", { goal_sample_rate = 10, field_list = { "name" } })
    assert.equal(10, rate(p, of "a"))
    send(p, { a = 999, b = 10, c = 1 })
    t.advance(15000)
    local first = rate(p, of "a")
    assert.is_true(first > 10)
    t.advance(15000)
    assert.is_true(rate(p, of "a") > 1) -- what came before counts by half
    assert.equal(1, rate(p, of "c"))
  end)

  it("ends an interval early when much more comes", function()
    local p = t.policy("ema_dynamic", { goal_sample_rate = 10, field_list = { "name" } })
    for _ = 1, 4 do
      send(p, { a = 100 })
      t.advance(15000)
    end
    assert.equal(1, rate(p, of "b"))
    send(p, { b = 1000 })
    assert.is_true(rate(p, of "b") > 1)
  end)
end)
