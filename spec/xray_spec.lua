local g = require "support.xray_golden"
local t = require "moontail.testing"
local xray = require "moontail.xray"

local FILES = { "names", "http", "cause", "aws", "fields", "roots" }

local function each_case(visit)
  local count = 0
  for _, file in ipairs(FILES) do
    for _, case in ipairs(require("xray." .. file)) do
      visit(file, case)
      count = count + 1
    end
  end
  return count
end

describe("the golden set of the mapping to X-Ray", function()
  local count = each_case(function(file, case)
    if case.only ~= "default" then
      it(file .. ": " .. case[1] .. " (compat)", function() assert.same(g.expected(case, true), g.documents(case, true)) end)
    end
    it(file .. ": " .. case[1], function() assert.same(g.expected(case, false), g.documents(case, false)) end)
  end)

  it("has every case once", function()
    local seen = {}
    each_case(function(_, case)
      assert.is_nil(seen[case[1]], case[1])
      seen[case[1]] = true
    end)
    assert.is_true(count >= 80)
  end)
end)

describe("xray.text", function()
  local function document(more)
    local d = { id = "1", name = "n", annotations = { a = ("a"):rep(300) }, metadata = { default = { m = ("m"):rep(300) } } }
    d.cause = { exceptions = { { id = "2", message = "m", stack = { { path = ("p"):rep(300), label = "", line = 1 } } } } }
    for key, value in pairs(more or {}) do d[key] = value end
    return d
  end

  local function left(max_bytes)
    local text, cut = xray.api.text(document(), max_bytes)
    local d = text and t.json.decode(text)
    return cut, d and { metadata = d.metadata ~= nil, annotations = d.annotations ~= nil, stack = d.cause.exceptions[1].stack ~= nil }
  end

  it("leaves metadata out first, then annotations, then stacks", function()
    local all = #xray.api.text(document())
    assert.same({ nil, { metadata = true, annotations = true, stack = true } }, { left(all) })
    assert.same({ "metadata", { metadata = false, annotations = true, stack = true } }, { left(all - 1) })
    assert.same({ "annotations", { metadata = false, annotations = false, stack = true } }, { left(all - 400) })
    assert.same({ "stacks", { metadata = false, annotations = false, stack = false } }, { left(200) })
    assert.same({ "stacks", nil }, { left(50) })
  end)

  it("cuts texts where nothing else is left to leave out, and keeps all else", function()
    local query = "SELECT " .. ("é"):rep(20000) .. ("é"):rep(20000)
    local d = document { sql = { sanitized_query = query, url = "u" }, http = { request = { url = ("u"):rep(5000) } } }
    local text, cut = xray.api.text(d, 65536)
    local made = t.json.decode(text)
    assert.equal("texts", cut)
    assert.is_true(#text <= 65536)
    assert.equal("SELECT " .. ("é"):rep(8187) .. "...", made.sql.sanitized_query)
    assert.equal(5000, #made.http.request.url)
    assert.truthy(made.metadata and made.annotations and made.cause.exceptions[1].stack)
    assert.equal(query, d.sql.sanitized_query)
    for i = 1, 50 do d.links = d.links or {}; d.links[i] = { id = i, attributes = { a = ("x"):rep(2000) } } end
    text = xray.api.text(d, 65536)
    assert.equal("...", t.json.decode(text).links[50].attributes.a:sub(1022))
    for i = 1, 9000 do d.links[i] = { id = i } end
    assert.is_nil((xray.api.text(d, 65536)))
  end)

  it("says how many frames are gone, and leaves the document as it is", function()
    local d = document()
    assert.equal(1, t.json.decode((xray.api.text(d, 200))).cause.exceptions[1].truncated)
    assert.truthy(d.metadata and d.annotations and d.cause.exceptions[1].stack)
  end)

  it("has exact numbers, sorted keys and no bad UTF-8", function()
    assert.equal('{"a":1700000000.1234567,"b":1e-7,"c":-0.0,"d":9007199254740991,"e":"NaN"}', xray.api.text { e = 0 / 0, d = 2 ^ 53 - 1, b = 1e-7, c = -0.0, a = 1700000000.1234567 })
    assert.equal('{"k":"a\239\191\189\\"\\n"}', xray.api.text { k = 'a\255"\n' })
    for _, count in ipairs { 31, 32, 33, 200 } do
      local many = {}
      for i = 1, count do many[("k%03d"):format(i)] = { i = i } end
      local text = xray.api.text(many)
      assert.equal('{"k001":{"i":1},"k002":{"i":2},', text:sub(1, 31))
      assert.same(many, t.json.decode(text))
    end
  end)

  it("refuses what is no JSON", function()
    assert.error_matches(function() xray.api.text { [true] = 1 } end, "has string keys")
    assert.error_matches(function() xray.api.text { f = print } end, "JSON can't have a function")
    local deep = {}
    for _ = 1, 70 do deep = { deep } end
    assert.error_matches(function() xray.api.text(deep) end, "nested deeper than 64")
    assert.error_matches(function() xray.api.text(5) end, "takes a document")
    assert.equal('{"a":1}', xray.api.text { a = 1 }) -- nothing is left of them
  end)
end)

describe("xray.mapping", function()
  it("says what is wrong with its options", function()
    assert.error_matches(function() xray.api.mapping { index_all_attribute = true } end, "did you mean 'index_all_attributes'")
    assert.error_matches(function() xray.api.mapping { semconv = "v2" } end, 'semconv is "v0", "both" or "v1"')
    assert.error_matches(function() xray.api.mapping(5) end, "takes a table")
  end)

  it("gives the same documents at every try", function()
    local case = { span = { kind = "client", attrs = { { "aws.span.kind", "LOCAL_ROOT" } }, events = { { name = "exception" } } } }
    local function texts()
      return t.read(t.traces(g.request(case))[1], function(trace)
        local a, b = xray.api.mapping({}):documents(trace.entry)
        return { xray.api.text(a), xray.api.text(b) }
      end)
    end
    local once = texts()
    assert.same(once, texts())
    assert.is_true(once[1] ~= once[2])
  end)

  it("remembers a resource as long as it may, and never takes another for it", function()
    local mapping = xray.api.mapping {}
    for round = 1, 2 do
      for i = 1, 200 do
        local version = (i % 50 == 0 and ("v"):rep(9000) or "v") .. i
        local case = { resource = { ["service.version"] = version }, span = { parent = true, attrs = { { "k" .. i, round } } } }
        local d = t.read(t.traces(g.request(case))[1], function(trace) return t.json.decode((xray.api.text((mapping:documents(trace.entry))))) end)
        assert.equal(version, d.service.version)
        assert.equal(round, d.metadata.default["k" .. i])
      end
    end
  end)
end)
