-- In this order: insert, update, upsert, delete, rename, hash; each in the order of the names. An edit of a
-- resource is of this span's alone: spans whose resources were edited alike leave under one.
--
-- It is about spans; of metrics, whose data points have the attributes, and of logs where that is said:
-- `when`, `metrics` and `logs` are true or a match, and where one of them is given it is about no other. A
-- resource of metrics or logs has all of its items: of a match only what it says of resources can hold.
--
--     processor "attributes" { insert = { team = "shop" }, delete = { "password" }, hash = { "user" } },
--     processor "attributes/resource" { target = "resource", delete = { "process.command_line" } },
--     processor "attributes/all" { when = true, metrics = true, logs = true, delete = { "user" } },

-- A list of { key, value } in the order of the keys, so that every worker writes the same bytes.
local function sorted(map)
  local list = {}
  for key, value in pairs(map or {}) do list[#list + 1] = { key, value } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- Names of attributes are strings: what can't be one would fail on every span.
local function names(option_name, list)
  for _, name in pairs(list or {}) do
    if type(name) ~= "string" then error(('%s has %s; allowed: names of attributes, such as "%s"'):format(option_name, tostring(name), tostring(name)), 0) end
  end
  return list or {}
end

local function edit(target, my)
  for _, pair in ipairs(my.insert) do target:set_new(pair[1], pair[2]) end
  for _, pair in ipairs(my.update) do
    if target:has(pair[1]) then target:set(pair[1], pair[2]) end
  end
  for _, pair in ipairs(my.upsert) do target:set(pair[1], pair[2]) end
  for _, key in ipairs(my.delete) do target:unset(key) end
  for _, pair in ipairs(my.rename) do target:rename(pair[1], pair[2]) end
  for _, key in ipairs(my.hash) do
    local text = target:attr_text(key)
    if text then target:set(key, hex(sha256(text))) end
  end
end

return processor {
  doc = "Edit attributes of spans, data points and log records, or of their resources.",
  on = "kept",
  signals = { "traces" },
  options = {
    target = option.string { default = "span", one_of = { "span", "resource" }, doc = "whose attributes; of metrics and logs `span` is the data point or log record" },
    insert = option.map { optional = true, doc = "set where they are not there" },
    update = option.map { optional = true, doc = "set where they are there" },
    upsert = option.map { optional = true, doc = "set in any case" },
    delete = option.list { optional = true, doc = "names of attributes that are taken away" },
    rename = option.map { optional = true, doc = "old name = new name; the value stays, one under the new name goes" },
    hash = option.list { optional = true, doc = "names of attributes whose value becomes the SHA-256 of its text, in hex" },
  },
  -- Text that is to be hashed must not leave as it is.
  on_error = "strip",
  setup = function(opt)
    local my = { insert = sorted(opt.insert), update = sorted(opt.update), upsert = sorted(opt.upsert), rename = sorted(names("rename", opt.rename)) }
    my.delete, my.hash = names("delete", opt.delete), names("hash", opt.hash)
    return my
  end,
  span = function(span, opt, my) edit(opt.target == "resource" and span.resource or span, my) end,
  resource = function(resource, opt, my)
    if opt.target == "resource" then edit(resource, my) end
  end,
  point = function(point, opt, my)
    if opt.target == "span" then edit(point, my) end
  end,
  log = function(log, opt, my)
    if opt.target == "span" then edit(log, my) end
  end,
}
