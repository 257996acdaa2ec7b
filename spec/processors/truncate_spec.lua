local t = require "moontail.testing"

describe("truncate", function()
  local function cut(span, read)
    local left = t.processor("truncate", { max_bytes = 5 }):process(t.trace { span })
    return t.read(left, function(trace) return read(trace.entry) end)
  end

  it("cuts names, messages and values, at any depth", function()
    local span = { name = "GET /orders", status = "error", status_message = "no such table", attr = { a = "abcdefgh", l = { "abcdefgh", "x" } } }
    assert.same({ "GET /", "no su", "abcde", { "abcde", "x" } }, cut(span, function(s)
      return { s.name, s.status_message, s:attr "a", s:attr "l" }
    end))
  end)

  it("cuts those of events and links", function()
    local span = { events = { { name = "exception", attr = { a = "abcdefgh" } } }, links = { { attr = { b = "abcdefgh" } } } }
    assert.same({ "excep", "abcde", "abcde" }, cut(span, function(s)
      local found = {}
      for _, event in s:events() do found[1], found[2] = event.name, event:attr "a" end
      for _, link in s:links() do found[3] = link:attr "b" end
      return found
    end))
  end)

  it("never cuts a character in two", function()
    assert.same({ "aää", "日", "12345" }, cut({ attr = { a = "aääää", b = "日本語", c = "12345" } }, function(s)
      return { s:attr "a", s:attr "b", s:attr "c" }
    end))
  end)

  it("leaves keys, ids and other values alone", function()
    assert.same({ 123456789, "work" }, cut({ name = "work", attr = { a_long_key = 123456789 } }, function(s)
      return { s:attr "a_long_key", s.name }
    end))
  end)
end)
