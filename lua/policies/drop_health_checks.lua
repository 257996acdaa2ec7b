-- Health checks come in as server spans; a call that an application makes to /health is no health
-- check of it. A check that fails or is slow is worth keeping: this policy has no opinion on it. Put it
-- first: a check that an earlier policy keeps is kept.
--
-- Known are the usual paths (`/health`, `/healthz`, `/livez`, `/readyz`, `/metrics`, `/ping` and so on), gRPC's
-- health service, and the user agents of load balancers, Kubernetes and uptime monitors.
--
--     policy "drop_health_checks" { slow_ms = 250, paths = { "/internal/alive" } }

local PATHS = [[
  /health /healthz /health/live /health/ready /healthcheck /health-check /_health /livez /readyz /live /ready
  /liveness /readiness /startupz /ping /status /up /heartbeat /alive /metrics /favicon.ico
  /actuator/health /actuator/health/liveness /actuator/health/readiness /actuator/prometheus
  /q/health /nginx_status /_ah/health /api/health ]]

-- Parts of user agents, in lower case.
local AGENTS = {
  "elb-healthchecker/", "amazon-route53-health-check-service", "kube-probe/", "googlehc/", "envoy/hc",
  "consul health check", "prometheus/", "blackbox exporter", "uptimerobot", "pingdom", "statuscake", "site24x7",
  "datadog synthetics", "newrelicpinger", "cloudfront health",
}

local MAX_AGENTS, AGENT_BYTES = 1000, 512 -- user agents whose answer is remembered; clients choose them

-- The part of the path that is compared: without a trailing slash and the query.
local function normal_path(path)
  path = path:lower()
  local query = path:find("?", 1, true)
  if query then path = path:sub(1, query - 1) end
  if #path > 1 and path:sub(-1) == "/" then path = path:sub(1, -2) end
  return path
end

local function is_agent(my, agent)
  local known = my.answers[agent]
  if known ~= nil then return known end
  local lower, found = agent:lower(), false
  for _, part in ipairs(my.agents) do
    found = found or text.contains(lower, part)
  end
  if #agent > AGENT_BYTES then return found end
  if my.answer_count == MAX_AGENTS then my.answers, my.answer_count = {}, 0 end
  my.answers[agent], my.answer_count = found, my.answer_count + 1
  return found
end

-- rpc.method is the bare name in the old conventions and "service/method" in the new ones.
local function is_grpc_check(entry)
  local method = entry.rpc.method
  if not method then return false end
  local service = entry.rpc.service
  if service then method = service .. "/" .. (method:match "[^/]+$" or method) end
  return method == "grpc.health.v1.Health/Check" or method == "grpc.health.v1.Health/Watch"
end

local function is_http_check(my, entry, path)
  if my.paths[normal_path(path)] then return true end
  local agent = entry:attr("user_agent.original", "http.user_agent")
  return type(agent) == "string" and is_agent(my, agent)
end

return policy {
  doc = "Drop traces of health checks that went well.",
  options = {
    slow_ms = option.number { default = 500, min = 0, doc = "a check that took this long or longer is not dropped" },
    paths = option.list { optional = true, doc = "further paths, exact, in any case" },
    user_agents = option.list { optional = true, doc = "further parts of user agents, in any case" },
  },
  setup = function(opt)
    local my = { paths = {}, agents = {}, answers = {}, answer_count = 0 }
    for path in PATHS:gmatch "%S+" do my.paths[path] = true end
    for _, path in ipairs(opt.paths or {}) do my.paths[normal_path(tostring(path))] = true end
    for _, agent in ipairs(AGENTS) do table.insert(my.agents, agent) end
    for _, agent in ipairs(opt.user_agents or {}) do table.insert(my.agents, tostring(agent):lower()) end
    my.failed = match { http = { status = range(500, 599) } }
    return my
  end,
  when = function(opt) return match { trace = { error_count = 0, duration_ms = range(nil, opt.slow_ms) } } end,
  decide = function(trace, opt, my)
    if trace.duration_ms >= opt.slow_ms then return nil end
    local entry = trace.entry
    if entry.kind ~= "server" then return nil end
    local path = entry.http.path
    local found
    if path then found = is_http_check(my, entry, path) else found = is_grpc_check(entry) end
    if found and not trace:find(my.failed) then return drop("health_check") end
  end,
}
