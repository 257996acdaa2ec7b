local t = require "moontail.testing"

describe("drop_health_checks", function()
  local p = t.policy "drop_health_checks"
  local dropped = { "drop", "health_check" }

  local function request(attr, more)
    local span = { kind = "server", duration_ms = 2, attr = attr }
    for key, value in pairs(more or {}) do span[key] = value end
    return p:decide(t.trace { span, { kind = "client" } })
  end

  it("drops the usual paths in new and old conventions", function()
    for _, path in ipairs { "/health", "/healthz", "/readyz", "/metrics", "/actuator/health/liveness", "/_ah/health", "/favicon.ico" } do
      assert.same(dropped, request { ["url.path"] = path })
      assert.same(dropped, request { ["http.target"] = path .. "?verbose=1" })
      assert.same(dropped, request { ["http.url"] = "http://10.0.0.1:8080" .. path .. "#x" })
      assert.same(dropped, request { ["url.full"] = "https://shop.example" .. path:upper() .. "/" })
    end
  end)

  it("compares whole paths", function()
    assert.is_nil(request { ["url.path"] = "/healthcare" })
    assert.is_nil(request { ["url.path"] = "/v1/health" })
    assert.is_nil(request { ["url.path"] = "/" })
    assert.is_nil(request { ["http.target"] = "/?path=/health" })
    assert.is_nil(request {})
  end)

  it("knows who asks", function()
    assert.same(dropped, request { ["url.path"] = "/", ["user_agent.original"] = "ELB-HealthChecker/2.0" })
    assert.same(dropped, request { ["url.path"] = "/x", ["http.user_agent"] = "kube-probe/1.29" })
    assert.same(dropped, request { ["url.path"] = "/x", ["user_agent.original"] = "Mozilla/5.0 (compatible; UptimeRobot/2.0)" })
    assert.is_nil(request { ["url.path"] = "/", ["user_agent.original"] = "Mozilla/5.0" })
    assert.is_nil(request { ["url.path"] = "/", ["user_agent.original"] = 5 })
  end)

  it("knows gRPC's health service", function()
    assert.same(dropped, request { ["rpc.service"] = "grpc.health.v1.Health", ["rpc.method"] = "Check" })
    assert.same(dropped, request { ["rpc.method"] = "grpc.health.v1.Health/Watch" })
    assert.is_nil(request { ["rpc.service"] = "shop.v1.Cart", ["rpc.method"] = "Check" })
  end)

  it("never drops an error or a server error", function()
    assert.is_nil(request({ ["url.path"] = "/health" }, { status = "error" }))
    assert.is_nil(request { ["url.path"] = "/health", ["http.response.status_code"] = 503 })
    assert.is_nil(request { ["url.path"] = "/health", ["http.status_code"] = 500 })
    assert.is_nil(p:decide(t.trace { { kind = "server", attr = { ["url.path"] = "/health" } }, { status = "error" } }))
    assert.is_nil(p:decide(t.trace {
      { kind = "server", attr = { ["url.path"] = "/health" } },
      { kind = "client", attr = { ["http.response.status_code"] = 502 } },
    }))
    assert.same(dropped, request { ["url.path"] = "/health", ["http.response.status_code"] = 404 })
  end)

  it("never drops a slow one", function()
    assert.is_nil(request({ ["url.path"] = "/health" }, { duration_ms = 500 }))
    assert.same(dropped, request({ ["url.path"] = "/health" }, { duration_ms = 499.999 }))
    local strict = t.policy("drop_health_checks", { slow_ms = 10 })
    assert.is_nil(strict:decide(t.trace { { kind = "server", duration_ms = 10, attr = { ["url.path"] = "/health" } } }))
  end)

  it("leaves alone what an application calls", function()
    assert.is_nil(request({ ["url.path"] = "/health" }, { kind = "client" }))
    assert.is_nil(request({ ["url.path"] = "/health" }, { kind = "internal" }))
    assert.is_nil(p:decide(t.trace {
      { kind = "server", attr = { ["url.path"] = "/checkout" } },
      { kind = "server", attr = { ["url.path"] = "/health" } },
    }))
  end)

  it("takes further paths and user agents", function()
    local more = t.policy("drop_health_checks", { paths = { "/Internal/Ok/" }, user_agents = { "Checker" } })
    assert.same(dropped, more:decide(t.trace { { kind = "server", attr = { ["url.path"] = "/internal/ok" } } }))
    assert.same(dropped, more:decide(t.trace { { kind = "server", attr = { ["url.path"] = "/", ["user_agent.original"] = "our-checker" } } }))
    assert.same(dropped, more:decide(t.trace { { kind = "server", attr = { ["url.path"] = "/health" } } }))
  end)

  it("does not remember long user agents, which clients choose", function()
    local function ask(i)
      local agent = "kube-probe/" .. i .. ("x"):rep(8192)
      for _ = 1, 2 do assert.same(dropped, request { ["url.path"] = "/", ["user_agent.original"] = agent }) end
    end
    ask(0)
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 200 do ask(i) end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 512, "KiB: " .. collectgarbage "count" - before)
  end)
end)
