-- The trace stays whole without it: nothing refers to a span that is gone.
--
--     processor "filter/cache" { when = match { db = { system = "redis" } } }
return processor {
  doc = "Drop spans of kept traces; their children go to their parents.",
  on = "kept",
  options = {
    reason = option.string { default = "filter", doc = "labels the count of what was dropped" },
  },
  setup = function(opt)
    if not opt.when then error("filter drops the spans that match: write when = match { ... }", 0) end
  end,
  span = function(_, opt) return drop(opt.reason) end,
}
