-- The golden cases of spec/xray as lines for both sides: what spec/xray_spec.lua checks by hand is what the reference does.
local g = require "support.xray_golden"
local t = require "moontail.testing"

for _, file in ipairs { "names", "http", "cause", "aws", "fields", "roots" } do
  for _, case in ipairs(require("xray." .. file)) do
    local options = { compat = true }
    for key, value in pairs(case.options or {}) do options[key] = value end
    if case.only ~= "default" then print(('{"options":%s,"traces":%s}'):format(t.json.encode(options), g.request(case))) end
  end
end
