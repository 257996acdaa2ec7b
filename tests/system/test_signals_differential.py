"""10,000 damaged messages of metrics and of logs, judged by the scan, Python's protobuf and
protobuf-c, as test_scan_differential.py does it for spans.

What the scan keeps of a message (rejected items are cut out) comes back as OTLP/JSON and has to
equal what Python reads from the bytes: every value makes its way through both. SIGNAL_MESSAGES and
SCAN_SEED change the number and the seed.
"""
import base64
import json
import os
import struct
import subprocess
from collections import Counter

import pytest
import test_scan_differential as base
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from test_scan_differential import F, MAX_DEPTH, PYTHON_MAX_DEPTH, ROOT, Schema, Walk, parsed

JUDGE = os.path.join(ROOT, "build/tests/otlp_test_signals")
BODIES = {"metrics": "opentelemetry.proto.metrics.v1.MetricsData",
          "logs": "opentelemetry.proto.logs.v1.LogsData"}
NEEDED = ("resource_metrics", "scope_metrics", "metrics", "data_points", "resource_logs",
          "scope_logs", "log_records")
REASON = "invalid UTF-8"


def body_class(signal, texts_as_bytes=False):
    out = os.path.join(ROOT, f"build/{signal}.desc")
    subprocess.run(["protoc", "--proto_path=proto", "--include_imports",
                    f"--descriptor_set_out={out}", f"opentelemetry/proto/{signal}/v1/{signal}.proto"],
                   cwd=ROOT, check=True)
    with open(out, "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        if texts_as_bytes:
            base.make_texts_bytes(file.message_type)
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(BODIES[signal]))


# --- Generation: that of the other file, with packed numbers and every oneof ---

def value_of(rng, field):
    if field.is_repeated and base.WIRE_TYPES.get(field.type, base.VARINT) != base.BYTES:
        count = rng.randrange(5)
        if field.type == F.TYPE_UINT64:
            return b"".join(base.varint(rng.choice(base.NUMBERS)) for _ in range(count))
        return b"".join(struct.pack("<d", rng.choice((0.0, -1.5, 1e300))) for _ in range(count))
    return base.value_of(rng, field.type, field.name)


def generate(rng, descriptor, depth=0):
    nodes = []
    chosen = {oneof.name: rng.choice(oneof.fields).number for oneof in descriptor.oneofs}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and chosen[oneof.name] != field.number:
            continue
        if field.name not in NEEDED and not (oneof and len(oneof.fields) > 1) and rng.random() < 0.3:
            continue
        wire = base.WIRE_TYPES.get(field.type, base.VARINT)
        packed = field.is_repeated and wire != base.BYTES
        for _ in range(rng.choice((1, 1, 2)) if field.is_repeated and not packed else 1):
            if field.message_type is None:
                nodes.append([field.number, base.BYTES if packed else wire, value_of(rng, field),
                              None])
            elif depth < 8:
                nodes.append([field.number, base.BYTES,
                              generate(rng, field.message_type, depth + 1), None])
    if rng.random() < 0.2:
        rng.shuffle(nodes)
    return nodes


def messages(count, seed, descriptor):
    rng = base.random.Random(seed)
    pool = [generate(rng, descriptor) for _ in range(400)]
    for i in range(count):
        tree = base.copied(rng.choice(pool))
        for _ in range(rng.choice((0, 1, 1, 2))):
            nodes, node = base.pick(rng, tree)
            if node:
                rng.choice(base.MUTATIONS)(rng, nodes, node, pool)
        data = base.encoded(tree)
        yield base.damaged(rng, data) if rng.random() < 0.1 else data


class SignalWalk(Walk):
    """Numbers that repeat may be packed: a LEN field is no wrong type of theirs."""

    def field(self, schema, tag, data, at, depth, values, seen):
        known = schema.fields.get(tag >> 3)
        if known and known[2] and known[1] != base.BYTES and tag & 7 == base.BYTES:
            length, at = base.read_varint(data, at)
            if length > len(data) - at:
                raise base.Malformed
            return at + length
        return super().field(schema, tag, data, at, depth, values, seen)


# --- What Python says ---

def points_of(metric):
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def count_items(signal, message):
    if signal == "logs":
        return sum(len(scope.log_records) for resource in message.resource_logs
                   for scope in resource.scope_logs)
    return sum(points_of(metric) for resource in message.resource_metrics
               for scope in resource.scope_metrics for metric in scope.metrics)


