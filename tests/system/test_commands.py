"""explain, rescue and fsck, as an operator calls them beside and after a running collector."""
import json
import os

from clients import post
from harness import Collector, config, exporter, run
from messages import request_with, span, spans_of, trace_id

SLOW = 'policies = { policy "latency" { threshold_ms = 500 } }'


def written(exporters, **more):
    return config(exporters, tail=SLOW, **more).replace('ack = "memory"', 'ack = "written"')


def hexed(number):
    return trace_id(number).hex()


def killed(folder):
    """A collector that was killed with three spans of trace 1 pending."""
    folder.mkdir()
    collector = Collector(folder, written(exporter("nop"), wait="1h"))
    sent = request_with(*[span(trace_id(1), i + 1) for i in range(3)])
    try:
        post(collector.http, sent.SerializeToString())
    finally:
        collector.kill()
    return collector


def command(collector, *arguments):
    """(exit code, stdout, stderr)"""
    done = run(*arguments, "--journal", os.path.join(collector.folder, "journal"),
               folder=collector.folder)
    return done.returncode, done.stdout, done.stderr


def test_explain_and_rescue_beside_a_running_collector(start, backend):
    collector = start(written(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                              workers=2))
    sent = request_with(span(trace_id(1), 1), span(trace_id(1), 2))
    post(collector.http, sent.SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") == 2)

    code, out, _ = command(collector, "explain", hexed(1))
    assert code == 0 and out.startswith(f"{hexed(1)}: dropped by default (default)\n"), out
    journal = os.path.join(collector.folder, "journal")
    assert "latency  no opinion" in out
    assert f"`moontail rescue {hexed(1)} --journal {journal}` sends them" in out
    named = run("explain", hexed(1), "--config", "config.lua", folder=collector.folder).stdout
    assert f"`moontail rescue {hexed(1)} --config config.lua` sends them" in named
    code, out, _ = command(collector, "rescue", hexed(1))
    assert (code, out) == (0, f"{hexed(1)}: 2 spans rescued, to otlp\n")
    assert len(list(spans_of(backend.wait(spans=2)))) == 2
    collector.wait_metrics(lambda m: m.total("moontail_rescued_spans_total") == 2)

    code, out, err = command(collector, "rescue", hexed(1))
    assert code == 1
    assert f"rescued already: `moontail explain {hexed(1)} --journal {journal}` says when" in err
    code, out, err = command(collector, "rescue", hexed(2))
    assert code == 1 and "not seen" in err
    code, out, _ = command(collector, "explain", hexed(2))
    assert code == 1 and out.startswith(f"{hexed(2)}: not seen since "), out
    code, out, err = command(collector, "explain", "4bf9")
    assert code == 2 and "'4bf9' is no trace id: it has 32 hex digits" in err

    code, _, err = command(collector, "fsck")
    assert code == 73 and f"in use by process {collector.process.pid} on " in err
    collector.stop()
    code, out, _ = command(collector, "fsck")
    assert code == 0 and out.endswith("no damage\n"), out


def test_explain_of_a_collector_that_was_killed(tmp_path):
    collector = killed(tmp_path / "killed")
    code, out, _ = command(collector, "explain", hexed(1))
    assert code == 0 and out.startswith(f"{hexed(1)}: pending: 3 spans since "), out
    code, out, _ = command(collector, "explain", hexed(1), "--json")
    said = json.loads(out)
    assert (said["state"], said["journal"]["live_spans"]) == ("pending", 3)
    code, _, err = command(collector, "rescue", hexed(1))
    assert code == 1 and "not decided yet" in err


def test_explain_does_not_call_pending_what_was_left_out_at_the_door(start):
    door = 'processors = { received = { processor "drop_at_door" { when = match { name = "probe" } } } },'
    collector = start(written(exporter("nop"), more=door))
    sent = request_with(span(trace_id(1), 1), span(trace_id(2), 2, name="probe"))
    post(collector.http, sent.SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") == 1)

    out = run("explain", hexed(2), "--config", "config.lua", folder=collector.folder).stdout
    assert out.startswith(f"{hexed(2)}: pending, or left out by head_sampling or processors.received: "
                          "1 span since "), out
    assert run("explain", hexed(1), "--config", "config.lua",
               folder=collector.folder).stdout.startswith(f"{hexed(1)}: dropped by "), out


def test_fsck_names_damage_and_repairs_what_can_be(start, tmp_path):
    collector = killed(tmp_path / "killed")
    folder = os.path.join(collector.folder, "journal")
    path = next(os.path.join(folder, name) for name in sorted(os.listdir(folder))
                if name.startswith("segments-"))
    with open(path, "r+b") as file:
        data = file.read()
        at = data.index(trace_id(1))
        file.seek(at)
        file.write(b"\xa5")
    code, out, _ = command(collector, "fsck")
    assert code == 1 and ": a frame with 3 spans (frames)\n" in out, out
    assert "1 place damaged, 0 repaired; up to 3 items lost" in out

    with open(path, "r+b") as file:  # its segment's header instead
        file.seek(at)
        file.write(data[at:at + 1])
        segment = max(i for i in range(0, at, 4096) if data[i:i + 4] == b"TMSG")
        file.seek(segment + 20)
        file.write(b"\xa5" if data[segment + 20:segment + 21] != b"\xa5" else b"\x5a")
    code, out, _ = command(collector, "fsck", "--repair")
    assert code == 1 and out.count("; repaired\n") == 1, out
    assert "with up to 3 items in 1 frame, if it was live" in out
    code, out, _ = command(collector, "fsck")
    assert code == 0 and out.endswith("no damage\n"), out

    again = start(written(exporter("nop")), folder=tmp_path / "killed")
    assert again.scrape().total("moontail_recovered_spans_total") == 0


def test_health_asks_a_collector_that_runs(start):
    collector = start(config(exporter("nop"), tail=None))
    address = collector.address("admin")
    well = run("health", "--address", address, folder=collector.folder)
    assert (well.returncode, well.stdout, well.stderr) == (0, "ok\n", "")
    ready = run("health", "--ready", "--address", address, folder=collector.folder)
    assert ready.returncode == 0 and ready.stdout.startswith("ready\nconfig ")
    collector.stop()
    gone = run("health", "--address", address, folder=collector.folder)
    assert gone.returncode == 1 and "Connection refused" in gone.stderr
    assert run("health", "--adress", folder=collector.folder).returncode == 2
