"""Random tail_sampling configurations, imported, on random traces: what is kept here and by the
OpenTelemetry Collector, beside each other.

    tests/differential/run --otelcol PATH [--configs 200] [--traces 2000] [--seed 1] [--group 20]

A configuration's differences are printed with the policies; those with a known cause (CAUSES) are
counted by it. Ends with 1 if there are others.
"""
import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from clients import post  # noqa: E402
from harness import Collector, Process  # noqa: E402
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: E402
from ports import free_ports  # noqa: E402

import generate  # noqa: E402

WAIT_S = 3  # decision_wait: all spans of a trace come in one request, and all requests within it


# ---- traffic ----

def requests_of(traces, size=200):
    """Serialised requests; a trace's spans are in one of them."""
    for at in range(0, len(traces), size):
        request = service.ExportTraceServiceRequest()
        for trace in traces[at:at + size]:
            request.resource_spans.extend(trace.resource_spans)
        yield request.SerializeToString()


def kept_in(path):
    """Trace ids in a file of OTLP/JSON lines."""
    found = set()
    if os.path.exists(path):
        with open(path) as file:
            for line in file:
                for resource in json.loads(line).get("resourceSpans", []):
                    for scope in resource["scopeSpans"]:
                        found.update(span["traceId"].lower() for span in scope["spans"])
    return found


# ---- the two ----

def collector_config(policies, out, port):
    """One configuration of theirs; what moontail imports."""
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "processors": {"tail_sampling": {"decision_wait": f"{WAIT_S}s", "num_traces": 100000,
                                         "policies": policies}},
        "exporters": {"file": {"path": out}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "processors": ["tail_sampling"],
                                             "exporters": ["file"]}}},
    }


def merged(configs, port):
    """Many configurations behind one receiver."""
    all_ = {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "processors": {}, "exporters": {},
            "service": {"pipelines": {}, "telemetry": {"metrics": {"level": "none"}}}}
    for i, config in enumerate(configs):
        all_["processors"][f"tail_sampling/{i}"] = config["processors"]["tail_sampling"]
        all_["exporters"][f"file/{i}"] = config["exporters"]["file"]
        all_["service"]["pipelines"][f"traces/{i}"] = {
            "receivers": ["otlp"], "processors": [f"tail_sampling/{i}"], "exporters": [f"file/{i}"]}
    return all_


def theirs(program, configs, bodies, folder, port):
    path = os.path.join(folder, "otelcol.yaml")
    with open(path, "w") as file:
        json.dump(merged(configs, port), file)  # which is YAML too
    process = Process([program, "--config", path], folder)
    try:
        process.wait_line(lambda line: "Everything is ready" in line)
        for body in bodies:
            assert post(f"127.0.0.1:{port}", body).status == 200
        # decisions are made each second; what a shutdown decides is decided too
        deadline = WAIT_S + 3
        process.pause(deadline)
        process.signal(signal.SIGTERM)
        process.wait_exit(60)
    finally:
        process.kill()
    return [kept_in(config["exporters"]["file"]["path"]) for config in configs]


def ours(config, bodies, folder, number):
    source = os.path.join(folder, f"{number}.yaml")
    with open(source, "w") as file:
        json.dump(config, file)
    done = subprocess.run([os.path.join(ROOT, "build", "moontail"), "import", source],
                          capture_output=True, text=True, check=True)
    out = os.path.join(folder, f"ours-{number}.jsonl")
    text = done.stdout.replace(config["exporters"]["file"]["path"], out)
    text = text.replace("return {", f'''return {{
  admin = {{ listen = "127.0.0.1:0", control = "off" }},
  journal = {{ path = "{folder}/journal-{number}", ack = "memory", min_free = "1MiB" }},''', 1)
    home = os.path.join(folder, str(number))
    os.mkdir(home)
    process = Collector(home, text)
    try:
        for body in bodies:
            assert post(process.http, body).status == 200
        process.signal(signal.SIGTERM)
        process.wait_exit(60)
    finally:
        process.kill()
    return kept_in(out), done


# ---- comparison ----

def compare(config, traces, mine, their, causes):
    """Ids that differ without a known cause."""
    unexplained = []
    policies = config["processors"]["tail_sampling"]["policies"]
    for trace in traces:
        if (trace.id in mine) != (trace.id in their):
            cause = generate.cause(policies, trace)
            if cause:
                causes[cause] += 1
            else:
                unexplained.append(trace.id)
    return unexplained


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--otelcol", default=os.environ.get("OTELCOL"), required=not os.environ.get("OTELCOL"))
    p.add_argument("--configs", type=int, default=int(os.environ.get("CONFIGS", 200)))
    p.add_argument("--traces", type=int, default=int(os.environ.get("TRACES", 2000)))
    p.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 1)))
    p.add_argument("--group", type=int, default=20, help="configurations in one process of theirs")
    a = p.parse_args()
    causes, failed, kept = collections.Counter(), 0, 0
    for first in range(0, a.configs, a.group):
        numbers = range(first, min(first + a.group, a.configs))
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(a.seed * 1000003 + first)
            traces = generate.traces(rng, a.traces)
            bodies = list(requests_of(traces))
            configs = [collector_config(generate.policies(random.Random(a.seed * 7919 + n)),
                                        os.path.join(folder, f"theirs-{n}.jsonl"), 0)
                       for n in numbers]
            their = theirs(a.otelcol, configs, bodies, folder, free_ports(1)[0])
            for n, config, kept_there in zip(numbers, configs, their):
                mine, done = ours(config, bodies, folder, n)
                kept += len(kept_there)
                wrong = compare(config, traces, mine, kept_there, causes)
                if wrong:
                    failed += 1
                    print(f"configuration {n}: {len(wrong)} traces differ without a known cause "
                          f"(kept here {len(mine)}, there {len(kept_there)})")
                    for policy in config["processors"]["tail_sampling"]["policies"]:
                        print(" ", json.dumps(policy))
                    for trace in [t for t in traces if t.id in wrong][:3]:
                        print("here" if trace.id in mine else "there", trace)
    for cause, count in causes.most_common():
        print(f"explained: {count} traces: {cause}")
    print(f"{a.configs} configurations, {a.traces} traces each, {kept} kept there: "
          f"{a.configs - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
