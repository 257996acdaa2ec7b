-- Takes the rules as one document `{ "SamplingRule": { ... } }`, as a list of them or of bare rules, as the answer of
-- GetSamplingRules, or as the local file of an SDK (version 1 or 2, with `default` and `rules`).
--
-- The rule with the smallest priority that matches the entry span decides, of equal ones the first by name: so many
-- traces a second as its reservoir has are kept, of the rest its fixed rate, by the draw that all nodes share. Patterns
-- are in any case, `*` any run, `?` one character; what a span does not say matches anything. Without a rule that
-- matches the policy has no opinion, and without rules at all it keeps one trace a second and 5 %. A reservoir is this
-- collector's own: there is no quota to share it with others. In config.lua `rules = file "sampling-rules.json"` reads
-- a file beside it.
--
--     policy "xray_sampling_rules/checkout" { rules = [[{ "SamplingRule": { "RuleName": "checkout", "Priority": 1,
--       "FixedRate": 0.1, "ReservoirSize": 5, "ServiceName": "checkout", "URLPath": "/pay/*", "Version": 1 } }]] },

local MAX_RULES, MAX_ATTRIBUTES = 1000, 5
local MAX_ANSWERS, ANSWER_BYTES = 10000, 512 -- that are remembered, by the values that spans had
local FALLBACK = { RuleName = "fallback", Priority = 10001, FixedRate = 0.05, ReservoirSize = 1 }

-- ---- reading ----

-- What is null is as if it were not there.
local function without_nulls(value)
  if type(value) ~= "table" then return value end
  for key, inner in pairs(value) do
    if inner ~= json.null then
      without_nulls(inner)
    elseif type(key) == "string" then
      value[key] = nil
    end
  end
  return value
end

local function wrong(rule, key, allowed)
  error(("rule '%s': %s is %s; allowed: %s"):format(tostring(rule.RuleName), key, tostring(rule[key]), allowed), 0)
end

local function number(rule, key, default, min, max)
  local value = rule[key]
  if value == nil then value = default end
  if type(value) ~= "number" or value < min or value > max then wrong(rule, key, "a number from " .. min .. " to " .. max) end
  return value
end

-- The pattern as glob takes it: there a backslash escapes.
local function pattern(rule, key)
  local value = rule[key]
  if value == nil then return "*" end
  if type(value) ~= "string" then wrong(rule, key, "a pattern, a string") end
  return (value:lower():gsub("\\", "\\\\"))
end

local FIELDS = { "ServiceName", "ServiceType", "Host", "HTTPMethod", "URLPath", "ResourceARN" }

