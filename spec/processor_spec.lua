local t = require "moontail.testing"
local component = require "moontail.component"
local processors = require "moontail.processor"

describe("a processor", function()
  local function made(span) return t.processor { name = "own", on = "kept", span = span } end
  -- What `read` gives of the entry after `edit` ran on every span.
  local function after(spans, edit, read)
    return t.read(made(edit):process(t.trace(spans)), function(trace) return read(trace.entry) end)
  end

  it("sees what it wrote", function()
    local seen
    made(function(span)
      span:set("a", { "x", { b = 1 } })
      span:set_name "renamed"
      span:set_status("error", "why")
      span.resource:set("zone", "a")
      seen = { span:attr "a", span.name, span.status, span.status_message, span.is_error, span.resource:attr "zone", span.service }
    end):process(t.trace { { service = "shop", attr = { a = 1 } } })
    assert.same({ { "x", { b = 1 } }, "renamed", "error", "why", true, "a", "shop" }, seen)
  end)

  it("leaves text, whatever it writes", function()
    local cut = ("né"):sub(1, 2)
    local function edit(span)
      span:set_name(cut)
      span:set_status("error", cut)
      span:set("a", cut)
      span:set(cut, { cut, { [cut] = "\xff\xfe" } })
      span:set("b", "né")
      span:rename("old", "k\xff")
      span.resource:set("r", cut)
      for _, event in span:events() do event:set("e", cut) end
    end
    local fixed = "n\239\191\189"
    assert.same({ fixed, fixed, fixed, { fixed, { [fixed] = "\239\191\189\239\191\189" } }, "né", 1, fixed, fixed }, after(
      { { attr = { old = 1 }, events = { { name = "x" } } } }, edit, function(span)
        local event
        for _, e in span:events() do event = e:attr "e" end
        return { span.name, span.status_message, span:attr "a", span:attr(fixed), span:attr "b", span:attr "k\239\191\189", span.resource:attr "r", event }
      end))
  end)

  it("edits events and links while it walks them", function()
    local spans = { { events = { { name = "a", attr = { x = 1 } }, { name = "b" }, { name = "c", attr = { x = 3 } } }, links = { { attr = { y = 1 } } } } }
    local function edit(span)
      for i, event in span:events() do
        event:unset "x"
        event:set("n", ("long "):rep(i))
        span:set("last", event.name)
      end
      for _, link in span:links() do link:rename("y", "z") end
    end
    assert.same({ "a:long ", "b:long long ", "c:long long long ", "c", 1 }, after(spans, edit, function(span)
      local found = {}
      for _, event in span:events() do found[#found + 1] = event.name .. ":" .. event:attr "n" .. (event:attr_text "x" or "") end
      found[#found + 1] = span:attr "last"
      for _, link in span:links() do found[#found + 1] = link:attr "z" end
      return found
    end))
  end)

  it("knows the span again", function()
    local same
    made(function(span, _, _, trace) same = span == trace.entry end):process(t.trace { {} })
    assert.is_true(same)
  end)

  it("does not set what was there before with set_new", function()
    local function edit(span) span:set_new("a", 2); span:set_new("b", 2) end
    assert.same({ 1, 2 }, after({ { attr = { a = 1 } } }, edit, function(span) return { span:attr "a", span:attr "b" } end))
  end)

  -- The span as it was: the call that raised left nothing behind.
  local function raises(edit)
    return after({ { name = "was", attr = { a = 1 } }, { name = "other" } }, edit, function(span) return span.name == "was" and span:attr "a" == 1 and not span:has "b" end)
  end

  it("can't edit a span that it is not asked about", function()
    local first
    assert.is_true(raises(function(span)
      if first then first:set("b", 1) end
      first = span
    end))
  end)

  it("leaves nothing of a call that raises", function()
    assert.is_true(raises(function(span)
      span:set_name "is"
      span:set("b", 1)
      error "no"
    end))
  end)

  it("can't write what no attribute can be", function()
    assert.is_true(raises(function(span) span:set("b", function() end) end))
    assert.is_true(raises(function(span) span:set("b", nil) end))
    assert.is_true(raises(function(span) span.name = "is" end))
    assert.is_true(raises(function(span) return keep() end))
  end)

  it("sees the trace before its spans", function()
    local names = {}
    t.processor { name = "own", on = "kept",
      trace = function(trace) names[#names + 1] = trace.span_count end,
      span = function(span) names[#names + 1] = span.name end }:process(t.trace { { name = "a" }, { name = "b", offset_ms = 1 } })
    assert.same({ 2, "a", "b" }, names)
  end)

  for what, spec in pairs {
    ["on = \"kept\""] = { name = "x", span = function() end },
    ["needs span"] = { name = "x", on = "kept" },
    ["unknown processor field 'spn'"] = { name = "x", on = "kept", spn = function() end },
    ["pass, strip, drop"] = { name = "x", on = "kept", on_error = "keep", span = function() end },
    ["sees no trace"] = { name = "x", on = "received", trace = function() end },
    ["lets one that is on = \"kept\""] = { name = "x", on = "received", body = function() end, span = function() end },
    ["it can only pass or drop"] = { name = "x", on = "received", on_error = "strip", span = function() end },
  } do
    it("is refused with a sentence: " .. what, function()
      local ok, why = pcall(t.processor, spec)
      assert.is_false(ok)
      assert.is_truthy(tostring(why):find(what, 1, true), why)
    end)
  end

  describe("with a body", function()
    -- Of redact with its options, or of one written in place: what is ready at the door, or why not.
    local function at_door(what, options)
      local one = component.constructor "processor"(what)
      return processors.prepare({ options and one(options) or one }, "received")
    end
    local function own(body) return { name = "own", on = "kept", span = function() end, body = body } end

    it("stands at the door, where C has its redaction and Lua no function", function()
      local ready = assert(at_door("redact", { rules = { email = "drop" } }))
      assert.same({ "redact", "userdata" }, { ready[1].name, type(ready[1].redaction) })
      assert.is_nil(ready[1].span)
    end)

    it("is refused with a sentence where it can't", function()
      local _, why = at_door("redact", { when = t.match { name = "x" } })
      assert.is_truthy(why:find("it takes no when", 1, true), why)
      _, why = at_door("redact", { rules = { emial = true } })
      assert.is_truthy(why:find("did you mean 'email'", 1, true), why)
      _, why = at_door(own(function() return {} end))
      assert.is_truthy(why:find("body returned no redaction", 1, true), why)
      _, why = at_door(own(function() error("no", 0) end))
      assert.is_truthy(why:find(": no", 1, true), why)
      _, why = at_door("truncate", {})
      assert.is_truthy(why:find("processors.kept", 1, true), why)
    end)
  end)
end)
