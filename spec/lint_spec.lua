require "moontail.testing" -- makes the script API
local asked = require "moontail.asked"
local chain_lint = require "moontail.chain_lint"
local component = require "moontail.component"
local locate = require "moontail.locate"
local policies = require "moontail.policy"
local script = require "moontail.script"

-- The globals of config.lua.
local function names()
  local environment = { policy = component.constructor "policy" }
  script.add_globals(environment)
  return environment
end

-- What a decide, `source`, says of every trace alike.
local function always(source, opt, my)
  local text = "return { decide = " .. source .. " }"
  local spec = setfenv(assert(loadstring(text)), names())()
  return chain_lint.says_always(spec.decide, text, opt, my)
end

-- What is hinted of a list of policies as config.lua has it.
local function hints(text)
  local whole = "return {" .. text .. "\n}"
  local list = setfenv(assert(loadstring(whole, "@config.lua")), names())()
  locate.set("config.lua", whole)
  policies.take_hints()
  assert(policies.prepare(list))
  return policies.take_hints()
end

describe("a policy that never looks at its trace", function()
  it("says the same of every one", function()
    assert.equal("keep", always "function() return keep() end")
    assert.equal("drop", always "function(trace) return drop 'no' end")
    assert.equal("sample", always("function(_, opt) return sample(opt.p, 'x') end", { p = 0.5 }))
    assert.equal("at_least", always("function(_, _, my) return my.verdict end", nil, { verdict = names().at_least(1) }))
    assert.equal("nothing", always "function(t) end")
    assert.equal("keep", always("function(t, opt) if opt.x then return keep() else return drop() end end", { x = true }))
  end)

  it("is not one that looks at it, or may", function()
    assert.is_nil(always "function(trace) return keep(trace.entry.name) end")
    assert.is_nil(always "function(trace) if trace.complete then return keep() end end")
    assert.is_nil(always "function(...) return keep() end")
    assert.is_nil(always("function(_, _, my) if my:take() then return keep() end end", nil, { take = error }))
    assert.is_nil(always("function(_, _, my) if my.take() then return keep() end end", nil, { take = error }))
    assert.is_nil(always "function() while true do end end")
    assert.is_nil(always "function() for i = 1, 9 do return keep() end end")
    assert.is_nil(always "function() local function keep() end return keep() end")
    assert.is_nil(always("function(_, opt) return opt.keep() end", { keep = error }))
    assert.is_nil(always("function(_, opt) return opt['keep'] 'x' end", { keep = error }))
  end)
end)

describe("a list of policies", function()
  local say = "policy { name = '%s', decide = function() return %s end },\n"

  it("names those that are never asked", function()
    assert.equal('config.lua:2: policy "b" is never asked: policy "a" before it keeps every trace\n', hints(say:format("a", "keep()") .. say:format("b", "drop()")))
    assert.equal(
      'config.lua:3: policy "latency" is never asked: policy "a" before it drops every trace\n',
      hints('policy "status_code",\n' .. say:format("a", "drop()") .. 'policy "latency" { threshold_ms = 1 }')
    )
  end)

  it("knows those with the same when", function()
    local text = [[(function()
      local shop = match { service = "shop" }
      return policy "always_sample" { when = shop }
    end)(),
    policy "always_sample/all_else" { when = match { service = "shop" } }]]
    assert.equal("", hints(text)) -- two matchers
    local environment = names()
    local shop = environment.match { service = "shop" }
    local made = names().policy
    policies.take_hints()
    assert(policies.prepare { made "always_sample" { when = shop }, made "always_sample/b" { when = shop } })
    assert.match('policy "always_sample/b" is never asked: policy "always_sample" before it keeps what the same `when` matches', policies.take_hints())
  end)

  it("names a second probability, and a policy without an opinion", function()
    local drawn = 'policy "probabilistic" { sampling_percentage = 10 }, policy "probabilistic/b" { sampling_percentage = 20 }'
    assert.equal('config.lua:1: policy "probabilistic/b" has no effect: policy "probabilistic" before it has set the probability of every trace\n', hints(drawn))
    assert.equal('config.lua:1: policy "mute" has no opinion on any trace\n', hints(say:format("mute", "nil")))
  end)

  it("has nothing to say about one in a good order", function()
    assert.equal("", hints [[policy "drop_health_checks", policy "status_code", policy "latency" { threshold_ms = 1 },
      policy "always_sample/shop" { when = match { service = "shop" } }, policy "probabilistic" { sampling_percentage = 10 }]])
    assert.equal("", hints 'policy "and" { and_sub_policy = { policy "always_sample", policy "latency" { threshold_ms = 1 } } }, policy "latency/b" { threshold_ms = 2 }')
  end)
end)

