-- Of spans the trace stays whole without them: nothing refers to a span that is gone. A metric goes with its
-- last data point, a resource with the last of what it had. Of each signal those are dropped that match;
-- nothing of a signal that is not named.
--
--     processor "filter/cache" { when = match { db = { system = "redis" } } },
--     processor "filter/noise" { logs = match { log = { severity = { "trace", "debug" } } } },
--     processor "filter/jvm" { metrics = match { metric = { name = glob "jvm.gc.*" } } },
return processor {
  doc = "Drop spans of kept traces (their children go to their parents), data points and log records.",
  on = "kept",
  options = {
    reason = option.string { default = "filter", doc = "labels the count of what was dropped" },
  },
  setup = function(opt)
    if not (opt.when or opt.metrics or opt.logs) then
      error("filter drops what matches: write when = match { ... } for spans, metrics or logs = match { ... } for these", 0)
    end
  end,
  span = function(_, opt) return drop(opt.reason) end,
  point = function(_, opt) return drop(opt.reason) end,
  log = function(_, opt) return drop(opt.reason) end,
}
