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
