"""A disk that gets full, with the backend up and down: what is refused, lost and counted."""
import os
import re
import signal
import time

import pytest
from clients import post
from harness import KEEP_ALL, PATIENCE, config, exporter
from kill_campaign import CIRCUIT, RETRY
from load import request_bytes
from messages import spans_of
from test_disk import small_disk  # noqa: F401

MIB = 1 << 20


def fill(address, megabytes):
    """Sends requests of spans, each of a trace of its own; the answers' statuses."""
    statuses, sent = [], 0
    while sent < megabytes * MIB:
        body = request_bytes([os.urandom(24) for _ in range(200)], 4000)
        statuses.append(post(address, body).status)
        sent += len(body)
    return statuses


def full_text(disk, backend, on_full="drop_oldest", wait="1h", journal=""):
    out = exporter("otlp", endpoint=backend.http, protocol="http/protobuf", retry=RETRY,
                   circuit=CIRCUIT, queue={"max_size": "8MiB", "on_full": on_full})
    return config(out, tail=KEEP_ALL, wait=wait, workers=2,
                  journal=f'segment_size = "2MiB", min_free = 0, {journal}').replace(
                      "FOLDER/journal", f"{disk}/journal")


def wait_status(collector, wanted):
    """Seconds until a request is answered so, without those in which the collector had no CPU."""
    start, starved = time.monotonic(), collector.starved()
    while True:
        status = post(collector.http, request_bytes([os.urandom(24)])).status
        took = time.monotonic() - start
        if status == wanted:
            return took - (collector.starved() - starved)
        assert took < PATIENCE, f"still {status} after {took:.1f} s"


def is_refusing(collector):
    """Whether two requests are refused, and /readyz says so between them."""
    body = request_bytes([os.urandom(24)])
    return (post(collector.http, body).status == 503 and collector.get("/readyz")[0] == 503
            and post(collector.http, body).status == 503)


def fill_up(collector):
    """Fills until it refuses; the statuses. A single 503 may be over at once: what waits is decided
    early then, and leaves room."""
    statuses = []
    while not is_refusing(collector):
        statuses += fill(collector.http, 1)
        assert len(statuses) < 100, statuses
    return statuses


def test_a_full_disk_is_refused_and_200_is_back_within_2_s_of_space(start, backend, small_disk):
    disk = small_disk(48)
    collector = start(full_text(disk, backend))
    fill(collector.http, 4)
    with open(disk / "else", "wb", buffering=0) as f:  # somebody else's file takes the rest
        with pytest.raises(OSError):
            while f.write(bytes(MIB)):
                pass
    backend.behave(status=503)
    statuses = fill_up(collector)
    assert 200 in statuses and set(statuses) <= {200, 503}, statuses
    collector.wait_metrics(
        lambda m: m.total("moontail_refused_requests_total", reason="disk") > 0)
    assert re.search(r"(?m)^journal \d+ bytes live in files of \d+, at most \d+, deciding early$",
                     collector.get("/readyz?verbose")[2])
    (disk / "else").unlink()
    backend.behave()
    took = wait_status(collector, 200)
    print(f"200 after {took:.2f} s; {statuses.count(200)} taken before the first 503")
    assert took < 2


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("on_full", ["drop_oldest", "refuse"])
def test_a_disk_that_is_too_small_loses_only_what_it_may(start, backend, small_disk, up, on_full):
    disk = small_disk(32)
    collector = start(full_text(disk, backend, on_full, journal='history = "8MiB"'))
    if not up:
        backend.behave(status=503)
    statuses = []
    for _ in range(12):  # each with a scrape: the ledgers are exact all the time
        statuses += fill(collector.http, 5)
        collector.scrape()
    backend.behave()
    took = wait_status(collector, 200)
    collector.signal(signal.SIGTERM)  # decides what waits
    assert collector.wait_exit() == 0
    received = len(spans_of(backend.received()))
    taken = statuses.count(200) * 200 + 1
    print(f"up={up} {on_full}: {statuses.count(200)} taken, {statuses.count(503)} refused, "
          f"{received} of {taken} spans delivered, 200 again after {took:.2f} s")
    assert set(statuses) <= {200, 503}
    assert took < 2
    if on_full == "refuse":
        assert received >= taken, "lost although it was told to refuse"


def test_a_limit_on_the_size_of_files_is_a_disk_that_is_full(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                                      queue={"on_full": "refuse"}),
                             journal='ack = "written"'),
                      under=("sh", "-c", 'ulimit -f 24576; exec "$@"', "sh"))  # 12 MiB
    taken = fill(collector.http, 24).count(200)
    assert taken > 0
    backend.wait(spans=taken * 200)
