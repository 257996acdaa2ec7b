-- The aws and sql blocks, origin and service. Spans have a parent here: their resource is no metadata.
local g = require "support.xray_golden"

local NULL = g.NULL
local PLAIN = { auto_instrumentation = false }

-- A subsegment of a resource with this aws block; `more` are other fields.
local function block(aws, more)
  local compat = { type = "subsegment", aws = aws }
  aws.xray = aws.xray or PLAIN
  for key, value in pairs(more or {}) do compat[key] = value end
  return compat
end

local function of(attrs) return { parent = true, attrs = attrs } end

return {
  {
    "another cloud has no aws block, and uses up its attributes all the same",
    resource = { ["cloud.provider"] = "gcp", ["cloud.platform"] = "aws_ec2" }, span = of { { "aws.region", "r" }, { "rpc.method", "m" } },
    compat = { type = "subsegment", aws = g.GONE },
  },
  {
    "an instance of EC2", resource = { ["cloud.platform"] = "aws_ec2", ["host.id"] = "i-1", ["cloud.availability_zone"] = "us-east-1a" }, span = of {},
    compat = block({ ec2 = { instance_id = "i-1", availability_zone = "us-east-1a", instance_size = NULL, ami_id = NULL } }, { origin = "AWS::EC2::Instance" }),
    default = { aws = { xray = PLAIN, ec2 = { instance_id = "i-1", availability_zone = "us-east-1a" } } },
  },
  {
    "a host's id is an instance's", resource = { ["host.id"] = "i-2", ["host.type"] = "m5", ["host.image.id"] = "ami-1", ["cloud.availability_zone"] = "z" }, span = of {},
    compat = block { ec2 = { instance_id = "i-2", availability_zone = "z", instance_size = "m5", ami_id = "ami-1" } },
  },
  {
    "a task of Fargate",
    resource = {
      ["cloud.provider"] = "aws", ["cloud.platform"] = "aws_ecs", ["aws.ecs.launchtype"] = "fargate", ["container.name"] = "web", ["container.id"] = "c",
      ["aws.ecs.container.arn"] = "k", ["aws.ecs.cluster.arn"] = "l", ["aws.ecs.task.arn"] = "t", ["aws.ecs.task.family"] = "f", ["cloud.availability_zone"] = "z",
    },
    span = of {},
    compat = block({ ecs = {
      container = "web", container_id = "c", container_arn = "k", cluster_arn = "l", task_arn = "t", task_family = "f", launch_type = "fargate", availability_zone = "z",
    } }, { origin = "AWS::ECS::Fargate" }),
  },
  { "a task on EC2", resource = { ["cloud.platform"] = "aws_ecs", ["aws.ecs.launchtype"] = "ec2" }, span = of {}, compat = block({ ecs = { launch_type = "ec2" } }, { origin = "AWS::ECS::EC2" }) },
  { "a task that does not say on what", resource = { ["cloud.platform"] = "aws_ecs" }, span = of {}, compat = block({ ecs = {} }, { origin = "AWS::ECS::Container" }) },
  {
    "a pod of EKS", resource = { ["cloud.platform"] = "aws_eks", ["k8s.cluster.name"] = "c", ["k8s.pod.name"] = "p", ["container.id"] = "i" }, span = of {},
    compat = block({ eks = { cluster_name = "c", pod = "p", container_id = "i" } }, { origin = "AWS::EKS::Container" }),
  },
  {
    "a cluster elsewhere", resource = { ["k8s.cluster.name"] = "c" }, span = of {},
    compat = block { eks = { cluster_name = "c", pod = NULL, container_id = NULL } }, default = { aws = { xray = PLAIN, eks = { cluster_name = "c" } } },
  },
  {
    "a deployment of Beanstalk", resource = { ["cloud.platform"] = "aws_elastic_beanstalk", ["service.instance.id"] = "42", ["service.namespace"] = "env", ["service.version"] = "v1" },
    span = of {},
    compat = block({ elastic_beanstalk = { environment_name = "env", deployment_id = 42, version_label = "v1" } }, { origin = "AWS::ElasticBeanstalk::Environment", service = { version = "v1" } }),
  },
  {
    "one whose id is no number", resource = { ["cloud.platform"] = "aws_elastic_beanstalk", ["service.instance.id"] = "abc" }, span = of {},
    compat = block({ elastic_beanstalk = { environment_name = NULL, deployment_id = 0, version_label = NULL } }, { origin = "AWS::ElasticBeanstalk::Environment" }),
    default = { aws = { xray = PLAIN, elastic_beanstalk = { deployment_id = 0 } } },
  },
  { "App Runner", resource = { ["cloud.platform"] = "aws_app_runner" }, span = of {}, compat = block({}, { origin = "AWS::AppRunner::Service" }) },
  { "Lambda has no origin", resource = { ["cloud.platform"] = "aws_lambda" }, span = of {}, compat = block {} },
  { "the image's tag is a version", resource = { ["container.image.tag"] = "7" }, span = of {}, compat = block({}, { service = { version = "7" } }) },
  {
    "what was called, and for whom", resource = { ["cloud.account.id"] = "1" },
    span = of {
      { "aws.account_id", "2" }, { "aws.operation", "Put" }, { "rpc.method", "m" }, { "aws.region", "r" }, { "aws.request_id", "q" }, { "aws.queue_url", "u" },
      { "aws.table_name", "t" },
    },
    compat = block { account_id = "2", operation = "Put", region = "r", request_id = "q", queue_url = "u", table_name = "t" },
  },
  { "an operation may be rpc.method", resource = { ["cloud.account.id"] = "1" }, span = of { { "rpc.method", "m" }, { "aws.requestId", "q" } }, compat = block { account_id = "1", operation = "m", request_id = "q" } },
  {
    "messaging.url comes before the queue's", span = of { { "aws.queue.url", "u" }, { "messaging.url", "v" } },
    compat = block({ queue_url = "v" }, { metadata = { default = { ["messaging.url"] = "v" } } }),
  },
  {
    "one table of several names", span = of { { "aws.dynamodb.table_names", { "t" } }, { "aws.table.name", "x" } },
    compat = block({ table_name = "t" }, { metadata = { default = { ["aws.dynamodb.table_names"] = { "t" } } } }),
  },
  {
    "two tables", span = of { { "aws.dynamodb.table_names", { "t", "u" } }, { "aws.table_name", "x" } },
    compat = block({ table_names = { "t", "u" } }, { metadata = { default = { ["aws.dynamodb.table_names"] = { "t", "u" } } } }),
  },
  {
    "a table as text", span = of { { "aws.dynamodb.table_names", "t" } },
    compat = block({ table_name = "t" }, { metadata = { default = { ["aws.dynamodb.table_names"] = "t" } } }),
  },
  {
    "log groups by their ARN", options = { aws_log_groups = { "c" } },
    resource = { ["aws.log.group.arns"] = "arn:aws:logs:us-east-1:1:log-group:g4:*&short", ["aws.log.group.names"] = { "n" } }, span = of {},
    compat = block { cloudwatch_logs = { { log_group = "g4", arn = "arn:aws:logs:us-east-1:1:log-group:g4:*" }, { log_group = "short", arn = "short" } } },
  },
  {
    "log groups by name", options = { aws_log_groups = { "c" } }, resource = { ["aws.log.group.names"] = "a&&b" }, span = of {},
    compat = block { cloudwatch_logs = { { log_group = "a" }, { log_group = "b" } } },
  },
  { "log groups of the configuration", options = { aws_log_groups = { "c" } }, span = of {}, compat = block { cloudwatch_logs = { { log_group = "c" } } } },
  {
    "the SDK and its agent",
    resource = { ["telemetry.sdk.name"] = "opentelemetry", ["telemetry.sdk.language"] = "java", ["telemetry.sdk.version"] = "1.4", ["telemetry.auto.version"] = "2" },
    span = of {}, compat = block { xray = { sdk = "opentelemetry for java", sdk_version = "1.4", auto_instrumentation = true } },
  },
  {
    "an SDK's name that has its language", resource = { ["telemetry.sdk.name"] = "X-Ray for go", ["telemetry.sdk.language"] = "go", ["telemetry.distro.version"] = "2" }, span = of {},
    compat = block { xray = { sdk = "X-Ray for go for go", auto_instrumentation = true } }, default = { aws = { xray = { sdk = "X-Ray for go", auto_instrumentation = true } } },
  },
  {
    "a statement of SQL",
    span = { kind = "client", parent = true, name = "SELECT", attrs = {
      { "db.system", "mysql" }, { "db.name", "shop" }, { "db.statement", "SELECT 1" }, { "db.user", "app" }, { "db.connection_string", "mysql://db:3306" },
    } },
    compat = {
      type = "subsegment", namespace = "remote", name = "shop@db",
      sql = { url = "SELECT", connection_string = "mysql://db:3306/shop", database_type = "mysql", user = "app", sanitized_query = "SELECT 1" },
    },
  },
  {
    "SQL on an unnamed host", span = of { { "db.system", "sqlite" } },
    compat = block({}, { sql = { url = "op", connection_string = "localhost/", database_type = "sqlite" } }),
  },
  {
    "a database without SQL", span = of { { "db.system", "redis" }, { "db.statement", "GET k" } },
    compat = block({}, { metadata = { default = { ["db.system"] = "redis", ["db.statement"] = "GET k" } } }),
  },
  {
    "SQL of the new conventions",
    span = { kind = "client", parent = true, attrs = { { "db.system.name", "microsoft.sql_server" }, { "db.namespace", "shop" }, { "db.query.text", "SELECT 2" }, { "server.address", "db" } } },
    compat = {
      type = "subsegment", namespace = "remote",
      metadata = { default = { ["db.system.name"] = "microsoft.sql_server", ["db.namespace"] = "shop", ["db.query.text"] = "SELECT 2" } },
    },
    default = {
      name = "shop@db", metadata = g.GONE,
      sql = { url = "op", connection_string = "db/shop", database_type = "microsoft.sql_server", sanitized_query = "SELECT 2" },
    },
  },
}
