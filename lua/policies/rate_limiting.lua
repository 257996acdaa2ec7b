-- The limit holds for all workers together. A trace is kept as a whole or not at all, so that one with more spans
-- than `burst_capacity` is never kept by this policy.
--
-- What a limit keeps says nothing of how many traces it stands for: it leaves without `th` in its tracestate.
--
--     policy "rate_limiting" { spans_per_second = 1000 },
--     policy "and/errors" { and_sub_policy = {
--       policy "status_code" { status_codes = { "ERROR" } },
--       policy "rate_limiting" { spans_per_second = 500 },
--     } },

return policy {
  doc = "Keep traces until so many spans a second are kept.",
  options = {
    spans_per_second = option.number { min = 1, max = 1000000, doc = "spans of kept traces, in the long run" },
    burst_capacity = option.number { min = 1, optional = true, doc = "spans at once; without it twice spans_per_second" },
  },
  setup = function(opt)
    return limit { rate = opt.spans_per_second, per = "1s", burst = opt.burst_capacity or 2 * opt.spans_per_second }
  end,
  decide = function(trace, _, my)
    if my:take(nil, trace.span_count) then return keep() end
  end,
}
