local t = require "moontail.testing"
local rates = require "support.rates"

local of, rate, send = rates.of, rates.rate, rates.send

describe("dynamic", function()
  it("samples at its rate, then by what came in the last interval", function()
    local p = t.policy("dynamic", { sample_rate = 10, field_list = { "name" }, clear_frequency = "10s" })
    assert.equal(10, rate(p, of "a"))
    send(p, { a = 1000, b = 10 })
    t.advance(10000)
    assert.is_true(rate(p, of "a") > 10)
    assert.equal(1, rate(p, of "b"))
    assert.equal(1, rate(p, of "new"))
    t.advance(10000)
    assert.equal(1, rate(p, of "a")) -- little came since
  end)

  it("tells traces apart by fields, of the root alone if asked, and by length", function()
    local p = t.policy("dynamic", { sample_rate = 5, field_list = { "name", "root.http.status" }, use_trace_length = true, clear_frequency = "1s" })
    local function request(status, count) return of("a", count, { attr = { ["http.status_code"] = status } }) end
    for _ = 1, 500 do p:decide(request(200)) end
    p:decide(request(500))
    p:decide(request(200, 3))
    t.advance(1000)
    assert.is_true(rate(p, request(200)) > 1)
    assert.equal(1, rate(p, request(500)))
    assert.equal(1, rate(p, request(200, 3)))
  end)

  it("keeps about 1 in its rate of all, with honest probabilities", function()
    local chain = t.chain({ t.make "dynamic" { sample_rate = 10, field_list = { "name" }, clear_frequency = "1s" } }, t.drop())
    local sizes, stands_for, kept, came, id = { a = 800, b = 150, c = 50 }, 0, 0, 0, 0
    for second = 1, 4 do
      for name, count in pairs(sizes) do
        for _ = 1, count do
          id = id + 1
          local low = (id * 2654435761) % 2 ^ 32
          local said = chain:decide(t.trace { id = ("%016x%08x%08x"):format(id, low, 0), { name = name } })
          if second > 1 then
            came = came + 1
            if said[1] == "keep" then kept, stands_for = kept + 1, stands_for + 1 / said[4] end
          end
        end
      end
      t.advance(1000)
    end
    assert.is_true(kept > came / 16 and kept < came / 7, kept)
    assert.is_true(stands_for > came * 0.8 and stands_for < came * 1.2, stands_for)
    assert.is_false(chain:is_unknown(of "a"))
  end)
end)
