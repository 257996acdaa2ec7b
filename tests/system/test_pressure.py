"""Memory: one number bounds it, and what does not fit is decided early."""
import json

import pytest
from harness import PROGRAM, Process, config, exporter

MIB = 1 << 20
LIMIT = 64 * MIB
# What the limiter does not count: pages of the program and its libraries, stacks, what malloc keeps,
# and what a first touch makes resident of a huge page.
SLACK = 32 * MIB


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_memory_stays_under_its_limit_while_too_much_waits(protocol, start, tmp_path):
    collector = start(config(
        exporter("nop"), wait="10m", workers=2,
        more=f'memory_limiter = {{ limit = "{LIMIT // MIB}MiB", spike_limit = "16MiB" }},',
        tail='policies = { policy "probabilistic" { sampling_percentage = 10 } }'))
    address = collector.grpc if protocol == "grpc" else collector.http
    sender = Process([PROGRAM, "load", "--endpoint", f"http://{address}", "--protocol", protocol,
                      "--bench", "--rate", "0", "--traces", "80000", "--seed", "7", "--json"],
                     tmp_path)  # as long as that takes
    counted, resident, scrapes = 0, 0, 0
    while sender.is_alive():  # each scrape says that nothing is unaccounted for
        metrics = collector.scrape()
        counted = max(counted, metrics.total("moontail_memory_bytes"))
        resident = max(resident, metrics.total("process_resident_memory_bytes"))
        scrapes += 1
        sender.pause()
    assert sender.wait_exit() == 0, sender.output()
    sent = json.loads(sender.output())
    metrics = collector.scrape()
    assert scrapes > 10 and counted <= LIMIT and resident <= LIMIT + SLACK
    assert metrics.total("moontail_early_decided_traces_total", reason="pressure") > 1000
    assert metrics.total("moontail_received_spans_total") == sent["spans"] > 100000
    refused = metrics.by("moontail_refused_requests_total", "reason")
    assert refused.pop("memory") == sent["refused"] == sent["retried"], "senders come again"
    assert not any(refused.values()) and sent["failed_requests"] == 0, refused
