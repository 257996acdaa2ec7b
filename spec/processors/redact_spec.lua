local t = require "moontail.testing"

describe("redact", function()
  local function left(options, span, read)
    local kept = t.processor("redact", options):process(t.trace { span })
    return t.read(kept, function(trace) return read(trace.entry) end)
  end

  local function attr(options, attributes, key)
    return left(options, { attr = attributes }, function(s) return s:attr(key) end)
  end

  it("masks secrets in names, messages and values at any depth", function()
    local span = {
      name = "GET /users/ada@example.org", status = "error", status_message = "password=hunter2 is wrong",
      attr = { l = { "x", "4111111111111111" }, m = { token = "abc", n = { "ghp_abcdefghijklmnopqrstuvwxyz0123456789" } } },
    }
    assert.same({ "GET /users/****", "password=**** is wrong", { "x", "****" }, { token = "****", n = { "****" } } }, left({}, span, function(s)
      return { s.name, s.status_message, s:attr "l", s:attr "m" }
    end))
  end)

  it("masks those of events, links and resources", function()
    local span = {
      events = { { name = "exception", attr = { ["exception.message"] = "no user ada@example.org", ["exception.stacktrace"] = "at f (token=abc)" } } },
      links = { { attr = { api_key = "abc" } } },
      resource = { ["process.command_line"] = "run --password=abc", ["host.name"] = "h" },
    }
    assert.same({ "no user ****", "at f (token=****)", "****", "run --password=****", "h" }, left({}, span, function(s)
      local found = {}
      for _, event in s:events() do found[1], found[2] = event:attr "exception.message", event:attr "exception.stacktrace" end
      for _, link in s:links() do found[3] = link:attr "api_key" end
      found[4], found[5] = s.resource:attr "process.command_line", s.resource:attr "host.name"
      return found
    end))
  end)

  it("leaves ids and times", function()
    local before = { trace_id = "41111111111111111111111111111111", id = "4111111111111111" }
    local trace = t.trace { { id = before.id, name = "x", attr = { token = "a" } } }
    local id = t.read(trace, function(x) return { x.id, x.entry.id, x.start_ms, x.duration_ms } end)
    local kept = t.processor("redact", {}):process(trace)
    assert.same(id, t.read(kept, function(x) return { x.id, x.entry.id, x.start_ms, x.duration_ms } end))
  end)

  it("takes a number for the digits that it is written with", function()
    assert.same("****", attr({}, { n = t.int "4111111111111111" }, "n"))
    assert.same("****", attr({}, { cvv = 123 }, "cvv"))
    assert.same(4111111111111112, attr({}, { n = t.int "4111111111111112" }, "n"))
    assert.same(true, attr({}, { has_token = true }, "has_token"))
  end)

  it("knows the statements of the database", function()
    local function statement(system, text) return attr({}, { ["db.system.name"] = system, ["db.query.text"] = text }, "db.query.text") end
    assert.same('SELECT "a" FROM t WHERE b = ?', statement("postgresql", [[SELECT "a" FROM t WHERE b = 'c']]))
    assert.same("SELECT ? FROM t WHERE b = ?", statement("mysql", [[SELECT "a" FROM t WHERE b = 'c\'d']]))
    assert.same("SELECT [it's] FROM t WHERE b = ?", statement("microsoft.sql_server", [[SELECT [it's] FROM t WHERE b = 'c']]))
    assert.same("SELECT ? FROM dual", statement("oracle.db", [[SELECT q'[it's]' FROM dual]]))
    assert.same("SET", statement("redis", "SET user:1 hunter2"))
    assert.same("find", statement("mongodb", '{"find": "users", "filter": {"name": "ada"}}'))
    assert.same('{"a":"?","b":[?,?]}', statement("elasticsearch", '{"a":"x","b":[1,2]}'))
  end)

  it("drops the parameters of statements, and calls spans as their redacted statement", function()
    local text = "SELECT a FROM t WHERE b = 'ada'"
    local span = { name = text, attr = { ["db.statement"] = text, ["db.system"] = "mysql", ["db.query.parameter.0"] = "ada" } }
    assert.same({ "SELECT a FROM t WHERE b = ?", false }, left({}, span, function(s) return { s.name, s:has "db.query.parameter.0" } end))
  end)

  it("does what a rule says", function()
    local key = { hmac_key = "0123456789abcdef", rules = { email = "hmac", card = "keep_last", iban = "keep_last 2", phone = "drop", ssn = false, ipv4 = true } }
    local mail = "hmac:" .. t.hex(t.hmac_sha256("0123456789abcdef", "ada@example.org")):sub(1, 32)
    assert.same("to " .. mail, attr(key, { m = "to ada@example.org" }, "m"))
    assert.same("****1111", attr(key, { m = "4111111111111111" }, "m"))
    assert.same("****00", attr(key, { m = "DE89370400440532013000" }, "m"))
    assert.is_nil(attr(key, { m = "call 415-555-0123" }, "m"))
    assert.same("123-45-6789", attr(key, { m = "123-45-6789" }, "m"))
    assert.same("203.0.113.0", attr(key, { m = "203.0.113.7" }, "m"))
  end)

  it("takes further keys and patterns, and leaves what is allowed", function()
    local options = {
      keys = { "acme.*.pin" }, values = { badge = "\\bB-[0-9]{6}\\b" }, rules = { badge = "drop" },
      ignore_keys = { "code.*" }, allow_values = { "@example\\.org$" },
    }
    assert.same("****", attr(options, { ["Acme.door.PIN"] = "x" }, "Acme.door.PIN"))
    assert.is_nil(attr(options, { m = "badge B-123456" }, "m"))
    assert.same("ada@example.net", attr(options, { ["code.author"] = "ada@example.net" }, "code.author"))
    assert.same("ada@example.org ****", attr(options, { m = "ada@example.org ada@example.net" }, "m"))
  end)

  it("may leave keys alone but for those that were named", function()
    local options = { rules = { key = false }, keys = { "pin" } }
    assert.same("x", attr(options, { password = "x" }, "password"))
    assert.same("****", attr(options, { pin = "x" }, "pin"))
  end)

  it("does the same twice as once", function()
    local p = t.processor("redact", { action = "keep_last", rules = { ipv4 = true } })
    local span = { name = "a ada@example.org", attr = {
      m = "tel 415-555-0123 card 4111111111111111 from 203.0.113.7, password: hunter2",
      ["url.full"] = "https://a:b@h/?token=abcdefghijkl", ["db.statement"] = "SELECT 'x' -- y", token = "abcdefghijkl",
    } }
    local function texts(trace)
      return t.read(trace, function(x)
        local e = x.entry
        return { e.name, e:attr "m", e:attr "url.full", e:attr "db.statement", e:attr "token" }
      end)
    end
    local once = p:process(t.trace { span })
    assert.same("tel ****0123 card ****1111 from 203.0.113.0, password: ****er2", texts(once)[2])
    assert.same(texts(once), texts(p:process(once)))
  end)

  local WRONG = {
    [{ rules = { emial = true } }] = "did you mean 'email'",
    [{ rules = { email = "msak" } }] = "did you mean 'mask'",
    [{ rules = { email = "hmac" } }] = "hmac needs hmac_key",
    [{ rules = { email = "network" } }] = "network is for ipv4 and ipv6",
    [{ rules = { card = "keep_last 9" } }] = "up to 8",
    [{ rules = { sql = "keep_last" } }] = "true, false or drop",
    [{ values = { x = "(" } }] = "missing",
    [{ values = { email = "x" } }] = "a built-in rule is called so",
    [{ hmac_key = "short" }] = "at least 16 bytes",
    [{ action = "network" }] = "allowed: mask, hmac, drop, keep_last",
    [{ ruls = {} }] = "did you mean rules",
  }
  it("says what is wrong", function()
    for options, text in pairs(WRONG) do
      assert.error_matches(function() t.processor("redact", options) end, text, 1, true)
    end
  end)
end)
