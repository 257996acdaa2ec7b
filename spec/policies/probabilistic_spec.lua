local t = require "moontail.testing"

describe("probabilistic", function()
  it("samples its percentage", function()
    local p = t.policy("probabilistic", { sampling_percentage = 10 })
    assert.same({ "sample", 0.1, "sampled" }, p:decide(t.trace { {} }))
  end)

  it("accepts a salt, which changes nothing", function()
    local p = t.policy("probabilistic", { sampling_percentage = 10, hash_salt = "x" })
    assert.same({ "sample", 0.1, "sampled" }, p:decide(t.trace { {} }))
  end)

  it("is exact to the last of 56 bits", function()
    local chain = t.chain({ t.make { name = "one", decide = function() return t.sample(2 ^ -56) end } }, t.drop())
    assert.same({ "keep", "one", "one", 2 ^ -56 }, chain:decide(t.trace { id = "000000000000000000ffffffffffffff", {} }))
    assert.same({ "drop", "one", "one", 2 ^ -56 }, chain:decide(t.trace { id = "000000000000000000fffffffffffffe", {} }))
  end)

  it("keeps at every larger share what it keeps at one", function()
    local shares, before = { 1, 5, 10, 33, 50, 99, 100 }, {}
    for _, share in ipairs(shares) do
      local chain = t.chain({ t.make "probabilistic" { sampling_percentage = share } }, t.drop())
      for i = 1, 100 do
        local kept = chain:decide(t.trace { id = ("%018x%07x%07x"):format(0, i * 2654435 % 2 ^ 28, i), {} })[1] == "keep"
        assert.is_true(kept or not before[i])
        before[i] = kept
      end
    end
  end)

  it("follows the rv that came with the root", function()
    local chain = t.chain({ t.make "probabilistic" { sampling_percentage = 50 } }, t.drop())
    local low = "00000000000000000000000000000001"
    assert.equal("drop", chain:decide(t.trace { id = low, {} })[1])
    assert.equal("keep", chain:decide(t.trace { id = low, { trace_state = "ot=rv:80000000000000" } })[1])
    assert.equal("drop", chain:decide(t.trace { id = low, { trace_state = "ot=rv:7fffffffffffff" } })[1])
  end)

  it("samples all and nothing", function()
    assert.same({ "sample", 1, "sampled" }, t.policy("probabilistic", { sampling_percentage = 100 }):decide(t.trace { {} }))
    assert.same({ "sample", 0, "sampled" }, t.policy("probabilistic", { sampling_percentage = 0 }):decide(t.trace { {} }))
  end)

  it("keeps those whose randomness reaches the threshold, and no others", function()
    local chain = t.chain({ t.make "probabilistic" { sampling_percentage = 10 } }, t.drop())
    local at = t.trace { id = "000000000000000000e6660000000000", {} }
    local under = t.trace { id = "000000000000000000e665ffffffffff", {} }
    assert.same({ "keep", "probabilistic", "sampled", 0.1 }, chain:decide(at))
    assert.same({ "drop", "probabilistic", "sampled", 0.1 }, chain:decide(under))
  end)
end)
