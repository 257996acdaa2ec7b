-- Values that are never shown. A secret joined with text is a secret.
local secret = {}

local texts = setmetatable({}, { __mode = "k" })
local meta = { __metatable = false, __kind = "secret" }

local function text_of(value)
  return texts[value] or tostring(value)
end

function secret.new(text)
  local value = setmetatable({}, meta)
  texts[value] = text
  return value
end

function secret.is(value) return type(value) == "table" and texts[value] ~= nil end
function secret.reveal(value) return texts[value] end

function meta.__tostring() return "****" end
function meta.__concat(a, b) return secret.new(text_of(a) .. text_of(b)) end
function meta.__index() error("a secret can't be read", 2) end
function meta.__newindex() error("a secret can't be changed", 2) end

return secret
