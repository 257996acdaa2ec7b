local t = require "moontail.testing"

local errors = t.make "status_code" { status_codes = { "ERROR" } }
local slow = t.make "latency" { threshold_ms = 100 }
local function dropping(list) return t.policy("drop", { drop_sub_policy = list }) end

describe("drop", function()
  it("drops what all of its policies keep, and has no opinion on the rest", function()
    local p = dropping { errors, slow }
    assert.same({ "drop", "drop" }, p:decide(t.trace { { status = "error", duration_ms = 100 } }))
    assert.is_nil(p:decide(t.trace { { status = "error" } }))
    assert.is_nil(p:decide(t.trace { { duration_ms = 100 } }))
  end)

  it("is final, and so is a keep before it", function()
    local noise = t.make "drop" { drop_sub_policy = { slow } }
    local both = t.trace { { status = "error", duration_ms = 100 } }
    assert.same({ "drop", "drop", "drop" }, t.chain({ noise, errors }, t.keep()):decide(both))
    assert.same({ "keep", "status_code", "error" }, t.chain({ errors, noise }, t.keep()):decide(both))
  end)

  it("drops a share where its policies sample", function()
    local p, dropped = dropping { t.make "probabilistic" { sampling_percentage = 30 } }, 0
    for i = 1, 2000 do
      local said = p:decide(t.trace { id = ("%032x"):format(i), {} })
      if said then dropped = dropped + 1 end
      assert.is_true(said == nil or said[1] == "drop")
    end
    assert.is_true(dropped > 500 and dropped < 700, dropped)
  end)

  it("drops nothing for a policy that keeps nothing", function()
    assert.is_nil(dropping({ t.make "probabilistic" { sampling_percentage = 0 } }):decide(t.trace { {} }))
    assert.error_matches(function() dropping {} end, "at least 1")
  end)
end)
