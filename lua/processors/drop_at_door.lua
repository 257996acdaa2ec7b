-- Nothing of such a span is written to the journal or held in memory, and no policy sees it. It has no
-- trace yet: what it is about must stand on the span itself or its resource.
--
--     processor "drop_at_door" { when = match { http = { path = "/healthz" } } }
return processor {
  doc = "Drop spans as they come: they are counted as filtered and never held.",
  on = "received",
  options = {
    reason = option.string { default = "drop_at_door", doc = "labels the count of what was dropped" },
  },
  setup = function(opt)
    if not opt.when then error("drop_at_door drops the spans that match: write when = match { ... }", 0) end
  end,
  span = function(_, opt) return drop(opt.reason) end,
}
