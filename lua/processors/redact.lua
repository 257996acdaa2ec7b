-- What is found, by rule; `rules` turns each on or off or says what is done about it:
--
-- * `key`: all of a value under a key that ends with authorization, cookie, token, secret, password,
--   api key, private key, session id, csrf, ssn, card number, cvv and the like, however it is spelled
-- * `assignment`: within a text, what follows such a name: `password=...`, `"token": "..."`, `?sig=...`
-- * `url`: user and password of a URL
-- * `authorization`: what follows Bearer and Basic
-- * `jwt`, `aws_key`, `github`, `slack`, `stripe`, `google`, `pem`: tokens and keys that can be told
-- * `email`, `phone`, `card` (brand and check digit), `ssn`, `iban` (check digits)
-- * `ipv4`, `ipv6` (true: the network stays, /24 and /48), `uuid`: off by default
-- * `sql`: literals of `db.query.text` and `db.statement` become `?`, comments go, lists collapse
-- * `command`: of Redis, Memcached and MongoDB the command stays
-- * `sql_parameter`: `db.query.parameter.*` goes
--
-- An action is `mask` (`****`), `hmac` (equal values stay equal: `hmac:` and 32 hex digits; with
-- `hmac_key = secret(env "REDACT_KEY")`), `drop` (the attribute goes), `keep_last` (`****1234`, or
-- `keep_last 2`). It looks at names, status messages, attributes at
-- any depth, events, links, resources and scopes; ids and times stay. A failure leaves nothing but
-- those. What was found is in `moontail_redacted_values_total`.
--
-- In `processors.received` it redacts each body before anything is held: journal, policies and
-- `span_metrics` never have originals. It works before all others there, wherever it stands, on all
-- spans, without `when`. A body that can't be redacted is refused.
--
-- Metrics and logs are redacted as whole bodies in either list: attributes of data points, exemplars and
-- log records, the body of a record, resources, scopes. `metrics = false`, `logs = false`: not these.
--
--     processor "redact" { rules = { card = "keep_last", phone = false, ipv4 = true, badge = "drop" },
--                          values = { badge = "\\bB-[0-9]{6}\\b" }, keys = { "acme.*.pin" } }
return processor {
  doc = "Take secrets and personal data out of spans (of kept traces, or of all as they come), metrics and logs.",
  on = "kept",
  options = {
    rules = option.map { optional = true, doc = "rule = true, false or an action: mask, hmac, drop, keep_last, keep_last 2, network" },
    action = option.string { default = "mask", doc = "of rules that are on and name none: mask, hmac, drop, keep_last" },
    keys = option.list { optional = true, doc = "further keys whose values are secret: globs, upper and lower case alike" },
    values = option.map { optional = true, doc = "further patterns: a name (also of the rule) = RE2 syntax; what matches goes" },
    ignore_keys = option.list { optional = true, doc = "keys whose values stay as they are: globs" },
    allow_values = option.list { optional = true, doc = "a find that matches one of these stays: RE2 syntax" },
    hmac_key = option.string { optional = true, secret = true, doc = "at least 16 bytes, the same on all nodes; needed for hmac" },
  },
  on_error = "strip",
  setup = function(opt)
    return redaction {
      rules = opt.rules,
      action = opt.action,
      keys = opt.keys,
      values = opt.values,
      ignore_keys = opt.ignore_keys,
      allow_values = opt.allow_values,
      hmac_key = opt.hmac_key,
    }
  end,
  body = function(_, my) return my end,
}
