-- What was added since the point before: CloudWatch adds up what it gets, most SDKs send sums since their
-- start. The last points of each series are remembered, so that a batch that comes again says the same again.
local M = {}

local POINTS = 4 -- of a series
local TTL_MS = 15 * 60 * 1000

local State = {}
State.__index = State

-- At most so many series, each of as many numbers as a histogram has buckets.
function M.new(max) return setmetatable({ max = max, young = {}, old = {}, size = 0, born_ms = nil }, State) end

-- Two generations: what is asked for moves to the young one, what is not asked for goes with the old one.
local function age(self, now_ms)
  self.born_ms = self.born_ms or now_ms
  if self.size < self.max / 2 and now_ms - self.born_ms < TTL_MS then return end
  self.old, self.young, self.size, self.born_ms = self.young, {}, 0, now_ms
end

local function find(self, key, weight, now_ms)
  local series = self.young[key]
  if series then return series end
  age(self, now_ms)
  series = self.old[key] or { since = 1 }
  self.old[key] = nil
  self.young[key] = series
  self.size = self.size + weight
  return series
end

-- point: { at =, start = (may be nil), value = } of a series; diff(value, before) gives what was added, or nil
-- where it began anew. Gives what was added; or nil and why: "baseline", "out_of_order".
function State:add(key, point, diff, now_ms, retain)
  local series = find(self, key, point.weight or 1, now_ms)
  local count = #series
  for i = count, 1, -1 do
    local other = series[i]
    if other.at == point.at then
      if i > 1 then return other.added end
      if series.since == 1 and retain then return other.value end
      return nil, series.since == 1 and "baseline" or "out_of_order"
    end
    if other.at < point.at then break end
  end
  local last = series[count]
  if last and last.at > point.at then return nil, "out_of_order" end
  series[count + 1] = point
  if count == POINTS then
    table.remove(series, 1)
    series.since = 2
  end
  if not last then
    if retain then return point.value end
    return nil, "baseline"
  end
  local began = point.start and point.start > last.at -- a counter that started after the last point
  point.added = not began and diff(point.value, last.value) or point.value
  return point.added
end

-- ---- what is added of each kind of value ----

function M.number(value, before)
  return value >= before and value - before or nil
end

function M.summary(value, before)
  if value.count < before.count then return nil end
  return { count = value.count - before.count, sum = value.sum - before.sum, quantiles = value.quantiles }
end

local function same_bounds(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

-- counts and bounds may be nil. The least and greatest value are those of the series: what is known of the
-- points between is where the buckets are that have something new.
function M.histogram(value, before)
  local added = { count = value.count - before.count, sum = value.sum - before.sum, bounds = value.bounds, lowest = value.min, highest = value.max }
  if added.count < 0 or not same_bounds(value.bounds, before.bounds) or #value.counts ~= #before.counts then return nil end
  added.counts = {}
  for i = 1, #value.counts do
    added.counts[i] = value.counts[i] - before.counts[i]
    if added.counts[i] < 0 then return nil end
  end
  return added
end

local function minus(a, b)
  local left = {}
  for index, n in pairs(a) do left[index] = n end
  for index, n in pairs(b) do
    local rest = (left[index] or 0) - n
    if rest < 0 then return nil end
    left[index] = rest > 0 and rest or nil
  end
  return left
end

-- Buckets of a larger scale as those of a smaller one.
local function merged(buckets, by)
  local made = {}
  for index, n in pairs(buckets) do
    local to = math.floor(index / 2 ^ by)
    made[to] = (made[to] or 0) + n
  end
  return made
end

-- buckets by index; a scale only gets smaller.
function M.exponential(value, before)
  local by = before.scale - value.scale
  if value.count < before.count or by < 0 or value.zero < before.zero then return nil end
  local positive = minus(value.positive, by > 0 and merged(before.positive, by) or before.positive)
  local negative = minus(value.negative, by > 0 and merged(before.negative, by) or before.negative)
  if not positive or not negative then return nil end
  return {
    count = value.count - before.count, sum = value.sum - before.sum, scale = value.scale, zero = value.zero - before.zero,
    positive = positive, negative = negative,
  }
end

return M
