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
