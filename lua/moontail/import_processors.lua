-- The collector's processors as ours. Those in front of tail_sampling see spans that are not decided
-- yet, those behind it the kept ones.
local core = require "moontail.policy_core"
local lua_text = require "moontail.lua_text"
local report = require "moontail.import_report"
local conditions = require "moontail.import_ottl"

local M = {}

local map = lua_text.map

local types = {}

-- ---- limits and batches ----

function types.memory_limiter(s, steps)
  local limit, spike = s:number "limit_mib", s:number "spike_limit_mib"
  s:ignore("check_interval", "every allocation is counted, there is nothing to check")
  for _, key in ipairs { "limit_percentage", "spike_limit_percentage" } do
    if s:has(key) then
      s:raw(key)
      s:add(limit and "different" or "not mapped", key, limit and "the sizes count, as there" or "memory_limiter is in sizes: say how much that is; without it the limit is 400MiB")
    end
  end
  if not limit then return nil end
  if type(limit) == "number" and limit < 16 then s:add("different", "limit_mib", "moontail needs 16MiB at least") end
  steps.memory_limiter = map {
    { "limit", report.with_unit(type(limit) == "number" and math.max(16, limit) or limit, "MiB") },
    -- a fifth is their default
    { "spike_limit", type(spike) == "number" and math.max(1, spike) .. "MiB" or type(limit) == "number" and math.max(1, math.floor(limit / 5)) .. "MiB" or nil },
  }
  return "memory_limiter"
end

function types.batch(s, steps)
  local size, max = s:unless_zero "send_batch_size", s:unless_zero "send_batch_max_size"
  s:ignore("metadata_keys", "batches do not depend on who sent")
  s:ignore("metadata_cardinality_limit", "batches do not depend on who sent")
  steps.batch = map { { "max_spans", max or size }, { "timeout", s:duration "timeout" } }
  if #steps.batch == 0 then steps.batch = nil end
  return "batch of every exporter"
end

-- ---- sampling ----

function types.tail_sampling(s, steps)
  steps.tail_sampling, steps.decided = s, true
  return "tail_sampling"
end

function types.probabilistic_sampler(s, steps, id)
  local percentage = s:share "sampling_percentage"
  s:ignore("hash_seed", "the draw is by the trace id, equal on every node")
  for _, key in ipairs { "mode", "sampling_precision", "from_attribute", "attribute_source", "sampling_priority", "fail_closed" } do
    s:ignore(key, "the draw is the consistent one of W3C trace context")
  end
  if steps.decided then
    s.notes:add("not mapped", "processors." .. id, "behind tail_sampling it would thin out what the policies kept; use policy \"probabilistic\"")
    return nil
  end
  local before = steps.head_sampling and steps.head_sampling[1][2]
  if before then
    s.notes:add("different", "processors." .. id, "a second one: there is one draw here, with the smaller share")
    if type(before) == "number" and (type(percentage) ~= "number" or before < percentage) then percentage = before end
  end
  steps.head_sampling = map { { "sampling_percentage", percentage } }
  return "head_sampling"
end

-- ---- attributes ----

-- Whether a value is a whole number there that no number here can be: it was read as a text.
local function is_text_here(value)
  local digits = type(value) == "string" and value:match "^[+-]?(%d+)$"
  return digits and tonumber(digits) >= 2 ^ 53
end

local function put_actions(s, key, allowed)
  local edits, seen = {}, {}
  for _, action in ipairs(s:sections(key)) do
    local name, what = action:string "key", action:string "action"
    local value = action:value "value"
    if name and seen[name] and (what ~= "upsert" or seen[name] ~= "upsert") then
      action:add("different", "key", ("a second action on %s: here all inserts are done first, then update, upsert, delete, hash"):format(tostring(name)))
    end
    if name then seen[name] = what or "nothing" end
    if action:has "from_attribute" or action:has "pattern" or action:has "converted_type" or action:has "from_context" or not allowed[what] then
      for _, used in ipairs { "from_attribute", "pattern", "converted_type", "from_context" } do action:raw(used) end
      action:add("not mapped", "action", ("%s of %s: write a processor for it (docs/processors.md)"):format(tostring(what), tostring(name or action:string "pattern")))
    elseif type(name) ~= "string" then
      action:add("not mapped", "key", "is not a name")
    elseif value ~= nil or what == "delete" or what == "hash" then
      if is_text_here(value) then action:add("different", "value", "a whole number beyond 2^53 is a text here") end
      local of_names = what == "delete" or what == "hash"
      edits[what] = edits[what] or (of_names and {} or map {})
      table.insert(edits[what], of_names and name or { name, value })
    else
      action:add("not mapped", "value", "is missing")
    end
    action:done()
  end
  return edits
