-- Policies are asked in the order of the list, and the first keep or drop is final: put it before those that would
-- keep such traces. A trace that one of its policies does not keep is left to those that follow.
--
-- Where some of its policies sample, that share of the traces is dropped, by a draw of its own; counts that are
-- estimated from `th` do not know of it.
--
--     policy "drop/noise" { drop_sub_policy = {
--       policy "string_attribute" { key = "http.route", values = { "/poll" } },
--       policy "not" { not_sub_policy = { policy "status_code" } },
--     } }

return policy {
  doc = "Drop what all of its policies keep.",
  options = { drop_sub_policy = option.policies { min = 1, doc = "all of them must keep it" } },
  setup = function(opt) return opt.drop_sub_policy end,
  decide = function(trace, _, my)
    local least = 1
    for i = 1, #my do
      local p = vote(my[i], trace)
      if p == 0 then return nil end
      if p < least then least = p end
    end
    if least == 1 or trace:fraction("drop") < least then return drop() end
  end,
}
