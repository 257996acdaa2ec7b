"""Random policies of the collector's tail_sampling, and random traces that they tell apart."""
from opentelemetry.proto.trace.v1 import trace_pb2

SERVICES = ["cart", "checkout", "payment", "mail"]
ROUTES = ["/", "/buy", "/health", "/cart/{id}", "/api/v1/items"]
TEAMS = ["red", "blue"]
CODES = [200, 201, 302, 404, 500, 503]
DURATIONS = [1, 5, 10, 50, 99, 100, 101, 250, 500, 501, 1000]
SHARES = [0, 10, 25, 50, 75, 100]
MIXED = ["text", "t", "", "7", 7, 0, -3, 2.5, 7.0, True, False, ["t", "7"], [7], []]  # of one key
STATES = ["", "", "vendor=a", "vendor=b,other=x", "ot=th:8;rv:abcdef01234567"]


# ---- traces ----

def legacy_hash(trace_id, salt=b"default-hash-seed"):
    """FNV-1a over salt and id: how the collector draws."""
    h = 0xcbf29ce484222325
    for byte in salt + trace_id:
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return h


def draws_agree(trace_id):
    """Whether its hash and the consistent draw fall on the same side of every share in SHARES."""
    randomness = int.from_bytes(trace_id[9:], "big") / 2.0 ** 56
    fraction = legacy_hash(trace_id) / 2.0 ** 64
    return all((fraction <= p / 100) == (randomness >= 1 - p / 100) for p in SHARES)


class Trace:
    def __init__(self, rng):
        while True:
            raw = rng.randbytes(16)
            if draws_agree(raw):
                break
        self.raw, self.id = raw, raw.hex()
        self.resource_spans = []
        for _ in range(rng.choice([1, 1, 2])):
            self.add_resource(rng)

    def add_resource(self, rng):
        resource = trace_pb2.ResourceSpans()
        put(resource.resource, "service.name", rng.choice(SERVICES))
        if rng.random() < 0.5:
            put(resource.resource, "team", rng.choice(TEAMS))
        if rng.random() < 0.15:
            put(resource.resource, "mixed", rng.choice(MIXED))
        scope = resource.scope_spans.add()
        if rng.random() < 0.5:
            scope.scope.name, scope.scope.version = "lib", "1.2"
        for _ in range(rng.choice([1, 1, 2, 3])):
            fill(scope.spans.add(), self.raw, rng)
        self.resource_spans.append(resource)

    def spans(self):
        """(resource's attributes, span) of each."""
        for resource in self.resource_spans:
            for span in resource.scope_spans[0].spans:
                yield plain(resource.resource), span

    def __repr__(self):
        lines = [f"trace {self.id}"]
        for resource, span in self.spans():
            start = (span.start_time_unix_nano - START_NS) // 1_000_000
            took = (span.end_time_unix_nano - span.start_time_unix_nano) // 1_000_000
            lines.append(f"    {resource} {span.name!r} kind {span.kind} status {span.status.code} "
                         f"{start}+{took} ms {plain(span)} flags {span.flags} "
                         f"{span.trace_state!r} events {[(e.name, plain(e)) for e in span.events]}")
        return "\n".join(lines)


def plain(owner):
    return {a.key: value_of(a.value) for a in owner.attributes}


def value_of(item):
    value = getattr(item, item.WhichOneof("value"))
    return value if item.WhichOneof("value") != "array_value" else [value_of(v) for v in value.values]


def put(owner, key, value):
    put_value(owner.attributes.add(key=key).value, value)


def put_value(item, value):
    if isinstance(value, bool):
        item.bool_value = value
    elif isinstance(value, int):
        item.int_value = value
    elif isinstance(value, float):
        item.double_value = value
    elif isinstance(value, list):
        item.array_value.SetInParent()
        for one in value:
            put_value(item.array_value.values.add(), one)
    else:
        item.string_value = value


START_NS = 1_790_000_000_000_000_000


def fill(span, trace_id, rng):
    span.trace_id, span.span_id = trace_id, rng.randbytes(7) + b"\x01"
    if rng.random() < 0.6:
        span.parent_span_id = rng.randbytes(7) + b"\x01"
    span.name = rng.choice(["GET /", "buy", "select", "send"])
    span.kind = rng.randrange(1, 6)
    span.start_time_unix_nano = START_NS + rng.choice([0, 0, 20]) * 1_000_000
    span.end_time_unix_nano = span.start_time_unix_nano + rng.choice(DURATIONS) * 1_000_000
    span.status.code = rng.choice([0, 0, 0, 1, 2])
    span.trace_state = rng.choice(STATES)
    span.flags = rng.choice([0, 0x100, 0x101, 1])
    if rng.random() < 0.7:
        put(span, "http.route", rng.choice(ROUTES))
    if rng.random() < 0.7:
        put(span, "http.status_code", rng.choice(CODES))
    if rng.random() < 0.4:
        put(span, "cached", rng.random() < 0.5)
    if rng.random() < 0.4:
        put(span, "mixed", rng.choice(MIXED))
    if span.status.code == 2 and rng.random() < 0.5:
        span.status.message = "failed"
    if rng.random() < 0.3:
        put(span, "ratio", rng.choice([0.25, 0.5, 1.5]))
    if rng.random() < 0.2:
        event = span.events.add(name=rng.choice(["exception", "retry"]))
        put(event, "exception.type", rng.choice(["TimeoutError", "ValueError"]))


