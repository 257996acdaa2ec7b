-- Put it last: it keeps what the policies before it did not decide.
--
--     policy "always_sample"
return policy {
  doc = "Keep every trace.",
  decide = function()
    return keep("always")
  end,
}
