-- Why an X-Ray document failed: fault, error, throttle, and the exceptions.
local core = require "moontail.policy_core"
local http = require "moontail.xray_http"
local names = require "moontail.xray_name"
local read = require "moontail.xray_read"
local stack = require "moontail.xray_stack"

local text = read.text

local M = {}

-- Ids for exceptions of a span: the same at every try, different in each of its documents.
local function ids_of(span, salt)
  local count = 0
  return function()
    count = count + 1
    return core.hex(core.sha256(span.trace_id .. span.id .. salt .. count):sub(1, 8))
  end
end
M.ids_of = ids_of

local function add_exception(list, span, event, m, new_id)
  local attrs = event.attrs
  local made = { {
    id = new_id(), type = text(attrs["exception.type"]), message = text(attrs["exception.message"]),
    remote = span.kind == "client" or span.kind == "producer",
  } }
  stack.parse(made, text(attrs["exception.stacktrace"]), span.resource.language, new_id, m.compat)
  for _, exception in ipairs(made) do list[#list + 1] = exception end
end

local function code_text(value)
  if type(value) == "table" then return value.json end
  return type(value) == "number" and value % 1 == 0 and ("%.0f"):format(value) or tostring(value)
end

-- One try of a request that the AWS SDK made again.
local function add_failure(list, event, new_id)
  local code, message = event.attrs["http.response.status_code"], event.attrs["aws.http.error_message"]
  if code == nil or message == nil then return end
  list[#list + 1] = {
    id = new_id(), type = "aws.http.error.event", remote = true,
    message = ("%s@%.6f@%s"):format(code_text(code), event.seconds, text(message)),
  }
end

-- The exceptions in the span's events; nil where there is no such event.
local function exceptions_of(span, m, salt)
  local list, new_id
  for _, event in ipairs(span.events) do
    local is_exception = event.name == "exception"
    if is_exception or (names.is_aws_sdk(span.attrs) and event.name == "HTTP request failure") then
      list, new_id = list or {}, new_id or ids_of(span, salt)
      if is_exception then add_exception(list, span, event, m, new_id) else add_failure(list, event, new_id) end
    end
  end
  return list
end

-- The cause, or nil. A status text is gone from the attributes where it says why.
function M.cause(span, m, salt)
  local list = span.events and exceptions_of(span, m, salt)
  if list then return { exceptions = list[1] and list or nil } end
  if not span.is_error then return nil end
  local message, rest = span.message, span.attrs
  if message == "" then message = text(rest["http.status_text"]) end
  if rest["http.status_text"] ~= nil then rest["http.status_text"] = nil end
  if message == "" then return nil end
  return { exceptions = { { id = ids_of(span, salt)(), type = "", message = message } } }
end

-- fault, error, throttle
function M.flags(span, m)
  local code = http.status(span.attrs, m)
  if code and code >= 400 and code <= 499 then return false, true, code == 429 end
  if code and code >= 500 and code <= 599 then return true, false, false end
  return span.is_error, false, false
end

return M
