-- To see that traces arrive, how they look, and why they were kept.
--
--     exporter "debug" { verbosity = "normal" }

local function where(span) return (span.service or "?") .. " " .. span.name end

local function trace_line(trace)
  local d = trace.decision
  local why = d and (", " .. d.verdict .. " by " .. d.policy .. (d.reason and (" (" .. d.reason .. ")") or "")) or ""
  return ("trace %s %s, %d spans, %.3f ms, %d errors%s"):format(
    trace.id, where(trace.entry), trace.span_count, trace.duration_ms, trace.error_count, why
  )
end

local function span_line(span)
  local line = ("  span %s %s %s %s, %.3f ms"):format(span.id, span.kind, span.status, where(span), span.duration_ms)
  return span.parent_id and (line .. ", parent " .. span.parent_id) or line
end

local function each_span(trace, write)
  for _, span in trace:spans() do write(span) end
end

local write = {
  basic = function(batch)
    local traces = 0
    for _ in batch:traces() do traces = traces + 1 end
    log.info(("batch %s: %d traces, %d spans, %d bytes"):format(batch.id, traces, batch.span_count, batch.bytes))
  end,
  normal = function(batch)
    for _, trace in batch:traces() do
      log.info(trace_line(trace))
      each_span(trace, function(span) log.info(span_line(span)) end)
    end
  end,
  detailed = function(batch)
    for _, trace in batch:traces() do
      log.info(trace_line(trace))
      each_span(trace, function(span)
        log.info(span_line(span))
        log.info("    " .. span:otlp_json())
      end)
    end
  end,
}

local NAMES = { metrics = "data points", logs = "log records" }

-- Metrics and logs have no accessors: a line a batch, and all of it as JSON.
local function write_other(batch, verbosity)
  log.info(("batch %s: %d %s, %d bytes"):format(batch.id, batch.item_count, NAMES[batch.signal], batch.bytes))
  if verbosity == "detailed" then log.info("  " .. batch:otlp_json()) end
end

return exporter {
  signals = { "traces", "metrics", "logs" },
  doc = "Writes what is kept to the log.",
  options = {
    verbosity = option.string {
      default = "basic",
      one_of = { "basic", "normal", "detailed" },
      doc = "basic: a line a batch; normal: a line a trace and a span; detailed: all fields as JSON, of metrics and logs too",
    },
  },
  encode = function(batch, opt)
    if batch.signal == "traces" then
      write[opt.verbosity](batch)
    else
      write_other(batch, opt.verbosity)
    end
    return {}
  end,
}