def traces(rng, count):
    return [Trace(rng) for _ in range(count)]


# ---- policies ----

CONDITIONS = [
    'attributes["http.route"] == "/buy"',
    'attributes["http.status_code"] >= 500',
    'attributes["http.status_code"] == 404 or name == "buy"',
    'resource.attributes["service.name"] == "cart" and status.code == STATUS_CODE_ERROR',
    'IsMatch(attributes["http.route"], "^/api/.*")',
    'kind == SPAN_KIND_SERVER',
    'not (name == "send")',
    'attributes["cached"] == true',
    'attributes["http.route"] == nil',
    'HasPrefix(name, "GET")',
    '(end_time - start_time) > Duration("100ms")',
    'attributes["mixed"] == 7', 'attributes["mixed"] != 7', 'attributes["mixed"] < 5',
    '5 <= attributes["mixed"]', 'attributes["mixed"] == "7"', 'attributes["mixed"] != "text"',
    'attributes["mixed"] == ""', 'attributes["mixed"] == true', 'attributes["mixed"] != false',
    'attributes["mixed"] != nil', 'IsMatch(attributes["mixed"], "7")',
    'IsMatch(attributes["mixed"], "^$")', 'not IsMatch(attributes["mixed"], "t")',
    'HasPrefix(attributes["mixed"], "t")', 'not HasPrefix(attributes["mixed"], "t")',
    'HasSuffix(attributes["mixed"], "7") or name == "buy"',
    'attributes["mixed"] == nil and resource.attributes["mixed"] != nil',
    'not (attributes["mixed"] == 7 and kind == SPAN_KIND_SERVER)',
    'span.attributes["http.status_code"] > 499.5 and span.name != "buy"',
    'trace_state["vendor"] == "a"', 'trace_state["vendor"] == ""', 'trace_state["other"] != "x"',
    'IsMatch(status.message, "^$")', 'IsMatch(trace_state["other"], "^$")',
    'parent_span_id.string == "0000000000000000"',
    'status.message == ""', 'status.message != "failed" and status.code == 2', 'IsRootSpan()',
    'parent_span_id == SpanID(0x0000000000000000)', 'kind.string == "Server"',
    'Milliseconds(end_time - start_time) >= 100', 'Seconds(end_time - start_time) > 0.5',
    'end_time_unix_nano - start_time_unix_nano == 1000000',
    'instrumentation_scope.name == "lib"', 'instrumentation_scope.name == ""',
    'name == "buy" or name == "send" and kind == SPAN_KIND_CLIENT',
    'kind >= SPAN_KIND_CLIENT', 'status.code != STATUS_CODE_UNSET', 'attributes["missing"] < 5',
    'attributes["missing"] != "x"', 'not (attributes["missing"] == nil)',
]
EVENTS = ['attributes["exception.type"] != "ValueError"', 'span.name == "buy"',
          'not (name == "retry") and resource.attributes["team"] == "red"', 'spanevent.name != "retry"',
          'name == "exception"', 'attributes["exception.type"] == "TimeoutError"',
          'IsMatch(attributes["exception.type"], "Error$")']


def latency(rng):
    low = rng.choice([1, 50, 100, 500])
    options = {"threshold_ms": low}
    if rng.random() < 0.4:
        options["upper_threshold_ms"] = rng.choice([0] + [u for u in (250, 500, 1000, 5000) if u > low])
    return options


def numeric(rng):
    options = {"key": rng.choice(["http.status_code", "http.status_code", "ratio", "mixed"]),
               "min_value": rng.choice([0, 1, 200, 400]), "max_value": rng.choice([404, 499, 599])}
    if rng.random() < 0.2:
        options["invert_match"] = True
    return options


def string(rng):
    key, values = rng.choice([("service.name", SERVICES), ("http.route", ROUTES), ("team", TEAMS),
                               ("mixed", ["text", "7", ""])])
    options = {"key": key, "values": rng.sample(values, rng.randrange(1, 3))}
    if rng.random() < 0.3:
        options = {"key": key, "values": [rng.choice(["^c", "a", "/b.*", "t$", "7", ".*"])],
                   "enabled_regex_matching": True, "cache_max_size": 10}
    if rng.random() < 0.2:
        options["invert_match"] = True
    return options


def boolean(rng):
    options = {"key": rng.choice(["cached", "cached", "mixed"]), "value": rng.random() < 0.5}
    if rng.random() < 0.2:
        options["invert_match"] = True
    return options


def ottl(rng):
    options = {"error_mode": "ignore"}
    if rng.random() < 0.7:
        options["span"] = rng.sample(CONDITIONS, rng.randrange(1, 3))
    if rng.random() < 0.4 or "span" not in options:
        options["spanevent"] = rng.sample(EVENTS, 1)
    return options


