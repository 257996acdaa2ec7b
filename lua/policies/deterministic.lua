-- As `probabilistic`, by a rate instead of a percentage: the same traces on every node.
--
--     policy "deterministic" { sample_rate = 10 }

return policy {
  doc = "Keep 1 in so many traces.",
  options = {
    sample_rate = option.number { min = 1, doc = "1 in so many" },
  },
  setup = function(opt) return sample(1 / opt.sample_rate, "sampled") end,
  decide = function(_, _, my) return my end,
}
