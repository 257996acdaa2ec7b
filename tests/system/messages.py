"""OTLP messages for the tests: with every field set, as JSON, and compared field by field."""
import base64
import collections
import json
import random

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as F
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2

IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
JSON_IDS = {"traceId", "spanId", "parentSpanId"}
DEPTH = 6  # messages within messages; AnyValue would not end


def reachable(descriptor=None, seen=None):
    """Full names of all fields below a request."""
    seen = {} if seen is None else seen
    descriptor = descriptor or service.ExportTraceServiceRequest.DESCRIPTOR
    if descriptor.full_name not in seen:
        seen[descriptor.full_name] = {f.full_name for f in descriptor.fields}
        for field in descriptor.fields:
            if field.message_type:
                reachable(field.message_type, seen)
    return set().union(*seen.values())


def fields_set(message, found=None):
    """Full names of the fields that are set somewhere in `message`."""
    found = set() if found is None else found
    for field, value in message.ListFields():
        found.add(field.full_name)
        if field.message_type:
            for each in value if field.is_repeated else [value]:
                fields_set(each, found)
    return found


class Filler:
    """Sets every field it finds in the descriptors, so that a new field needs no edit here."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.used = collections.Counter()  # how often each member of a oneof was set

    def scalar(self, field):
        r = self.random
        if field.name in IDS:
            return r.randbytes(IDS[field.name] - 1) + b"\x01"
        return {
            F.TYPE_STRING: lambda: f"{field.name} é {r.getrandbits(32):x}",
            F.TYPE_BYTES: lambda: r.randbytes(5),
            F.TYPE_BOOL: lambda: True,
            F.TYPE_DOUBLE: lambda: r.uniform(-1e9, 1e9),
            F.TYPE_INT32: lambda: r.randrange(1, 1 << 31),
            F.TYPE_INT64: lambda: r.choice([-1, -(1 << 63), (1 << 63) - 1, r.getrandbits(62)]),
            F.TYPE_SINT32: lambda: r.randrange(-(1 << 31), 0),
            F.TYPE_UINT64: lambda: r.choice([1, (1 << 64) - 1, r.getrandbits(62)]),
            F.TYPE_SFIXED64: lambda: r.choice([-1, -(1 << 63), (1 << 63) - 1, r.getrandbits(62)]),
            F.TYPE_UINT32: lambda: r.randrange(1, 1 << 32),
            F.TYPE_FIXED32: lambda: r.randrange(1, 1 << 32),
            F.TYPE_FIXED64: lambda: 1_795_000_000_000_000_000 + r.getrandbits(40),
            F.TYPE_ENUM: lambda: r.choice([v.number for v in field.enum_type.values if v.number]),
        }[field.type]()

    def put(self, message, field, depth):
        if field.message_type and field.is_repeated:
            for _ in range(2):
                self.fill(getattr(message, field.name).add(), depth + 1)
        elif field.message_type:
            self.fill(getattr(message, field.name), depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(self.scalar(field) for _ in range(2))
        else:
            setattr(message, field.name, self.scalar(field))

    def fill(self, message, depth=0):
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof:
                continue
            # KeyValueList and ArrayValue end at a depth
            if not (depth > DEPTH and field.message_type and field.is_repeated):
                self.put(message, field, depth)
        for oneof in message.DESCRIPTOR.oneofs:
            members = [f for f in oneof.fields if not (f.message_type and depth > DEPTH)]
            member = min(members, key=lambda f: self.used[f.full_name])
            self.used[member.full_name] += 1
            self.put(message, member, depth)


def full_request(seed, one_trace=None):
    """A request in which every field there is is set somewhere. one_trace: all spans are of it, the
    first is its root."""
    request = service.ExportTraceServiceRequest()
    Filler(seed).fill(request)
    missing = reachable() - fields_set(request)
    assert not missing, f"these fields are never set by this test: {sorted(missing)}"
    for span in spans_of(request):
        if one_trace:
            span.trace_id = one_trace
        span.end_time_unix_nano = span.start_time_unix_nano + 1_000_000
    return request


def filled(request_class, seed):
    """A message of any class with every field there is set somewhere; as many messages of it are
    merged as its oneofs need."""
    filler, request = Filler(seed), request_class()
    for _ in range(4):
        part = request_class()
        filler.fill(part)
        request.MergeFrom(part)
    missing = reachable(request_class.DESCRIPTOR) - fields_set(request)
    assert not missing, f"these fields are never set by this test: {sorted(missing)}"
    return request


def spans_of(request):
    return [s for r in request.resource_spans for ss in r.scope_spans for s in ss.spans]


def by_span(request):
    """{span id: everything that a receiver knows of the span}, each part as a message."""
    found = {}
    for rs in request.resource_spans:
        for ss in rs.scope_spans:
            for span in ss.spans:
                assert span.span_id not in found, "a span came twice"
                found[span.span_id] = (rs.resource, rs.schema_url, ss.scope, ss.schema_url, span)
    return found


def assert_same_spans(got, sent):
    got, sent = by_span(got), by_span(sent)
    assert got.keys() == sent.keys()
    for span_id, parts in sent.items():
        for a, b in zip(got[span_id], parts):
            assert a == b, f"span {span_id.hex()}:\n{a}\nis not\n{b}"


# ---- OTLP/JSON: as protobuf's JSON, but ids are hex and enums are numbers ----


def map_ids(value, change):
    if isinstance(value, dict):
        return {k: change(v) if k in JSON_IDS else map_ids(v, change) for k, v in value.items()}
    return [map_ids(v, change) for v in value] if isinstance(value, list) else value


def to_json(request):
    tree = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(map_ids(tree, lambda b64: base64.b64decode(b64).hex()))


def from_json(text, message=None):
    tree = map_ids(json.loads(text), lambda x: base64.b64encode(bytes.fromhex(x)).decode())
    return json_format.ParseDict(tree, message or service.ExportTraceServiceRequest())


# ---- small traces ----

SERVER, CLIENT = trace_pb2.Span.SPAN_KIND_SERVER, trace_pb2.Span.SPAN_KIND_CLIENT
EPOCH = 1_795_000_000_000_000_000


def request_with(*spans, service_name="shop"):
    request = service.ExportTraceServiceRequest()
    rs = request.resource_spans.add()
    attribute(rs.resource, "service.name", service_name)
    rs.scope_spans.add().spans.extend(spans)
    return request


def attribute(owner, key, value):
    a = owner.attributes.add(key=key)
    if isinstance(value, int):
        a.value.int_value = value
    else:
        a.value.string_value = value


def span(trace_id, span_id=1, parent=0, *, ms=10, name="op", kind=SERVER, error=False, start=EPOCH,
         attributes=None, trace_state=""):
    s = trace_pb2.Span(trace_id=trace_id, span_id=span_id.to_bytes(8, "big"), name=name, kind=kind,
                       start_time_unix_nano=start, end_time_unix_nano=start + int(ms * 1e6),
                       trace_state=trace_state)
    if parent:
        s.parent_span_id = parent.to_bytes(8, "big")
    if error:
        s.status.code = trace_pb2.Status.STATUS_CODE_ERROR
    for key, value in (attributes or {}).items():
        attribute(s, key, value)
    return s


def trace_id(number):
    """A trace id that is no multiple of anything: 16 bytes from a number."""
    return random.Random(number).randbytes(16)
