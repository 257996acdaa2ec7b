local t = require "moontail.testing"

-- decide gives what fn(my, trace) gives, as the reason.
local function asking(make, fn)
  local my
  return t.policy {
    name = "p",
    setup = function()
      my = make()
      return my
    end,
    decide = function(trace) return t.keep(tostring(fn(my, trace))) end,
  }
end

local one = t.trace { {} }
local function said(p) return p:decide(one)[2] end

-- What it raises, with its line.
local function message(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

describe("limit", function()
  it("gives its burst, then its rate", function()
    local p = asking(function() return t.limit { rate = 100, per = "1s", burst = 10 } end, function(my) return my:take() end)
    local taken = 0
    for _ = 1, 3000 do
      if said(p) == "true" then taken = taken + 1 end
      t.advance(1)
    end
    assert.equal(10 + 299, taken)
  end)

  it("has a burst of its rate where none is given", function()
    local p = asking(function() return t.limit { rate = 5, per = "1m" } end, function(my) return my:take() end)
    for _ = 1, 5 do assert.equal("true", said(p)) end
    assert.equal("false", said(p))
    t.advance(11999)
    assert.equal("false", said(p))
    t.advance(1)
    assert.equal("true", said(p))
    local slow = asking(function() return t.limit { rate = 0.5, per = "1s" } end, function(my) return my:take() end)
    assert.equal("true", said(slow))
    t.advance(1999)
    assert.equal("false", said(slow))
    t.advance(1)
    assert.equal("true", said(slow))
  end)

  it("counts keys apart, and costs", function()
    local key, cost
    local p = asking(function() return t.limit { rate = 10, per = "1s" } end, function(my) return my:take(key, cost) end)
    key, cost = "a", 9.5
    assert.equal("true", said(p))
    assert.equal("false", said(p))
    cost = 0.5
    assert.equal("true", said(p))
    assert.equal("false", said(p))
    cost = 0
    assert.equal("true", said(p))
    key, cost = "b", 10
    assert.equal("true", said(p))
    key, cost = 7, 11
    assert.equal("false", said(p))
    key, cost = nil, 10
    assert.equal("true", said(p))
  end)

  it("shares one cell among the keys beyond max_keys", function()
    local key
    local p = asking(function() return t.limit { rate = 1, per = "1h", max_keys = 2 } end, function(my) return my:take(key) end)
    local answers = {}
    for i = 1, 5 do
      key = "key" .. i
      answers[i] = said(p)
    end
    assert.same({ "true", "true", "true", "false", "false" }, answers)
  end)

  it("leaves a keep that asked it without a th", function()
    local limits = t.limit { rate = 1, per = "1s", name = "th" }
    local chain = t.chain({
      t.make { name = "asks", decide = function(trace) if limits:take() and trace.error_count > 0 then return t.keep "limited" end end },
      t.make { name = "slow", decide = function(trace) if trace.duration_ms > 100 then return t.keep "slow" end end },
      t.make { name = "some", decide = function() return t.sample(1) end },
    }, t.drop())
    assert.is_true(chain:is_unknown(t.trace { { status = "error" } }))
    t.advance(1000)
    assert.is_false(chain:is_unknown(t.trace { { duration_ms = 200 } }))
    assert.is_false(chain:is_unknown(one))
    local drawn = t.chain({ t.make { name = "asks", decide = function()
      limits:take()
      return t.sample(1)
    end } }, t.drop())
    assert.is_true(drawn:is_unknown(one))
  end)
end)

describe("limit that leaves something", function()
  it("takes only where so much stays behind", function()
    local key, left
    local p = asking(function() return t.limit { rate = 10, per = "1s", burst = 20 } end, function(my) return my:take(key, 8, left) end)
    for _, name in ipairs { false, "a" } do
      key, left = name or nil, 10
      assert.equal("true", said(p)) -- 12 are left
      assert.equal("false", said(p))
      left = 4
      assert.equal("true", said(p)) -- 4
      left = nil
      assert.equal("false", said(p))
      t.advance(400)
      assert.equal("true", said(p)) -- 0
      t.advance(10000)
    end
    left = 13
    assert.equal("false", said(p))
  end)

  it("says what it may be", function()
    local p = asking(function() return t.limit { rate = 10, per = "1s" } end, function(my) return my:take(nil, 1, -1) end)
    assert.match("what is left is a number of 0 or more, not %-1", message(p.decide, p, one))
  end)
end)

describe("seen", function()
  it("is new once in a window", function()
    local key = "a"
    local p = asking(function() return t.seen { window = "10m" } end, function(my)
      local before = my:has(key)
      return tostring(before) .. " " .. tostring(my:add(key)) .. " " .. tostring(my:has(key))
    end)
    assert.equal("false true true", said(p))
    assert.equal("true false true", said(p))
    key = "b"
    assert.equal("false true true", said(p))
    t.advance(10 * 60 * 1000)
    assert.equal("false true true", said(p))
  end)
end)

describe("counter", function()
  it("says how much came in the window", function()
    local n = 5
    local p = asking(function() return t.counter { window = "10s" } end, function(my)
      my:add("a", n)
      my:add()
      return my:per_second "a" .. " " .. my:per_second() .. " " .. my:per_second "b"
    end)
    assert.equal("0.5 0.1 0", said(p))
    t.advance(1000)
    assert.equal("1 0.2 0", said(p))
    n = 0
    t.advance(60000)
    assert.equal("0 0.1 0", said(p))
  end)

  it("only added to leaves the th alone", function()
    local counts = t.counter { window = "10s", name = "th" }
    local chain = t.chain({ t.make { name = "counts", decide = function()
      counts:add()
      return t.keep()
    end } }, t.drop())
    assert.is_false(chain:is_unknown(one))
  end)
end)

describe("rates", function()
  -- What comes in one interval: n of each key; then the rates of the keys that follow are asked.
  local function asker(options)
    local key, n
    local p = asking(function() return t.rates(options) end, function(my) return my:of(key, n) end)
    return function(name, count)
      key, n = name, count
      return tonumber(said(p))
    end
  end

  local function all_of(of, counts)
    local list = {}
    for i, name in ipairs { "a", "b", "c", "d", "e" } do list[i] = of(name, counts[i]) end
    return list
  end
  local FIRST, NOTHING = { 10000, 1000, 100, 10, 1 }, { 0, 0, 0, 0, 0 }

  it("come to the goal by a moving average, and small keys keep more", function()
    local of = asker { goal_rate = 10, interval = "15s", weight = 0.5 }
    assert.same({ 10, 10, 10, 10, 10 }, all_of(of, FIRST)) -- nothing is known
    t.advance(15000)
    assert.same({ 22, 3, 1, 1, 1 }, all_of(of, NOTHING))
    all_of(of, FIRST)
    t.advance(15000)
    assert.same({ 23, 3, 1, 1, 1 }, all_of(of, NOTHING))
    of("a", 10000)
    t.advance(15000)
    assert.same({ 21, 2, 1, 1, 1 }, all_of(of, NOTHING))
    assert.equal(1, of("new", 0))
  end)

  it("come to so many a second", function()
    local of = asker { goal_per_second = 100, interval = "15s", weight = 0.5 }
    assert.same({ 10, 10, 10, 10, 10 }, all_of(of, FIRST))
    t.advance(15000)
    assert.same({ 8, 2, 1, 1, 1 }, all_of(of, NOTHING))
  end)

  it("do not change while nothing comes", function()
    local of = asker { goal_rate = 10, interval = "15s", weight = 0.5 }
    all_of(of, FIRST)
    t.advance(15000)
    assert.equal(22, of("a", 0))
    t.advance(3600 * 1000)
    assert.equal(22, of("a", 0))
  end)

  it("are new before the interval is over when much more comes", function()
    local of = asker { goal_rate = 10, interval = "15s", weight = 0.5, burst_multiple = 2, burst_delay = 3 }
    for _ = 1, 3 do
      of("a", 100)
      t.advance(15000)
    end
    of("a", 0)
    local before = of("b", 5000)
    assert.equal(1, before)
    assert.is_true(of("b", 0) > 1)
  end)

  it("give each key the same share where they shall be even", function()
    local of = asker { goal_per_second = 10, even = true, interval = "30s" }
    assert.equal(10, of("a", 30000))
    of("b", 3000)
    of("c", 30)
    t.advance(30000)
    assert.equal(300, of("a", 0)) -- each has 100 of 300
    assert.equal(30, of("b", 0))
    assert.equal(1, of("c", 0))
  end)

  it("follow a window without steps", function()
    local of = asker { goal_per_second = 10, window = "30s" }
    assert.equal(100, of("a", 30000))
    assert.equal(1, of("b", 3))
    t.advance(1000)
    assert.equal(200, of("a", 0)) -- two keys
    t.advance(60000)
    assert.equal(1, of("a", 1))
  end)

  it("are shared by the keys beyond max_keys", function()
    local of = asker { goal_rate = 10, interval = "1s", max_keys = 2 }
    for i = 1, 20 do of("k" .. i, 100) end
    t.advance(1000)
    assert.is_true(of("k19", 0) > 1)
    assert.equal(of("k19", 0), of("never seen", 0))
  end)

  it("leave a keep its th, since they are known before the draw", function()
    local rates = t.rates { goal_rate = 1, interval = "15s", name = "th" }
    local chain = t.chain({ t.make { name = "r", decide = function() return t.sample(1 / rates:of("k")) end } }, t.drop())
    assert.is_false(chain:is_unknown(one))
  end)

  it("say what is wrong", function()
    local function wrong(pattern, options) assert.match("state_spec.lua:%d+: rates{}" .. pattern, message(function()
      local made = t.rates(options)
      return made
    end)) end
    wrong(" needs goal_rate or goal_per_second", {})
    wrong(" needs goal_rate or goal_per_second", { goal_rate = 1, goal_per_second = 1 })
    wrong(": goal_rate is 0; allowed: a number above 0", { goal_rate = 0, interval = "1s" })
    wrong(": even and window go with goal_per_second", { goal_rate = 1, even = true })
    wrong(": interval is nil; allowed: a duration", { goal_rate = 1 })
    wrong(": weight is 2; allowed: a number from 0 to 1", { goal_rate = 1, interval = "1s", weight = 2 })
    wrong(" has no 'goal'", { goal = 1 })
  end)
end)

describe("state", function()
  it("is an instance's own, and the same one for the same name", function()
    local limits = {}
    local function policy(name)
      return t.make {
        name = name,
        setup = function() return t.limit { rate = 2, per = "1h", name = "shared" } end,
        decide = function(_, _, my) if my:take() then return t.keep() end end,
      }
    end
    local first = t.chain({ policy "one", policy "two" }, t.drop())
    for i = 1, 4 do limits[i] = first:decide(one)[2] end
    assert.same({ "one", "one", "two", "two" }, limits)
    assert.same({ "drop", "default", "default" }, first:decide(one))
    local second = t.chain({ policy "one" }, t.drop()) -- a spec begins anew
    assert.equal("one", second:decide(one)[2])
  end)

  it("is declared before a trace is decided, and asked then", function()
    assert.match("state_spec.lua:%d+: limit is asked while a trace is decided", message(function()
      t.policy { name = "p", setup = function() return (t.limit { rate = 1, per = "1s" }):take() and 1 end, decide = function() end }
    end))
    local p = t.policy { name = "p", decide = function()
      local limits = t.limit { rate = 1, per = "1s" }
      return limits
    end }
    assert.match("state_spec.lua:%d+: limit{} inside of decide would be made for every trace", message(p.decide, p, one))
  end)

  it("says what is wrong in a declaration", function()
    local function wrong(pattern, fn, options) assert.match("state_spec.lua:%d+: " .. pattern, message(function()
      local made = fn(options)
      return made
    end)) end
    wrong("limit takes a table: limit { rate = 100, per = \"1s\" }", t.limit, 5)
    wrong("limit{} has no 'rat' %(did you mean 'rate'%?%)", t.limit, { rat = 1 })
    wrong("limit{}: rate is 0; allowed: a number above 0", t.limit, { rate = 0, per = "1s" })
    wrong("limit{}: rate is '5'; allowed", t.limit, { rate = "5", per = "1s" })
    wrong("limit{}: per is nil; allowed: a duration such as \"1s\"", t.limit, { rate = 5 })
    wrong("limit{}: per is 1; allowed", t.limit, { rate = 5, per = 1 })
    wrong("limit{}: the rate is over a million a second", t.limit, { rate = 2e6, per = "1s" })
    wrong("limit{}: burst is below 1", t.limit, { rate = 1, per = "1s", burst = 0.5 })
    wrong("limit{}: it would take more than 36 years", t.limit, { rate = 1, per = "1h", burst = 1e9 })
    wrong("limit{}: max_keys is 0; allowed: a whole number from 1 to 100000", t.limit, { rate = 1, per = "1s", max_keys = 0 })
    wrong("limit{}: name is 'a b'; allowed", t.limit, { rate = 1, per = "1s", name = "a b" })
    wrong("seen{} has no 'windw' %(did you mean 'window'%?%)", t.seen, { windw = "1s" })
    wrong("counter{}: window is nil", t.counter, {})
    t.limit { rate = 1, per = "1s", name = "twice" }
    wrong("two of limit{} are called 'twice' here", t.limit, { rate = 1, per = "1s", name = "twice" })
    t.seen { window = "1s", name = "twice" }
  end)

  it("says what is wrong in a call", function()
    local function wrong(pattern, fn)
      local made = t.limit { rate = 1, per = "1s" }
      local counts, known = t.counter { window = "1s" }, t.seen { window = "1s" }
      local p = t.policy { name = "p", decide = function()
        local value = fn(made, counts, known)
        return value
      end }
      assert.match("state_spec.lua:%d+: " .. pattern, message(p.decide, p, one))
    end
    wrong("a cost is a number of 0 or more, not %-1", function(l) l:take("k", -1) end)
    wrong("a cost is a number of 0 or more, not nan", function(l) l:take("k", 0 / 0) end)
    wrong("a cost is a number of 0 or more, not inf", function(l) l:take("k", math.huge) end)
    wrong("a key of limit is a string, not table", function(l) l:take {} end)
    wrong("a key of seen is a string, not nil", function(_, _, s) s:add() end)
    wrong("a counter adds a number of 0 or more, not x", function(_, c) c:add("k", "x") end)
    wrong("limit has no 'tke' %(did you mean 'take'%?%)", function(l) l:tke() end)
    wrong("limit can't be changed: 'rate'", function(l) l.rate = 5 end)
    wrong("call it as limit:method", function(l, c) l.take(c) end)
    wrong("call it as counter:method", function(l, c) c.per_second(l) end)
    wrong("call it as seen:method", function(_, _, s) s.has({}, "k") end)
  end)
end)
