local t = require "moontail.testing"

local function of(service, more)
  local span = more or {}
  span.service = service
  return t.trace { span, {} }
end
local within, over = nil, { "drop", "over_limit" }

describe("per_key_limit", function()
  it("drops what is over the limit of its key, and leaves the rest", function()
    local p = t.policy("per_key_limit", { rate = 2, burst = 2 })
    for _ = 1, 2 do assert.same(within, p:decide(of "a")) end
    assert.same(over, p:decide(of "a"))
    assert.same(within, p:decide(of "b"))
    assert.same(within, p:decide(t.trace { {} }))
    t.advance(500)
    assert.same(within, p:decide(of "a"))
    assert.same(over, p:decide(of "a"))
  end)

  it("never lets more through than the rate and the burst, whatever comes", function()
    local p, passed = t.policy("per_key_limit", { rate = 10 }), 0
    local a = of "a"
    for _ = 1, 5000 do
      for _ = 1, 3 do
        if p:decide(a) == nil then passed = passed + 1 end
      end
      t.advance(1)
    end
    assert.equal(10 + 49, passed)
  end)

  it("reads its key from the entry span and its resource", function()
    local p = t.policy("per_key_limit", { key = { "service", "http.route", "tenant" }, rate = 1 })
    local function request(route, tenant) return of("web", { attr = { ["http.route"] = route }, resource = { tenant = tenant } }) end
    assert.same(within, p:decide(request("/a", "x")))
    assert.same(within, p:decide(request("/b", "x")))
    assert.same(within, p:decide(request("/a", "y")))
    assert.same(over, p:decide(request("/a", "x")))
  end)

  it("keeps what its policies keep, within the limit", function()
    local p = t.policy("per_key_limit", { rate = 1, over = "pass", policies = { t.make "status_code", t.make "latency" { threshold_ms = 100 } } })
    assert.is_nil(p:decide(of "a"))
    assert.same({ "keep", "within_limit" }, p:decide(of("a", { status = "error" })))
    assert.is_nil(p:decide(of("a", { duration_ms = 100 })))
    assert.same({ "keep", "within_limit" }, p:decide(of("b", { duration_ms = 100 })))
    local half = t.policy("per_key_limit", { rate = 1, policies = { t.make "probabilistic" { sampling_percentage = 50 } } })
    assert.same({ "sample", 0.5, "within_limit" }, half:decide(of "a"))
    assert.same({ "sample", 0.5, "within_limit" }, half:decide(of "a"))
    assert.same(over, half:decide(of "a"))
  end)

  it("counts spans if asked", function()
    local p = t.policy("per_key_limit", { rate = 4, count = "spans", per = "1h" })
    assert.same(within, p:decide(of "a"))
    assert.same(within, p:decide(of "a"))
    assert.same(over, p:decide(of "a"))
  end)
end)
