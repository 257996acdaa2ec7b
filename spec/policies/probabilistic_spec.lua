local t = require "moontail.testing"

describe("probabilistic", function()
  it("samples its percentage", function()
    local p = t.policy("probabilistic", { sampling_percentage = 10 })
    assert.same({ "sample", 0.1, "sampled" }, p:decide(t.trace { {} }))
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
