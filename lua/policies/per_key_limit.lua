-- A hard limit for each service, route or whatever tells traces apart: the fields of `key` are read from the
-- trace's entry span (the root, or the earliest whose parent is not here); a name that is no field of a span is an
-- attribute of the span or its resource.
--
-- Without `policies` every trace counts, and those within the limit are left to the policies that follow: put it in
-- front. With `policies` only what one of them keeps counts, and is kept. What is over the limit is dropped, or left
-- to those that follow with `over = "pass"`. More than `max_keys` different keys share one limit.
--
-- What a limit keeps says nothing of how many traces it stands for: it leaves without `th` in its tracestate.
--
--     policy "per_key_limit/routes" { key = { "service", "http.route" }, rate = 5 },
--     policy "per_key_limit/errors" { rate = 60, per = "1m", over = "pass", policies = { policy "status_code" } },

return policy {
  doc = "Limit what is kept of each service, route or other key.",
  options = {
    key = option.list { default = { "service" }, min = 1, doc = "fields of the entry span" },
    rate = option.number { min = 0.001, max = 1000000, doc = "of each key, in each `per`" },
    per = option.string { default = "1s", doc = "a duration" },
    burst = option.number { optional = true, min = 1, doc = "at once; without it the rate" },
    count = option.string { default = "traces", one_of = { "traces", "spans" }, doc = "what is counted" },
    max_keys = option.integer { default = 10000, min = 1, max = 100000, doc = "keys with a limit of their own" },
    over = option.string { default = "drop", one_of = { "drop", "pass" }, doc = "what becomes of those over the limit" },
    policies = option.policies { default = {}, doc = "whose traces are limited, and kept" },
  },
  setup = function(opt)
    return {
      shape = shape(opt.key, "entry"),
      limit = limit { rate = opt.rate, per = opt.per, burst = opt.burst, max_keys = opt.max_keys, name = "keys" },
      policies = opt.policies,
      spans = opt.count == "spans",
      drops = opt.over == "drop",
    }
  end,
  decide = function(trace, _, my)
    local most = 0
    for i = 1, #my.policies do most = math.max(most, vote(my.policies[i], trace)) end
    if most == 0 and #my.policies > 0 then return nil end
    local cost = my.spans and trace.span_count or 1
    if most > 0 then cost = cost * most end
    if not my.limit:take(my.shape:of(trace), cost) then return my.drops and drop("over_limit") or nil end
    if most == 1 then return keep("within_limit") end
    if most > 0 then return sample(most, "within_limit") end
  end,
}