SIMPLE = {
    "always_sample": None,
    "latency": latency,
    "numeric_attribute": numeric,
    "probabilistic": lambda rng: {"sampling_percentage": rng.choice(SHARES)},
    "status_code": lambda rng: {"status_codes": rng.sample(["ERROR", "OK", "UNSET"],
                                                           rng.randrange(1, 3))},
    "string_attribute": string,
    "boolean_attribute": boolean,
    "rate_limiting": lambda rng: {"spans_per_second": 1000000},
    "bytes_limiting": lambda rng: {"bytes_per_second": 1 << 30},
    "span_count": lambda rng: {"min_spans": rng.choice([1, 2, 3]),
                               "max_spans": rng.choice([0, 3, 4])},
    "trace_state": lambda rng: {"key": "vendor", "values": rng.sample(["a", "b"], 1)},
    "trace_flags": None,
    "ottl_condition": ottl,
}
# always there is no news; it stands in for the limits that keep everything
COMMON = [t for t in SIMPLE if t not in ("always_sample", "rate_limiting", "bytes_limiting")]


def simple(rng, name, types=None):
    type_ = rng.choice(types or (list(SIMPLE) if rng.random() < 0.1 else COMMON))
    policy = {"name": name, "type": type_}
    if SIMPLE[type_]:
        policy[type_] = SIMPLE[type_](rng)
    return policy


def policy(rng, name):
    kind = rng.random()
    if kind < 0.15:
        return {"name": name, "type": "and", "and": {"and_sub_policy": [
            simple(rng, f"{name}-{i}") for i in range(rng.randrange(1, 4))]}}
    if kind < 0.22:
        return {"name": name, "type": "drop", "drop": {"drop_sub_policy": [
            simple(rng, f"{name}-{i}") for i in range(rng.randrange(1, 3))]}}
    if kind < 0.29:
        return {"name": name, "type": "not", "not": {"not_sub_policy": simple(rng, f"{name}-0")}}
    if kind < 0.34:
        subs = [simple(rng, f"{name}-{i}") for i in range(rng.randrange(1, 4))]
        return {"name": name, "type": "composite", "composite": {
            "max_total_spans_per_second": 1000000, "policy_order": [s["name"] for s in subs],
            "composite_sub_policy": subs,
            "rate_allocation": [{"policy": s["name"], "percent": 100 // len(subs)} for s in subs]}}
    return simple(rng, name)


def policies(rng):
    return [policy(rng, f"p{i}") for i in range(rng.randrange(1, 7))]


# ---- known causes of differences ----

def every(policies, above=()):
    """(policy, the types that it stands in) of all of them, also within others."""
    for p in policies:
        yield p, above
        for key, value in (p.get(p["type"]) or {}).items():
            if key.endswith("sub_policy"):
                inner = value if isinstance(value, list) else [value]
                yield from every(inner, above + (p["type"],))


def is_share(policy):
    return (policy["type"] == "probabilistic"
            and 0 < policy["probabilistic"]["sampling_percentage"] < 100)


def of_mixed(policy):
    """Whether it is about the attribute that has values of every type."""
    return policy.get(policy["type"], {}).get("key") == "mixed"


def may_fail(policy):
    """Whether it has a condition that is an error there for values that are absent or no text."""
    conditions = policy.get("ottl_condition", {}).get("span", [])
    return any("fix(attributes" in condition for condition in conditions)


def took_ms(spans):
    return (max(s.end_time_unix_nano for s in spans)
            - min(s.start_time_unix_nano for s in spans)) // 1_000_000


def cause(given, trace):
    """Why the two may differ on this trace, or None."""
    spans = [span for _, span in trace.spans()]
    took = [took_ms(spans[:i + 1]) for i in range(len(spans))]
    for p, above in every(given):
        if p["type"] == "latency" and p["latency"]["threshold_ms"] == took[-1]:
            return "latency: a trace of just threshold_ms is slow here; it is not there since 0.157"
        if p["type"] == "latency" and any(t <= p["latency"].get("upper_threshold_ms", 0) < took[-1]
                                          for t in took):
            return "latency: with an upper bound there the order of the spans decides"
        if p["type"] == "numeric_attribute" and p["numeric_attribute"]["key"] == "ratio" and any(
                "ratio" in plain(s) for s in spans):
            return "numeric_attribute: doubles count here; there whole numbers alone"
        if of_mixed(p) and any("mixed" in plain(s) or "mixed" in r for r, s in trace.spans()):
            return "attributes of another type: there 0, false or an empty text; here no match"
        if may_fail(p):
            return "HasPrefix and HasSuffix of what is no text: an error there"
        if is_share(p) and any("rv:" in s.trace_state for s in spans):
            return "probabilistic: the rv of tracestate is the randomness here; there a hash of the id"
        if is_share(p) and ("drop" in above or "not" in above):
            return "a share within drop or not: both draw as many, but not the same traces"
    return None
