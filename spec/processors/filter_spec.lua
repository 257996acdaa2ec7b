local t = require "moontail.testing"

describe("filter", function()
  local function parents(left)
    return t.read(left, function(trace)
      local found = {}
      for _, span in trace:spans() do found[span.name] = span.parent and span.parent.name or (span.parent_id or "root") end
      return found
    end)
  end

  it("drops spans that match and gives their children to their parents", function()
    local p = t.processor("filter", { when = t.match { name = t.glob "cache*" }, reason = "noise" })
    local left, reasons = p:process(t.trace {
      { name = "root" }, { name = "cache a", parent = 1 }, { name = "cache b", parent = 2 }, { name = "work", parent = 3 },
    })
    assert.same({ root = "root", work = "root" }, parents(left))
    assert.same({ "noise", "noise" }, reasons)
  end)

  it("makes the children of a dropped root roots", function()
    local left = t.processor("filter", { when = t.match { name = "gateway" } }):process(t.trace { { name = "gateway" }, { name = "work" } })
    assert.same({ work = "root" }, parents(left))
  end)

  it("gives children to a parent that is not here, if the dropped span had one", function()
    local left = t.processor("filter", { when = t.match { name = "a" } }):process(t.trace {
      { name = "a", parent = "00000000000000ff" }, { name = "b", parent = 1 },
    })
    assert.same({ b = "00000000000000ff" }, parents(left))
  end)

  it("may leave nothing", function()
    local left, reasons = t.processor("filter", { when = t.match { kind = "internal" } }):process(t.trace { {}, {} })
    assert.is_nil(left)
    assert.same({ "filter", "filter" }, reasons)
  end)

  it("needs a when", function()
    assert.error_matches(function() t.processor("filter", {}) end, "write when = match")
  end)
end)
