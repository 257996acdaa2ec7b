-- Nothing of such a span is written to the journal or held in memory, and no policy sees it. It has no
-- trace yet: what it is about must stand on the span itself or its resource. Of metrics and logs, which
-- wait for nothing, it is what `filter` is; log records that follow their traces are not held then.
--
--     processor "drop_at_door" { when = match { http = { path = "/healthz" } } }
return processor {
  doc = "Drop spans, data points and log records as they come: they are counted as filtered and never held.",
  on = "received",
  options = {
    reason = option.string { default = "drop_at_door", doc = "labels the count of what was dropped" },
  },
  setup = function(opt)
    if not (opt.when or opt.metrics or opt.logs) then
      error("drop_at_door drops what matches: write when = match { ... } for spans, metrics or logs = match { ... } for these", 0)
    end
  end,
  span = function(_, opt) return drop(opt.reason) end,
  point = function(_, opt) return drop(opt.reason) end,
  log = function(_, opt) return drop(opt.reason) end,
}
