local t = require "moontail.testing"

describe("status_code", function()
  local p = t.policy "status_code"

  it("keeps a trace with an error in any span", function()
    assert.same({ "keep", "error" }, p:decide(t.trace { {}, { status = "error" }, {} }))
  end)

  it("has no opinion without an error", function()
    assert.is_nil(p:decide(t.trace { { status = "ok" }, { status = "unset" }, {} }))
  end)

  it("takes other codes", function()
    local ok = t.policy("status_code", { status_codes = { "OK", "ERROR" } })
    assert.same({ "keep", "ok" }, ok:decide(t.trace { {}, { status = "ok" } }))
    assert.same({ "keep", "error" }, ok:decide(t.trace { { status = "ok" }, { status = "error" } }))
    assert.is_nil(ok:decide(t.trace { {} }))
    local unset = t.policy("status_code", { status_codes = { "UNSET" } })
    assert.same({ "keep", "unset" }, unset:decide(t.trace { {} }))
  end)

  it("refuses codes that are none", function()
    assert.has_error(function() t.policy("status_code", { status_codes = { "error" } }) end)
    assert.has_error(function() t.policy("status_code", { status_codes = {} }) end)
  end)
end)
