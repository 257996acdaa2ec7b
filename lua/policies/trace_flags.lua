-- One span with the flag is enough. SDKs set it where the sampler at the head of the trace said yes, so that this
-- policy follows the choice of the caller.
--
--     policy "trace_flags"

return policy {
  doc = "Keep traces with a span whose sampled flag (W3C trace context) is set.",
  setup = function() return match { is_sampled = true } end,
  decide = function(trace, _, my)
    if trace:find(my) then return keep() end
  end,
}
