"""100,000 damaged messages, judged by the scan, Python's protobuf and protobuf-c.

The messages are made from the descriptors of proto/, so that a new field is generated, and missed
by the count of fields if nothing reads it. The verdicts may differ only where the scan differs on
purpose; each such case is proved by a walk over the bytes that shares nothing with the scan.
SCAN_MESSAGES and SCAN_SEED change the number and the seed.
"""
import os
import random
import struct
import subprocess
from collections import Counter

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JUDGE = os.path.join(ROOT, "build/tests/otlp_test_view")
TRACES = "opentelemetry.proto.trace.v1.TracesData"
MAX_DEPTH = 64  # of values, in the scan
PYTHON_MAX_DEPTH = 100  # of messages

WITH_IDS = ("Link", "Exemplar", "LogRecord")  # those of a span are looked at in has_ids
ID_LENGTHS = {"trace_id": 16, "span_id": 8}

VARINT, FIXED64, BYTES, GROUP, END_GROUP, FIXED32 = range(6)
F = descriptor_pb2.FieldDescriptorProto
WIRE_TYPES = {F.TYPE_STRING: BYTES, F.TYPE_BYTES: BYTES, F.TYPE_MESSAGE: BYTES,
              F.TYPE_FIXED64: FIXED64, F.TYPE_SFIXED64: FIXED64, F.TYPE_DOUBLE: FIXED64,
              F.TYPE_FIXED32: FIXED32}


def traces_class(texts_as_bytes=False):
    """The class of TracesData; with its strings declared as bytes it does not look at UTF-8."""
    out = os.path.join(ROOT, "build/traces.desc")
    subprocess.run(["protoc", "--proto_path=proto", "--include_imports",
                    f"--descriptor_set_out={out}", "opentelemetry/proto/trace/v1/trace.proto"],
                   cwd=ROOT, check=True)
    with open(out, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        if texts_as_bytes:
            make_texts_bytes(file.message_type)
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(TRACES))


def make_texts_bytes(messages):
    for message in messages:
        make_texts_bytes(message.nested_type)
        for field in message.field:
            if field.type == F.TYPE_STRING:
                field.type = F.TYPE_BYTES


class Schema:
    """What generation and walk need of a descriptor, quickly."""

    cache = {}

    def __init__(self, descriptor):
        Schema.cache[descriptor.full_name] = self
        self.name = descriptor.name
        self.fields = {f.number: (f.type, WIRE_TYPES.get(f.type, VARINT), f.is_repeated,
                                  f.containing_oneof is not None,
                                  Schema.of(f.message_type) if f.message_type else None, f.name)
                       for f in descriptor.fields}

    @staticmethod
    def of(descriptor):
        return Schema.cache.get(descriptor.full_name) or Schema(descriptor)


# --- Generation: a message is a list of nodes [number, wire type, value, oddities] ---

TEXTS = ["", "GET /", "service.name", "caf\u00e9", "\u20ac\U0001f31d", "a" * 130, "x\x00y"]
NUMBERS = [0, 1, 2, 3, 127, 128, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def value_of(rng, kind, name):
    if kind == F.TYPE_STRING:
        return rng.choice(TEXTS).encode()
    if kind == F.TYPE_BYTES:
        size = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}.get(name, rng.randrange(5))
        return rng.randbytes(size)
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(64)


def generate(rng, schema, depth=0):
    nodes = []
    one = rng.choice(list(schema.fields))
    for number, (kind, wire, repeated, oneof, child, name) in schema.fields.items():
        if (oneof and number != one) or (not oneof and rng.random() < 0.4 and name[-3:] != "_id"
                                         and name not in ("spans", "scope_spans")):
            continue
        for _ in range(rng.choice((1, 1, 2)) if repeated else 1):
            if child and depth < 9:
                nodes.append([number, BYTES, generate(rng, child, depth + 1), None])
            elif not child:
                nodes.append([number, wire, value_of(rng, kind, name), None])
    if rng.random() < 0.2:
        rng.shuffle(nodes)
    return nodes


