local t = require "moontail.testing"

local function of(fields, spans, which)
  local shape = t.shape(fields, which)
  return t.read(t.trace(spans), function(trace)
    local text = shape:of(trace)
    return text
  end)
end

describe("shape", function()
  it("has the different values of each field, in order", function()
    local spans = {
      { service = "web", name = "GET /", kind = "server" },
      { service = "cart", name = "load", attr = { ["http.route"] = "/cart", n = 5 } },
      { service = "web", name = "a", attr = { n = 1.5, b = true } },
    }
    assert.equal("cart•web", of({ "service" }, spans))
    assert.equal("GET /•a•load,/cart,1.5•5,true", of({ "name", "http.route", "n", "b" }, spans))
    assert.equal("internal•server,", of({ "kind", "nothing" }, spans))
  end)

  it("does not depend on the order of the spans", function()
    local spans = { { id = "00000000000000aa", parent = false }, { id = "00000000000000bb", name = "x", parent = false }, { name = "b", parent = false } }
    local one = of({ "name" }, spans)
    spans[1], spans[2], spans[3] = spans[3], spans[1], spans[2]
    assert.equal(one, of({ "name" }, spans))
  end)

  it("reads attributes of the span, else of its resource, else of its scope", function()
    local spans = { { attr = { k = "span" }, resource = { k = "resource" }, scope = { k = "scope" } } }
    assert.equal("span", of({ "k" }, spans))
    spans[1].attr = nil
    assert.equal("resource", of({ "k" }, spans))
    spans[1].resource = nil
    assert.equal("scope", of({ "k" }, spans))
  end)

  it("may be about the entry or the root alone", function()
    local spans = { { name = "first", parent = "00000000000000ff" }, { name = "second", parent = 1 } }
    assert.equal("first", of({ "name" }, spans, "entry"))
    assert.equal("", of({ "name" }, spans, "root"))
    assert.equal(",", of({ "name", "service" }, spans, "root"))
    local rooted = { { name = "top", service = "a" }, { name = "low", service = "b" } }
    assert.equal("low•top,top,a", of({ "name", "root.name", "root.service" }, rooted))
  end)

  it("is bounded", function()
    local spans = {}
    for i = 1, 300 do spans[i] = { name = ("n%03d"):format(i) } end
    local _, joints = of({ "name" }, spans):gsub("•", "")
    assert.equal(99, joints)
    assert.equal("x,", of({ "service", "name" }, { { service = "x", name = "" } }))
    assert.equal(2048, #of({ "name" }, { { name = ("y"):rep(5000) } }))
  end)

  it("says what is wrong", function()
    assert.error_matches(function() t.shape {} end, "shape takes a list of fields")
    assert.error_matches(function() t.shape { 5 } end, "field 1 of shape is no name")
    assert.error_matches(function() t.shape({ "a" }, "some") end, 'reads "all", "entry" or "root" spans')
    assert.error_matches(function() return t.shape({ "a" }).off end, "shape has no 'off'")
    assert.error_matches(function() t.shape({ "a" }):of(5) end, "takes the trace, not number")
  end)
end)
