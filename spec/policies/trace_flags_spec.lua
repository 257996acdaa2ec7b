local t = require "moontail.testing"

describe("trace_flags", function()
  local p = t.policy "trace_flags"

  it("keeps a trace with a sampled span", function()
    assert.same({ "keep", "trace_flags" }, p:decide(t.trace { {}, { flags = 1 } }))
    assert.same({ "keep", "trace_flags" }, p:decide(t.trace { { flags = 0x103 } }))
  end)

  it("has no opinion on others", function()
    assert.is_nil(p:decide(t.trace { {}, { flags = 0 } }))
    assert.is_nil(p:decide(t.trace { { flags = 0x302 } }))
  end)
end)
