return policy {
  doc = "Keep every trace.",
  decide = function()
    return keep("always")
  end,
}