end

local RESOURCE = { insert = true, update = true, upsert = true, delete = true }
local ATTRIBUTES = { insert = true, update = true, upsert = true, delete = true, hash = true }

-- What the policies, and filters at the door, see of edits that stand in front of them there.
local function note_late(s, steps, id, signals)
  if signals.traces and not steps.decided then s.notes:add("different", "processors." .. id, "edits kept spans; the policies see what came in") end
end

-- Puts down a processor that makes these edits. fields: what else it says. Returns what it is called.
local function put_editor(steps, name, fields, edits)
  for _, action in ipairs { "insert", "update", "upsert", "delete", "hash" } do table.insert(fields, { action, edits[action] }) end
  table.insert(steps.kept, lua_text.call("processor", name, map(fields)))
  return ('processor "%s"'):format(name)
end

local function only(edits, action)
  for key in pairs(edits) do
    if key ~= action then return false end
  end
  return edits[action] ~= nil
end

local SIGNALS = { "traces", "metrics", "logs" }

-- In whose pipelines each stands: { [id] = { traces = true, ... } }.
local function signals_of(pipelines)
  local signals = {}
  for _, signal in ipairs(SIGNALS) do
    for _, id in ipairs(pipelines[signal] and pipelines[signal].processors or {}) do
      signals[id] = signals[id] or {}
      signals[id][signal] = true
    end
  end
  return signals
end

local function is_of_all(steps, id)
  for _, signal in ipairs(SIGNALS) do
    if steps.pipelines[signal] and not steps.signals[id][signal] then return false end
  end
  return true
end

-- Whether it asks about resources, or edits them for some signals alone.
local function is_about_resources(steps, id)
  local kind, options = report.type_of(id), steps.given.map[id]
  if kind == "resource" then return not is_of_all(steps, id) end
  return kind == "filter" or (type(options) == "table" and (options.include or options.exclude) ~= nil)
end

-- Whether what stands behind it edits resources too, and whether that has to see its edits.
local function behind(steps, id)
  local edits, sees = false, false
  for _, pipeline in pairs(steps.pipelines) do
    local found = false
    for _, other in ipairs(pipeline.processors or {}) do
      edits = edits or (found and report.type_of(other) == "resource")
      sees = sees or (found and is_about_resources(steps, other))
      found = found or other == id
    end
  end
  return edits, sees
end

-- What edits resources of all signals does so after all else here. Where that is not so there it is one among the others.
local function resource_in_turn(steps, id, signals, edits)
  local name = "attributes/" .. report.safe(id)
  if steps.resource_detection then steps.given:add("different", id, "what is detected is set behind it") end
  return put_editor(steps, name, {
    { "target", "resource" },
    { "when", signals.traces and (signals.metrics or signals.logs) and true or nil },
    { "metrics", signals.metrics },
    { "logs", signals.logs },
  }, edits)
end

function types.resource(s, steps, id, signals)
  local edits = put_actions(s, "attributes", RESOURCE)
  local is_edited, is_seen = behind(steps, id)
  if steps.samples then note_late(s, steps, id, signals) end
  if is_seen or not is_of_all(steps, id) then return resource_in_turn(steps, id, signals, edits) end
  if only(edits, "upsert") and not is_edited then
    steps.resource = edits.upsert
    return "resource"
  end
  return put_editor(steps, report.name_of("resource", id), {}, edits)
end

local function said(list, wrap)
  local texts = {}
  for i, item in ipairs(list) do texts[i] = wrap and lua_text.call(wrap, item) or item end
  return #texts == 1 and texts[1] or texts
end

-- An empty list says nothing there.
local function some(s, key)
  local list = s:list(key)
  return list and #list > 0 and list or nil
end

