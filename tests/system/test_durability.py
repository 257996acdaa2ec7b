"""What was acknowledged survives kill -9; one collector to a folder."""
import os
import signal

import pytest
from clients import post
from harness import config, exporter, run
from messages import assert_same_spans, request_with, span, trace_id


def with_files(backend, *, ack="written", shutdown="decide", wait="1h"):
    text = config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                  wait=wait, workers=2)
    return text.replace('ack = "memory"', f'ack = "{ack}", on_shutdown = "{shutdown}"')


@pytest.mark.parametrize("ack", ["written", "fsync"])
def test_what_was_acknowledged_is_decided_after_kill_9(at, backend, ack):
    text = with_files(backend, ack=ack)
    collector = at(text)
    sent = request_with(*[span(trace_id(i), i + 1) for i in range(500)])
    post(collector.http, sent.SerializeToString())
    collector.signal(signal.SIGKILL)
    collector.wait_exit()
    collector = at(text.replace("workers = 2", "workers = 1"))
    metrics = collector.wait_metrics(lambda m: m.total("moontail_pending_spans") == 500)
    assert metrics.total("moontail_recovered_spans_total") == 500
    assert collector.get("/readyz")[0] == 200
    collector.stop()
    assert_same_spans(backend.received(), sent)


def test_a_shutdown_that_keeps_leaves_it_for_the_next_start(at, backend):
    text = with_files(backend, shutdown="keep")
    collector = at(text)
    sent = request_with(*[span(trace_id(i), i + 1) for i in range(500)])
    post(collector.http, sent.SerializeToString())
    collector.stop()
    assert "left for the next start" in collector.output() and not backend.received().resource_spans
    collector = at(text.replace("keep", "decide"))
    collector.wait_metrics(lambda m: m.total("moontail_recovered_spans_total") == 500)
    collector.stop()
    assert_same_spans(backend.received(), sent)


def test_a_second_collector_says_who_has_the_folder(at, backend, tmp_path):
    first = at(with_files(backend))
    first.get("/livez")
    second = at(with_files(backend))
    assert second.wait_exit() == 73
    assert f"in use by process {first.process.pid}" in second.output()


def test_a_folder_that_cannot_be_made_says_what_to_write(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    path = tmp_path / "config.lua"
    path.write_text('return { journal = { path = "%s/journal" }, exporters = { exporter "nop" } }' % blocked)
    done = run("run", "--config", str(path), folder=tmp_path)
    assert done.returncode == 73
    assert "write journal = { path = " in done.stderr + (done.stdout or ""), done


def test_the_demonstration_needs_no_rights_and_leaves_nothing(tmp_path):
    done = run("demo", "--duration", "2s", folder="/", env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0 and "unaccounted 0" in done.stdout
    assert os.listdir(tmp_path) == []
