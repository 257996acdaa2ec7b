-- The tracestate is the W3C list of `key=value` members that came with a span; one span with such a member is
-- enough. The member `ot` can't be asked: its randomness is what the draw is made with.
--
--     policy "trace_state" { key = "tenant", values = { "gold", "platinum" } }

return policy {
  doc = "Keep traces with a member of the tracestate of one of these values.",
  options = {
    key = option.string { doc = "of the member" },
    values = option.list { min = 1, doc = "what it may be: one of these" },
  },
  setup = function(opt)
    local values = opt.values
    for i, value in ipairs(values) do
      if type(value) ~= "string" then error("values[" .. i .. "] is " .. tostring(value) .. "; allowed: a string", 0) end
    end
    local list = { unpack(values) }
    return match { trace_state = { [opt.key] = list } }
  end,
  decide = function(trace, _, my)
    if trace:find(my) then return keep() end
  end,
}
