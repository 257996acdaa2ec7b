-- They are asked in order, and the first that does not keep the trace ends it: put a limit last, so that it counts
-- only what the others want. Each may find what it looks for on a different span; for conditions on one span use
-- `match { ... }` or `ottl_condition`.
--
-- Where some of them sample, the least of their probabilities counts, at least.
--
--     policy "and/slow_checkouts" { and_sub_policy = {
--       policy "string_attribute" { key = "service.name", values = { "checkout" } },
--       policy "latency" { threshold_ms = 200 },
--     } }

return policy {
  doc = "Keep what all of its policies keep.",
  options = { and_sub_policy = option.policies { min = 1, doc = "all of them must keep it" } },
  setup = function(opt) return opt.and_sub_policy end,
  decide = function(trace, _, my)
    local least = 1
    for i = 1, #my do
      local p = vote(my[i], trace)
      if p == 0 then return nil end
      if p < least then least = p end
    end
    if least == 1 then return keep() end
    return at_least(least)
  end,
}
