-- As `total_throughput`, but a rate is made from what came in the window that ends now, so that it follows the traffic
-- without steps. A key that is new is kept.
--
--     policy "windowed_throughput" { goal_throughput_per_sec = 500, field_list = { "service", "http.route" } }

return policy {
  doc = "Keep about so many spans a second, the same share of each key, by what came just now.",
  options = {
    goal_throughput_per_sec = option.number { min = 0.001, doc = "spans that are kept, on the whole" },
    update_frequency = option.string { optional = true, doc = "accepted; rates are always those of now" },
    lookback_frequency = option.string { default = "30s", doc = "the window, a duration" },
    field_list = option.list { min = 1, max = 32, doc = "fields that tell traces apart" },
    max_keys = option.integer { default = 500, min = 1, max = 100000, doc = "keys with a rate of their own; others share one" },
    use_trace_length = option.boolean { default = false, doc = "the number of spans tells traces apart, too" },
  },
  setup = function(opt)
    local my = { shape = shape(opt.field_list), length = opt.use_trace_length }
    my.rates = rates {
      name = "rates", max_keys = opt.max_keys,
      goal_per_second = opt.goal_throughput_per_sec, window = opt.lookback_frequency,
    }
    return my
  end,
  decide = function(trace, _, my)
    local key = my.shape:of(trace)
    if my.length then key = key .. "," .. trace.span_count end
    return sample(1 / my.rates:of(key, trace.span_count), "sampled")
  end,
}
