-- One span or resource with the value is enough. Only booleans match: neither the text "true" nor a missing
-- attribute is one.
--
-- With `invert_match` a trace is kept when no span and no resource has the value, also when nothing has the key.
--
--     policy "boolean_attribute" { key = "app.debug", value = true }

return policy {
  doc = "Keep traces with a boolean attribute of this value, on a span or its resource.",
  options = {
    key = option.string { doc = "the attribute" },
    value = option.boolean { default = true, doc = "what it must be" },
    invert_match = option.boolean { default = false, doc = "keep traces where nothing has the value" },
  },
  setup = function(opt)
    return {
      on_span = match { attr = { [opt.key] = opt.value } },
      on_resource = match { resource = { [opt.key] = opt.value } },
      wanted = not opt.invert_match,
    }
  end,
  decide = function(trace, _, my)
    local found = trace:find(my.on_span) ~= nil or trace:find(my.on_resource) ~= nil
    if found == my.wanted then return keep() end
  end,
}
