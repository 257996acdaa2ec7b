-- One span or resource with the value is enough. Values are compared as they are, or as regular expressions
-- (RE2, anywhere in the value) with `enabled_regex_matching`; only strings match, of a list one element suffices.
--
-- With `invert_match` a trace is kept when no span and no resource has such a value, also when nothing has the
-- key. To drop traces with a value put this policy into `drop`, without `invert_match`.
--
--     policy "string_attribute" { key = "http.route", values = { "/checkout", "/pay" } },
--     policy "string_attribute/beta" { key = "user.group", values = { "^beta-", "^staff$" }, enabled_regex_matching = true },

return policy {
  doc = "Keep traces with a string attribute of one of these values, on a span or its resource.",
  options = {
    key = option.string { doc = "the attribute" },
    values = option.list { min = 1, doc = "what it may be: one of these" },
    enabled_regex_matching = option.boolean { default = false, doc = "the values are regular expressions" },
    cache_max_size = option.integer { optional = true, min = 0, doc = "accepted; expressions are fast without a cache" },
    invert_match = option.boolean { default = false, doc = "keep traces where nothing has one of the values" },
  },
  setup = function(opt)
    local tests = {}
    for i, value in ipairs(opt.values) do
      if type(value) ~= "string" then error("values[" .. i .. "] is " .. tostring(value) .. "; allowed: a string", 0) end
      tests[i] = opt.enabled_regex_matching and regex(value) or value
    end
    return {
      on_span = match { attr = { [opt.key] = tests } },
      on_resource = match { resource = { [opt.key] = tests } },
      wanted = not opt.invert_match,
    }
  end,
  decide = function(trace, _, my)
    local found = trace:find(my.on_span) ~= nil or trace:find(my.on_resource) ~= nil
    if found == my.wanted then return keep() end
  end,
}
