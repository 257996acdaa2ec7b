local t = require "moontail.testing"

local function of(...)
  local spans = {}
  for i, name in ipairs { ... } do spans[i] = { service = "web", name = name } end
  return t.trace(spans)
end
local new = { "keep", "new_shape" }

describe("novelty", function()
  it("keeps each shape once in a window", function()
    local p = t.policy("novelty", { window = "10m" })
    assert.same(new, p:decide(of("a", "b")))
    assert.is_nil(p:decide(of("a", "b")))
    assert.is_nil(p:decide(of("a", "b", "b")))
    assert.same(new, p:decide(of("a", "c")))
    t.advance(10 * 60 * 1000)
    assert.same(new, p:decide(of("a", "b")))
  end)

  it("finds every one of the rare among the many", function()
    local p, kept = t.policy("novelty", { fields = { "name" } }), 0
    local many = {}
    for i = 1, 20 do many[i] = of("common" .. i) end
    for i = 1, 5000 do
      if p:decide(many[i % 20 + 1]) then kept = kept + 1 end
      if i % 1000 == 0 then assert.same(new, p:decide(of("rare" .. i))) end
    end
    assert.equal(20, kept)
  end)

  it("tells by what it is asked to, status and all", function()
    local p = t.policy "novelty"
    assert.same(new, p:decide(t.trace { { attr = { ["http.response.status_code"] = 200 } } }))
    assert.same(new, p:decide(t.trace { { attr = { ["http.response.status_code"] = 500 } } }))
    assert.same(new, p:decide(t.trace { { status = "error", attr = { ["http.response.status_code"] = 500 } } }))
    local entry = t.policy("novelty", { fields = { "name" }, spans = "entry" })
    assert.same(new, entry:decide(of("a", "b")))
    assert.is_nil(entry:decide(of("a", "c")))
  end)

  it("misses nothing new where there are more shapes than it remembers", function()
    local p, kept = t.policy("novelty", { name = "few", fields = { "name" }, max_shapes = 10 }), 0
    for i = 1, 1000 do
      if p:decide(of("n" .. i)) then kept = kept + 1 end
    end
    assert.equal(1000, kept)
    assert.is_nil(p:decide(of "n1000"))
  end)
end)
