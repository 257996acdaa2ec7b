"""bench/ itself: each row's configuration is one, and the docs are what the figures make."""
import json
import os
import runpy
import subprocess
import sys

import pytest
from harness import PROGRAM, ROOT
from ports import free_ports

sys.path.append(f"{ROOT}/bench")

import measure  # noqa: E402
from measure import kinds_of, rate_of  # noqa: E402
from rows import MUST_HOLD, ROWS  # noqa: E402
from systems import CPUS, Before, FluentBit, Moontail, Otelcol, System  # noqa: E402


@pytest.mark.parametrize("name", ["http", "export", "all-on", "no-record", "attributes", "no-policies", "after-root"])
def test_a_rows_options_make_a_configuration(name, tmp_path):
    environment = Moontail.environment(ROWS[name], "http://127.0.0.1:1" if ROWS[name].export else "")
    done = subprocess.run([PROGRAM, "check", "--config", f"{ROOT}/bench/config.lua"], capture_output=True, text=True,
                          env={**os.environ, **environment, "JOURNAL": str(tmp_path)})
    assert done.returncode == 0, done.stderr + done.stdout


def test_rows_that_must_hold_are_named():
    assert MUST_HOLD == ["http", "grpc", "export", "gzip", "small", "fsync"]
    assert len({(row.title, row.wait, row.workers) for row in ROWS.values()}) == len(ROWS)


def test_ports_for_peers_are_none_that_a_connection_may_have():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first_given = int(f.read().split()[0])
    for _ in range(1000):
        ports = free_ports(3)
        assert len(set(ports)) == 3
        assert all(1024 <= port < first_given for port in ports)


def test_another_build_gets_what_this_one_gets():
    everyone = [Otelcol, FluentBit, Before]
    assert kinds_of(ROWS["held-1m"], everyone) == [Moontail, Before]  # no peer can do that
    assert kinds_of(ROWS["http"], everyone) == [Moontail, *everyone]
    assert kinds_of(ROWS["export"], everyone) == [Moontail, Otelcol, Before]
    half = ROWS["half"]
    assert half.rate != half.peer_rate
    assert [rate_of(k, half) for k in (Moontail, Before, Otelcol)] == [half.rate, half.rate, half.peer_rate]
    assert rate_of(Otelcol, ROWS["held-1m"]) == ROWS["held-1m"].rate


def test_two_builds_are_compared_round_by_round(capsys):
    bench = runpy.run_path(f"{ROOT}/bench/run")
    programs = {"moontail": [{"cpu_s_per_m": x} for x in (0.9, 1.8, 0.45, 4.5)],
                "before": [{"cpu_s_per_m": x} for x in (1.0, 2.0, 0.5, 1.5)]}
    assert bench["pairs"](programs) == pytest.approx([0.9, 0.9, 0.9, 3])
    bench["show_pairs"]({"http": programs})
    assert "by the build before: 0.90 [0.90, 2.48] of 4 pairs" in capsys.readouterr().out
    done = subprocess.run([f"{ROOT}/bench/run", "--before", PROGRAM, "--json", "/dev/null"], capture_output=True, text=True)
    assert done.returncode == 2 and "--before compares two builds" in done.stderr


class Deaf(System):
    """A program that takes nothing and says nothing."""
    name = "deaf"
    counts = False

    def __init__(self, *_):
        self.start(["sleep", "600"], {}, CPUS)
        self.metrics_url = f"http://127.0.0.1:{free_ports(1)[0]}/metrics"


def test_a_program_that_does_not_answer_has_no_figures(monkeypatch):
    system = Deaf()
    with pytest.raises(SystemExit, match="deaf: no answer from http://127.0.0.1:"):
        system.metric("received_spans")
    assert system.process.poll() is not None
    monkeypatch.setattr(measure, "by_loads", lambda *_: (1.0, 0, 10.0, {}))
    with pytest.raises(SystemExit, match="deaf: no span came while it was measured"):
        measure.measure_row(Deaf, ROWS["http"], 1)


def test_a_page_says_on_what_its_rows_were_measured(tmp_path):
    save = runpy.run_path(f"{ROOT}/bench/run")["save"]
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"machine": {"model": "another"}}))
    save(path, "instructions", {"a_span": 1})
    assert json.loads(path.read_text())["machine"] == {"model": "another"}
    save(path, "rows", {})
    assert json.loads(path.read_text())["machine"]["cpus"] == len(os.sched_getaffinity(0))


def test_pages_are_what_the_figures_make():
    done = subprocess.run([f"{ROOT}/bench/report", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
