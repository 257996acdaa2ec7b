local t = require "moontail.testing"

describe("attributes", function()
  -- What `read` gives of the only span after processor "attributes" { options }.
  local function after(options, span, read)
    local left = t.processor("attributes", options):process(t.trace { span })
    return t.read(left, function(trace) return read(trace.entry) end)
  end

  it("inserts where there is none", function()
    local options = { insert = { a = "new", b = "new" } }
    assert.same({ "old", "new" }, after(options, { attr = { a = "old" } }, function(s) return { s:attr "a", s:attr "b" } end))
  end)

  it("updates where there is one", function()
    local options = { update = { a = 2, b = 2 } }
    local a, b = after(options, { attr = { a = 1 } }, function(s) return s:attr "a", s:attr "b" end)
    assert.same(2, a)
    assert.is_nil(b)
  end)

  it("upserts in any case, values of any type", function()
    local options = { upsert = { a = true, b = 0.5, c = 3 } }
    assert.same({ true, 0.5, "3" }, after(options, { attr = { a = "x" } }, function(s) return { s:attr "a", s:attr "b", s:attr_text "c" } end))
  end)

  it("deletes, and leaves the others", function()
    local options = { delete = { "a", "none" } }
    local a, b = after(options, { attr = { a = "x", b = "y" } }, function(s) return s:attr "a", s:attr "b" end)
    assert.is_nil(a)
    assert.same("y", b)
  end)

  it("renames with the value as it is, over one that was there", function()
    local big = t.int "9007199254740993"
    local options = { rename = { a = "b" } }
    local a, b = after(options, { attr = { a = big, b = "gone" } }, function(s) return s:attr "a", s:attr_text "b" end)
    assert.is_nil(a)
    assert.same("9007199254740993", b)
  end)

  it("hashes the text of the value", function()
    local hash = after({ hash = { "user", "none" } }, { attr = { user = "abc" } }, function(s) return s:attr "user" end)
    assert.same("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hash)
    assert.is_nil(after({ hash = { "none" } }, { attr = { user = "x" } }, function(s) return s:attr "none" end))
  end)

  it("refuses names that are no strings", function()
    for key, value in pairs { delete = { "a", 404 }, hash = { true }, rename = { a = 5 } } do
      local ok, message = pcall(t.processor, "attributes", { [key] = value })
      assert.is_false(ok)
      assert.matches(key .. " has %w+; allowed: names of attributes", message)
    end
  end)

  it("edits resources instead", function()
    local options = { target = "resource", upsert = { zone = "a" }, delete = { "pod" } }
    local zone, pod, own = after(options, { resource = { pod = "p" }, attr = { pod = "q" } }, function(s)
      return s.resource:attr "zone", s.resource:attr "pod", s:attr "pod"
    end)
    assert.same("a", zone)
    assert.is_nil(pod)
    assert.same("q", own)
  end)

  it("is asked only about spans that match", function()
    local p = t.processor("attributes", { when = t.match { name = "a" }, upsert = { x = 1 } })
    local left = p:process(t.trace { { name = "a" }, { name = "b" } })
    assert.same({ a = true, b = false }, t.read(left, function(trace)
      local has = {}
      for _, span in trace:spans() do has[span.name] = span:has "x" end
      return has
    end))
  end)
end)
