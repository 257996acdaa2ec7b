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
