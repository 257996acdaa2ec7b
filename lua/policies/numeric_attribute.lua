-- One span or resource with such a number is enough. Both bounds are included, and 0 is a bound like any other:
-- without `min_value` or `max_value` there is none on that side. Integers and doubles are numbers; the text "500"
-- is none.
--
-- With `invert_match` a trace is kept when no span and no resource has such a number, also when nothing has the
-- key.
--
--     policy "numeric_attribute" { key = "http.response.status_code", min_value = 500, max_value = 599 },
--     policy "numeric_attribute/retried" { key = "messaging.attempt", min_value = 3 },

return policy {
  doc = "Keep traces with a numeric attribute within these bounds, on a span or its resource.",
  options = {
    key = option.string { doc = "the attribute" },
    min_value = option.number { optional = true, doc = "the least; one of the bounds is needed" },
    max_value = option.number { optional = true, doc = "the greatest" },
    invert_match = option.boolean { default = false, doc = "keep traces where nothing has such a number" },
  },
  setup = function(opt)
    local low, high = opt.min_value, opt.max_value
    if low == nil and high == nil then error("numeric_attribute needs min_value, max_value or both", 0) end
    if low and high and low > high then error("min_value is above max_value: no number is within", 0) end
    return {
      on_span = match { attr = { [opt.key] = range(low, high) } },
      on_resource = match { resource = { [opt.key] = range(low, high) } },
      wanted = not opt.invert_match,
    }
  end,
  decide = function(trace, _, my)
    local found = trace:find(my.on_span) ~= nil or trace:find(my.on_resource) ~= nil
    if found == my.wanted then return keep() end
  end,
}
