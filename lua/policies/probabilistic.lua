-- The draw is made from the trace id (or the `rv` that the sender put into tracestate), so it falls alike on
-- every node and at every restart. What is kept says its probability in `th` of tracestate. Put it last: it
-- says a probability of every trace that was neither kept nor dropped.
--
--     policy "probabilistic" { sampling_percentage = env("SAMPLING_PERCENTAGE", 10) }
return policy {
  doc = "Keep a share of the traces, the same ones on every node.",
  options = {
    sampling_percentage = option.number { min = 0, max = 100, doc = "the share that is kept; of 0 nothing is" },
    hash_salt = option.string { optional = true, doc = "accepted; the draw is by the trace id's randomness, not by a hash" },
  },
  says = function(opt) return sample(opt.sampling_percentage / 100, "sampled") end,
}
