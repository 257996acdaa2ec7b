local t = require "moontail.testing"

local errors = t.make "status_code" { name = "errors" }
local slow = t.make "latency" { name = "slow", threshold_ms = 100 }
local rest = t.make "always_sample" { name = "rest" }

local function composite(options)
  options.max_total_spans_per_second = options.max_total_spans_per_second or 100
  options.composite_sub_policy = options.composite_sub_policy or { errors, slow, rest }
  return t.policy("composite", options)
end

local failed, late, plain = t.trace { { status = "error" } }, t.trace { { duration_ms = 100 } }, t.trace { {} }

-- What is kept of each trace in so many seconds, where `per_ms` of them are offered in each millisecond.
local function run(p, traces, seconds, per_ms)
  local kept = {}
  for i = 1, #traces do kept[i] = 0 end
  for _ = 1, seconds * 1000 do
    for i, trace in ipairs(traces) do
      for _ = 1, per_ms do
        if p:decide(trace) then kept[i] = kept[i] + 1 end
      end
    end
    t.advance(1)
  end
  return kept
end

describe("composite", function()
  it("gives the first policy that keeps the trace as the reason", function()
    local p = composite {}
    assert.same({ "keep", "errors" }, p:decide(failed))
    assert.same({ "keep", "slow" }, p:decide(late))
    assert.same({ "keep", "rest" }, p:decide(plain))
    assert.same({ "keep", "slow" }, composite({ policy_order = { "slow", "errors", "rest" } }):decide(t.trace { { status = "error", duration_ms = 100 } }))
    assert.is_nil(composite({ composite_sub_policy = { errors } }):decide(plain))
  end)

  it("gives each its part when all want more", function()
    local kept = run(composite { rate_allocation = { errors = 50, slow = 30, rest = 20 } }, { plain, late, failed }, 20, 1)
    assert.is_true(kept[3] >= 990 and kept[3] <= 1120, kept[3])
    assert.is_true(kept[2] >= 590 and kept[2] <= 720, kept[2])
    assert.is_true(kept[1] >= 390 and kept[1] <= 520, kept[1])
  end)

  it("never keeps more than the total, whatever the parts", function()
    for _, rates in ipairs { { errors = 50, slow = 30, rest = 20 }, { errors = 0, slow = 0, rest = 0 }, {} } do
      local kept = run(composite { rate_allocation = rates }, { failed, late, plain }, 10, 1)
      local sum = kept[1] + kept[2] + kept[3]
      assert.is_true(sum <= 10 * 100 + 200, sum)
      assert.is_true(sum >= 10 * 100 - 1, sum)
    end
  end)

  it("lends what one leaves unused to the others, and gives it back at once", function()
    local p = composite { rate_allocation = { errors = 90, rest = 10 }, composite_sub_policy = { errors, rest } }
    local alone = run(p, { plain }, 10, 1)[1]
    assert.is_true(alone >= 999 and alone <= 1200, alone)
    local both = run(p, { plain, failed }, 10, 1)
    assert.is_true(both[2] >= 900, both[2])
  end)

  it("counts spans, and takes a trace as a whole", function()
    local spans = {}
    for i = 1, 101 do spans[i] = { status = "error" } end
    local p = composite { composite_sub_policy = { errors } }
    assert.is_nil(p:decide(t.trace(spans)))
    spans[101] = nil
    assert.same({ "keep", "errors" }, p:decide(t.trace(spans)))
  end)

  it("leaves a trace that finds no room to the policies that follow, not to its others", function()
    local chain = t.chain({
      t.make "composite" { max_total_spans_per_second = 1, composite_sub_policy = { errors, rest }, rate_allocation = { errors = 0, rest = 100 } },
      t.make "always_sample",
    }, t.drop())
    assert.same({ "keep", "composite", "errors" }, chain:decide(failed))
    assert.same({ "keep", "always_sample", "always" }, chain:decide(failed))
    assert.same({ "keep", "composite", "rest" }, chain:decide(plain))
    assert.is_true(chain:is_unknown(t.trace { {} }) == false)
  end)

  it("is charged for what a policy that samples keeps on average", function()
    local half = t.make "probabilistic" { name = "half", sampling_percentage = 50 }
    local p, said = composite { composite_sub_policy = { half }, max_total_spans_per_second = 10 }, 0
    while p:decide(plain) do said = said + 1 end
    assert.equal(20, said)
  end)

  it("takes policies of any name", function()
    local list = {}
    for i, name in ipairs { "it's", "a>b", "'>'" } do list[i] = t.make "always_sample" { name = name } end
    local p = composite { composite_sub_policy = list, policy_order = { "'>'", "a>b", "it's" }, rate_allocation = { ["'>'"] = 50, ["a>b"] = 20 } }
    assert.same({ "keep", "'>'" }, p:decide(plain))
    list[4] = t.make "always_sample" { name = "a<b" }
    assert.error_matches(function() composite { composite_sub_policy = list } end, "two of limit{} are called 'part.a%-b' here")
  end)

  it("says what is wrong", function()
    local function wrong(pattern, options) assert.error_matches(function() composite(options) end, pattern) end
    wrong("policy_order names 'x'", { policy_order = { "errors", "x" } })
    wrong("policy_order lacks 'rest'", { policy_order = { "errors", "slow" } })
    wrong("rate_allocation names 'x'", { rate_allocation = { x = 5 } })
    wrong("rate_allocation adds up to 110 percent", { rate_allocation = { errors = 60, slow = 50 } })
    wrong("rate_allocation.errors is %-1; allowed: a number from 0 to 100", { rate_allocation = { errors = -1 } })
    wrong("at least 1", { composite_sub_policy = {} })
  end)
end)
