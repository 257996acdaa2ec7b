local t = require "moontail.testing"

-- The shares that traces get, so many a second.
local function flood(p, rate, seconds, make)
  local shares = {}
  for i = 1, rate * seconds do
    local verdict = p:decide(make(i))
    shares[i] = verdict and verdict[2] or 0
    t.advance(1000 / rate)
  end
  return shares
end

-- Spread over all of the randomness, which is the id's last 14 digits.
local function id_of(i)
  local high, low = i * 7919 % 16777216 * 40503 % 268435456, i * 104729 % 268435456
  return ("%018x%07x%07x"):format(1, high, low)
end

local function one(i) return t.trace { {}, id = id_of(i) } end

describe("budget", function()
  it("keeps all of what stays well below the cap", function()
    local p = t.policy("budget", { traces_per_second = 100 })
    for _, share in ipairs(flood(p, 50, 2, one)) do assert.equal(1, share) end
  end)

  it("gives smaller and smaller shares in a flood, never none for long", function()
    local p = t.policy("budget", { traces_per_second = 100 })
    local shares = flood(p, 5000, 1, one)
    assert.equal(1, shares[1])
    local least, none = 1, 0
    for i = 1000, #shares do
      least = math.min(least, shares[i])
      if shares[i] == 0 then none = none + 1 end
    end
    assert.is_true(least < 0.1)
    assert.is_true(none < 40)
  end)

  it("has a cap for each value", function()
    local p = t.policy("budget", { traces_per_second = 10, key = { "service" } })
    local function of(service) return function(i) return t.trace { { service = service }, id = id_of(i) } end end
    flood(p, 1000, 1, of "loud")
    assert.same({ "sample", 1, "budget" }, p:decide(of "quiet"(1)))
  end)

  it("leaves with the threshold of its share", function()
    local chain = t.chain({ t.make "budget" { traces_per_second = 10 } }, t.drop())
    assert.is_false(chain:is_unknown(one(1)))
  end)
end)
