-- The sql block of an X-Ray document.
local read = require "moontail.xray_read"

local text, present = read.text, read.present

local M = {}

local SYSTEMS, NEW_SYSTEMS = {}, {}
for name in ("db2 derby hive mariadb mssql mysql oracle postgresql sqlite teradata other_sql"):gmatch "%S+" do SYSTEMS[name] = true end
for name in pairs(SYSTEMS) do NEW_SYSTEMS[name] = true end
for name in ("ibm.db2 microsoft.sql_server oracle.db"):gmatch "%S+" do NEW_SYSTEMS[name] = true end

local OLD = { system = "db.system", name = "db.name", statement = "db.statement", user = "db.user" }
local NEW = { system = "db.system.name", name = "db.namespace", statement = "db.query.text", user = "user.name" }

local function take(rest, names)
  for _, name in pairs(names) do
    if rest[name] ~= nil then rest[name] = nil end
  end
  if rest["db.connection_string"] ~= nil then rest["db.connection_string"] = nil end
end

local function block_of(span, names, m)
  local rest = span.attrs
  local connection = text(rest["db.connection_string"])
  if connection == "" and not m.compat then connection = text(rest["server.address"]) end
  if connection == "" then connection = "localhost" end
  local block = {
    url = present(span.name), connection_string = connection .. "/" .. text(rest[names.name]),
    database_type = rest[names.system], user = present(rest[names.user]), sanitized_query = present(rest[names.statement]),
  }
  take(rest, names)
  return block
end

-- The block, or nil; what it took is gone from the attributes.
function M.block(span, m)
  local attrs = span.attrs
  if m.semconv ~= "v1" and SYSTEMS[attrs["db.system"]] then return block_of(span, OLD, m) end
  if m.semconv ~= "v0" and NEW_SYSTEMS[attrs["db.system.name"]] then return block_of(span, NEW, m) end
  return nil
end

return M
