-- Data points as values of CloudWatch: numbers, statistics, values with their counts.
local delta = require "moontail.emf_delta"

local M = {}

local VALUES_MAX = 100 -- of an array
local NUMBER_MAX = 2 ^ 360

-- Whether CloudWatch takes the number.
local function is_number(n) return n >= -NUMBER_MAX and n <= NUMBER_MAX end
M.is_number = is_number

-- nil for what is none: a least value that is not a number, the bound of a last bucket that is infinite.
local function number_or_nil(n) return n and is_number(n) and n or nil end

local function number(point, metric, see)
  if point.value == nil or not is_number(point.value) then return nil, "not_a_number" end
  if metric.type ~= "sum" or not metric.monotonic or metric.temporality ~= "cumulative" then return { point.value } end
  local added, why = see(point, point.value, delta.number, 1)
  return added and { added }, why
end

-- ---- histograms ----

-- The edges of what the buckets hold, within the least and greatest value where they are known.
local function edges(v)
  local low, high
  for i, n in ipairs(v.counts) do
    if n > 0 then
      local from, to = number_or_nil(v.bounds[i - 1]), number_or_nil(v.bounds[i])
      low = low or from or v.lowest or to
      high = to or v.highest or from
    end
  end
  local mean = v.count > 0 and v.sum / v.count or 0
  low, high = low or mean, high or mean
  if v.lowest and low < v.lowest then low = v.lowest end
  if v.highest and high > v.highest then high = v.highest end
  return low, high
end

local function stats_of(v)
  local low, high = v.min, v.max
  if not low or not high then
    local from, to = edges(v)
    low, high = low or from, high or to
  end
  return { Max = high, Min = low, Count = v.count, Sum = v.sum }
end

local function histogram(point, metric, see)
  local v = {
    count = point.count or 0, sum = point.sum or 0, min = number_or_nil(point.min), max = number_or_nil(point.max),
    counts = point.counts or {}, bounds = point.bounds or {},
  }
  if not is_number(v.sum) then return nil, "not_a_number" end
  if metric.temporality == "cumulative" then
    local added, why = see(point, v, delta.histogram, 1 + math.floor(#v.counts / 8))
    if not added then return nil, why end
    v = added
  end
  if v.count == 0 then return nil, "empty" end
  return { stats_of(v) }
end

-- ---- exponential histograms ----

local function by_index(buckets)
  local made = {}
  for i, n in ipairs(buckets and buckets.counts or {}) do
    if n > 0 then made[buckets.offset + i - 1] = n end
  end
  return made
end

local function sorted_indexes(buckets)
  local list = {}
  for index in pairs(buckets) do list[#list + 1] = index end
  table.sort(list)
  return list
end

-- From the least value to the greatest: the middle of each bucket, its count, its edges.
local function each_bucket(v)
  local base, list = 2 ^ (2 ^ -v.scale), {}
  local negative, positive = sorted_indexes(v.negative), sorted_indexes(v.positive)
  for i = #negative, 1, -1 do
    local low, high = base ^ negative[i], base ^ (negative[i] + 1)
    list[#list + 1] = { -(low + high) / 2, v.negative[negative[i]], -high, -low }
  end
  if v.zero > 0 then list[#list + 1] = { 0, v.zero, 0, 0 } end
  for _, index in ipairs(positive) do
    local low, high = base ^ index, base ^ (index + 1)
    list[#list + 1] = { (low + high) / 2, v.positive[index], low, high }
  end
  return list
end

-- At most VALUES_MAX values each; the first has the sum, so that it counts once.
local function parts_of(v)
  local buckets, parts = each_bucket(v), {}
  for from = 1, #buckets, VALUES_MAX do
    local to = math.min(from + VALUES_MAX - 1, #buckets)
    local part = { Values = {}, Counts = {}, Count = 0, Sum = from == 1 and v.sum or 0 }
    for i = from, to do
      part.Values[#part.Values + 1], part.Counts[#part.Counts + 1] = buckets[i][1], buckets[i][2]
      part.Count = part.Count + buckets[i][2]
    end
    part.Min = from == 1 and v.min or buckets[from][3]
    part.Max = to == #buckets and v.max or buckets[to][4]
    if not is_number(part.Min) or not is_number(part.Max) then return nil end
    parts[#parts + 1] = part
  end
  return parts
end

local function exponential(point, metric, see)
  local v = {
    count = point.count or 0, sum = point.sum or 0, min = number_or_nil(point.min), max = number_or_nil(point.max),
    scale = point.scale or 0, zero = point.zero_count or 0,
    positive = by_index(point.positive), negative = by_index(point.negative),
  }
  if not is_number(v.sum) then return nil, "not_a_number" end
  if metric.temporality == "cumulative" then
    local weight = 1
    for _ in pairs(v.positive) do weight = weight + 0.25 end
    local added, why = see(point, v, delta.exponential, weight)
    if not added then return nil, why end
    v = added
  end
  if v.count == 0 then return nil, "empty" end
  local parts = parts_of(v)
  if not parts then return nil, "not_a_number" end
  if #parts == 0 then return nil, "empty" end
  return parts
end

-- ---- summaries ----

-- The values of the least and the greatest quantile, or the mean for both.
local function outermost(v)
  local low, high
  for _, q in ipairs(v.quantiles) do
    if is_number(q.value) then
      if not low or q.quantile < low.quantile then low = q end
      if not high or q.quantile > high.quantile then high = q end
    end
  end
  if low then return low.value, high.value end
  local mean = v.count > 0 and v.sum / v.count or 0
  return mean, mean
end

local function summary(point, _, see)
  local v = { count = point.count or 0, sum = point.sum or 0, quantiles = point.quantiles or {} }
  if not is_number(v.sum) then return nil, "not_a_number" end
  local added, why = see(point, v, delta.summary, 1)
  if not added then return nil, why end
  local low, high = outermost(added)
  return { { Max = high, Min = low, Count = added.count, Sum = added.sum }, summary = added }
end

local KINDS = { gauge = number, sum = number, histogram = histogram, exponential_histogram = exponential, summary = summary }

-- The values of a data point, each of an event of its own; or nil and why there is none. see(point, value,
-- diff, weight) gives what was added since the last point.
function M.of(point, metric, see)
  if point.no_value then return nil, "no_value" end
  local kind = KINDS[metric.type]
  if not kind then return nil, "no_value" end
  return kind(point, metric, see)
end

-- ---- units ----

local UNITS = {}
for unit in ([[Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits
  Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second
  Bits/Second Kilobits/Second Megabits/Second Gigabits/Second Terabits/Second Count/Second]]):gmatch "%S+" do
  UNITS[unit] = unit
end
for theirs, ours in pairs {
  ms = "Milliseconds", s = "Seconds", us = "Microseconds", By = "Bytes", bit = "Bits", kBy = "Kilobytes", MBy = "Megabytes",
  GBy = "Gigabytes", TBy = "Terabytes", ["%"] = "Percent", ["By/s"] = "Bytes/Second", ["bit/s"] = "Bits/Second",
} do
  UNITS[theirs] = ours
end

-- As CloudWatch calls it; nil: it knows none.
function M.unit(unit) return UNITS[unit] end

return M
