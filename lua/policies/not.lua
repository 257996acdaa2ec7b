-- Of a policy that samples with p it makes one that samples with 1 - p. It never drops: a trace that the policy
-- keeps is left to those that follow. To be rid of traces use `drop`.
--
--     policy "not" { not_sub_policy = { policy "span_count" { min_spans = 3 } } }

return policy {
  doc = "Keep what its policy does not keep.",
  options = { not_sub_policy = option.policies { min = 1, max = 1, doc = "the one" } },
  setup = function(opt) return opt.not_sub_policy[1] end,
  decide = function(trace, _, my)
    local p = vote(my, trace)
    if p == 0 then return keep() end
    if p < 1 then return at_least(1 - p) end
  end,
}
