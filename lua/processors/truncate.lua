-- A character is never cut in two. How many strings were cut is in `moontail_truncated_strings_total`.
-- Of log records (the body too) and data points where `logs` or `metrics` says so.
--
--     processor "truncate" { max_bytes = 4096 }
return processor {
  doc = "Cut long strings of spans (names, messages, values of attributes, also of events and links), log records and data points.",
  on = "kept",
  signals = { "traces" },
  options = {
    max_bytes = option.integer { default = 4096, min = 1, doc = "a longer string is cut to at most so many bytes, between two characters" },
  },
  span = function(span, opt) span:truncate(opt.max_bytes) end,
  point = function(point, opt) point:truncate(opt.max_bytes) end,
  log = function(log, opt) log:truncate(opt.max_bytes) end,
}