-- { { key, value }, ... } of attributes that are all asked for; and whether that says all of it: a key has one value in match.
local function attributes_of(s, key, wrap)
  local attributes, seen, all = map {}, {}, true
  for _, item in ipairs(s:sections(key)) do
    local name, value = item:string "key", item:value "value"
    if type(name) ~= "string" or seen[name] or is_text_here(value) or (value == nil and item:has "value") then
      item:add("not mapped", "key", ("%s is not understood: a name with one value is"):format(tostring(name)))
      all = false
    else
      seen[name] = true
      if wrap and value ~= nil then item:add("different", "value", "is a pattern of texts here; there numbers and booleans are texts too") end
      table.insert(attributes, { name, value == nil and lua_text.code "any" or wrap and lua_text.call(wrap, tostring(value)) or value })
    end
    all = item:done() and all
  end
  return attributes, all
end

local KINDS = { "unspecified", "internal", "client", "server", "producer", "consumer" }

-- Kinds that have one of the names, or one that a pattern matches.
local function kinds_of(names, wrap)
  local kinds = {}
  for i, name in ipairs(names) do
    if not wrap then kinds[i] = tostring(name):gsub("^SPAN_KIND_", ""):lower() end
    for _, kind in ipairs(wrap and KINDS or {}) do
      local ok, found = pcall(core.match_regex, tostring(name), "SPAN_KIND_" .. kind:upper())
      if ok and found then kinds[#kinds + 1] = kind end
    end
  end
  return kinds
end

-- include or exclude of the old style as fields of match, or nil; and whether they say all of it.
local function match_of(s)
  local fields, all = map {}, true
  local kind = s:string "match_type"
  local wrap = kind == "regexp" and "regex" or nil
  s:ignore("regexp", "expressions need no cache here")
  for _, pair in ipairs { { "service", some(s, "services") }, { "name", some(s, "span_names") } } do
    if pair[2] then table.insert(fields, { pair[1], said(pair[2], wrap) }) end
  end
  local kinds = some(s, "span_kinds")
  if kinds then
    kinds = kinds_of(kinds, wrap)
    if #kinds == 0 then s:add("not mapped", "span_kinds", "no kind of spans is called so") end
    if #kinds > 0 then table.insert(fields, { "kind", said(kinds) }) else all = false end
  end
  for _, pair in ipairs { { "attr", "attributes" }, { "resource", "resources" } } do
    local attributes, understood = attributes_of(s, pair[2], wrap)
    if #attributes > 0 then table.insert(fields, { pair[1], attributes }) end
    all = all and understood
  end
  return #fields > 0 and fields or nil, s:done() and all
end

-- What is taken by include or exclude of the old style: without a part that is not understood it would be more.
local function whole(fields, is_whole) return is_whole and fields or nil end

-- `when` of a processor: what include says and exclude does not; nil: they say nothing. And whether that is all of it:
-- what is edited without a part of them would be more.
local function when_of(s)
  local include = s:has "include" and whole(match_of(s:section "include")) or nil
  local exclude = s:has "exclude" and whole(match_of(s:section "exclude")) or nil
  if (s:has "include" and not include) or (s:has "exclude" and not exclude) then return nil, false end
  if not include and not exclude then return nil, true end
  local fields = include or map {}
  if exclude then table.insert(fields, { "not", exclude }) end
  return lua_text.call("match", fields), true
end

-- signals: those in whose pipelines it stands.
function types.attributes(s, steps, id, signals)
  local edits = put_actions(s, "actions", ATTRIBUTES)
  local name = report.name_of("attributes", id)
  local others = signals.metrics or signals.logs
  local when, is_whole = when_of(s)
  if not is_whole or (when and not signals.traces) then
    s.notes:add("not mapped", "processors." .. id, "the whole processor is left out: its include or exclude is not understood, and it would edit more")
    table.insert(steps.kept, report.as_comment(('processor "%s": what it is about is not understood'):format(id), s.map))
    return nil
  end
  note_late(s, steps, id, signals)
  if when and others then
    s.notes:add("not mapped", "processors." .. id, "include and exclude are of spans: write metrics or logs = match { ... } for the others, which stay as they are")
  end
  return put_editor(steps, name, {
    { "when", when or (signals.traces and others and true or nil) },
    { "metrics", not when and signals.metrics or nil },
    { "logs", not when and signals.logs or nil },
  }, edits)
end

-- ---- where it runs ----

local DETECTORS = { env = "env", eks = "eks", ecs = "ecs", ec2 = "ec2", k8snode = "k8s", kubeadm = "k8s" }

function types.resourcedetection(s, steps, id)
  local list, given = {}, {}
  for _, theirs in ipairs(s:list "detectors" or { "env" }) do
    local ours = DETECTORS[tostring(theirs)]
    if not ours then
      s:add("not mapped", "detectors", ("there is no detector '%s' here"):format(tostring(theirs)))
    elseif not given[ours] then
      list[#list + 1], given[ours] = ours, true
    end
  end
  s:ignore_all { timeout = "5 s in all", refresh_interval = "asked at the start and at each reload" }
  if s:boolean "override" ~= false then s:add("different", "override", "only what a span's resource lacks is set") end
  if #list == 0 then return nil end
  if not is_of_all(steps, id) then s.notes:add("different", "processors." .. id, "sets what is detected on resources of all signals") end
  if select(2, behind(steps, id)) then s.notes:add("different", "processors." .. id, "sets what is detected behind all others: they do not see it") end
  steps.resource_detection = list
  return "resource_detection"
end

-- ---- filter ----

local function filter_conditions(s, steps, id, list)
  local traces = s:section "traces"
  local name = report.name_of(list == "kept" and "filter" or "drop_at_door", id)
  if traces:has "spanevent" then
    traces:raw "spanevent"
    traces:add("not mapped", "spanevent", conditions.EVENTS)
  end
  local when = conditions.together(conditions.of(traces, "resource"), conditions.of(traces, "span"), conditions.of_traces(s))
  traces:done()
  if not when then s.notes:add("not mapped", s.path, "the whole filter of spans is left out") end
  if not when or #when == 0 then return nil end
  table.insert(steps[list], lua_text.call("processor", name, map { { "when", lua_text.call("ottl", conditions.any(when)) } }))
  return ('processor "%s"'):format(name)
end

-- include or exclude of the old style for metrics and for logs, as fields of match; nil: it says nothing. And whether
-- they say all of it.
local OLD = {}

function OLD.metrics(s)
  local wrap = s:string "match_type" == "regexp" and "regex" or nil
  s:ignore("regexp", "expressions need no cache here")
  local names = some(s, "metric_names")
  local resource, all = attributes_of(s, "resource_attributes", wrap)
  local made = map {
    { "metric", names and map { { "name", said(names, wrap) } } or nil },
    { "resource", #resource > 0 and resource or nil },
  }
  return (names or made[2][2]) and made or nil, s:done() and all
end

function OLD.logs(s)
  local wrap = s:string "match_type" == "regexp" and "regex" or nil
  local texts, bodies = some(s, "severity_texts"), some(s, "bodies")
  local of_log = map { { "severity_text", texts and said(texts, wrap) or nil }, { "body", bodies and said(bodies, wrap) or nil } }
  local attributes, all = attributes_of(s, "record_attributes", wrap)
  local resource, all_of_resource = attributes_of(s, "resource_attributes", wrap)
  local made = map {
    { "log", (texts or bodies) and of_log or nil },
    { "attr", #attributes > 0 and attributes or nil },
    { "resource", #resource > 0 and resource or nil },
  }
  return (texts or bodies or made[2][2] or made[3][2]) and made or nil, s:done() and all and all_of_resource
end

-- What is dropped: what exclude says, and what include does not. Of metrics it is a name or a resource that is excluded.
local function dropped_by(include, exclude, signal)
  local list = {}
  for i, pair in ipairs(signal == "metrics" and exclude or {}) do
    if pair[2] then list[#list + 1] = { i == 1 and "" or "-" .. pair[1], map { pair } } end
  end
  if exclude and signal ~= "metrics" then list[1] = { "", exclude } end
  if include then list[#list + 1] = { "-not", map { { "not", include } } } end
  return list
end

local OF_SPANS = "conditions of OTTL are of spans: write metrics or logs = match { ... }"

local function add_old(s, steps, id, signal)
  local section = s:section(signal)
  local include = section:has "include" and whole(OLD[signal](section:section "include")) or nil
  local exclude = section:has "exclude" and whole(OLD[signal](section:section "exclude")) or nil
  for _, key in ipairs { "metric", "datapoint", "log_record" } do
    if section:has(key) then
      section:raw(key)
      section:add("not mapped", key, OF_SPANS)
    end
  end
  section:done()
  local name = report.name_of("filter", id) .. "-" .. signal
  if not name:find "/" then name = "filter/" .. signal end
  local became
  for _, each in ipairs(dropped_by(include, exclude, signal)) do
    became = ('processor "%s"'):format(name .. each[1])
    table.insert(steps.kept, lua_text.call("processor", name .. each[1], map { { signal, lua_text.call("match", each[2]) } }))
  end
  return became
end

function types.filter(s, steps, id, signals)
  local list = steps.decided and "kept" or "received"
  s:ignore("error_mode", "a value that is absent is no error here")
  for _, key in ipairs { "metric_conditions", "log_conditions" } do
    if s:has(key) then
      s:raw(key)
      s:add("not mapped", key, OF_SPANS)
    end
  end
  local became
  for _, signal in ipairs { "metrics", "logs" } do
    if s:has(signal) and signals[signal] then became = add_old(s, steps, id, signal) or became end
  end
  if not signals.traces then return became end
  if list == "received" and (#steps.kept > 0 or steps.resource) then
    s.notes:add("different", "processors." .. id, "sees spans as they came, before the edits that stand in front of it there")
  end
  if s:has "spans" then
    local spans = s:section "spans"
    local include = spans:has "include" and whole(match_of(spans:section "include"))
    local exclude = spans:has "exclude" and whole(match_of(spans:section "exclude"))
    spans:done()
    if not include and not exclude then return became end
    local name = report.name_of(list == "kept" and "filter" or "drop_at_door", id)
    local type_ = list == "kept" and "filter" or "drop_at_door"
    if exclude then table.insert(steps[list], lua_text.call("processor", name, map { { "when", lua_text.call("match", exclude) } })) end
    if include then
      local rest = exclude and type_ .. "/not-" .. report.safe(id) or name
      table.insert(steps[list], lua_text.call("processor", rest, map { { "when", lua_text.call("match", map { { "not", include } }) } }))
    end
    return ('processor "%s"'):format(name)
  end
  return filter_conditions(s, steps, id, list) or became
end

-- ---- in order ----

local OF_ALL = { resource = true, resourcedetection = true, memory_limiter = true, batch = true, attributes = true, filter = true }
local IN_TURN = { resource = true, attributes = true, filter = true }

local function read_one(steps, id, signal)
  local given, kind = steps.given, report.type_of(id)
  if types[kind] and (signal == "traces" or OF_ALL[kind]) then
    local s = given:section(id)
    local became = types[kind](s, steps, id, steps.signals[id])
    if became then given:add("mapped", id, became) end
    if kind ~= "tail_sampling" then s:done() end
  else
    given:add("not there yet", id, signal == "traces" and "stands as a comment with its options" or "processors of " .. signal .. " are not there yet")
    table.insert(steps.kept, report.as_comment(('processor "%s": not there yet'):format(id), given:raw(id)))
  end
end

-- place: those that were read, with their number. Whether they stand there in the order that they were read in.
local function read_of(steps, signal, place)
  local last, in_order = 0, true
  for _, id in ipairs(steps.pipelines[signal] and steps.pipelines[signal].processors or {}) do
    local kind = report.type_of(id)
    if not place[id] then
      read_one(steps, id, signal)
      steps.count = steps.count + 1
      place[id] = steps.count
    elseif types[kind] and not OF_ALL[kind] then
      steps.given:add("not mapped", id, "is about spans alone here: " .. signal .. " pass as they are")
    end
    if IN_TURN[kind] then
      in_order = in_order and place[id] > last
      last = place[id]
    end
  end
  return in_order
end

-- steps: what the pipeline came to; comments where something is missing.
function M.read(doc, pipelines, notes)
  local steps = { received = {}, kept = {}, decided = false, samples = false, count = 0, pipelines = pipelines, signals = signals_of(pipelines), given = report.section(notes, doc.processors, "processors") }
  local place = {}
  for _, id in ipairs(pipelines.traces and pipelines.traces.processors or {}) do
    steps.samples = steps.samples or id:find "^tail_sampling" ~= nil
  end
  for _, signal in ipairs(SIGNALS) do
    if not read_of(steps, signal, place) then
      notes:add("different", "service.pipelines." .. signal .. ".processors", "stand in another order here: all signals have one list")
    end
  end
  if #steps.received > 0 or #steps.kept > 0 then
    steps.processors = map {
      { "received", #steps.received > 0 and steps.received or nil },
      { "kept", #steps.kept > 0 and steps.kept or nil },
    }
  end
  return steps
end

return M
