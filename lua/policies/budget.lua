-- The cap holds in every second, however steep a peak is, and what is kept still tells how many traces there were: the
-- nearer the cap, the smaller the share that passes, and each kept trace leaves with the share that it had
-- (`sampling.probability`, `th` in its tracestate). Summed up, 1 / probability is the number of all traces. In a steady
-- flood about four fifths of the cap are used; the rest is for what comes at once.
--
-- Put it last: it says sample(p), so that what policies before it keep is not counted. With `key` each service, route or
-- the like has a cap of its own: fields of the entry span; a name that is none is an attribute of the span or its resource.
-- More than `max_keys` different keys share one cap.
--
--     policy "budget" { traces_per_second = 100 },
--     policy "budget/services" { traces_per_second = 20, key = { "service" } },

return policy {
  doc = "Keep a share of the traces that never passes a number a second, and say which share it was.",
  options = {
    traces_per_second = option.number { min = 10, max = 1000000, doc = "the most that is kept in any second" },
    key = option.list { optional = true, min = 1, doc = "fields of the entry span; without them one cap for all" },
    max_keys = option.integer { default = 10000, min = 1, max = 100000, doc = "keys with a cap of their own" },
  },
  setup = function(opt)
    -- In any second at most burst + rate - 1 pass.
    local cap = opt.traces_per_second
    local burst = math.floor(math.max(cap / 5, math.min(10, cap * 0.7)))
    return {
      shape = opt.key and shape(opt.key, "entry"),
      limit = limit { rate = cap - burst + 1, per = "1s", burst = burst, max_keys = opt.max_keys },
    }
  end,
  decide = function(trace, _, my)
    local key
    if my.shape then key = my.shape:of(trace) end
    local p = my.limit:share(key)
    if p > 0 then return sample(p, "budget") end
  end,
}
