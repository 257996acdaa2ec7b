-- What `moontail init` writes: a policy, its spec, a configuration that uses it, and what an editor needs
-- for completion, checks and tasks.
local printer = require "moontail.api_print"

local M = {}

local CONFIG = [[
return {
  journal = { path = env("STATE_DIRECTORY", "journal") },
  tail_sampling = {
    -- Asked in order: the first keep or drop is final, and what is left is drawn by the last one.
    policies = {
      policy "drop_health_checks",
      policy "status_code" { status_codes = { "ERROR" } },
      policy "slow_db" { threshold_ms = 250 },
      policy "probabilistic" { sampling_percentage = 10 },
    },
  },
  exporters = { exporter "debug" { verbosity = "normal" } },
}
]]

local POLICY = [[
-- A call to a database is a client span with `db.system.name` (`db.system` in older instrumentation).
--
--     policy "slow_db" { threshold_ms = 250 }

return policy {
  doc = "Keep traces with a slow database call.",
  options = {
    threshold_ms = option.number { default = 200, min = 0, doc = "a call at or above this is slow" },
  },
  setup = function(opt)
    return { slow = match { kind = "client", duration_ms = range(opt.threshold_ms), db = { system = any } } }
  end,
  decide = function(trace, opt, my)
    if trace:find(my.slow) then return keep("slow_db") end
  end,
}
]]

local SPEC = [[
local t = require "moontail.testing"

describe("slow_db", function()
  local p = t.policy("slow_db", { threshold_ms = 250 })

  local function call(span)
    span.kind = span.kind or "client"
    return t.trace { { name = "GET /orders", kind = "server" }, span }
  end

  it("keeps a call exactly at the threshold", function()
    assert.same({ "keep", "slow_db" }, p:decide(call { duration_ms = 250, attr = { ["db.system.name"] = "mysql" } }))
    assert.same({ "keep", "slow_db" }, p:decide(call { duration_ms = 250, attr = { ["db.system"] = "mysql" } }))
  end)

  it("has no opinion on a faster one", function()
    assert.is_nil(p:decide(call { duration_ms = 249, attr = { ["db.system.name"] = "mysql" } }))
  end)

  it("has no opinion on what is no call to a database", function()
    assert.is_nil(p:decide(call { duration_ms = 900 }))
    assert.is_nil(p:decide(call { duration_ms = 900, kind = "server", attr = { ["db.system.name"] = "mysql" } }))
  end)
end)
]]

local LUARC = [[
{
  "runtime.version": "LuaJIT",
  "workspace.library": ["types"],
  "workspace.checkThirdParty": false,
  "diagnostics.globals": ["describe", "it", "before_each", "after_each", "setup", "teardown", "pending"]
}
]]

local TASKS = [[
{
  "version": "2.0.0",
  "tasks": [
    {
      "label": "moontail check",
      "type": "process",
      "command": "moontail",
      "args": ["check", "--config", "config.lua"],
      "group": "build",
      "problemMatcher": {
        "owner": "moontail",
        "fileLocation": ["autoDetect", "${workspaceFolder}"],
        "pattern": { "regexp": "^([^:\\s]+\\.lua):(\\d+): (.*)$", "file": 1, "line": 2, "message": 3 }
      }
    },
    {
      "label": "moontail test",
      "type": "process",
      "command": "moontail",
      "args": ["test"],
      "group": { "kind": "test", "isDefault": true },
      "problemMatcher": {
        "owner": "moontail",
        "fileLocation": ["autoDetect", "${workspaceFolder}"],
        "pattern": { "regexp": "^\\s*([^:\\s]+\\.lua):(\\d+): (.*)$", "file": 1, "line": 2, "message": 3 }
      }
    },
    {
      "label": "moontail try",
      "type": "process",
      "command": "moontail",
      "args": ["try", "config.lua"],
      "problemMatcher": []
    }
  ]
}
]]

-- The list of files: { path below the folder, text }.
function M.files()
  return {
    { "config.lua", CONFIG },
    { "policies/slow_db.lua", POLICY },
    { "spec/slow_db_spec.lua", SPEC },
    { "types/moontail.lua", printer.luacats() },
    { ".luarc.json", LUARC },
    { ".vscode/tasks.json", TASKS },
  }
end

return M
