-- The global `aws` of exporter scripts: what services of AWS say of a call that they refused.
local decode = require("moontail.bytes").api.json.decode

local M = { api = {} }

-- In codes that mean: not now. Some services answer 400 with them.
local THROTTLING = { "throttl", "toomany", "limitexceeded", "unavailable", "internal", "operationaborted", "timeout" }

-- Whether a call, or an item of one, that was refused with that code may be sent again.
function M.api.is_throttling(code)
  if type(code) ~= "string" then error("aws.is_throttling takes a code, not a " .. type(code), 2) end
  code = code:lower()
  for _, part in ipairs(THROTTLING) do
    if code:find(part, 1, true) then return true end
  end
  return false
end

-- Of reply's first argument: "ThrottlingException"; "" where the answer says none.
function M.api.error_code(r)
  local code = r.headers["x-amzn-errortype"]
  if code == nil then
    local body = decode(r.body)
    code = type(body) == "table" and (body.__type or body.code or body.Code) or ""
  end
  return (tostring(code):gsub("^.*#", ""):gsub(":.*$", ""))
end

return M
