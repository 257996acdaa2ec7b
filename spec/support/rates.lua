-- For the specs of samplers whose rates follow what comes.
local t = require "moontail.testing"

local M = {}

-- A trace of so many spans, all with this name.
function M.of(name, count, more)
  local spans = {}
  for i = 1, count or 1 do spans[i] = { name = name } end
  for key, value in pairs(more or {}) do spans[1][key] = value end
  return t.trace(spans)
end

-- 1 in so many.
function M.rate(p, trace)
  local said = p:decide(trace)
  if said[1] ~= "sample" then error("it said " .. said[1] .. ", not sample", 2) end
  return math.floor(1 / said[2] + 0.5)
end

function M.send(p, counts)
  for name, count in pairs(counts) do
    local trace = M.of(name)
    for _ = 1, count do p:decide(trace) end
  end
end

return M
