-- Both bounds are included. Counted are the spans that are here when the trace is decided; those that come
-- later follow the decision.
--
--     policy "span_count" { min_spans = 500 }

return policy {
  doc = "Keep traces with so many spans.",
  options = {
    min_spans = option.integer { default = 0, min = 0, doc = "the least" },
    max_spans = option.integer { default = 0, min = 0, doc = "the most; 0: no bound" },
  },
  setup = function(opt)
    local most = opt.max_spans > 0 and opt.max_spans or math.huge
    if most < opt.min_spans then error("max_spans is below min_spans: no trace has so many spans", 0) end
    return { least = opt.min_spans, most = most }
  end,
  decide = function(trace, _, my)
    local count = trace.span_count
    if count >= my.least and count <= my.most then return keep() end
  end,
}
