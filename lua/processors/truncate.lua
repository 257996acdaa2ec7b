-- A character is never cut in two. How many strings were cut is in `moontail_truncated_strings_total`.
--
--     processor "truncate" { max_bytes = 4096 }
return processor {
  doc = "Cut long strings of spans: names, messages, values of attributes, also of events and links.",
  on = "kept",
  options = {
    max_bytes = option.integer { default = 4096, min = 1, doc = "a longer string is cut to at most so many bytes, between two characters" },
  },
  span = function(span, opt) span:truncate(opt.max_bytes) end,
}
