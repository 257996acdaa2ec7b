local t = require "moontail.testing"

describe("always_sample", function()
  it("keeps every trace", function()
    assert.same({ "keep", "always" }, t.policy("always_sample"):decide(t.trace { {} }))
  end)
end)
