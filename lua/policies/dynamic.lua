-- Traces are told apart by the values that the fields of `field_list` have on their spans; a name with `root.` before it
-- is read from the root span alone, one that is no field of a span is an attribute of the span or its resource. In each
-- interval the rates are set by what came in the one before, so that all together about 1 in `sample_rate` spans is
-- kept, and of rare keys more than of frequent ones. Until then the rate of all is `sample_rate`; a key that is new is
-- kept.
--
-- A rate is known before the draw, and the draw is the one of all policies: kept traces say their probability in `th`,
-- and every node with the same rates keeps the same ones. Rates are shared by all workers and survive a restart.
--
--     policy "dynamic" { sample_rate = 20, field_list = { "service", "http.route", "http.status" } }

return policy {
  doc = "Keep 1 in so many traces, more of what is rare: rates by what came in the last interval.",
  options = {
    sample_rate = option.number { min = 1, doc = "1 in so many spans, on the whole" },
    clear_frequency = option.string { default = "30s", doc = "the interval, a duration" },
    field_list = option.list { min = 1, max = 32, doc = "fields that tell traces apart" },
    max_keys = option.integer { default = 500, min = 1, max = 100000, doc = "keys with a rate of their own; others share one" },
    use_trace_length = option.boolean { default = false, doc = "the number of spans tells traces apart, too" },
  },
  setup = function(opt)
    local my = { shape = shape(opt.field_list), length = opt.use_trace_length }
    my.rates = rates {
      name = "rates", max_keys = opt.max_keys,
      goal_rate = opt.sample_rate, interval = opt.clear_frequency,
    }
    return my
  end,
  decide = function(trace, _, my)
    local key = my.shape:of(trace)
    if my.length then key = key .. "," .. trace.span_count end
    return sample(1 / my.rates:of(key, trace.span_count), "sampled")
  end,
}
