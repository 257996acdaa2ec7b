local assertions = require "moontail.assertions"
local runner = require "moontail.runner"

local own = assertions.assert

-- What the runner says of a spec with this text, and how many passed and failed.
local function run(text, verbose)
  local path, said = os.tmpname(), {}
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local passed, failed, pending = runner.run({ path }, function(line) said[#said + 1] = line end, verbose)
  os.remove(path)
  return (table.concat(said):gsub(path:gsub("%p", "%%%0"), "FILE")), passed, failed, pending
end

-- What an assertion says that does not hold; nil where it holds.
local function failure(fn, ...)
  local ok, raised = pcall(fn, ...)
  if not ok then
    assert(assertions.is_failure(raised), tostring(raised))
    return tostring(raised)
  end
end

describe("the runner", function()
  it("runs what stands around a test, from the outermost in, and back", function()
    local said = run([[
      order = {}
      local function note(what) return function() table.insert(order, what) end end
      describe("a", function()
        setup(note "setup") teardown(note "teardown") before_each(note "before") after_each(note "after")
        it("1", note "1")
        describe("b", function()
          before_each(note "inner before") after_each(note "inner after")
          it("2", note "2")
        end)
      end)
      it("said", function()
        assert.same("setup before 1 after before inner before 2 inner after after teardown", table.concat(order, " "))
      end)]])
    assert.equal("3 passed, 0 failed\n", said)
  end)

  it("goes on after what fails, and says where", function()
    local said, passed, failed, pending = run [[
describe("a", function()
  it("is wrong", function() assert.equal(1, 2) end)
  it("raises", function() error "no" end)
  it("raises a table", function() error { a = 1 } end)
  it("is right", function() end)
  it "is to come"
end)
describe("b", function() error "here" end)
describe("c", function() before_each(function() error "before" end) it("is not run", function() end) end)
describe("d", function() setup(function() error "setup" end) it("is not run", function() end) end)]]
    assert.same({ 1, 6, 1 }, { passed, failed, pending })
    for _, wanted in ipairs {
      "FAILED a is wrong\n  FILE:2: expected 1, got 2\n", "FAILED a raises\n  FILE:3: no\n", "FAILED a raises a table\n  FILE:4: error value { a = 1 }\n",
      "PENDING a is to come\n", "FAILED b\n  FILE:8: here\n", "FAILED c is not run\n  FILE:9: before\n", "FAILED d (setup)\n  FILE:10: setup\n",
    } do
      assert.truthy(said:find(wanted, 1, true), wanted .. " in " .. said)
    end
    assert.match("\n1 passed, 6 failed, 1 pending\n$", said)
  end)

  it("names what passes where it is asked to, and keeps the globals of a file in it", function()
    assert.equal("ok a\n1 passed, 0 failed\n", (run("leaked_by_a_spec = 1\nit('a', function() assert(leaked_by_a_spec == 1) end)", true)))
    assert.is_nil(rawget(_G, "leaked_by_a_spec"))
  end)

  it("says which file has no test", function()
    local said = 'NO TEST in FILE: a test is it("what it does", function() ... end)\n0 passed, 0 failed\n'
    assert.equal(said, (run "local x = 1"))
    assert.equal(said, (run "describe('a', function() end)"))
    assert.equal("PENDING  b\n0 passed, 0 failed, 1 pending\n", (run "it 'b'"))
  end)
end)

describe("an assertion", function()
  it("holds", function()
    own.same({ 1, { a = { 2 } } }, { 1, { a = { 2 } } })
    own.same(0 / 0, 0 / 0)
    own.are.equal("a", "a")
    own.is_true(true) own.is_false(false) own.is_nil(nil) own.truthy(0) own.falsy(nil)
    own.is_not_nil(1) own.are_not.equal(1, 2) own.is_not.same({ 1 }, { 1, 2 })
    own.is_string "a" own.is_table {} own.is_function(print) own.is_number(1)
    own.near(1, 1.05, 0.1)
    own.matches("^a%d", "a1b")
    own.has_error(function() error "x" end)
    own.has_error(function() error "x" end, "x")
    own.has_error(function() error({ 1 }) end, { 1 })
    own.error_matches(function() error "a b" end, "a.b")
    own.has_no.errors(function() end)
    assert.equal(5, own(5, "message"))
  end)

  it("says what was expected and what came", function()
    assert.equal('expected { 1, a = "x" }, got nil', failure(own.same, { 1, a = "x" }, nil))
    assert.equal("expected anything but 1, got 1", failure(own.is_not.equal, 1, 1))
    assert.equal("expected true, got 1", failure(own.is_true, 1))
    assert.equal("expected an error, got none", failure(own.has_error, function() end))
    assert.equal('expected anything but an error, got "x"', failure(own.has_no_error, function() error("x", 0) end))
    assert.equal('expected a text that matches "b", got "a"', failure(own.match, "b", "a"))
    assert.equal("expected 1 +- 0.1, got 2", failure(own.near, 1, 2, 0.1))
    assert.equal('expected "100 %s", got 5', failure(own.equal, "100 %s", 5))
    assert.error_matches(function() own.is_wonderful(1) end, "there is no assert.is_wonderful here")
  end)
end)
