local t = require "moontail.testing"
local api = require "moontail.api"
local access = require "moontail.access"
local aws = require "moontail.aws"
local cells = require "moontail.cells"
local config = require "moontail.config"
local edit = require "moontail.edit"
local emf = require "moontail.emf"
local exporter_run = require "moontail.exporter_run"
local metrics = require "moontail.metrics"
local xray = require "moontail.xray"
local exporter_spec = require "moontail.exporter_spec"
local processor = require "moontail.processor"
local printer = require "moontail.api_print"
local script = require "moontail.script"

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

-- The names that the table of the API has for a class, with those of all attributes.
local function documented(class)
  local names = {}
  for i = 4, #class do names[class[i][1]] = true end
  if class.extends == "Attributes" then
    for _, e in ipairs(api.attributes) do names[e[1]] = true end
  end
  return sorted(names)
end

local function class_called(name)
  for _, class in ipairs(api.classes) do
    if class[2] == name then return class end
  end
  error("no class " .. name)
end

-- Fields and methods of what scripts get.
local function names_of(class)
  local names = {}
  for name in pairs(class.fields) do names[name] = true end
  for name in pairs(class.methods) do names[name] = true end
  return names
end

-- The names that several classes of the table have together.
local function all_of(classes)
  local names = {}
  for _, class in ipairs(classes) do
    for _, name in ipairs(documented(class_called(class))) do names[name] = true end
  end
  return names
end

