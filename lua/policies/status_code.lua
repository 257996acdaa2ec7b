-- The reason is `error`, `ok` or `unset`. With `OK` or `UNSET` alone most traces are kept: mind the order.
--
--     policy "status_code" { status_codes = { "ERROR" } }
return policy {
  doc = "Keep traces with a span of one of these statuses.",
  options = {
    status_codes = option.list {
      default = { "ERROR" },
      one_of = { "ERROR", "OK", "UNSET" },
      min = 1,
      doc = "names as the protocol has them",
    },
  },
  setup = function(opt)
    local my = { errors = false, others = {} }
    for _, code in ipairs(opt.status_codes) do
      if code == "ERROR" then
        my.errors = true
      else
        table.insert(my.others, { reason = code:lower(), matcher = match { status = code:lower() } })
      end
    end
    return my
  end,
  when = function(_, my)
    if #my.others == 0 then return match { trace = { error_count = range(1) } } end
  end,
  decide = function(trace, _, my)
    if my.errors and trace.error_count > 0 then return keep("error") end
    for i = 1, #my.others do
      if trace:find(my.others[i].matcher) then return keep(my.others[i].reason) end
    end
  end,
}
