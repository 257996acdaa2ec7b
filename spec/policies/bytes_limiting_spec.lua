local t = require "moontail.testing"

local function trace(bytes) return t.trace { { name = ("x"):rep(bytes) } } end
local function size(one) return (t.read(one, function(seen) return seen.bytes end)) end

describe("bytes_limiting", function()
  it("keeps twice its rate at once, then its rate", function()
    local one = trace(900)
    local p, kept = t.policy("bytes_limiting", { bytes_per_second = size(one) * 10 }), 0
    for _ = 1, 10000 do
      if p:decide(one) then kept = kept + 1 end
      t.advance(1)
    end
    assert.equal(20 + 99, kept)
  end)

  it("takes a trace as a whole", function()
    local small, large = trace(100), trace(300)
    local p = t.policy("bytes_limiting", { bytes_per_second = "1KiB", burst_capacity = size(small) + size(large) - 1 })
    assert.same({ "keep", "bytes_limiting" }, p:decide(large))
    assert.is_nil(p:decide(small))
    t.advance(1)
    assert.same({ "keep", "bytes_limiting" }, p:decide(small))
    local never = t.policy("bytes_limiting", { bytes_per_second = 1, burst_capacity = size(small) - 1 })
    t.advance(3600000)
    assert.is_nil(never:decide(small))
  end)

  it("takes rates from one byte to gigabytes", function()
    local one = trace(100)
    assert.is_nil(t.policy("bytes_limiting", { bytes_per_second = 1 }):decide(one))
    local p, kept = t.policy("bytes_limiting", { bytes_per_second = "4GiB" }), 0
    for _ = 1, 1000 do kept = kept + (p:decide(one) and 1 or 0) end
    assert.equal(1000, kept)
  end)
end)
