-- The duration of a trace is from the earliest start to the latest end of the spans that are here when it
-- is decided; one span may be shorter. A second one with `when` is for one service, say.
--
--     policy "latency" { threshold_ms = 500 },
--     policy "latency/checkout" { threshold_ms = 200, when = match { is_entry = true, service = "checkout" } },
return policy {
  doc = "Keep slow traces: from the earliest start to the latest end of their spans.",
  options = {
    threshold_ms = option.number { min = 0, doc = "a trace of this duration or a longer one is slow" },
    upper_threshold_ms = option.number { min = 0, optional = true, doc = "a longer one is not kept by this policy" },
  },
  when = function(opt)
    local low, high = opt.threshold_ms, opt.upper_threshold_ms
    if high and high < low then error("upper_threshold_ms is less than threshold_ms: no trace would be kept", 0) end
    return match { trace = { duration_ms = range(low, high) } }
  end,
  says = function() return keep("slow") end,
}
