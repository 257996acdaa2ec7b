"""Scripts that never end or take all memory, as policy, processor and exporter of a running program:
how long others wait for them."""
import ast
import os
import re
import time

from clients import post
from harness import HERE, Collector, config, exporter
from kill_campaign import Sink
from messages import request_with, span, trace_id
from sink import read_records

TRACES, PAUSE = 25, 0.02
ENTRY = re.compile(r'\{\s*"([^"]+)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\}')


def scripts():
    """{name: body} of tests/lua/hostile.h."""
    with open(os.path.join(HERE, "..", "lua", "hostile.h")) as f:
        return {name: ast.literal_eval(f"({body})") for name, body in ENTRY.findall(f.read())}


def text_of(body, sink):
    tail = (f"policies = {{ policy {{ name = 'bad', decide = function(trace)\n{body} end }}, "
            "policy 'always_sample' }")
    processors = ("processors = { kept = { processor { name = 'bad', on = 'kept', "
                  f"span = function(span)\n{body} end }} }} }},")
    good = exporter("otlp", endpoint=f"http://127.0.0.1:{sink.port}", protocol="http/protobuf",
                    batch={"timeout": "10ms"})
    bad = ("exporter { name = 'bad', doc = 'x', batch = { timeout = '0s' }, "
           f"encode = function(b)\n{body} end }}")
    return config(f"{good}, {bad}", tail=tail, wait="10ms", more=processors)


def longest_delay(body, folder):
    """Seconds from the sending of a trace to its arrival behind the good exporter, at most, without
    those in which the collector had no CPU; each trace is asked about by the script as a policy, as
    a processor and as an exporter."""
    os.makedirs(folder, exist_ok=True)
    sink = Sink(str(folder), "main")
    collector = Collector(folder, text_of(body, sink))
    sent = {}
    try:
        for i in range(1, TRACES + 1):
            sent[trace_id(i)] = time.monotonic()
            answer = post(collector.http, request_with(span(trace_id(i), 1)).SerializeToString())
            assert answer.status == 200, answer
            collector.pause(PAUSE)
        metrics = collector.wait_delivered(TRACES, "otlp")
        for family in ("policy", "processor"):
            assert metrics.total(f"moontail_{family}_errors_total") == TRACES, collector.output()
        starved = collector.starved()
        arrived = {i[:16]: when for when, ids in read_records(sink.path) for i in ids}
        collector.stop()
    finally:
        collector.kill()
        sink.process.kill()
    return max(arrived[i] - when for i, when in sent.items()) - starved
