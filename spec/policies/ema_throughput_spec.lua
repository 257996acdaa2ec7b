local t = require "moontail.testing"

-- A trace of so many spans, all with this name.
local function of(name, count, more)
  local spans = {}
  for i = 1, count or 1 do spans[i] = { name = name } end
  for key, value in pairs(more or {}) do spans[1][key] = value end
  return t.trace(spans)
end

-- 1 in so many.
local function rate(p, trace)
  local said = p:decide(trace)
  assert.equal("sample", said[1])
  return math.floor(1 / said[2] + 0.5)
end

local function send(p, counts)
  for name, count in pairs(counts) do
    local trace = of(name)
    for _ = 1, count do p:decide(trace) end
  end
end

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