def copied(nodes):
    return [[n, w, copied(v) if type(v) is list else v, o] for n, w, v, o in nodes]


def varint(value, pad=0):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(pad):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def encoded(nodes):
    out = []
    for number, wire, value, odd in nodes:
        odd = odd or {}
        out.append(varint(number << 3 | wire, odd.get("tag", 0)))
        if wire == BYTES:
            value = encoded(value) if type(value) is list else value
            length = max(0, len(value) + odd.get("delta", 0))
            out.append(varint(length, odd.get("length", 0)))
            out.append(value)
        elif wire == VARINT:
            out.append(varint(value, odd.get("value", 0)))
        elif wire == FIXED64:
            out.append(struct.pack("<Q", value & (1 << 64) - 1))
        elif wire == FIXED32:
            out.append(struct.pack("<I", value & 0xFFFFFFFF))
    return b"".join(out)


def containers(nodes, found):
    found.append(nodes)
    for node in nodes:
        if type(node[2]) is list:
            containers(node[2], found)
    return found


def pick(rng, tree):
    """A node and the list that it is in."""
    lists = [nodes for nodes in containers(tree, []) if nodes]
    if not lists:
        return None, None
    nodes = rng.choice(lists)
    return nodes, rng.choice(nodes)


BAD_TEXTS = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x80",
             b"all ASCII for a while and then \xfe", b"\xe0\x9f\xbf"]


def odd(node, what, value):
    node[3] = {**(node[3] or {}), what: value}


def other_type(rng, nodes, node, pool):
    node[1] = rng.choice([VARINT, FIXED64, BYTES, FIXED32, GROUP, END_GROUP, 6, 7])
    if node[1] == BYTES and type(node[2]) is int:
        node[2] = b"xyz"
    elif node[1] != BYTES and type(node[2]) is not int:
        node[2] = 5


def other_number(rng, nodes, node, pool):
    node[0] = rng.choice([17, 18, 100, 1000, (1 << 29) - 1, 1 << 29, 0, (1 << 32) - 1,
                          rng.randrange(1, 17)])


def other_value(rng, nodes, node, pool):
    if type(node[2]) is int:
        node[2] = rng.choice(NUMBERS)
    else:
        node[2] = rng.choice([rng.randbytes(rng.randrange(24)), b"", bytes(16), bytes(8)])


def other_text(rng, nodes, node, pool):
    if type(node[2]) is bytes:
        node[2] = rng.choice(TEXTS).encode() if rng.random() < 0.5 else rng.choice(BAD_TEXTS)


def long_form(rng, nodes, node, pool):
    odd(node, rng.choice(["tag", "value", "length"]), rng.choice([1, 2, 3, 4, 5, 8, 9, 10]))


def wrong_length(rng, nodes, node, pool):
    odd(node, "delta", rng.choice([-1, 1, 1 << 31, 1 << 40]))


def again(rng, nodes, node, pool):
    nodes.insert(rng.randrange(len(nodes) + 1), copied([node])[0])


def away(rng, nodes, node, pool):
    nodes.remove(node)


def elsewhere(rng, nodes, node, pool):
    nodes.remove(node)
    nodes.insert(rng.randrange(len(nodes) + 1), node)


def foreign(rng, nodes, node, pool):
    _, other = pick(rng, rng.choice(pool))
    if other:
        nodes.insert(rng.randrange(len(nodes) + 1), copied([other])[0])


def unknown(rng, nodes, node, pool):
    wire = rng.choice([VARINT, FIXED64, BYTES, FIXED32])
    nodes.append([rng.choice([17, 200, (1 << 29) - 1]), wire, b"\xff\x00" if wire == BYTES else 7,
                  None])


def group(rng, nodes, node, pool):
    nodes.append([rng.choice([20, node[0]]), GROUP, 0, None])
    nodes.append([nodes[-1][0], END_GROUP, 0, None])


