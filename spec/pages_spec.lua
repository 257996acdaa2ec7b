require "moontail.testing" -- makes the script API
local component = require "moontail.component"
local exporter_spec = require "moontail.exporter_spec"
local page = require "moontail.script_page"
local policies = require "moontail.policy"
local processors = require "moontail.processor"
local script = require "moontail.script"

local PLURAL = { policy = "policies", processor = "processors", exporter = "exporters" }

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- Names of the files in a folder that end like this, without that, sorted.
local function names_in(folder, ending)
  local names, listed = {}, assert(io.popen("ls " .. folder))
  for name in listed:lines() do
    local type_ = name:match("^([%w_]+)%" .. ending .. "$")
    if type_ and type_ ~= "README" then names[#names + 1] = type_ end
  end
  listed:close()
  table.sort(names)
  return names
end

local function each_script(fn)
  for kind, plural in pairs(PLURAL) do
    for _, type_ in ipairs(names_in("lua/" .. plural, ".lua")) do fn(kind, type_, plural) end
  end
end

-- The list of components that an example of a script makes, as config.lua has them.
local function made_by(example)
  local environment = { env = function(_, default) return default end, secret = function(value) return value end }
  script.add_globals(environment)
  for kind in pairs(PLURAL) do environment[kind] = component.constructor(kind) end
  return setfenv(assert(loadstring("return { " .. example .. " }", "=example")), environment)()
end

local prepare = {
  policy = function(list) return policies.prepare(list) end,
  processor = function(list)
    local ready, errors = processors.prepare(list, "kept")
    if ready then return ready end
    if not errors:find("processors.received", 1, true) then return nil, errors end
    return processors.prepare(list, "received")
  end,
  exporter = function(list)
    for _, c in ipairs(list) do
      local common, errors = exporter_spec.check(c, page.load("exporter", c.type))
      if not common then return nil, errors end
    end
    return list
  end,
}

describe("the page of a script", function()
  it("is there and current: moontail api --pages docs", function()
    each_script(function(kind, type_, plural)
      assert.equal(page.text(kind, type_), read("docs/" .. plural .. "/" .. type_ .. ".md"))
    end)
  end)

  it("is there for scripts only, and the list has them all", function()
    for kind, plural in pairs(PLURAL) do
      local types = names_in("lua/" .. plural, ".lua")
      assert.same(types, names_in("docs/" .. plural, ".md"))
      assert.equal(page.index(kind, types), read("docs/" .. plural .. "/README.md"))
    end
  end)

  it("is for what the guide of its kind names", function()
    for _, plural in pairs(PLURAL) do
      local guide, unnamed = read("docs/" .. plural .. ".md"), {}
      for _, type_ in ipairs(names_in("lua/" .. plural, ".lua")) do
        if not guide:find("\n| [^|]*`" .. type_ .. "`[^|]*|") then unnamed[#unnamed + 1] = type_ end
      end
      assert.same({}, unnamed)
    end
  end)

  it("has an example, and what it shows is accepted", function()
    each_script(function(kind, type_, plural)
      local _, _, source = page.load(kind, type_)
      local examples = page.examples(source)
      assert(#examples > 0, "lua/" .. plural .. "/" .. type_ .. ".lua has no example in the comment at its head")
      for _, example in ipairs(examples) do
        local list = made_by(example)
        assert.truthy(example:find(kind .. " \"" .. type_ .. "[/\"]"))
        assert(prepare[kind](list))
      end
    end)
  end)

  it("says of an option what it is, and where it says nothing that it must", function()
    local text = page.text("policy", "latency")
    assert.truthy(text:find("\n| `threshold_ms` | required | a number, at least 0 | a trace of this duration or a longer one is slow |\n", 1, true))
    assert.truthy(text:find("\n| `upper_threshold_ms` | off | a number, at least 0 |", 1, true))
    assert.truthy(page.text("policy", "status_code"):find('| `status_codes` | `{ "ERROR" }` |', 1, true))
    assert.truthy(page.text("processor", "attributes"):find("nothing else of it is sent", 1, true))
  end)
end)

describe("the comment at the head of a script", function()
  it("ends before the code, and is not the one about a function", function()
    assert.equal("One.\n\nTwo.", page.head "-- One.\n--\n-- Two.\n\n-- three\nreturn policy {}")
    assert.equal("One.", page.head "-- One.\nreturn policy {}")
    assert.equal("", page.head "-- What follows.\nlocal function f() end\nreturn policy {}")
    assert.equal("", page.head "return policy {}")
  end)

  it("has its indented blocks as examples", function()
    assert.same({ 'policy "a",\npolicy "b"', 'policy "c"' }, page.examples '-- One:\n--\n--     policy "a",\n--     policy "b"\n--\n-- Two:\n--\n--     policy "c"\n\n')
    assert.same({}, page.examples "-- One.\n\nreturn 1")
  end)
end)
