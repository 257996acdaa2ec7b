local t = require "moontail.testing"

local function trace(count)
  local spans = {}
  for i = 1, count do spans[i] = {} end
  return t.trace(spans)
end

describe("span_count", function()
  it("includes both bounds", function()
    local p = t.policy("span_count", { min_spans = 2, max_spans = 4 })
    for count, wanted in ipairs { false, true, true, true, false } do
      assert.same(wanted and { "keep", "span_count" } or nil, p:decide(trace(count)))
    end
  end)

  it("is open where there is no bound", function()
    assert.same({ "keep", "span_count" }, t.policy("span_count", { min_spans = 2 }):decide(trace(50)))
    assert.same({ "keep", "span_count" }, t.policy("span_count", { max_spans = 2 }):decide(trace(1)))
    assert.is_nil(t.policy("span_count", { max_spans = 2 }):decide(trace(3)))
  end)

  it("refuses bounds that nothing is within", function()
    assert.error_matches(function() t.policy("span_count", { min_spans = 3, max_spans = 2 }) end, "max_spans is below min_spans")
    assert.error_matches(function() t.policy("span_count", { min_spans = 1.5 }) end, "a whole number")
  end)
end)
