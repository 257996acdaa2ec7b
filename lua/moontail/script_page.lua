-- The page of a script (docs/policies/latency.md and so on), made from its file alone: what it says in
-- `doc`, the comment at its head, its options. In the comment a line that is indented by four more is
-- an example: what stands in a list of config.lua.
local core = require "moontail.policy_core"
local env = require "moontail.env"
local exporter_run = require "moontail.exporter_run"
local option = require "moontail.option"
local printer = require "moontail.config_print"
local script = require "moontail.script"

local M = {}

local PLURAL = { policy = "policies", processor = "processors", exporter = "exporters" }

local ABOUT = {
  policy = "Every policy also takes `when = match{...}` (it is asked only about traces with a span that matches) and `name`.",
  processor = "Every processor also takes `when = match{...}` (it is asked only about spans that match) and `name`.",
  exporter = "Every exporter also takes `where`, `signals`, `batch`, `queue`, `timeout`, `retry` and `circuit` ([configuration](../configuration.md)).",
}

local function environment(kind)
  local target = env.new()
  script.add_globals(target)
  if kind == "exporter" then exporter_run.api(target) end
  target[kind] = function(spec) return spec end
  return env.seal(target)
end

-- What the script's file returns, its name for messages, and its text; raises where it is wrong.
function M.load(kind, type_)
  local chunk, name, source = core.load_script(type_, environment(kind), kind)
  if not chunk then error(name, 0) end
  local spec = chunk()
  if type(spec) ~= "table" then error(name .. ": the file must return " .. kind .. " { ... }", 0) end
  if type(spec.doc) ~= "string" then error(name .. ": doc is missing: say in a sentence what it does", 0) end
  for option_name, field in pairs(spec.options or {}) do
    if not option.is(field) then error(("%s: option '%s' is made by option.number { ... } and the like"):format(name, option_name), 0) end
    if not field.doc then error(("%s: option '%s' has no doc"):format(name, option_name), 0) end
  end
  return spec, name, source
end

-- The comment at the head of a script, without its dashes; "" where there is none. One that is not
-- followed by an empty line or the script's `return` is about what follows it.
function M.head(source)
  local lines = {}
  for line in (source .. "\n"):gmatch "(.-)\r?\n" do
    local text = line:match "^%-%- ?(.*)"
    if not text and line ~= "" and not line:find "^return" then return "" end
    if not text then break end
    lines[#lines + 1] = text
  end
  return (table.concat(lines, "\n"):gsub("%s+$", ""))
end

-- The examples in it: each the text of a block.
function M.examples(source)
  local list, block = {}, nil
  for line in (M.head(source) .. "\n\n"):gmatch "(.-)\n" do
    local code = line:match "^    (.*)"
    if code then
      block = block and (block .. "\n" .. code) or code
    elseif block then
      list[#list + 1], block = block, nil
    end
  end
  return list
end

local function processor_lines(spec)
  local lists = { received = "sees each span as it comes, and may drop it", kept = "sees the spans of kept traces" }
  local failures = {
    pass = "A span whose call fails goes on as it was.",
    strip = "A span whose call fails goes on as ids, times, kind, the status' code and `service.name`: nothing else of it is sent.",
    drop = "A span whose call fails is dropped.",
  }
  local list = ("Stands in `processors.%s`: %s. "):format(spec.on, lists[spec.on])
  if spec.body then list = list .. "Or in `processors.received`: redacts all that comes, before it is held. " end
  return list .. failures[spec.on_error or "pass"]
end

local function about(kind, spec)
  if kind == "processor" then return processor_lines(spec) end
  if kind == "exporter" then return "Takes " .. table.concat(spec.signals or { "traces" }, ", ") .. "." end
end

local function fields_of(options)
  local fields = {}
  for name, given in pairs(options or {}) do
    local field = { path = name, default_text = given.default ~= nil and printer.text(given.default) or nil }
    for key, value in pairs(given) do field[key] = value end
    fields[#fields + 1] = field
  end
  table.sort(fields, function(a, b) return a.path < b.path end)
  return fields
end

-- The page of a script of this kind; raises where there is none, or where it can't be documented.
function M.text(kind, type_)
  local spec, _, source = M.load(kind, type_)
  local out = { "# " .. type_, "", spec.doc }
  local function add(text)
    out[#out + 1] = ""
    out[#out + 1] = text
  end
  local head, more, fields = M.head(source), about(kind, spec), fields_of(spec.options)
  if head ~= "" then add(head) end
  if more then add(more) end
  add "## Options"
  if fields[1] then add(printer.table(fields)) end
  add(ABOUT[kind])
  add(("*Written by `moontail api --pages` from [lua/%s/%s.lua](../../lua/%s/%s.lua).*"):format(PLURAL[kind], type_, PLURAL[kind], type_))
  return table.concat(out, "\n") .. "\n"
end

-- The page that lists them.
function M.index(kind, types)
  local out = { ("# %s in Lua that come with the program"):format((PLURAL[kind]:gsub("^%l", string.upper))), "", "| " .. kind .. " | |", "|---|---|" }
  for _, type_ in ipairs(types) do
    local spec = M.load(kind, type_)
    out[#out + 1] = ("| [%s](%s.md) | %s |"):format(type_, type_, (spec.doc:gsub("|", "\\|")))
  end
  local more = { "", ("[%s.md](../%s.md) says how they are used and written."):format(PLURAL[kind], PLURAL[kind]), "", "*Written by `moontail api --pages`.*" }
  return table.concat(out, "\n") .. "\n" .. table.concat(more, "\n") .. "\n"
end

return M
