return policy {
  doc = "Keep a share of the traces, the same ones on every node.",
  options = {
    sampling_percentage = option.number { min = 0, max = 100, doc = "the share that is kept" },
  },
  setup = function(opt)
    return { verdict = sample(opt.sampling_percentage / 100, "sampled") }
  end,
  decide = function(_, _, my)
    return my.verdict
  end,
}
