-- As `dynamic`, but what came is averaged over the intervals, the last one with `weight`, so that rates don't jump. A
-- key whose average falls below `age_out_value` is forgotten. When so much comes that an interval has
-- `burst_multiple` times what is usual, it ends early.
--
--     policy "ema_dynamic" { goal_sample_rate = 20, field_list = { "service", "http.route", "root.http.status" } }

return policy {
  doc = "Keep 1 in so many traces, more of what is rare: rates by a moving average.",
  options = {
    goal_sample_rate = option.number { min = 1, doc = "1 in so many spans, on the whole" },
    adjustment_interval = option.string { default = "15s", doc = "the interval, a duration" },
    weight = option.number { default = 0.5, min = 0.001, max = 1, doc = "of the last interval" },
    age_out_value = option.number { optional = true, min = 0, doc = "without it the weight" },
    burst_multiple = option.number { default = 2, min = 0, doc = "0: never" },
    burst_detection_delay = option.integer { default = 3, min = 0, doc = "intervals before that" },
    field_list = option.list { min = 1, max = 32, doc = "fields that tell traces apart" },
    max_keys = option.integer { default = 500, min = 1, max = 100000, doc = "keys with a rate of their own; others share one" },
    use_trace_length = option.boolean { default = false, doc = "the number of spans tells traces apart, too" },
  },
  setup = function(opt)
    local my = { shape = shape(opt.field_list), length = opt.use_trace_length }
    my.rates = rates {
      name = "rates", max_keys = opt.max_keys,
      goal_rate = opt.goal_sample_rate, interval = opt.adjustment_interval, weight = opt.weight, age_out = opt.age_out_value,
      burst_multiple = opt.burst_multiple, burst_delay = opt.burst_detection_delay,
    }
    return my
  end,
  decide = function(trace, _, my)
    local key = my.shape:of(trace)
    if my.length then key = key .. "," .. trace.span_count end
    return sample(1 / my.rates:of(key, trace.span_count), "sampled")
  end,
}