describe("the table of the API", function()
  it("has all globals that scripts see, and no other", function()
    assert.same(sorted(set_of(api.global_names())), sorted(script.implementations))
  end)

  it("has what config.lua and exporters see beside them", function()
    local environment = {}
    config.open(environment, function() end)
    config.close()
    environment.policy, environment.processor, environment.exporter = nil, nil, nil
    assert.same(sorted(environment), sorted(set_of(api.global_names "config")))
    local replies = {}
    exporter_run.api(replies)
    replies.log = nil -- all scripts have one
    assert.same(sorted(replies), sorted(set_of(api.global_names "exporter")))
    local batch = set_of(exporter_run.batch_fields)
    for name in pairs(exporter_run.batch_methods) do batch[name] = true end
    assert.same(sorted(batch), documented(class_called "batch"))
    assert.same(sorted(set_of(metrics.metric_fields)), documented(class_called "metric"))
    assert.same(sorted(set_of(metrics.point_fields)), documented(class_called "point"))
    assert.same(sorted(exporter_run.request_keys), documented(class_called "request"))
    assert.same(sorted(exporter_spec.keys), documented(class_called "exporter"))
  end)

  it("has what processors see beside them", function()
    local span = names_of(edit.Span)
    for _, name in ipairs(documented(class_called "edited")) do assert.truthy(span[name], name) end
    assert.same(sorted(span), sorted(all_of { "span", "edited", "edited span" }))
    local seen = {}
    local looks = t.processor {
      name = "looks",
      on = "kept",
      span = function(s)
        seen.resource = names_of(debug.getmetatable(s.resource))
        for _, event in s:events() do seen.event = names_of(debug.getmetatable(event)) end
        for _, link in s:links() do seen.link = names_of(debug.getmetatable(link)) end
      end,
    }
    assert.truthy(looks:process(t.trace { { events = { {} }, links = { {} } } }))
    looks = t.processor {
      name = "items",
      on = "kept",
      log = function(l) seen["log record"] = names_of(debug.getmetatable(l)) end,
      metric = function(m) seen["processed metric"] = names_of(debug.getmetatable(m)) end,
      point = function(p) seen["data point"] = names_of(debug.getmetatable(p)) end,
      resource = function(r) seen["resource of items"] = names_of(debug.getmetatable(r)) end,
    }
    looks:logs { { body = "a" } }
    looks:metrics { { name = "a", points = { { value = 1 } } } }
    assert.same(sorted(seen["resource of items"]), sorted(all_of { "resource", "edited", "edited resource of items" }))
    for _, name in ipairs { "resource", "event", "link", "log record", "processed metric", "data point" } do
      assert.same(sorted(seen[name]), sorted(all_of { name, "edited", "edited " .. name }))
    end
    assert.same(sorted(processor.keys), documented(class_called "processor"))
  end)

  it("has all fields and methods of what scripts get", function()
    for _, made in ipairs(access.classes) do
      assert.same(sorted(names_of(made)), documented(class_called(made.name)))
    end
    for kind, methods in pairs(cells.methods) do assert.same(sorted(methods), documented(class_called(kind))) end
    assert.same(sorted(xray.methods), documented(class_called "mapping"))
    assert.same(sorted(xray.api), documented(class_called "xray"))
    assert.same(sorted(emf.api), documented(class_called "emf"))
    assert.same(sorted(aws.api), documented(class_called "aws"))
    assert.same(sorted(set_of(emf.methods)), documented(class_called "emf mapping"))
    for _, name in ipairs { "text", "json", "log" } do
      local class = class_called(name)
      for i = 4, #class do assert.truthy(t[name][class[i][1]], class[i][1]) end
    end
  end)

  it("is the page and the file for editors", function()
    local page, cats = printer.docs(), printer.luacats()
    local names = { "policy", "processor", "exporter" }
    for _, only in ipairs { false, "config", "exporter" } do
      for _, name in ipairs(api.global_names(only or nil)) do names[#names + 1] = name end
    end
    for _, name in ipairs(names) do
      assert.truthy(page:find("| `" .. name .. "` |", 1, true), name)
      assert.truthy(cats:find("\n" .. name .. " = nil\n", 1, true), name)
    end
    for _, class in ipairs(api.classes) do
      assert.truthy(page:find("### " .. class[1] .. "\n", 1, true))
      assert.truthy(cats:find("---@class " .. class[1], 1, true))
      for i = 4, #class do
        assert.truthy(page:find("[`.:]" .. class[i][1] .. "` |"), class[i][1])
        assert.truthy(cats:find("---@field " .. class[i][1] .. " ", 1, true), class[i][1])
      end
    end
    assert.truthy(loadstring(cats))
    local file = assert(io.open "docs/policies-api.md")
    local text = file:read "*a"
    file:close()
    assert.equal(page, text) -- moontail api --docs > docs/policies-api.md
  end)
end)

describe("bytes", function()
  it("have digests and encodings", function()
    assert.equal("00ff61", t.hex "\0\255a")
    assert.equal("AP9h", t.base64 "\0\255a")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", t.hex(t.sha256 "abc")) -- FIPS 180-2
    -- RFC 4231, case 2
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", t.hex(t.hmac_sha256("Jefe", "what do ya want for nothing?")))
    assert.equal("a%20b%2F%C3%A4~._-%00", t.url_encode "a b/\195\164~._-\0")
    assert.error_matches(function() t.hex(5) end, "hex takes a string, not number")
  end)

  it("write times as ISO 8601", function()
    assert.equal("1970-01-01T00:00:00.000Z", t.iso8601(0))
    assert.equal("2023-11-14T22:13:20.123Z", t.iso8601(1700000000123))
    assert.equal("2000-02-29T23:59:59.999Z", t.iso8601(951868799999))
    assert.equal("1969-12-31T23:59:59.500Z", t.iso8601(-500))
    assert.equal("9999-12-31T23:59:59.000Z", t.iso8601(253402300799000))
    assert.error_matches(function() t.iso8601(1e300) end, "of the years 1 to 9999")
    assert.error_matches(function() t.iso8601(0 / 0) end, "not nan")
  end)
end)

describe("json", function()
  it("writes tables as text", function()
    assert.equal('{"a":[1,2.5,"x",true,null],"b":{}}', t.json.encode { b = {}, a = { 1, 2.5, "x", true, t.json.null } })
    assert.equal('"a\\"\\\\"', t.json.encode 'a"\\')
    assert.equal("9007199254740991", t.json.encode(2 ^ 53 - 1))
    assert.equal("0.10000000000000001", t.json.encode(0.1))
  end)

  it("reads what it writes", function()
    local value = { a = { 1, { b = "\195\164\n" }, false }, c = -0.5 }
    assert.same(value, t.json.decode(t.json.encode(value)))
    assert.same({ 1, t.json.null, 2 }, t.json.decode "[1, null, 2]")
  end)

  it("says what is wrong", function()
    local value, why = t.json.decode "[1,"
    assert.is_nil(value)
    assert.match("at byte %d", why)
    assert.error_matches(function() t.json.decode(("["):rep(100) .. ("]"):rep(100)) end, "nested deeper than 64")
    local cycle = {}
    cycle[1] = cycle
    assert.error_matches(function() t.json.encode(cycle) end, "nested deeper than 64")
    assert.error_matches(function() t.json.encode { 1, 2, x = 3 } end, "this one has the key x beside 1 to 2")
    assert.error_matches(function() t.json.encode(0 / 0) end, "JSON has no nan")
    assert.error_matches(function() t.json.encode "\255" end, "not UTF%-8")
    assert.error_matches(function() t.json.encode { [1.5] = 1 } end, "has the key 1.5")
    assert.error_matches(function() t.json.encode { f = print } end, "JSON can't have a function")
    assert.error_matches(function() t.json.decode(5) end, "json.decode takes a string, not number")
  end)
end)

describe("a reason", function()
  local lint = require "moontail.lint"

  local function hints(source)
    local lines = {}
    for i, found in ipairs(lint.reasons(source)) do lines[i] = found[1] end
    return lines
  end

  it("that is no literal is said with its line", function()
    assert.same({ 1 }, hints "return keep(trace.entry.name)")
    assert.same({ 2, 3 }, hints("local p = 0.5\nreturn sample(p, name)\n  or at_least(math.max(p, 1), \"a\" .. name)"))
    assert.match("the reason of keep%(...%) is no literal: each different one is a label of metrics", lint.reasons("return keep(x)")[1][2])
  end)

  it("that is a literal, none, or of setup is not", function()
    assert.same({}, hints 'return keep("slow"), keep "slow", keep(), drop(nil), sample(p), sample(f(a, b), "x"), keep(my.reasons[1]), keep(opt.reason)')
    assert.same({}, hints "local function keep(x) return x end return keep(name)")
    assert.same({}, hints "return my:keep(name) or my.keep(name)")
  end)

  it("of a shipped policy is bounded", function()
    for path in assert(io.popen "ls lua/policies/*.lua"):lines() do
      local file = assert(io.open(path))
      assert.same({}, hints(file:read "*a"), path)
      file:close()
    end
  end)
end)
