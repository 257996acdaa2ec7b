local t = require "moontail.testing"

describe("deterministic", function()
  it("samples 1 in so many, the same on every node", function()
    assert.same({ "sample", 0.1, "sampled" }, t.policy("deterministic", { sample_rate = 10 }):decide(t.trace { {} }))
    assert.same({ "sample", 1, "sampled" }, t.policy("deterministic", { sample_rate = 1 }):decide(t.trace { {} }))
    assert.error_matches(function() t.policy("deterministic", { sample_rate = 0.5 }) end, "at least 1")
  end)
end)
