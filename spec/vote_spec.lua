local t = require "moontail.testing"

-- Says what each of its policies votes, as its reason.
local PANEL = [[
return policy {
  doc = "Says what its policies vote.",
  options = { policies = option.policies { min = 1, doc = "who votes" }, paths = option.list { default = { "a", "b" }, doc = "some" } },
  decide = function(trace, opt)
    local said = {}
    for i, p in ipairs(opt.policies) do said[i] = tostring(vote(p, trace)) end
    return keep(table.concat(said, " "))
  end,
}]]

local folder

local function write(name, text)
  local file = assert(io.open(folder .. "/policies/" .. name .. ".lua", "w"))
  file:write(text)
  file:close()
end

-- What it raises, with its line: error_matches looks behind that.
local function message(fn)
  local ok, text = pcall(fn)
  assert.is_false(ok)
  return text
end

local function list_of(policies)
  local list = {}
  for i, decide in ipairs(policies) do
    list[i] = type(decide) == "function" and t.make { name = "v" .. i, decide = decide } or decide
  end
  return list
end

local function votes(policies, trace)
  return t.policy("panel", { policies = list_of(policies) }):decide(trace or t.trace { {} })
end

describe("vote", function()
  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/policies") == 0)
    t.folder(folder)
    write("panel", PANEL)
  end)
  teardown(function()
    os.execute("rm -r " .. folder)
    t.folder "lua"
  end)

  it("is 1 for keep, p for sample, 0 for all else", function()
    local said = votes {
      function() return t.keep "a" end,
      function() return t.sample(0.25) end,
      function() return t.drop() end,
      function() return t.at_least(0.5) end,
      function() end,
    }
    assert.same({ "keep", "1 0.25 0 0 0" }, said)
  end)

  it("asks policies from files with their options and when", function()
    local slow = t.make "latency" { threshold_ms = 100 }
    local slow_servers = t.make "latency/servers" { threshold_ms = 100, when = t.match { kind = "server" } }
    assert.same({ "keep", "1 0" }, votes({ slow, slow_servers }, t.trace { { duration_ms = 150 } }))
    assert.same({ "keep", "1 1" }, votes({ slow, slow_servers }, t.trace { { duration_ms = 150, kind = "server" } }))
    assert.same({ "keep", "0 0" }, votes({ slow, slow_servers }, t.trace { { duration_ms = 50, kind = "server" } }))
  end)

  it("goes as deep as policies are written", function()
    local slow = t.make "latency" { threshold_ms = 100 }
    local inner = t.make "panel/inner" { policies = { slow } }
    assert.same({ "keep", "1" }, votes({ inner }, t.trace { { duration_ms = 150 } }))
    local list = {}
    list[1] = t.make "panel" { policies = list }
    assert.error_matches(function() t.policy("panel", { policies = list }) end, "stands in more than 8 other policies")
  end)

  it("raises what the policy raises", function()
    assert.match("vote_spec.lua:%d+: trace has no field 'nothing'", message(function() votes { function(trace)
      local nothing = trace.nothing
      return nothing
    end } end))
    assert.match("policies/panel.lua:6: policy 'panel>v1' returned a number; allowed: a verdict or nil", message(function() votes { function() return 7 end } end))
  end)

  it("says what is wrong in an option of policies", function()
    assert.error_matches(function() votes { t.make "latency" { treshold_ms = 5 } } end, 'policy "latency": unknown key treshold_ms; did you mean threshold_ms%?')
    assert.error_matches(function() votes { t.make "latency" { threshold_ms = 5 }, t.make "latency" { threshold_ms = 6 } } end, "two policies are called 'latency'")
    assert.error_matches(function() t.policy("panel", { policies = { "latency" } }) end, 'policies%[1%] is \'latency\'; allowed: policy "NAME"')
    assert.error_matches(function() t.policy("panel", { policies = {} }) end, "at least 1")
  end)

  it("takes a policy and a trace, nothing else", function()
    t.read(t.trace { {} }, function(trace)
      assert.error_matches(function() t.vote("latency", trace) end, "vote takes a policy of the options, not string")
      assert.error_matches(function() t.vote(nil, trace) end, "vote takes a policy of the options, not nil")
    end)
    write("wrong", PANEL:gsub("vote%(p, trace%)", "vote(p, trace.entry)"))
    local wrong = t.policy("wrong", { policies = { t.make "always_sample" } })
    assert.match("wrong.lua:6: vote takes a policy and the trace, not table", message(function() wrong:decide(t.trace { {} }) end))
    write("peek", PANEL:gsub("vote%(p, trace%)", "p.decide"))
    local peek = t.policy("peek", { policies = { t.make "always_sample" } })
    assert.match("peek.lua:6: a policy has no 'decide'", message(function() peek:decide(t.trace { {} }) end))
  end)
end)

describe("an option that is a list", function()
  it("keeps nothing that a policy writes into it", function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/policies") == 0)
    t.folder(folder)
    write("writer", [[
      return policy {
        options = { paths = option.list { default = { "a", "b" }, doc = "some" } },
        decide = function(_, opt)
          local before = table.concat(opt.paths, " ")
          opt.paths[1] = "z"
          return keep(before)
        end,
      }]])
    local writer = t.policy "writer"
    for _ = 1, 2 do
      assert.same({ "keep", "a b" }, writer:decide(t.trace { {} }))
      assert.match("writer.lua:4: opt.paths was changed; an option can't be", message(function() writer:decide(t.trace { {} }) end))
    end
    write("maker", [[
      return policy {
        options = { map = option.map { default = { a = "x" }, doc = "some" } },
        setup = function(opt) opt.map.a = "z" end,
        decide = function() end,
      }]])
    assert.match('policy "maker": setup: opt.map was changed', message(function() t.policy "maker" end))
    write("adder", [[
      return policy {
        options = { paths = option.list { default = { "a", "b" }, doc = "some" } },
        decide = function(_, opt) opt.paths[3] = "z" end,
      }]])
    local adder = t.policy "adder"
    write("remover", [[
      return policy {
        options = { paths = option.list { default = { "a", "b" }, doc = "some" } },
        decide = function(_, opt) table.remove(opt.paths, 1) end,
      }]])
    local remover = t.policy "remover"
    assert.match("remover.lua:3: table.remove takes a plain table; this can't be changed", message(function() remover:decide(t.trace { {} }) end))
    assert.match("adder.lua:3: an option can't be changed: '3'", message(function() adder:decide(t.trace { {} }) end))
    os.execute("rm -r " .. folder)
    t.folder "lua"
  end)
end)
