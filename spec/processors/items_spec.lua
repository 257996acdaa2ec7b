local t = require "moontail.testing"

-- What processors do about metrics and logs.
describe("processors of logs", function()
  local LOGS = {
    resource = { ["service.name"] = "cart", host = "a" },
    scope = "lib",
    { body = "started", severity = "info", attr = { user = "ada", n = 1 } },
    { body = "detail", severity = "debug", attr = { user = "bob" } },
    { body = { event = "paid", sum = 3 }, severity = "error", event_name = "order" },
  }

  local function bodies(list)
    local found = {}
    for i, record in ipairs(list) do found[i] = record.body end
    return found
  end

  it("drops records that match, and nothing of other signals", function()
    local p = t.processor("filter", { logs = t.match { log = { severity = { "trace", "debug" } } }, reason = "noise" })
    local left, reasons = p:logs(LOGS)
    assert.same({ "started", { event = "paid", sum = 3 } }, bodies(left))
    assert.same({ "noise" }, reasons)
    assert.same("cart", left.resource["service.name"])
    assert.same("lib", left.scope)
    local metrics = p:metrics { { name = "m", points = { { value = 1 } } } }
    assert.same(1, #metrics)
  end)

  it("matches a record's body, attributes, resource, scope and event", function()
    local function left_by(m) return #t.processor("filter", { logs = t.match(m) }):logs(LOGS) end
    assert.same(2, left_by { log = { body = t.regex "^start" } })
    assert.same(2, left_by { attr = { user = "bob" } })
    assert.same(2, left_by { log = { event_name = "order" } })
    assert.same(0, left_by { resource = { host = "a" } })
    assert.same(3, left_by { resource = { host = "b" } })
    assert.same(0, left_by { scope = { name = "lib" } })
    assert.same(1, left_by { log = { severity_number = t.range(9, nil) } })
    assert.same(2, left_by { ["not"] = { log = { severity = { "error", "info" } } } })
  end)

  it("leaves nothing of a resource without records", function()
    local left, reasons = t.processor("filter", { logs = true }):logs(LOGS)
    assert.same({}, left)
    assert.same({ "filter", "filter", "filter" }, reasons)
  end)

  it("edits attributes where it is told to, and resources", function()
    local left = t.processor("attributes", { logs = true, insert = { team = "shop", n = 2 }, delete = { "user" } }):logs(LOGS)
    assert.same({ n = 1, team = "shop" }, left[1].attr)
    assert.same({ n = 2, team = "shop" }, left[2].attr)
    left = t.processor("attributes", { logs = true, target = "resource", rename = { host = "host.name" } }):logs(LOGS)
    assert.same({ ["service.name"] = "cart", ["host.name"] = "a" }, left.resource)
    assert.same({ user = "ada", n = 1 }, left[1].attr)
    assert.same(LOGS[1].attr, t.processor("attributes", { insert = { team = "shop" } }):logs(LOGS)[1].attr)
  end)

  it("truncates", function()
    local left = t.processor("truncate", { logs = true, max_bytes = 3 }):logs(LOGS)
    assert.same({ "sta", "det", { event = "pai", sum = 3 } }, bodies(left))
  end)

  it("redacts bodies, attributes and resources, by itself", function()
    local left = t.processor("redact", {}):logs {
      resource = { ["service.name"] = "cart", owner = "ada@example.org" },
      { body = "login of ada@example.org", attr = { password = "x", page = 2 } },
      { body = { token = "abc", n = 1 } },
    }
    assert.same({ "login of ****", { token = "****", n = 1 } }, bodies(left))
    assert.same({ password = "****", page = 2 }, left[1].attr)
    assert.same("****", left.resource.owner)
    left = t.processor("redact", { logs = false, metrics = false }):logs { { body = "ada@example.org" } }
    assert.same({ "ada@example.org" }, bodies(left))
  end)

  it("takes scripts of one's own", function()
    local p = t.processor {
      name = "own",
      on = "kept",
      log = function(log)
        if log.service ~= "cart" or log.resource:attr "host" ~= "a" or log.scope.name ~= "lib" then return t.drop "wrong" end
        if log.severity == "debug" then return t.drop "debug" end
        if type(log.body) == "table" then
          log:set_body(log.body.event .. " " .. log.body.sum)
          log:set_severity("warn", "WARN")
          log:set("tags", { "a", { b = true } })
        else
          log:set_body { text = log.body, n = log:attr "n" }
          log:rename("user", "enduser.id")
        end
      end,
      resource = function(resource) resource:set("seen", true) end,
    }
    local left, reasons = p:logs(LOGS)
    assert.same({ "debug" }, reasons)
    assert.same({ { text = "started", n = 1 }, "paid 3" }, bodies(left))
    assert.same({ ["enduser.id"] = "ada", n = 1 }, left[1].attr)
    assert.same({ "warn", "WARN" }, { left[2].severity, left[2].severity_text })
    assert.same({ "a", { b = true } }, left[2].attr.tags)
    assert.is_true(left.resource.seen)
  end)

  it("lets a record pass, strips or drops it where a script fails", function()
    local function with(on_error)
      return t.processor { name = "own", on = "kept", on_error = on_error, log = function(log)
        log:set("half", true)
        if log.severity == "info" then error "no" end
      end }:logs { { body = "secret", severity = "info", attr = { user = "ada" }, trace_id = ("ab"):rep(16) }, { body = "b" } }
    end
    local left = with "pass"
    assert.same({ "secret", { user = "ada" } }, { left[1].body, left[1].attr })
    left = with "strip"
    assert.same({ "****", "info", ("ab"):rep(16), {} }, { left[1].body, left[1].severity, left[1].trace_id, left[1].attr })
    local reasons
    left, reasons = with "drop"
    assert.same({ "b" }, bodies(left))
    assert.same({ "error" }, reasons)
  end)
end)

describe("processors of metrics", function()
  local METRICS = {
    resource = { ["service.name"] = "cart" },
    { name = "jvm.gc", unit = "s", points = { { value = 1, attr = { gc = "old" } } } },
    { name = "requests", type = "sum", points = { { value = 2, attr = { route = "/a" } }, { value = 3, attr = { route = "/healthz" } } } },
    { name = "latency", type = "histogram", points = { { count = 4, sum = 8, bounds = { 1 }, counts = { 1, 3 }, attr = { route = "/a" } } } },
    { name = "exact", type = "exponential_histogram", points = { { count = 1, sum = 1, scale = 0, positive = { offset = 0, bucketCounts = { 1 } }, attr = { route = "/a" } } } },
    { name = "old", type = "summary", points = { { count = 5, sum = 6, attr = { route = "/a" } } } },
  }

  local function names(list)
    local found = {}
    for i, metric in ipairs(list) do found[i] = metric.name end
    return found
  end

  it("drops data points that match, and a metric with the last of them", function()
    local left, reasons = t.processor("filter", { metrics = t.match { metric = { name = t.glob "jvm.*" } } }):metrics(METRICS)
    assert.same({ "requests", "latency", "exact", "old" }, names(left))
    assert.same({ "filter" }, reasons)
    left, reasons = t.processor("filter", { metrics = t.match { attr = { route = "/healthz" } } }):metrics(METRICS)
    assert.same({ { attr = { route = "/a" }, value = 2 } }, left[2].points)
    assert.same({ "filter" }, reasons)
    left = t.processor("filter", { metrics = t.match { attr = { route = "/a" } } }):metrics(METRICS)
    assert.same({ "jvm.gc", "requests" }, names(left))
  end)

  it("matches what kind of metric it is, and values", function()
    local function left_by(m) return names(t.processor("filter", { metrics = t.match(m) }):metrics(METRICS)) end
    assert.same({ "jvm.gc", "requests" }, left_by { metric = { type = { "histogram", "exponential_histogram", "summary" } } })
    assert.same({ "jvm.gc", "requests", "old" }, left_by { metric = { temporality = "cumulative", monotonic = false } })
    assert.same({ "requests", "latency", "exact", "old" }, left_by { metric = { unit = "s" } })
    assert.same({ "jvm.gc", "requests", "exact", "old" }, left_by { point = { count = t.range(2, 4) } })
    assert.same({ "requests", "latency", "exact", "old" }, left_by { point = { value = 1 } })
  end)

  it("edits attributes of every kind of data point", function()
    local left = t.processor("attributes", { metrics = true, upsert = { team = "shop" }, hash = { "gc" } }):metrics(METRICS)
    for i = 2, 5 do
      assert.same("shop", left[i].points[1].attr.team)
      assert.same("/a", left[i].points[1].attr.route)
    end
    assert.same(64, #left[1].points[1].attr.gc)
    assert.same({ 4, 8 }, { left[3].points[1].count, left[3].points[1].sum })
  end)

  it("redacts attributes of data points and leaves numbers", function()
    local left = t.processor("redact", {}):metrics { { name = "m", points = { { value = 4111111111111111, attr = { mail = "ada@example.org" } } } } }
    assert.same({ { attr = { mail = "****" }, value = 4111111111111111 } }, left[1].points)
  end)

  it("takes scripts of one's own", function()
    local p = t.processor {
      name = "own",
      on = "kept",
      metric = function(metric)
        if metric.name == "old" then return t.drop "summaries" end
        metric:set_name("shop." .. metric.name)
        if metric.unit == nil then metric:set_unit "1" end
      end,
      point = function(point)
        point:set("type", point.metric.type)
        point:set("name", point.metric.name)
        if point.value == 3 then return t.drop "three" end
      end,
    }
    local left, reasons = p:metrics(METRICS)
    assert.same({ "shop.jvm.gc", "shop.requests", "shop.latency", "shop.exact" }, names(left))
    assert.same({ "three", "summaries" }, reasons)
    assert.same({ type = "histogram", name = "shop.latency", route = "/a" }, left[3].points[1].attr)
    assert.same({ "s", "1" }, { left[1].unit, left[2].unit })
  end)

  it("drops a data point that can't be stripped: without its attributes it is another series", function()
    local p = t.processor { name = "own", on = "kept", on_error = "strip", point = function() error "no" end }
    local left, reasons = p:metrics { { name = "m", points = { { value = 1 } } } }
    assert.same({}, left)
    assert.same({ "error" }, reasons)
  end)
end)

describe("what processors are asked about", function()
  local function why(...)
    local ok, text = pcall(t.processor, ...)
    return not ok and text
  end

  it("is what functions it has, what its file says, or what is named", function()
    local calls = {}
    local function own(options)
      local spec = { name = "own", on = "kept" }
      function spec.span() calls[#calls + 1] = "span" end
      function spec.log() calls[#calls + 1] = "log" end
      for key, value in pairs(options) do spec[key] = value end
      local p = t.processor(spec)
      calls = {}
      p:process(t.trace { {} })
      p:logs { { body = "a" } }
      return calls
    end
    assert.same({ "span", "log" }, own {})
    assert.same({ "span" }, own { signals = { "traces" } })
    local p = t.processor("filter", { when = true })
    assert.same(1, #p:logs { { body = "a" } })
  end)

  it("can't be what it has no functions for, or what the match can't hold on", function()
    assert.matches("write when = match", why("filter", {}))
    assert.matches("logs asks for what logs don't have", why("filter", { logs = t.match { kind = "server" } }))
    assert.matches("when asks for what traces don't have", why("filter", { when = t.match { log = { severity = "info" } } }))
    assert.matches("metrics asks for what metrics don't have", why("filter", { metrics = t.match { event = { name = "x" } } }))
    assert.matches("without a match", why("redact", { logs = t.match { attr = { a = 1 } } }))
    assert.matches("log.severity is never 'warning'", select(2, pcall(t.match, { log = { severity = "warning" } })))
  end)
end)
