-- The rare is found by its shape: the services, names, statuses and so on of a trace's spans. Each shape that was not
-- seen within `window` is kept once, however rare; what is seen again is left to the policies that follow. Fields are
-- those of spans; a name that is none is an attribute of the span or its resource. Choose fields with few values: with
-- an id among them every trace is new.
--
-- Shapes are remembered by all workers together, and over a restart, in bounded memory: beyond `max_shapes` the oldest
-- give way, and are new again when they come back; nothing new is missed.
--
--     policy "novelty" { window = "1h" },
--     policy "novelty/errors" { fields = { "service", "exception.type" }, when = match { status = "error" } },

return policy {
  doc = "Keep at least one trace of each shape.",
  options = {
    fields = option.list { default = { "service", "name", "status", "http.status" }, min = 1, doc = "what makes the shape" },
    spans = option.string { default = "all", one_of = { "all", "entry", "root" }, doc = "whose fields" },
    window = option.string { default = "10m", doc = "a duration: so long a shape is known" },
    max_shapes = option.integer { default = 100000, min = 1, max = 100000, doc = "shapes that are remembered" },
  },
  setup = function(opt)
    return {
      shape = shape(opt.fields, opt.spans),
      seen = seen { window = opt.window, max_keys = opt.max_shapes, when_full = "forget", name = "shapes" },
    }
  end,
  decide = function(trace, _, my)
    if my.seen:add(my.shape:of(trace)) then return keep("new_shape") end
  end,
}