def with_base64_ids(tree):
    """OTLP writes ids in hex where protobuf's JSON has base64."""
    if isinstance(tree, list):
        return [with_base64_ids(v) for v in tree]
    if not isinstance(tree, dict):
        return tree
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ("traceId", "spanId")
            else with_base64_ids(v) for k, v in tree.items()}


def normal(message):
    """All values, exactly; NaN is "NaN" whatever its bits."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


class Judgement:
    def __init__(self, signal):
        self.signal = signal
        self.strict, self.relaxed = body_class(signal), body_class(signal, texts_as_bytes=True)
        self.schema = Schema(self.strict.DESCRIPTOR)
        self.classes, self.wrong, self.set_fields = Counter(), [], set()

    def judge(self, data, line):
        name = self.verdict(data, *line.split(b" ", 4))
        if name.startswith("wrong"):
            self.wrong.append((name, line[:200], data.hex()))
        self.classes[name] += 1

    def verdict(self, data, verdict, items, rejected, theirs, text):
        items, rejected, theirs = int(items), int(rejected), int(theirs)
        strict = parsed(self.strict, data)
        message = strict if strict is not None else parsed(self.relaxed, data)
        walk = SignalWalk(self.schema, data)
        if verdict == b"parse":
            return self.refused(message, walk)
        if message is None:
            return ("nested over Python's 100 messages" if walk.depth > PYTHON_MAX_DEPTH
                    else "wrong: accepted, Python refuses")
        if count_items(self.signal, message) != items + rejected:
            return f"wrong: {items} + {rejected} items, Python {count_items(self.signal, message)}"
        if theirs != items + rejected and not walk.merged:
            return f"wrong: {items} + {rejected} items, protobuf-c {theirs}"
        if strict is None:
            return "invalid UTF-8 rejects items, Python the request"
        if walk.wrong_id:
            return ("ids of a wrong length reject items" if rejected or walk.merged
                    else "wrong: accepted, an id has a wrong length")
        return self.same_values(strict, text, rejected)

    def refused(self, message, walk):
        if message is None:
            return "refused by both"
        if walk.wrong_type:
            return "wire type that a field can't have, or a group"
        return "nested over 64" if walk.values > MAX_DEPTH else "wrong: refused, Python accepts"

    def same_values(self, strict, text, rejected):
        if rejected:
            return "wrong: rejected, Python has no objection"
        ours = json_format.ParseDict(with_base64_ids(json.loads(text)), self.strict(),
                                     max_recursion_depth=1000)
        self.note_fields(strict)
        return "same values" if normal(ours) == normal(strict) else "wrong: other values"

    def note_fields(self, message):
        for field, value in message.ListFields():
            self.set_fields.add(field.full_name)
            if field.message_type:
                for one in value if field.is_repeated else [value]:
                    self.note_fields(one)


def every_field(descriptor, found):
    for field in descriptor.fields:
        if field.full_name in found:
            continue
        found.add(field.full_name)
        if field.message_type:
            every_field(field.message_type, found)
    return found


@pytest.mark.parametrize("signal", ["metrics", "logs"])
def test_the_scan_agrees_with_other_decoders_on_damaged_messages(signal, tmp_path, capsys):
    count = int(os.environ.get("SIGNAL_MESSAGES", "10000"))
    seed = int(os.environ.get("SCAN_SEED", "1"))
    judgement = Judgement(signal)
    bodies = list(messages(count, seed, judgement.strict.DESCRIPTOR))
    with open(tmp_path / "messages", "w+b") as file:
        for body in bodies:
            file.write(struct.pack("<I", len(body)) + body)
        file.seek(0)
        lines = subprocess.run([JUDGE, "--messages", signal], stdin=file, check=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
    for body, line in zip(bodies, lines, strict=True):
        judgement.judge(body, line)
    with capsys.disabled():
        print(f"\n{count} messages of {signal} (seed {seed})")
        for name, number in judgement.classes.most_common():
            print(f"  {number:7} {name}")
    assert not judgement.wrong, judgement.wrong[:3]
    assert judgement.classes["same values"] >= 0.3 * count
    assert judgement.set_fields == every_field(judgement.strict.DESCRIPTOR, set())