def deep(rng, nodes, node, pool):
    """Attribute values in each other, about as deep as may be."""
    value = []
    for i in range(rng.choice([10, 30, 62, 63, 64, 65, 120])):
        value = [[5, BYTES, [[1, BYTES, value, None]], None]] if rng.random() < 0.9 else [
            [6, BYTES, [[1, BYTES, [[2, BYTES, value, None]], None]], None]]
    if type(node[2]) is list:
        number = rng.choice([1, 3, 4, 9, 9, 9])  # attributes, in some message
        node[2].append([number, BYTES, [[2, BYTES, value, None]], None])


MUTATIONS = ([again, away, elsewhere, foreign, unknown, other_value, other_text] * 4 +
             [other_text, long_form] * 3 + [other_type, other_number, wrong_length, group] + [deep] * 4)


def damaged(rng, data):
    """Damage that knows nothing of the structure."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 3))):
        if not data:
            break
        at = rng.randrange(len(data))
        what = rng.randrange(4)
        if what == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at] = rng.randrange(256)
        elif what == 2:
            del data[at:]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 4))
    return bytes(data)


def messages(count, seed, schema):
    rng = random.Random(seed)
    pool = [generate(rng, schema) for _ in range(1000)]
    for _ in range(count):
        tree = copied(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 3))):
            nodes, node = pick(rng, tree)
            if node:
                rng.choice(MUTATIONS)(rng, nodes, node, pool)
        data = encoded(tree)
        yield damaged(rng, data) if rng.random() < 0.2 else data


# --- A walk over the bytes that shares nothing with the scan ---

class Malformed(Exception):
    pass


def read_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


class Walk:
    """What the bytes are made of, as far as the scan differs from others on purpose."""

    def __init__(self, schema, data):
        self.wrong_type = self.merged = self.wrong_id = False
        self.values = self.depth = 0
        try:
            self.message(schema, data, 1, 0)
        except Malformed:
            pass

    def message(self, schema, data, depth, values):
        values += schema.name == "AnyValue"
        self.values, self.depth = max(self.values, values), max(self.depth, depth)
        seen, at = Counter(), 0
        while at < len(data):
            tag, at = read_varint(data, at)
            at = self.field(schema, tag, data, at, depth, values, seen)

    def field(self, schema, tag, data, at, depth, values, seen):
        number, wire = tag >> 3, tag & 7
        known = schema.fields.get(number)
        if wire in (GROUP, END_GROUP, 6, 7) or (known and known[1] != wire):
            self.wrong_type = True
        if wire in (FIXED64, FIXED32):
            return at + (8 if wire == FIXED64 else 4)
        value, at = read_varint(data, at) if wire in (VARINT, BYTES) else (0, at)
        if wire != BYTES:
            return at
        if value > len(data) - at:
            raise Malformed
        if known and schema.name in WITH_IDS and known[5] in ID_LENGTHS:
            self.wrong_id |= value not in (0, ID_LENGTHS[known[5]])
        if known and known[4] and known[1] == wire:
            seen[number] += 1
            self.merged |= seen[number] > 1 and not known[2]
            self.message(known[4], data[at:at + value], depth + 1, values)
        return at + value


def split(data, number):
    """The messages in the field, and the bytes of all other fields."""
    found, rest, at = [], [], 0
    while at < len(data):
        start = at
        tag, at = read_varint(data, at)
        if tag & 7 == VARINT:
            _, at = read_varint(data, at)
        elif tag & 7 == BYTES:
            length, at = read_varint(data, at)
            at += length
            if tag >> 3 == number:
                found.append(data[at - length:at])
                continue
        else:
            at += 8 if tag & 7 == FIXED64 else 4
        rest.append(data[start:at])
    return found, b"".join(rest)


def has_ids(span):
    return (len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8
            and any(span.span_id) and len(span.parent_span_id) in (0, 8))


def parsed(cls, data):
    try:
        return cls.FromString(data)
    except DecodeError:
        return None


class Judgement:
    def __init__(self):
        self.strict, self.relaxed = traces_class(), traces_class(texts_as_bytes=True)
        self.schema = Schema.of(self.strict.DESCRIPTOR)
        resource = self.strict.DESCRIPTOR.fields_by_name["resource_spans"].message_type
        scope = resource.fields_by_name["scope_spans"].message_type
        span = scope.fields_by_name["spans"].message_type
        self.parts = [message_factory.GetMessageClass(d) for d in (resource, scope, span)]
        self.span_schema = Schema.of(span)
        self.classes = Counter()
        self.wrong = []

    def expected_spans(self, data):
        """How many spans are to be accepted and rejected. Python judges the parts alone: it refuses all
        of a message with invalid text."""
        resource_class, scope_class, span_class = self.parts
        ok = []
        for resource in split(data, 1)[0]:
            scopes, rest = split(resource, 2)
            resource_ok = parsed(resource_class, rest) is not None
            for scope in scopes:
                spans, rest = split(scope, 2)
                scope_ok = resource_ok and parsed(scope_class, rest) is not None
                for span_bytes in spans:
                    span = parsed(span_class, span_bytes)
                    ok.append(scope_ok and span is not None and has_ids(span)
                              and not Walk(self.span_schema, span_bytes).wrong_id)
        return ok.count(True), ok.count(False)

    def judge(self, data, line):
        verdict, spans, rejected, oracle, *text = line.split(" ", 4)
        strict = parsed(self.strict, data)
        message = strict if strict is not None else parsed(self.relaxed, data)
        name = self.verdict_class(data, verdict, strict, message)
        if verdict == "ok" and message is not None:
            expected = self.expected_spans(data)
            if expected != (int(spans), int(rejected)):
                name = f"wrong: spans {spans} {rejected}, expected {expected}"
        if oracle in ("different", "refused"):
            if Walk(self.schema, data).merged:
                self.classes[f"protobuf-c {oracle}, a message in several parts"] += 1
            else:
                name = f"wrong: protobuf-c {oracle}"
        if name.startswith("wrong"):
            self.wrong.append((name, line, data.hex()))
        self.classes[name] += 1

    def verdict_class(self, data, verdict, strict, message):
        if verdict == "ok":
            if strict is not None:
                return "accepted by both"
            if message is not None:
                return "invalid UTF-8 rejects spans, Python the request"
            walk = Walk(self.schema, data)
            return ("nested over Python's 100 messages" if walk.depth > PYTHON_MAX_DEPTH
                    else "wrong: accepted, Python refuses")
        if message is None:
            return "refused by both"
        walk = Walk(self.schema, data)
        if walk.wrong_type:
            return "wire type that a field can't have, or a group"
        return "nested over 64" if walk.values > MAX_DEPTH else "wrong: refused, Python accepts"


def test_the_scan_agrees_with_other_decoders_on_damaged_messages(tmp_path, capsys):
    count = int(os.environ.get("SCAN_MESSAGES", "100000"))
    seed = int(os.environ.get("SCAN_SEED", "1"))
    judgement = Judgement()
    bodies = list(messages(count, seed, judgement.schema))
    with open(tmp_path / "messages", "w+b") as file:
        for body in bodies:
            file.write(struct.pack("<I", len(body)) + body)
        file.seek(0)
        lines = subprocess.run([JUDGE, "--messages"], stdin=file, check=True,
                               stdout=subprocess.PIPE).stdout.decode().splitlines()
    missed, fields = lines[-2:]
    for body, line in zip(bodies, lines[:-2], strict=True):
        judgement.judge(body, line)
    both = judgement.classes["accepted by both"]
    with capsys.disabled():
        print(f"\n{count} messages (seed {seed}), {100 * both / count:.1f} % accepted by both, "
              f"{fields} set in those")
        for name, number in judgement.classes.most_common():
            print(f"  {number:7} {name}")
    assert not judgement.wrong, judgement.wrong[:3]
    assert both >= 0.3 * count
    assert missed == "missed"
