-- Reads lines { "options": {...}, "traces": OTLP/JSON } and writes the documents of each, as a JSON list a line:
-- what exporter "xray" would send. Run by tests/differential/xray/run and spec/xray_spec.lua's maker.
local t = require "moontail.testing"
local core = require "moontail.policy_core"
local xray = require "moontail.xray"

-- OTLP/JSON of the line: the text behind "traces":, without the last brace.
local function parts_of(line)
  local options, traces = line:match '^{"options":(.-),"traces":(.*)}%s*$'
  return core.json_decode(options), traces
end

for line in io.lines() do
  local options, traces = parts_of(line)
  local mapping, out = xray.api.mapping(options), {}
  for _, trace in ipairs(t.traces(traces)) do
    t.read(trace, function(proxy)
      for _, span in proxy:spans() do
        for _, document in ipairs { mapping:documents(span) } do out[#out + 1] = xray.api.text(document) end
      end
    end)
  end
  print("[" .. table.concat(out, ",") .. "]")
end
