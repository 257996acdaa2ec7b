local t = require "moontail.testing"
local emf = require "moontail.emf"

local NOW = 1700000000000

-- A batch as exporters see it: metrics are plain tables.
local function batch(metrics, now_ms)
  local function each(list)
    local i = 0
    return function()
      i = i + 1
      if list[i] then return i, list[i] end
    end
  end
  for _, m in ipairs(metrics) do
    m.name, m.unit, m.resource, m.scope = m.name or "m", m.unit or "", m.resource or metrics.resource or {}, { name = m.scope or "" }
    m.type = m.type or "gauge"
    for _, p in ipairs(m) do
      p.attributes, p.time_ms = p.attributes or {}, p.time_ms or NOW
    end
    m.points = function() return each(m) end
  end
  return { now_ms = now_ms or NOW, metrics = function() return each(metrics) end }
end

-- The documents of all events, and what was counted.
local function documents(mapping, metrics, now_ms)
  local list, refused, counts = mapping:events(batch(metrics, now_ms))
  local made = {}
  for _, stream in ipairs(list) do
    for _, event in ipairs(stream.events) do
      made[#made + 1] = assert(t.json.decode(event.message))
      made[#made].text, made[#made].group, made[#made].stream, made[#made].points = event.message, stream.group, stream.stream, event.points
    end
  end
  return made, counts, refused
end

local function mapping(o) return emf.api.mapping(o or {}) end

local function one(o, metrics) return documents(mapping(o), metrics)[1] end

describe("a log event of CloudWatch's embedded metric format", function()
  it("is what the format says, with all labels and roll-ups as dimensions", function()
    local d = one({ log_stream_name = "s" }, {
      resource = { ["service.name"] = "cart", ["service.namespace"] = "shop" },
      { name = "latency", unit = "ms", scope = "lib", { value = 1.5, attributes = { route = "/a", code = "200" } } },
    })
    assert.equal(
      '{"Version":"1","_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"shop/cart","Dimensions":'
        .. '[["OTelLib","code","route"],["OTelLib"],["OTelLib","code"],["OTelLib","route"]],'
        .. '"Metrics":[{"Name":"latency","Unit":"Milliseconds","StorageResolution":60}]}]},'
        .. '"OTelLib":"lib","code":"200","latency":1.5,"route":"/a"}',
      d.text
    )
    assert.same({ "/metrics/shop/cart", "s" }, { d.group, d.stream })
    local old = one({ version = "0", namespace = "n" }, { { { value = 1 } } })
    assert.equal('{"Version":"0","CloudWatchMetrics":[{"Namespace":"n","Dimensions":[[]],"Metrics":[{"Name":"m","StorageResolution":60}]}],"Timestamp":"1700000000000","m":1}', old.text)
  end)

  it("has the points of equal time and labels, and each kind by itself", function()
    local made, counts = documents(mapping(), {
      { name = "a", { value = 1, attributes = { x = "1" } }, { value = 2, attributes = { x = "2" } } },
      { name = "b", { value = 3, attributes = { x = "1" } }, { value = 4, attributes = { x = "1" }, time_ms = NOW + 1 } },
      { name = "a", { value = 9, attributes = { x = "1" } } },
      { name = "c", type = "histogram", temporality = "delta", { count = 1, sum = 1, min = 1, max = 1, attributes = { x = "1" } } },
    })
    local found = {}
    for i, d in ipairs(made) do found[i] = { d.a, d.b, d.c, d.x, d.points } end
    assert.same({ { 1, 3, nil, "1", 3 }, { 2, nil, nil, "2", 1 }, { nil, nil, { Count = 1, Max = 1, Min = 1, Sum = 1 }, "1", 1 }, { nil, 4, nil, "1", 1 } }, found)
    assert.same({ duplicate = 1 }, counts)
  end)

  it("has one set of dimensions where there is one label, and none without", function()
    local function sets(o, attributes, scope)
      return one(o, { { scope = scope, { value = 1, attributes = attributes } } })._aws.CloudWatchMetrics[1].Dimensions
    end
    assert.same({ {}, { "a" } }, sets({}, { a = "1" }))
    assert.same({ { "OTelLib" }, { "OTelLib", "a" } }, sets({}, { a = "1" }, "lib"))
    assert.same({ {} }, sets({}, {}))
    assert.same({ { "OTelLib" } }, sets({}, {}, "lib"))
    assert.same({ { "a", "b" } }, sets({ dimension_rollup_option = "NoDimensionRollup" }, { a = "1", b = "2" }))
    assert.same({ { "a", "b" }, { "a" }, { "b" } }, sets({ dimension_rollup_option = "SingleDimensionRollupOnly" }, { a = "1", b = "2" }))
    assert.same({ { "a", "b" }, {}, { "a" }, { "b" } }, sets({}, { a = "1", b = "2", empty = "" }))
  end)

  it("has dimensions and namespaces that CloudWatch takes: printable ASCII, and not blank", function()
    local function made(labels, o, resource)
      local d = one(o or {}, { resource = resource, { { value = 1, attributes = labels } } })
      return d._aws.CloudWatchMetrics[1], d
    end
    local first, d = made { a = "1", city = "Köln", ["größe"] = "2", blank = "  ", tab = "\tx", [":colon"] = "3", [" "] = "4" }
    assert.same({ {}, { "a" } }, first.Dimensions)
    assert.same({ "Köln", "2", "\tx", "3" }, { d.city, d["größe"], d.tab, d[":colon"] })
    local declared = { metric_declarations = { { dimensions = { { "a", "city" }, { "a" } }, metric_name_selectors = { "." } } }, dimension_rollup_option = "NoDimensionRollup" }
    assert.same({ { "a" } }, (made({ a = "1", city = "Köln" }, declared)).Dimensions)
    local function namespace(name) return (made({}, {}, { ["service.name"] = name })).Namespace end
    assert.equal("shop _prod_: K_ln", namespace "shop (prod): Köln")
    assert.equal("a b.c-d_e/f#g:h", namespace "a b.c-d_e/f#g:h")
    assert.equal("_x", namespace ":x")
    assert.equal("default", namespace "  ")
    assert.equal(255, #namespace(("x"):rep(300)))
    local _, counts, refused = documents(mapping(), { { name = " ", { value = 1 } } })
    assert.same({ { unnamed = 1 }, 1 }, { counts, refused })
  end)

  it("leaves out a set of more than 30 dimensions", function()
    local many = {}
    for i = 1, 31 do many[("k%02d"):format(i)] = "v" end
    assert.same({ {} }, one({ dimension_rollup_option = "NoDimensionRollup" }, { { { value = 1, attributes = many } } })._aws.CloudWatchMetrics[1].Dimensions)
    assert.same(32, #one({}, { { { value = 1, attributes = many } } })._aws.CloudWatchMetrics[1].Dimensions)
  end)

  it("is split where it has more than 100 metrics", function()
    local metrics = {}
    for i = 1, 250 do metrics[i] = { name = ("m%03d"):format(i), { value = i } } end
    local made, total, points = documents(mapping(), metrics), 0, 0
    for _, d in ipairs(made) do
      local names = d._aws.CloudWatchMetrics[1].Metrics
      assert.is_true(#names <= 100)
      for _, metric in ipairs(names) do assert.same(tonumber(metric.Name:sub(2)), d[metric.Name]) end
      total, points = total + #names, points + d.points
    end
    assert.same({ 3, 250, 250 }, { #made, total, points })
  end)

  it("is split where it is too large, and given up where that is not enough", function()
    local part = ("x"):rep(60000)
    local long = part .. part
    local made, counts, refused = documents(mapping { dimension_rollup_option = "NoDimensionRollup" }, {
      { name = "a" .. part, { value = 1 } }, { name = "b" .. part, { value = 2 } }, { name = "d", { value = 2 } },
      { name = "c", { value = 3, attributes = { big = long .. long .. long } } },
    })
    local sizes = 0
    for _, d in ipairs(made) do
      assert.is_true(#d.text <= 256 * 1024)
      sizes = sizes + d.points
    end
    assert.same({ 1, 3, { too_large = 1 } }, { refused, sizes, counts })
    documents(mapping(), { { name = "a" .. long, { value = 1 } }, { name = "b" .. long, { value = 2 } } })
  end)

  it("is of a time that CloudWatch takes", function()
    local day = 24 * 3600 * 1000
    local made, counts, refused = documents(mapping(), { { { value = 1, time_ms = NOW - 15 * day }, { value = 2, time_ms = NOW + 3 * 3600 * 1000 }, { value = 3 } } })
    assert.same({ 1, 2, { too_old = 1, too_new = 1 } }, { #made, refused, counts })
  end)

  it("has storage resolution, units, descriptors and JSON of attributes", function()
    local d = one({ metric_descriptors = { { metric_name = "a", unit = "Count" }, { metric_name = "b", unit = "Count", overwrite = true } }, parse_json_encoded_attr_values = { "j" } }, {
      { name = "a", unit = "s", { value = 1, attributes = { j = '{"k":[1]}' } } },
      { name = "b", unit = "s", { value = 2, attributes = { j = '{"k":[1]}' } } },
      { name = "c", unit = "{request}", { value = 3, attributes = { j = '{"k":[1]}' } } },
    })
    local units = {}
    for _, metric in ipairs(d._aws.CloudWatchMetrics[1].Metrics) do units[metric.Name] = metric.Unit or "none" end
    assert.same({ a = "Seconds", b = "Count", c = "none" }, units)
    assert.same({ k = { 1 } }, d.j)
    local fine = one({}, { { { value = 1, attributes = { ["aws.emf.storage_resolution"] = "1" } } } })
    assert.same({ 1, nil }, { fine._aws.CloudWatchMetrics[1].Metrics[1].StorageResolution, fine["aws.emf.storage_resolution"] })
  end)

  it("goes where labels say if the resource does not", function()
    local o = { log_group_name = "/ecs/{ClusterName}/{ServiceName}", log_stream_name = "{TaskId}" }
    local made = documents(mapping(o), { resource = { ["service.name"] = "shop" },
      { { value = 1, attributes = { ClusterName = "prod", TaskId = "t1" } }, { value = 2, attributes = { ["aws.ecs.cluster.name"] = "dev", ServiceName = "no" } } },
    })
    assert.same({ "/ecs/prod/shop", "t1", 1 }, { made[1].group, made[1].stream, made[1].m })
    assert.same({ "/ecs/dev/shop", "undefined", 2 }, { made[2].group, made[2].stream, made[2].m })
  end)

  it("goes where placeholders say, with the resource's attributes where it is told so", function()
    local resource = { ["service.name"] = "cart", ["aws.ecs.cluster.name"] = "blue", pod = "p1", route = "of the resource" }
    local d = one({ log_group_name = "/ecs/{ClusterName}/{ServiceName}", log_stream_name = "{PodName}-{TaskId}", resource_to_telemetry_conversion = true }, {
      resource = resource, { { value = 1, attributes = { route = "/a" } } },
    })
    assert.same({ "/ecs/blue/cart", "p1-undefined", "of the resource", "cart" }, { d.group, d.stream, d.route, d["service.name"] })
    assert.matches("^otel%-stream%-%x+%-%x+%-%x+%-%x+%-%x+$", one({}, { { { value = 1 } } }).stream)
    assert.same("/metrics/default", one({}, { { { value = 1 } } }).group)
  end)
end)

describe("metric_declarations", function()
  local declarations = {
    { dimensions = { { "route", "code" }, { "route" }, { "absent" } }, metric_name_selectors = { "^http\\." } },
    { dimensions = { { "env" } }, metric_name_selectors = { "latency$" }, label_matchers = { { label_names = { "env", "code" }, regex = "^prod;2" } } },
  }
  local o = { metric_declarations = declarations, dimension_rollup_option = "NoDimensionRollup" }

  local function directives(attributes)
    local made, counts = documents(mapping(o), {
      { name = "http.calls", { value = 1, attributes = attributes } },
      { name = "http.latency", { value = 2, attributes = attributes } },
      { name = "db.latency", { value = 3, attributes = attributes } },
      { name = "other", { value = 4, attributes = attributes } },
    })
    local found = {}
    for _, directive in ipairs(made[1]._aws.CloudWatchMetrics) do
      local names = {}
      for i, metric in ipairs(directive.Metrics) do names[i] = metric.Name end
      found[table.concat(names, " ")] = directive.Dimensions
    end
    return found, counts, made[1]
  end

  it("choose metrics and their dimensions", function()
    local found, counts, d = directives { route = "/a", code = "200", env = "prod" }
    assert.same({
      ["http.calls"] = { { "code", "route" }, { "route" } },
      ["http.latency"] = { { "code", "route" }, { "route" }, { "env" } },
      ["db.latency"] = { { "env" } },
    }, found)
    assert.same({ { undeclared = 1 }, nil }, { counts, d.other })
  end)

  it("take no metric without one of their dimensions, or whose labels don't match", function()
    local found, counts = directives { route = "/a", env = "test" }
    assert.same({ ["http.calls http.latency"] = { { "route" } } }, found)
    assert.same({ undeclared = 2 }, counts)
  end)

  it("say what is wrong with them", function()
    local function why(d) return select(2, pcall(mapping, { metric_declarations = { d } })) end
    assert.matches("missing %)", why { metric_name_selectors = { "(" } })
    assert.matches("needs metric_name_selectors", why { dimensions = {} })
    assert.matches("has no 'selectors'", why { selectors = {} })
    assert.matches("needs label_names", why { metric_name_selectors = { "a" }, label_matchers = { { regex = "x" } } })
    assert.matches("did you mean", select(2, pcall(mapping, { namespaces = "x" })))
  end)
end)

describe("values", function()
  local function sums(o, ...)
    local m, list, all = mapping(o), {}, {}
    for i, point in ipairs { ... } do
      point.time_ms = point.time_ms or NOW + i
      local made, counts = documents(m, { { type = "sum", monotonic = true, temporality = "cumulative", point } })
      list[i] = made[1] and made[1].m or false
      for what, n in pairs(counts) do all[what] = (all[what] or 0) + n end
    end
    return list, all
  end

  it("of cumulative sums are what was added, and what is there after a reset", function()
    assert.same({ { false, 3, 0, 2, 7 }, { baseline = 1 } }, { sums({}, { value = 5 }, { value = 8 }, { value = 8 }, { value = 2 }, { value = 9 }) })
    assert.same({ 5, 3 }, (sums({ retain_initial_value_of_delta_metric = true }, { value = 5 }, { value = 8 })))
    assert.same({ false, 9 }, (sums({}, { value = 5 }, { value = 9, start_ms = NOW + 1.5 })))
    assert.same({ false, 4 }, (sums({}, { value = 5, time_ms = NOW + 0.75, start_ms = NOW + 0.5 }, { value = 9, start_ms = NOW + 0.5 })))
  end)

  it("of a batch that comes again are the same again", function()
    assert.same({ false, 3, 4, 3, 4 }, (sums({}, { value = 5 }, { value = 8 }, { value = 12 }, { value = 8, time_ms = NOW + 2 }, { value = 12, time_ms = NOW + 3 })))
    assert.same({ { false, 3, false }, { baseline = 1, out_of_order = 1 } }, { sums({}, { value = 5 }, { value = 8 }, { value = 6, time_ms = NOW + 1.5 - 1 }) })
  end)

  it("of series with other labels, or resources, have nothing to do with each other", function()
    local m = mapping {}
    local function send(value, at)
      local metrics = {}
      for i, host in ipairs { "a", "b" } do
        metrics[i] = { type = "sum", monotonic = true, temporality = "cumulative", resource = { host = host }, { value = value * i, time_ms = at } }
      end
      metrics[3] = { type = "sum", monotonic = true, temporality = "cumulative", { value = value * 3, time_ms = at, attributes = { x = "1" } } }
      local found = {}
      for i, d in ipairs((documents(m, metrics))) do found[i] = d.m end
      return found
    end
    send(1, NOW)
    assert.same({ 10, 30 }, send(11, NOW + 1)) -- a and b have one namespace and the same labels: one event
  end)

  it("of gauges, deltas and sums that go down are as they are", function()
    local made = documents(mapping(), {
      { name = "g", { value = -1 } },
      { name = "d", type = "sum", monotonic = true, temporality = "delta", { value = 2 } },
      { name = "u", type = "sum", monotonic = false, temporality = "cumulative", { value = 3 } },
    })
    local all = {}
    for _, d in ipairs(made) do for _, name in ipairs { "g", "d", "u" } do all[name] = all[name] or d[name] end end
    assert.same({ g = -1, d = 2, u = 3 }, all)
  end)

  it("of histograms are numbers where their edges are none", function()
    local function value(point)
      point.count, point.sum = 5, 5
      return one({}, { { type = "histogram", temporality = "delta", point } }).m
    end
    assert.same({ Max = 2, Min = 1, Count = 5, Sum = 5 }, value { min = 0 / 0, max = 1 / 0, counts = { 1, 2, 2 }, bounds = { 1, 2 } })
    assert.same({ Max = 1, Min = 1, Count = 5, Sum = 5 }, value { counts = { 1, 2, 2 }, bounds = { 1, 1 / 0 } })
    assert.same({ Max = 1, Min = 1, Count = 5, Sum = 5 }, value { min = -1 / 0, max = 2 ^ 361 })
    local made = one({}, { { type = "exponential_histogram", temporality = "delta", { count = 1, sum = 1, scale = 0, min = 0 / 0, positive = { offset = 0, counts = { 1 } } } } })
    assert.same({ Values = { 1.5 }, Counts = { 1 }, Max = 2, Min = 1, Count = 1, Sum = 1 }, made.m)
    assert.same({ not_a_number = 1 }, select(2, documents(mapping(), { { { value = -2 ^ 361 } } }))) -- beyond what CloudWatch takes
  end)

  it("that are none are left out and counted", function()
    local made, counts, refused = documents(mapping(), {
      { { value = 0 / 0 }, { value = 1 / 0 }, { no_value = true }, {} },
      { type = "histogram", temporality = "delta", { count = 1, sum = 0 / 0 }, { count = 0, sum = 0 } },
    })
    assert.same({ 0, { not_a_number = 4, no_value = 1, empty = 1 }, 0 }, { #made, counts, refused })
  end)

  local function dimensions(d) return d._aws.CloudWatchMetrics[1].Dimensions end

  it("have each name once, and dimensions that are texts", function()
    local made, counts = documents(mapping(), {
      { name = "state", { value = 1, attributes = { state = "up", a = "b" } } },
      { name = "other", { value = 2, attributes = { state = "up", a = "b" } } },
    })
    assert.same({ { {}, { "a" } }, 1, "b" }, { dimensions(made[1]), made[1].state, made[1].a })
    assert.same({ { { "a", "state" }, {}, { "a" }, { "state" } }, 2, "up" }, { dimensions(made[2]), made[2].other, made[2].state })
    assert.same({ hidden_labels = 1 }, counts)
    local json = one({ parse_json_encoded_attr_values = { "j", "k" } }, { { { value = 1, attributes = { j = '{"x":[1]}', k = "no json", a = "b" } } } })
    assert.same({ { { "a", "k" }, {}, { "a" }, { "k" } }, { x = { 1 } }, "no json" }, { dimensions(json), json.j, json.k })
  end)

  it("have no name of the format's own", function()
    local d = one({ namespace = "n" }, { { { value = 1, attributes = { Version = "7", _aws = "x" } } } })
    assert.equal('{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"n","Dimensions":[[],["Version"]],"Metrics":[{"Name":"m","StorageResolution":60}]}]},"Version":"7","m":1}', d.text)
    local old = one({ version = "0", namespace = "n" }, { { { value = 1, attributes = { Version = "7", Timestamp = "x", CloudWatchMetrics = "y" } } } })
    assert.equal('{"Version":"0","CloudWatchMetrics":[{"Namespace":"n","Dimensions":[[]],"Metrics":[{"Name":"m","StorageResolution":60}]}],"Timestamp":"1700000000000","m":1}', old.text)
    local _, counts, refused = documents(mapping(), { { name = "_aws", { value = 1 } } })
    assert.same({ { unnamed = 1 }, 1 }, { counts, refused })
  end)

  it("have metrics and labels with names alone", function()
    local made, counts, refused = documents(mapping { namespace = "n" }, {
      { name = "", { value = 1 } },
      { name = "m", { value = 2, attributes = { [""] = "x", a = "y" } }, { value = 3, attributes = { [""] = "z", a = "y" } } },
    })
    assert.same({ 2, { unnamed = 1, unnamed_labels = 2 }, 1 }, { #made, counts, refused })
    for i, d in ipairs(made) do
      assert.same({ { Namespace = "n", Dimensions = { {}, { "a" } }, Metrics = { { Name = "m", StorageResolution = 60 } } } }, d._aws.CloudWatchMetrics)
      assert.same({ i + 1, "y", nil }, { d.m, d.a, d[""] })
    end
  end)

  it("of histograms are statistics", function()
    local d = one({}, { { type = "histogram", temporality = "delta", { count = 4, sum = 10, min = 1, max = 5, bounds = { 2 }, counts = { 1, 3 } } } })
    assert.same({ Max = 5, Min = 1, Count = 4, Sum = 10 }, d.m)
    local m = mapping {}
    local function send(at, count, sum, counts)
      return documents(m, { { type = "histogram", temporality = "cumulative", { time_ms = at, count = count, sum = sum, min = 0.5, max = 30, bounds = { 1, 10, 20 }, counts = counts } } })[1]
    end
    assert.is_nil(send(NOW, 2, 11, { 1, 1, 0, 0 }))
    assert.same({ Max = 20, Min = 1, Count = 3, Sum = 24 }, send(NOW + 1, 5, 35, { 1, 2, 2, 0 }).m)
    assert.same({ Max = 30, Min = 20, Count = 1, Sum = 30 }, send(NOW + 2, 6, 65, { 1, 2, 2, 1 }).m)
  end)

  it("of exponential histograms are the middles of their buckets", function()
    local d = one({}, {
      { type = "exponential_histogram", temporality = "delta", {
        count = 6, sum = 9, min = -2, max = 3.5, scale = 0, zero_count = 1, positive = { offset = 0, counts = { 1, 2 } }, negative = { offset = 0, counts = { 2 } },
      } },
    })
    assert.same({ Values = { -1.5, 0, 1.5, 3 }, Counts = { 2, 1, 1, 2 }, Max = 3.5, Min = -2, Count = 6, Sum = 9 }, d.m)
    local counts = {}
    for i = 1, 250 do counts[i] = 1 end
    local made = documents(mapping(), { { type = "exponential_histogram", temporality = "delta", { count = 250, sum = 999, scale = 5, positive = { offset = 0, counts = counts } } } })
    local count, sum, points = 0, 0, 0
    for _, part in ipairs(made) do
      assert.is_true(#part.m.Values <= 100 and #part.m.Values == #part.m.Counts)
      count, sum, points = count + part.m.Count, sum + part.m.Sum, points + part.points
    end
    assert.same({ 3, 250, 999, 1 }, { #made, count, sum, points })
  end)

  it("of cumulative exponential histograms are what was added, also where the scale shrank", function()
    local m = mapping {}
    local function send(at, point)
      point.time_ms = at
      return documents(m, { { type = "exponential_histogram", temporality = "cumulative", point } })[1]
    end
    send(NOW, { count = 3, sum = 6, scale = 1, positive = { offset = 0, counts = { 1, 1, 1 } } })
    local d = send(NOW + 1, { count = 6, sum = 20, scale = 0, positive = { offset = 0, counts = { 3, 2, 1 } } })
    assert.same({ Values = { 1.5, 3, 6 }, Counts = { 1, 1, 1 }, Max = 8, Min = 1, Count = 3, Sum = 14 }, d.m)
  end)

  it("of summaries are statistics, or in detail", function()
    local function twice(o)
      local m = mapping(o)
      local function send(at, count, sum)
        return documents(m, { { type = "summary", unit = "s", { time_ms = at, count = count, sum = sum, attributes = { a = "1" },
          quantiles = { { quantile = 0, value = 1 }, { quantile = 0.99, value = 8 }, { quantile = 1, value = 9 } } } } })
      end
      send(NOW, 1, 2)
      return send(NOW + 1, 4, 10)
    end
    assert.same({ Max = 9, Min = 1, Count = 3, Sum = 8 }, twice({})[1].m)
    local found = {}
    for _, d in ipairs(twice { detailed_metrics = true }) do found[d.quantile or "all"] = d.m or { d.m_sum, d.m_count } end
    assert.same({ all = { 8, 3 }, ["0"] = 1, ["0.99"] = 8, ["1"] = 9 }, found)
  end)

  it("of summaries without a least and a greatest value have the outermost quantiles, or the mean, for them", function()
    local function value(quantiles)
      local m = mapping { retain_initial_value_of_delta_metric = true }
      return documents(m, { { type = "summary", { count = 4, sum = 10, quantiles = quantiles } } })[1].m
    end
    local nan = 0 / 0
    assert.same({ Max = 8, Min = 2, Count = 4, Sum = 10 }, value { { quantile = 0.5, value = 2 }, { quantile = 0.9, value = 3 }, { quantile = 0.99, value = 8 } })
    assert.same({ Max = 3, Min = 3, Count = 4, Sum = 10 }, value { { quantile = 0.5, value = nan }, { quantile = 0.9, value = 3 }, { quantile = 0.99, value = nan } })
    assert.same({ Max = 2.5, Min = 2.5, Count = 4, Sum = 10 }, value {})
  end)

  it("are remembered for so many series, and no more", function()
    local m = mapping {}
    local function send(i, at)
      return #m:events(batch { { type = "sum", monotonic = true, temporality = "cumulative", { value = i, time_ms = at, attributes = { i = tostring(i) } } } })
    end
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 40000 do assert.same(0, send(i, NOW)) end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 16 * 1024)
    assert.same({ 1, 0 }, { send(40000, NOW + 1), send(1, NOW + 1) })
  end)
end)
