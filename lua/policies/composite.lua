-- Its policies are asked in the order of the list, or of `policy_order`; the first that keeps a trace is charged
-- with its spans. A policy has its part of the rate for itself, and beyond that what the others leave unused, so
-- that nothing is lost while some of them are quiet. All together never keep more than
-- `max_total_spans_per_second` in the long run, and at most twice that at once. A trace that finds no room is left
-- to the policies that follow.
--
-- Parts are percent, by the names of the policies; those without one share equally what is left of 100. What a
-- limit keeps says nothing of how many traces it stands for: it leaves without `th` in its tracestate.
--
--     policy "composite" {
--       max_total_spans_per_second = 1000,
--       composite_sub_policy = {
--         policy "status_code" { name = "errors" },
--         policy "latency" { name = "slow", threshold_ms = 500 },
--         policy "always_sample" { name = "rest" },
--       },
--       rate_allocation = { errors = 50, slow = 30 },
--     }

local function ordered(policies, order)
  if not order then return policies end
  local by_name, list = {}, {}
  for _, p in ipairs(policies) do by_name[p.name] = p end
  for i, name in ipairs(order) do
    local p = by_name[name]
    if not p then error("policy_order names '" .. tostring(name) .. "', which composite_sub_policy does not have", 0) end
    by_name[name], list[i] = nil, p
  end
  for name in pairs(by_name) do error("policy_order lacks '" .. name .. "'", 0) end
  return list
end

-- The percent of each policy.
local function parts(policies, allocation)
  local of, given, without = {}, 0, 0
  for _, p in ipairs(policies) do
    local percent = allocation[p.name]
    if percent == nil then
      without = without + 1
    elseif type(percent) ~= "number" or percent < 0 or percent > 100 then
      error("rate_allocation." .. p.name .. " is " .. tostring(percent) .. "; allowed: a number from 0 to 100", 0)
    else
      of[p.name], given = percent, given + percent
    end
  end
  if given > 100 then error("rate_allocation adds up to " .. given .. " percent; allowed: at most 100", 0) end
  for _, p in ipairs(policies) do of[p.name] = of[p.name] or (100 - given) / without end
  for name in pairs(allocation) do
    if not of[name] then error("rate_allocation names '" .. name .. "', which composite_sub_policy does not have", 0) end
  end
  return of
end

local function own_limit(name, per_second)
  if per_second == 0 then return false end
  return limit { rate = per_second, per = "1s", burst = math.max(1, per_second), name = "part." .. name:gsub("[^%w_.-]", "-") }
end

return policy {
  doc = "Share a rate of spans among policies.",
  options = {
    max_total_spans_per_second = option.number { min = 1, max = 1000000, doc = "of all its policies together" },
    composite_sub_policy = option.policies { min = 1, doc = "who shares it" },
    policy_order = option.list { optional = true, doc = "their names, in the order in which they are asked" },
    rate_allocation = option.map { default = {}, doc = "percent of the rate, by name" },
  },
  setup = function(opt)
    local total = opt.max_total_spans_per_second
    local list = ordered(opt.composite_sub_policy, opt.policy_order)
    local percent = parts(list, opt.rate_allocation)
    local my = { policies = {}, names = {}, own = {}, reserve = total }
    my.total = limit { rate = total, per = "1s", burst = 2 * total, name = "total" }
    for i, p in ipairs(list) do
      my.policies[i], my.names[i] = p, p.name
      my.own[i] = own_limit(p.name, total * percent[p.name] / 100)
    end
    return my
  end,
  decide = function(trace, _, my)
    for i = 1, #my.policies do
      local p = vote(my.policies[i], trace)
      if p > 0 then
        local cost, own = trace.span_count * p, my.own[i]
        local has_room = own and own:take(nil, cost) and my.total:take(nil, cost)
        -- Beyond its part only what stays over when all the others take theirs.
        if not has_room and not my.total:take(nil, cost, my.reserve) then return nil end
        if p == 1 then return keep(my.names[i]) end
        return at_least(p, my.names[i])
      end
    end
  end,
}