describe("an attribute", function()
  local seen = { ["db.system"] = true, ["http.route"] = true, ["user.id"] = true }

  -- What is said once these policies are prepared, of those that ask for this key or have this text.
  local function unseen(text, key)
    hints(text)
    local lines = {}
    for line in asked.unseen(seen, 1000):gmatch "[^\n]+" do
      if line:find(key, 1, true) then lines[#lines + 1] = line end
    end
    return table.concat(lines, "\n")
  end

  it("that no trace has is named, with the nearest that is there", function()
    assert.equal(
      "config.lua:1: policy \"a\": none of the last 1000 traces has the attribute 'db.sytem1' (did you mean 'db.system'?)",
      unseen('policy { name = "a", setup = function() return { m = match { attr = { ["db.sytem1"] = any } } } end, decide = function(t, _, my) if t:find(my.m) then return keep() end end }', "db.sytem1")
    )
    assert.match("config.lua:1: none of the last 1000 traces has the attribute 'http.rote2' %(did you mean 'http.route'%?%)", unseen('policy "always_sample" { when = match { event = { attr = { ["http.rote2"] = "x" } } } }', "http.rote2"))
    assert.match("^config.lua:1: policy \"string_attribute\": none .- 'xyzzy.3'$", unseen('policy "string_attribute" { key = "xyzzy.3", values = { "a" } }', "xyzzy.3"))
  end)

  it("that a trace has is not, nor one that is meant to be absent, nor what our scripts know of", function()
    assert.equal("", unseen('policy "always_sample" { when = match { attr = { ["user.id"] = any } } }', "user.id"))
    assert.equal("", unseen('policy "always_sample" { when = match { attr = { ["absent.4"] = none } } }', "absent.4"))
    assert.equal("", unseen('policy "always_sample" { when = match { ["not"] = { attr = { ["absent.5"] = "x" } } } }', "absent.5"))
    assert.equal("", unseen('policy "drop_health_checks"', "user_agent"))
  end)

  it("that the conventions have renamed is named as it comes", function()
    asked.read("policies/x.lua", 'span:attr "db.system.name"\nspan:attr "http.method"')
    local text = asked.unseen({ ["db.system"] = true, ["http.request.method"] = true }, 1000)
    assert.truthy(text:find("'db.system.name' (did you mean 'db.system'?)\n", 1, true))
    assert.truthy(text:find("'http.method' (did you mean 'http.request.method'?)\n", 1, true))
  end)

  it("is found in a script's calls; of several one is enough", function()
    asked.enter(nil)
    asked.read("policies/x.lua", 'local a = span:attr "near.6"\nspan:attr("near.7", "user.id")\nspan:has("near.8")\nspan:attr("near.9", name)\nspan:attr_text("near.10", "near.11")')
    local text = asked.unseen(seen, 2000)
    assert.truthy(text:find("policies/x.lua:1: none of the last 2000 traces has the attribute 'near.6'\n", 1, true))
    assert.is_nil(text:find("near.7", 1, true))
    assert.truthy(text:find("policies/x.lua:3: none of the last 2000 traces has the attribute 'near.8'\n", 1, true))
    assert.is_nil(text:find("near.9", 1, true))
    assert.truthy(text:find("any of the attributes 'near.10', 'near.11'\n", 1, true))
  end)
end)
