-- Counted are the bytes of the trace's spans as they came. The limit holds for all workers together. A trace is
-- kept as a whole or not at all, so that one larger than `burst_capacity` is never kept by this policy.
--
-- What a limit keeps says nothing of how many traces it stands for: it leaves without `th` in its tracestate.
--
--     policy "bytes_limiting" { bytes_per_second = "2MiB" }

local STEPS = 1000 -- of a second's bytes: limits count in units of at least a thousandth of a second

return policy {
  doc = "Keep traces until so many bytes a second are kept.",
  options = {
    bytes_per_second = option.size { min = 1, doc = "bytes of kept traces, in the long run" },
    burst_capacity = option.size { min = 1, optional = true, doc = "bytes at once; without it twice bytes_per_second" },
  },
  setup = function(opt)
    local unit = math.max(1, opt.bytes_per_second / STEPS)
    local burst = opt.burst_capacity or 2 * opt.bytes_per_second
    return {
      unit = unit,
      limit = limit { rate = opt.bytes_per_second / unit, per = "1s", burst = math.max(1, burst / unit) },
    }
  end,
  decide = function(trace, _, my)
    if my.limit:take(nil, trace.bytes / my.unit) then return keep() end
  end,
}
