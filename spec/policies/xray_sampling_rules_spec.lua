local t = require "moontail.testing"

local function policy(rules, name)
  return t.policy("xray_sampling_rules", { name = name, rules = rules })
end

local function server(more)
  local span = { kind = "server", service = "shop", attr = {}, resource = {} }
  for key, value in pairs(more or {}) do span[key] = value end
  return t.trace { span }
end

local function rule(fields)
  local base = '"RuleName":"r","Priority":5,"FixedRate":0.5,"ReservoirSize":0,"Version":1'
  return '{"SamplingRule":{' .. base .. (fields and "," .. fields or "") .. "}}"
end

local SAMPLED = { "sample", 0.5, "r" }

describe("xray_sampling_rules", function()
  it("keeps the reservoir of each second, then samples", function()
    local p = policy('{"SamplingRule":{"RuleName":"pay","Priority":1,"FixedRate":0.1,"ReservoirSize":2,"Version":1}}')
    for _ = 1, 2 do assert.same({ "keep", "pay" }, p:decide(server())) end
    assert.same({ "sample", 0.1, "pay" }, p:decide(server()))
    t.advance(1000)
    for _ = 1, 2 do assert.same({ "keep", "pay" }, p:decide(server())) end
    assert.same({ "sample", 0.1, "pay" }, p:decide(server()))
  end)

  it("asks rules by priority, then by name", function()
    local p = policy([[{"SamplingRuleRecords":[
      {"SamplingRule":{"RuleName":"Default","Priority":10000,"FixedRate":0.05,"ReservoirSize":0,"Version":1}},
      {"SamplingRule":{"RuleName":"b","Priority":7,"FixedRate":0.2,"ServiceName":"s*","Version":1}},
      {"SamplingRule":{"RuleName":"a","Priority":7,"FixedRate":0.3,"ServiceName":"shop","Version":1}}]}]])
    assert.same({ "sample", 0.3, "a" }, p:decide(server()))
    assert.same({ "sample", 0.2, "b" }, p:decide(server { service = "store" }))
    assert.same({ "sample", 0.05, "Default" }, p:decide(server { service = "other" }))
  end)

  it("matches every field, in any case, with wildcards", function()
    local span = {
      service = "Shop",
      attr = { ["http.request.method"] = "POST", ["url.path"] = "/Pay/7", ["server.address"] = "api.example", ["server.port"] = 8080 },
      resource = { ["cloud.platform"] = "aws_ecs", ["aws.ecs.launchtype"] = "fargate", ["aws.ecs.container.arn"] = "arn:aws:ecs:x" },
    }
    for fields, holds in pairs {
      ['"ServiceName":"shop"'] = true, ['"ServiceName":"shopp"'] = false, ['"ServiceName":"s??p"'] = true,
      ['"ServiceName":"s?p"'] = false, ['"URLPath":"/pay/*"'] = true, ['"URLPath":"/pay"'] = false,
      ['"HTTPMethod":"post"'] = true, ['"HTTPMethod":"GET"'] = false, ['"Host":"api.example:8080"'] = true,
      ['"Host":"*.other"'] = false, ['"ServiceType":"AWS::ECS::Fargate"'] = true, ['"ServiceType":"AWS::ECS::EC2"'] = false,
      ['"ResourceARN":"*"'] = true, ['"ResourceARN":"arn:aws:ecs:*"'] = true, ['"ResourceARN":"arn:other"'] = false,
    } do
      assert.same(holds and SAMPLED or nil, policy(rule(fields)):decide(server(span)), fields)
    end
  end)

  it("takes any character for a question mark, and null for what is not there", function()
    local p = policy(rule '"ServiceName":"caf?"')
    assert.same(SAMPLED, p:decide(server { service = "café" }))
    assert.same(SAMPLED, p:decide(server { service = "cafe" }))
    assert.is_nil(p:decide(server { service = "caféé" }))
    local nulls = '"Attributes":null,"Host":null,"HTTPMethod":null,"ResourceARN":null,"ServiceName":null,"ServiceType":null,"URLPath":null'
    assert.same(SAMPLED, policy(rule(nulls)):decide(server()))
    assert.same(SAMPLED, policy(rule '"Attributes":{"team":null}'):decide(server()))
    assert.same(SAMPLED, policy('{"NextToken":null,"SamplingRuleRecords":[' .. rule(nulls) .. "]}"):decide(server()))
    assert.error_matches(function() policy "[null]" end, "a rule is an object")
  end)

  it("takes what a span does not say as a match, but not an attribute", function()
    assert.same(SAMPLED, policy(rule '"Host":"x","URLPath":"/y","HTTPMethod":"GET"'):decide(server()))
    local p = policy(rule '"Attributes":{"team":"R*"}')
    assert.is_nil(p:decide(server()))
    assert.is_nil(p:decide(server { attr = { team = "blue" } }))
    assert.same(SAMPLED, p:decide(server { attr = { team = "red" } }))
  end)

  it("reads bare rules, lists and the SDKs' local files", function()
    assert.same({ "sample", 1, "x" }, policy('[{"RuleName":"x","FixedRate":1}]'):decide(server()))
    local p = policy [[{"version":2,"default":{"fixed_target":0,"rate":0.05},"rules":[
      {"description":"pay","host":"*","http_method":"*","url_path":"/pay/*","fixed_target":1,"rate":0.5}]}]]
    local pay = server { attr = { ["url.path"] = "/pay/1", ["http.host"] = "a" } }
    assert.same({ "keep", "pay" }, p:decide(pay))
    assert.same({ "sample", 0.5, "pay" }, p:decide(pay))
    assert.same({ "sample", 0.05, "default" }, p:decide(server { attr = { ["url.path"] = "/x" } }))
    local old = policy '{"version":1,"default":{"fixed_target":0,"rate":0.1},"rules":[{"service_name":"a","fixed_target":0,"rate":1}]}'
    assert.same({ "sample", 1, "rule-1" }, old:decide(pay))
    local blank = policy '{"version":2,"default":{"fixed_target":0,"rate":0.1},"rules":[{"description":"","host":"a","fixed_target":0,"rate":1}]}'
    assert.same({ "sample", 1, "rule-1" }, blank:decide(pay))
  end)

  it("without any rule keeps one a second and a twentieth", function()
    local p = policy("[]", "empty")
    assert.same({ "keep", "fallback" }, p:decide(server()))
    assert.same({ "sample", 0.05, "fallback" }, p:decide(server()))
  end)

  it("does not remember long values, which senders choose", function()
    local p = policy(rule '"URLPath":"/pay/*"')
    local function ask(i)
      local path = "/pay/" .. i .. ("x"):rep(8192)
      for _ = 1, 2 do assert.same(SAMPLED, p:decide(server { attr = { ["url.path"] = path } })) end
    end
    ask(0)
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 200 do ask(i) end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 512, "KiB: " .. collectgarbage "count" - before)
  end)

  it("says what is wrong", function()
    for rules, said in pairs {
      ["{"] = "rules is not JSON", ["{}"] = false, ['{"a":1}'] = "this is no sampling rule", ["3"] = "neither an object nor a list",
      ['[{"RuleName":"x","FixedRate":7}]'] = "rule 'x': FixedRate is 7; allowed: a number from 0 to 1",
      ['[{"RuleName":"x","Priority":0}]'] = "Priority is 0; allowed: a number from 1 to 10001",
      ['[{"RuleName":"x","Version":2}]'] = "Version is 2; allowed: 1", ["[{}]"] = "RuleName is nil",
      ['[{"RuleName":"x","Host":3}]'] = "Host is 3; allowed: a pattern",
    } do
      local ok, why = pcall(policy, rules)
      assert.equal(not said, ok, rules)
      if said then assert.is_truthy(tostring(why):find(said, 1, true), why) end
    end
  end)
end)
