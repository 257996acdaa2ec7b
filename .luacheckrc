-- What scripts see beside plain Lua 5.1 with LuaJIT's extensions.
std = "luajit"
max_line_length = false
cache = false

-- The script API, in the order in which it is documented.
read_globals = {
  -- conditions and options
  "match", "any", "none", "glob", "regex", "range", "ottl", "shape", "redaction", "option",
  -- verdicts
  "keep", "drop", "sample", "at_least", "vote",
  -- state
  "limit", "seen", "counter", "rates",
  -- what a file returns, and what config.lua lists
  "policy", "processor", "exporter",
  -- what an exporter's reply says
  "ok", "retry", "count", "aws", "xray", "prometheus", "emf", "reject", "send",
  -- more
  "json", "hex", "base64", "sha256", "hmac_sha256", "url_encode", "iso8601", "text", "log",
  -- in config.lua
  "env", "secret", "file",
}

-- Callbacks name their arguments as the documentation does, used or not.
unused_args = false

files["spec"] = { std = "luajit+busted" }
