-- The aws block of an X-Ray document, its origin and service; most of it is the same for a resource.
local core = require "moontail.policy_core"
local read = require "moontail.xray_read"

local text, present = read.text, read.present
local NULL = core.json_null

local M = {}

-- ---- of the resource ----

local ORIGINS = {
  aws_app_runner = "AWS::AppRunner::Service",
  aws_eks = "AWS::EKS::Container",
  aws_elastic_beanstalk = "AWS::ElasticBeanstalk::Environment",
  aws_ec2 = "AWS::EC2::Instance",
}
local ECS_ORIGINS = { ec2 = "AWS::ECS::EC2", fargate = "AWS::ECS::Fargate" }

local function origin_of(a)
  if a["cloud.provider"] ~= nil and a["cloud.provider"] ~= "aws" then return nil end
  if a["cloud.platform"] == "aws_ecs" then return ECS_ORIGINS[a["aws.ecs.launchtype"]] or "AWS::ECS::Container" end
  return ORIGINS[a["cloud.platform"]]
end

local function service_of(a)
  local version = a["service.version"]
  if version == nil then version = a["container.image.tag"] end
  if version == nil then return nil end
  return { version = present(version) }
end

-- "a&b" or a list; nil for what is neither, {} for a list of nothing.
local function names_of(value)
  if type(value) ~= "string" then return read.list(value) end
  local names = {}
  for name in value:gmatch "[^&]+" do names[#names + 1] = name end
  return names
end

-- The seventh part of an ARN; the text itself where it has fewer.
local function group_of(arn)
  local n, at = 1, 1
  while n < 7 do
    local colon = arn:find(":", at, true)
    if not colon then return arn end
    n, at = n + 1, colon + 1
  end
  return arn:match("^[^:]*", at)
end

local function log_groups_of(a, default)
  local arns, names = names_of(a["aws.log.group.arns"]), names_of(a["aws.log.group.names"])
  local groups = {}
  if arns and #arns > 0 then
    for i, arn in ipairs(arns) do groups[i] = { log_group = present(group_of(text(arn))), arn = present(arn) } end
  else
    if not names or #names == 0 then names = default end
    for i, name in ipairs(names) do groups[i] = { log_group = present(name) } end
  end
  return groups[1] and groups or nil
end

-- Members that are there even where they are empty.
local function with_nulls(members, names, m)
  if not m.compat then return members end
  for _, name in ipairs(names) do
    if members[name] == nil then members[name] = NULL end
  end
  return members
end

local function ec2_of(a, m)
  if a["cloud.platform"] ~= "aws_ec2" and text(a["host.id"]) == "" then return nil end
  return with_nulls({
    instance_id = present(a["host.id"]), availability_zone = present(a["cloud.availability_zone"]),
    instance_size = present(a["host.type"]), ami_id = present(a["host.image.id"]),
  }, { "instance_id", "availability_zone", "instance_size", "ami_id" }, m)
end

local function ecs_of(a)
  if a["cloud.platform"] ~= "aws_ecs" then return nil end
  return {
    container = present(a["container.name"]), container_id = present(a["container.id"]),
    availability_zone = present(a["cloud.availability_zone"]), container_arn = present(a["aws.ecs.container.arn"]),
    cluster_arn = present(a["aws.ecs.cluster.arn"]), task_arn = present(a["aws.ecs.task.arn"]),
    task_family = present(a["aws.ecs.task.family"]), launch_type = present(a["aws.ecs.launchtype"]),
  }
end

local function beanstalk_of(a, m)
  local deployment = text(a["service.instance.id"])
  if a["cloud.platform"] ~= "aws_elastic_beanstalk" or deployment == "" then return nil end
  return with_nulls({
    environment_name = present(a["service.namespace"]), version_label = present(a["service.version"]),
    deployment_id = deployment:find "^[+-]?%d+$" and tonumber(deployment) or 0,
  }, { "environment_name", "version_label" }, m)
end

local function eks_of(a, m)
  if a["cloud.platform"] ~= "aws_eks" and text(a["k8s.cluster.name"]) == "" then return nil end
  return with_nulls({
    cluster_name = present(a["k8s.cluster.name"]), pod = present(a["k8s.pod.name"]), container_id = present(a["container.id"]),
  }, { "cluster_name", "pod", "container_id" }, m)
end

-- Whether an agent instrumented it: of the collector's exporter the later of two attributes says so.
local function is_auto(keys, a, m)
  local is = false
  for _, key in ipairs(keys) do
    if key == "telemetry.auto.version" or key == "telemetry.distro.version" then is = text(a[key]) ~= "" or (is and not m.compat) end
  end
  return is
end

local function sdk_of(keys, a, m)
  local name, language = text(a["telemetry.sdk.name"]), text(a["telemetry.sdk.language"])
  local suffix = " for " .. language
  if name ~= "" and language ~= "" and (m.compat or name:sub(-#suffix) ~= suffix) then name = name .. suffix end
  return { sdk = present(name), sdk_version = present(a["telemetry.sdk.version"]), auto_instrumentation = is_auto(keys, a, m) }
end

-- The same for every span: written once.
local function made(part) return part and core.json_made(part) end

-- What documents take from a resource: { attrs, keys, names (by which fields know the
-- keys), origin, service, language, account, aws = nil or the parts of the
-- block that all its spans share }.
function M.resource(keys, attrs, m)
  local provider = text(attrs["cloud.provider"])
  local resource = { keys = keys, attrs = attrs, names = {}, language = text(attrs["telemetry.sdk.language"]) }
  for i, key in ipairs(keys) do resource.names[i] = "otel.resource." .. key end
  resource.origin, resource.service = origin_of(attrs), made(service_of(attrs))
  if provider ~= "" and provider ~= "aws" then return resource end
  resource.account = present(attrs["cloud.account.id"])
  resource.aws = {
    ec2 = made(ec2_of(attrs, m)), ecs = made(ecs_of(attrs)), elastic_beanstalk = made(beanstalk_of(attrs, m)),
    eks = made(eks_of(attrs, m)), cloudwatch_logs = made(log_groups_of(attrs, m.log_groups)), xray = made(sdk_of(keys, attrs, m)),
  }
  return resource
end

-- ---- of the span ----

local TAKEN = {
  "rpc.method", "aws.operation", "aws.account_id", "aws.region", "aws.request_id", "aws.requestId", "aws.queue_url",
  "aws.queue.url", "aws.table_name", "aws.table.name",
}

local function first(a, one, other)
  local value = a[one]
  if value == nil then value = a[other] end
  return present(value)
end

-- table_name, table_names
local function tables_of(a)
  local name, value = first(a, "aws.table_name", "aws.table.name"), a["aws.dynamodb.table_names"]
  if value == nil then return name end
  if type(value) == "string" then return present(value) end
  local list = read.list(value)
  if not list or #list == 0 then return name end
  for i, each in ipairs(list) do list[i] = text(each) end
  if #list == 1 then return present(list[1]) end
  return nil, list
end

local function take(rest)
  for i = 1, #TAKEN do
    if rest[TAKEN[i]] ~= nil then rest[TAKEN[i]] = nil end
  end
end

-- The block, or nil where the resource is not of AWS; what it took is gone from the attributes.
function M.block(span)
  local of_all, rest = span.resource.aws, span.attrs
  local block
  if of_all then
    local account, queue = span.resource.account, first(rest, "aws.queue_url", "aws.queue.url")
    if rest["aws.account_id"] ~= nil then account = present(rest["aws.account_id"]) end
    if rest["messaging.url"] ~= nil then queue = present(rest["messaging.url"]) end
    local table_name, table_names = tables_of(rest)
    block = {
      account_id = account, operation = first(rest, "aws.operation", "rpc.method"), region = present(rest["aws.region"]),
      request_id = first(rest, "aws.request_id", "aws.requestId"), queue_url = queue, table_name = table_name,
      table_names = table_names, ec2 = of_all.ec2, ecs = of_all.ecs, elastic_beanstalk = of_all.elastic_beanstalk,
      eks = of_all.eks, cloudwatch_logs = of_all.cloudwatch_logs, xray = of_all.xray,
    }
  end
  take(rest)
  return block
end

return M
