"""Ending with 10,000 traces pending, and starting again: nothing is lost, nothing comes twice."""
import os
import pathlib
import re
import signal
import time

import pytest
from clients import post
from harness import PATIENCE, config, run
from kill_campaign import Sink
from load import POLICIES, is_kept, request_bytes
from sink import read_records

TRACES, PER_REQUEST = 10_000, 250


@pytest.fixture
def sink(tmp_path):
    one = Sink(str(tmp_path), "main")
    yield one
    one.process.kill()


def send_traces(collector):
    """10,000 traces of a span each; their ids."""
    all_ids = [os.urandom(15) + b"\x01" + n.to_bytes(8, "big") for n in range(1, TRACES + 1)]
    for at in range(0, TRACES, PER_REQUEST):
        answer = post(collector.http, request_bytes(all_ids[at:at + PER_REQUEST]))
        assert answer.status == 200, answer.body
    return all_ids


def text(sink, wait, on_shutdown="decide", ack="written"):
    return config(sink.exporter(), tail=POLICIES, workers=2, wait=wait,
                  journal=f'ack = "{ack}", on_shutdown = "{on_shutdown}"')


def end(collector, code=0):
    collector.stop = lambda: None  # it is ended here
    collector.signal(signal.SIGTERM)
    assert collector.wait_exit(PATIENCE + 10) == code, collector.output()


def restart(start, ended, configuration):
    """Another collector on the folder of one that has ended, when it has recovered."""
    again = start(configuration, folder=pathlib.Path(ended.folder))
    again.address("otlp/http")
    return again


def delivered(sink):
    """[(time, ids), ...] flat: each span that arrived."""
    return [(when, i) for when, ids in read_records(sink.path) for i in ids]


def assert_delivered_once(sink, ids):
    assert sorted(i for _, i in delivered(sink)) == sorted(i for i in ids if is_kept(i[:16]))


def live(folder):
    """Live segments of frames and of the outbox, as fsck counts them; it must find no damage."""
    told = run("fsck", "--journal", f"{folder}/journal", folder=folder)
    assert told.returncode == 0, told.stdout + told.stderr
    return tuple(int(re.search(rf"^  {use} +(\d+) live", told.stdout, re.M)[1])
                 for use in ("frames", "outbox"))


def test_decide_delivers_10000_pending_traces_and_leaves_an_empty_journal(start, sink):
    collector = start(text(sink, "1h"))
    ids = send_traces(collector)
    collector.wait_metrics(lambda m: m.total("moontail_pending_spans") == TRACES)
    end(collector)
    assert_delivered_once(sink, ids)
    assert live(collector.folder) == (0, 0)
    again = restart(start, collector, text(sink, "1h"))
    metrics = again.scrape()
    assert metrics.total("moontail_recovered_spans_total") == 0
    assert metrics.total("moontail_export_recovered_spans_total") == 0


def test_keep_leaves_10000_pending_traces_for_their_old_deadlines(start, sink):
    wait = 8
    first = start(text(sink, f"{wait}s", "keep"))
    began = time.monotonic()
    ids = send_traces(first)
    sent = time.monotonic()
    end(first)
    assert sent - began < wait and delivered(sink) == [], "decided before the end"
    second = restart(start, first, text(sink, f"{wait}s", "keep"))
    assert second.scrape().total("moontail_recovered_spans_total") == TRACES
    ready = time.monotonic()
    second.wait_metrics(lambda m: m.total("moontail_pending_spans") == 0
                        and m.total("moontail_export_queued_spans") == 0)
    starved = second.starved()
    assert_delivered_once(sink, ids)
    times = [when for when, _ in delivered(sink)]
    print(f"sent {began:.2f}..{sent:.2f}, ready {ready:.2f}, delivered "
          f"{min(times):.2f}..{max(times):.2f}")
    assert min(times) >= min(began + wait, ready + 5) - 0.1
    assert max(times) <= max(sent + wait, ready + 5) + 5 + starved


@pytest.mark.parametrize("on_shutdown", ["decide", "keep"])
def test_a_second_signal_ends_at_once_and_everything_is_recovered(start, sink, on_shutdown):
    sink.behave("down")
    first = start(text(sink, "1h", on_shutdown))
    ids = send_traces(first)
    first.signal(signal.SIGTERM)
    if on_shutdown == "decide":
        first.wait_line(lambda x: "shutting down" in x)
        first.pause(0.3)
        end(first, 1)
    else:
        end(first)  # there is nothing to wait for
    sink.behave("ok")
    second = restart(start, first, text(sink, "100ms", on_shutdown))
    second.wait_metrics(lambda m: m.total("moontail_pending_spans") == 0
                        and m.total("moontail_export_queued_spans") == 0)
    assert_delivered_once(sink, ids)