local function attributes_of(rule)
  local list, given = {}, rule.Attributes or {}
  if type(given) ~= "table" then wrong(rule, "Attributes", "an object of names and patterns") end
  for name in pairs(given) do list[#list + 1] = { name = name, pattern = pattern(given, name) } end
  if #list > MAX_ATTRIBUTES then error(("rule '%s' has %d attributes; allowed: %d"):format(rule.RuleName, #list, MAX_ATTRIBUTES), 0) end
  return list
end

local function read_rule(rule)
  if type(rule) ~= "table" then error("a rule is an object, not " .. tostring(rule), 0) end
  local name = rule.RuleName
  if type(name) ~= "string" or name == "" or #name > 64 then wrong(rule, "RuleName", "a name of up to 64 bytes") end
  if rule.Version ~= nil and rule.Version ~= 1 then wrong(rule, "Version", "1") end
  local read = {
    name = name,
    priority = number(rule, "Priority", 10000, 1, 10001),
    rate = number(rule, "FixedRate", 0, 0, 1),
    reservoir = number(rule, "ReservoirSize", 0, 0, 1000000),
    attributes = attributes_of(rule),
    patterns = {},
  }
  for i, key in ipairs(FIELDS) do read.patterns[i] = pattern(rule, key) end
  return read
end

-- The local file of an SDK: rules in order, then the default.
local function read_local(doc)
  local list = {}
  local function add(rule, name, priority)
    list[#list + 1] = read_rule {
      RuleName = name, Priority = priority, FixedRate = rule.rate, ReservoirSize = rule.fixed_target,
      Host = rule.host or rule.service_name, HTTPMethod = rule.http_method, URLPath = rule.url_path,
    }
  end
  for i, rule in ipairs(doc.rules or {}) do
    if i >= 9999 then break end
    local name = type(rule.description) == "string" and rule.description:sub(1, 64) or ""
    add(rule, name ~= "" and name or "rule-" .. i, i)
  end
  add(doc.default, "default", 10000)
  return list
end

local function read(doc)
  if type(doc) ~= "table" then error("the rules are neither an object nor a list", 0) end
  if doc.default then return read_local(doc) end
  local records, list = doc.SamplingRuleRecords or doc, {}
  if records.SamplingRule or records.RuleName then records = { records } end
  for i, record in ipairs(records) do
    if i > MAX_RULES then error("more than " .. MAX_RULES .. " rules", 0) end
    list[i] = read_rule(type(record) == "table" and record.SamplingRule or record)
  end
  if #list == 0 and next(records) ~= nil then
    error("this is no sampling rule: SamplingRule, RuleName, SamplingRuleRecords or default is expected", 0)
  end
  if #list == 0 then list[1] = read_rule(FALLBACK) end
  table.sort(list, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    return a.name < b.name
  end)
  return list
end

-- ---- what a span says ----

local ORIGINS = {
  aws_app_runner = "AWS::AppRunner::Service",
  aws_eks = "AWS::EKS::Container",
  aws_elastic_beanstalk = "AWS::ElasticBeanstalk::Environment",
  aws_ec2 = "AWS::EC2::Instance",
  aws_lambda = "AWS::Lambda::Function",
}
local LAUNCHED = { ec2 = "AWS::ECS::EC2", fargate = "AWS::ECS::Fargate" }

local function service_type(resource)
  local platform = resource:attr_text "cloud.platform"
  if platform == "aws_ecs" then return LAUNCHED[resource:attr_text "aws.ecs.launchtype"] or "AWS::ECS::Container" end
  return ORIGINS[platform or ""] or ""
end

local function host(entry)
  local old = entry:attr_text "http.host"
  if old then return old end
  local address, port = entry:attr_text "server.address", entry:attr_text "server.port"
  if not address then return "" end
  return port and address .. ":" .. port or address
end

local function resource_arn(resource)
  return resource:attr_text "aws.ecs.container.arn" or resource:attr_text "cloud.resource_id" or resource:attr_text "faas.id" or ""
end

-- Their values in the order of FIELDS, then of the attributes that rules name.
local function values_of(my, entry)
  local http = entry.http
  local values = { entry.service or "", service_type(entry.resource), host(entry), http.method or "", http.path or "", resource_arn(entry.resource) }
  for i = 1, #my.attributes do values[#FIELDS + i] = entry:attr_text(my.attributes[i]) or "" end
  return values
end

local function holds(rule, my, values)
  for i, wanted in ipairs(rule.patterns) do
    if values[i] ~= "" and not text.glob(values[i]:lower(), wanted) then return false end
  end
  for _, attribute in ipairs(rule.attributes) do
    local value = values[#FIELDS + my.places[attribute.name]]
    if value == "" or not text.glob(value:lower(), attribute.pattern) then return false end
  end
  return true
end

local function find(my, values)
  for _, rule in ipairs(my.rules) do
    if holds(rule, my, values) then return rule end
  end
  return false
end

local function rule_of(my, entry)
  local values = values_of(my, entry)
  local key = table.concat(values, "\0")
  local known = my.answers[key]
  if known ~= nil then return known end
  known = find(my, values)
  if #key > ANSWER_BYTES then return known end
  if my.count == MAX_ANSWERS then my.answers, my.count = {}, 0 end
  my.answers[key], my.count = known, my.count + 1
  return known
end

return policy {
  doc = "Keep what AWS X-Ray's sampling rules say: a reservoir a second and a fixed rate of the rest.",
  options = { rules = option.string { doc = "the rules, JSON" } },
  setup = function(opt)
    local doc, why = json.decode(opt.rules)
    if doc == nil then error("rules is not JSON: " .. tostring(why), 0) end
    local my = { rules = read(without_nulls(doc)), attributes = {}, places = {}, answers = {}, count = 0 }
    for i, rule in ipairs(my.rules) do
      if rule.reservoir > 0 then
        rule.limit = limit { rate = rule.reservoir, per = "1s", burst = math.max(1, rule.reservoir), name = "rule." .. i }
      end
      rule.kept, rule.sampled = keep(my.rules[i].name), sample(rule.rate, my.rules[i].name) -- a name a rule: they are few
      for _, attribute in ipairs(rule.attributes) do
        if not my.places[attribute.name] then
          table.insert(my.attributes, attribute.name)
          my.places[attribute.name] = #my.attributes
        end
      end
    end
    return my
  end,
  decide = function(trace, _, my)
    local rule = rule_of(my, trace.entry)
    if not rule then return nil end
    if rule.limit and rule.limit:take() then return rule.kept end
    return rule.sampled
  end,
}
