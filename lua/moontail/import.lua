-- Configurations of other collectors as a config.lua, with a report of what became of each part.
--
-- Documents come from C as src/config/yaml.h describes them.
local collector = require "moontail.import_collector"
local lua_text = require "moontail.lua_text"
local refinery = require "moontail.import_refinery"
local report = require "moontail.import_report"

local M = {}

local HEAD = [[
-- Made from %s by `moontail import`. Read it, and what the report said, before it replaces anything:
-- `moontail check --config FILE` tells whether it can run.
return ]]

local function converter_of(doc)
  if type(doc) ~= "table" then return nil end
  if doc.receivers or doc.exporters or doc.processors or doc.service then return collector end
  if doc.Samplers or doc.RulesVersion then return refinery end
end

-- The text of config.lua and the report's, or nil and what is wrong. `name`: the file's, for both.
function M.run(doc, name)
  local converter = converter_of(doc)
  if not converter then
    return nil, "neither a collector's configuration (receivers, processors, exporters, service) nor Refinery's rules (RulesVersion, Samplers)"
  end
  local notes = report.new(name)
  local config = converter.convert(doc, notes)
  return HEAD:format(name:gsub("%c", "?")) .. lua_text.text(config) .. "\n", notes:text()
end

return M
