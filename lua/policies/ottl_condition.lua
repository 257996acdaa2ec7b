-- Conditions in the OpenTelemetry Transformation Language; one that holds on one span (`span`), or on one event of
-- a span (`spanevent`), is enough. They become matchers, so that they cost what `match { ... }` costs; the global
-- `ottl` makes one anywhere, for `when` too.
--
-- Understood are `and`, `or`, `not`, parentheses, comparisons of a field with a string, number, boolean, enum or
-- `nil`; `attributes["key"]`, `resource.attributes`, `instrumentation_scope` (name, version, attributes), `name`, `kind`,
-- `status.code`, `status.message`, `trace_state["key"]`, ids by `.string`, `end_time - start_time`, `Duration`,
-- `Milliseconds` and the like, `IsMatch`, `HasPrefix`, `HasSuffix`, `IsRootSpan`. What is not understood is an error
-- that shows the place, and the policy in Lua to write instead.
--
-- What the Collector takes otherwise: there `HasPrefix` and `HasSuffix` of what is absent or no text are errors, so that the
-- condition does not hold as a whole, with `not` before them or an `or` beside them neither; here they just do not hold.
-- `IsMatch` of a list looks at its elements and holds of no map or bytes, there it looks at their JSON and hex.
-- `trace_state["key"] == nil` holds without that member, and `parent_span_id.string == ""` at a root; a tracestate with a part
-- that is wrong still has its other members.
--
--     policy "ottl_condition" { span = { 'status.code == STATUS_CODE_ERROR and resource.attributes["team"] == "shop"' } },
--     policy "ottl_condition/events" { spanevent = { 'name == "exception" and IsMatch(attributes["exception.type"], "Timeout$")' } },

local function add(matchers, option_name, conditions)
  for i, condition in ipairs(conditions or {}) do
    local ok, result = pcall(ottl, condition, option_name)
    if not ok then error(option_name .. "[" .. i .. "]: " .. tostring(result):gsub("^[^\n]-: ", "", 1), 0) end
    matchers[#matchers + 1] = result
  end
end

return policy {
  doc = "Keep traces with a span or an event for which a condition of OTTL holds.",
  options = {
    span = option.list { optional = true, doc = "conditions about a span" },
    spanevent = option.list { optional = true, doc = "conditions about an event of a span" },
    error_mode = option.string {
      default = "ignore",
      one_of = { "ignore", "silent", "propagate" },
      doc = "accepted; a value that is absent or of another type is no error here",
    },
  },
  setup = function(opt)
    local matchers = {}
    add(matchers, "span", opt.span)
    add(matchers, "spanevent", opt.spanevent)
    if #matchers == 0 then error("ottl_condition needs a condition in span or spanevent", 0) end
    return matchers
  end,
  decide = function(trace, _, my)
    for i = 1, #my do
      if trace:find(my[i]) then return keep() end
    end
  end,
}
