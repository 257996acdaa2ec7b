local t = require "moontail.testing"

describe("drop_at_door", function()
  it("drops the spans that match", function()
    local p = t.processor("drop_at_door", { when = t.match { http = { path = "/healthz" } } })
    assert.same({ "drop_at_door" }, p:received(t.trace { { attr = { ["url.path"] = "/healthz" } }, { name = "work" } }))
  end)

  it("says the reason that it is given", function()
    local p = t.processor("drop_at_door", { when = t.match { service = "noisy" }, reason = "noise" })
    assert.same({ "noise", "noise" }, p:received(t.trace { { service = "noisy" }, { service = "noisy" }, { service = "shop" } }))
  end)

  it("needs a when", function()
    assert.error_matches(function() t.processor("drop_at_door", {}) end, "write when = match")
  end)
end)
