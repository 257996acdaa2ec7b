"""What is measured without a network: policies, and instructions."""
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from systems import BUILT, CPUS, HERE, pin

VARIANTS = {"as it runs": [], "without budgets": ["--budget", "off"], "interpreted": ["--jit", "off"]}


def build():
    subprocess.run([os.path.join(HERE, "..", "tools", "build"), "release", "benches"], check=True)


def ask_policies(options, seconds):
    """{chain: ns of CPU time a span}"""
    done = subprocess.run([os.path.join(BUILT, "policies"), "--seconds", str(seconds), *options], check=True,
                          text=True, stdout=subprocess.PIPE, preexec_fn=pin(CPUS[-1:]))
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


def measure_policies(rounds, seconds):
    """{chain: {variant: [ns of CPU time a span]}}"""
    build()
    found = {}
    for _ in range(rounds):
        for variant, options in VARIANTS.items():
            for chain, ns in ask_policies(options, seconds).items():
                found.setdefault(chain, {}).setdefault(variant, []).append(ns)
    for chain, row in found.items():
        print(f"{chain}: " + ", ".join(f"{v} {statistics.median(row[v]):.1f} ({min(row[v]):.1f})" for v in VARIANTS)
              + " ns of CPU time a span, median (least)")
    return found


def measure_compression():
    """{how: [bytes a span, ns to make it, ns to read it]}"""
    build()
    done = subprocess.run([os.path.join(BUILT, "compression")], check=True, text=True, stdout=subprocess.PIPE,
                          preexec_fn=pin(CPUS[-1:]))
    print(done.stdout, end="")
    return {m[1]: [int(m[2]), int(m[3] or 0), int(m[4] or 0)] for m in re.finditer(
        r"^(.+): (\d+) bytes(?:, (\d+) ns in, (\d+) ns out)?$", done.stdout, re.M)}


# What a span may take: all that bench/whole.c collects, sockets' work included, without making the requests. A
# thousand of them copy bytes through the simulated network, one each. Runs of one program differ
# by two, builds of it in two folders by one in a hundred; other CPUs copy in other ways. Lower it with what makes it less.
MOST_INSTRUCTIONS = 4_700
STEPS = ("collect", "bench_pool_next")  # the second one, within the first, is left out
# What a kept span may take that goes to X-Ray: the thread of exporters, and that of those in Lua.
MOST_XRAY_INSTRUCTIONS = 150_000
XRAY_STEPS = ("export_step", "export_lua_step")


def need_valgrind():
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")


def instructions_a_span(command, steps, folder):
    """Of these steps of the collector's threads, behind the requests that warm it up."""
    out = os.path.join(folder, "callgrind.out")
    done = subprocess.run(
        ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
         "--smc-check=all-non-file", *(f"--toggle-collect={step}" for step in steps),
         os.path.join(BUILT, command[0]), *command[1:]],
        check=True, text=True, stdout=subprocess.PIPE)
    with open(out) as f:
        return int(re.search(r"^summary: (\d+)", f.read(), re.M).group(1)) / int(done.stdout.split()[0])


def whole_instructions_a_span(folder, more=""):
    return instructions_a_span(["whole", "800", "80", more], STEPS, folder)


# What counts spans, on and off: what is said beside the configuration.
COUNTING = {
    "as it is, with sampling_audit": "",
    "without sampling_audit": "sampling_audit = { enabled = false },",
    "sampling_audit of all spans": "sampling_audit = { all_spans = true },",
    "with service_graph": "service_graph = {},",
    "with span_metrics": "span_metrics = {},",
    "with both": "service_graph = {}, span_metrics = {},",
}


def measure_counting():
    """{what counts: instructions a span}"""
    need_valgrind()
    build()
    with tempfile.TemporaryDirectory() as folder:
        found = {name: whole_instructions_a_span(folder, more) for name, more in COUNTING.items()}
    for name, each in found.items():
        print(f"{name:30} {each:7,.0f} instructions a span, {each - next(iter(found.values())):+,.0f}")
    return found


def xray_instructions_a_span(folder):
    return instructions_a_span(["xray", "80", "--count"], XRAY_STEPS, folder)


def measure_instructions():
    need_valgrind()
    build()
    with tempfile.TemporaryDirectory() as folder:
        each = whole_instructions_a_span(folder)
        xray = xray_instructions_a_span(folder)
    print(f"{each:,.0f} instructions a span; {MOST_INSTRUCTIONS:,} at most")
    print(f"{xray:,.0f} instructions a kept span to X-Ray; {MOST_XRAY_INSTRUCTIONS:,} at most")
    return each, xray


def measure_points(requests):
    """{row of bench/points.c: CPU seconds a million data points}"""
    build()
    done = subprocess.run([os.path.join(BUILT, "points"), str(requests)], check=True, text=True, stdout=subprocess.PIPE,
                          preexec_fn=pin(CPUS[-1:]))
    print(done.stdout, end="")
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


def measure_xray(rounds):
    """us of CPU time a kept span, of each round."""
    build()
    found = []
    for _ in range(rounds):
        done = subprocess.run([os.path.join(BUILT, "xray"), "2000"], check=True, text=True, stdout=subprocess.PIPE,
                              preexec_fn=pin(CPUS[-1:]))
        print(done.stdout, end="", flush=True)
        found.append(float(re.search(r"([\d.]+) us", done.stdout).group(1)))
    return found
