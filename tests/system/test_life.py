"""Starting, checking, watching and ending."""
import fcntl
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from clients import Grpc, post
from harness import PATIENCE, PROGRAM, ROOT, config, exporter, fields, parse_metrics, run
from messages import assert_same_spans, request_with, span, spans_of, trace_id


def test_sigterm_decides_what_waits_and_delivers_it(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             wait="1h", workers=2))
    sent = request_with(*[span(trace_id(i), i + 1) for i in range(500)])
    post(collector.http, sent.SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_pending_spans") == 500)
    collector.stop()
    assert_same_spans(backend.received(), sent)


@pytest.mark.skipif(os.getuid() != 0, reason="another user is had by root alone")
def test_a_start_without_threads_says_why():
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        program, path = shutil.copy(PROGRAM, folder), f"{folder}/config.lua"
        with open(path, "w") as f:
            f.write(config(exporter("nop")).replace("FOLDER", folder))
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               "prlimit", "--nproc=2", program, "run", "--config", path], cwd="/",
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1, done
    assert done.stderr.endswith(
        "moontail: cannot start a thread: Resource temporarily unavailable; raise what bounds them "
        "(TasksMax of systemd, --pids-limit of docker, ulimit -u)\n"), done.stderr


def test_readyz_is_503_while_draining(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                                      retry={"initial_interval": "100ms"}),
                             more='shutdown_timeout = "20s",', wait="1h"))
    assert collector.get("/readyz")[0] == 200 and collector.get("/livez")[0] == 200
    backend.behave(status=503)
    post(collector.http, request_with(span(trace_id(1))).SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_pending_spans") == 1)
    collector.signal(signal.SIGTERM)
    backend.wait(requests=1)
    status, _, text = collector.get("/readyz?verbose")
    assert status == 503 and "drain" in text, text
    assert re.search(r"^exporter otlp ok$", text, re.M), text
    assert collector.get("/livez")[0] == 200
    backend.behave()
    backend.wait(spans=1)
    assert collector.wait_exit() == 0


def failing(start, backend, interval):
    """A collector that holds a span for a backend that answers 503."""
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                                      retry={"initial_interval": interval}), wait="1h"))
    backend.behave(status=503)
    post(collector.http, request_with(span(trace_id(1))).SerializeToString())
    return collector


def test_a_second_signal_ends_it_at_once(start, backend):
    collector = failing(start, backend, "1s")
    collector.signal(signal.SIGTERM)
    backend.wait(requests=2)  # the first pause is half a second or longer
    collector.signal(signal.SIGTERM)
    assert collector.wait_exit(5) == 1
    collector.wait_line(lambda x: "second signal" in x)
    collector.stop = lambda: None


def test_two_signals_at_once_are_one(start, backend):
    collector = failing(start, backend, "100ms")
    collector.signal(signal.SIGSTOP)  # so that it sees both at once, whoever has the CPU between them
    collector.signal(signal.SIGTERM)
    collector.signal(signal.SIGINT)  # a second SIGTERM could merge with the first
    collector.signal(signal.SIGCONT)
    backend.wait(requests=2)
    backend.behave()
    backend.wait(spans=1)
    assert collector.wait_exit() == 0


def test_a_signal_for_users_ends_nothing(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             wait="1h", journal='ack = "memory"'))
    post(collector.http, request_with(span(trace_id(1))).SerializeToString())
    for name in ("SIGUSR1", "SIGUSR2"):
        collector.signal(getattr(signal, name))
        collector.wait_line(lambda x, name=name: f"signal={name}" in x and "SIGHUP" in x)
    collector.stop()
    backend.wait(spans=1)


def blocks_in_write(process):
    """True if the process waits for room in its standard error."""
    with open(f"/proc/{process.pid}/syscall") as f:
        words = f.read().split()
    return len(words) > 2 and words[1] == "0x2"


def test_a_signal_between_listening_and_running_ends_it_in_order(tmp_path):
    path = tmp_path / "config.lua"
    path.write_text(config(exporter("nop")).replace("FOLDER", str(tmp_path)))
    read_end, write_end = os.pipe()
    os.write(write_end, b"." * fcntl.fcntl(write_end, fcntl.F_GETPIPE_SZ))  # full
    process = subprocess.Popen([PROGRAM, "run", "--config", str(path)], stderr=write_end)
    os.close(write_end)
    try:
        end = time.monotonic() + PATIENCE
        while not blocks_in_write(process):  # it says that it listens
            assert process.poll() is None and time.monotonic() < end
        process.send_signal(signal.SIGTERM)
        with open(read_end, errors="replace") as f:
            text = f.read()
        assert process.wait(PATIENCE) == 0, text
    finally:
        process.kill()
        process.wait()
    assert "listening" in text.splitlines()[0] and "stopped" in text, text


def test_the_admin_listener_serves_three_pages(start):
    collector = start(config(exporter("nop")))
    for path in ("/livez", "/readyz", "/readyz?verbose", "/metrics"):
        assert collector.get(path)[0] == 200, path
    for path in ("/", "/debug/pprof", "/config", "/metrics/x", "/-/reload"):
        assert collector.get(path)[0] == 404, path
    openmetrics = collector.get("/metrics", {"Accept": "application/openmetrics-text"})
    assert openmetrics[1]["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics[2].endswith("# EOF\n")


CONTRACT = """moontail_received_spans_total moontail_recovered_spans_total moontail_rejected_spans_total
moontail_pending_spans moontail_config_last_reload_successful moontail_config_info moontail_build_info
moontail_config_last_reload_success_timestamp_seconds moontail_unaccounted_spans
process_cpu_seconds_total process_resident_memory_bytes process_start_time_seconds
process_open_fds process_max_fds process_virtual_memory_bytes moontail_ledger_age_seconds
moontail_export_enqueued_spans_total moontail_export_delivered_spans_total
moontail_export_queued_spans""".split()
AFTER_TRAFFIC = """moontail_kept_spans_total moontail_dropped_spans_total moontail_late_spans_total
moontail_decided_traces_total moontail_refused_requests_total otelcol_receiver_accepted_spans
otelcol_exporter_sent_spans""".split()


def test_the_metrics_of_the_contract_are_there_and_well_formed(start):
    collector = start(config(exporter("nop"), tail='policies = { policy "status_code" '
                             '{ status_codes = { "ERROR" } } }'))
    for i in range(4):
        post(collector.http, request_with(span(trace_id(i), error=i % 2 == 0)).SerializeToString())
    post(collector.http, b"\xff")
    collector.wait_decided(4)
    post(collector.http, request_with(span(trace_id(0), 2)).SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_late_spans_total") == 1)
    text = collector.get("/metrics")[2]
    names = {name for name, _ in parse_metrics(text)}
    missing = [n for n in CONTRACT + AFTER_TRAFFIC if n not in names and n + "_total" not in names]
    assert not missing
    described = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
    typed = re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram)$", text, re.M)
    assert names <= described and set(typed) == described and len(typed) == len(described)


def test_a_start_says_what_runs(start):
    collector = start(config(exporter("nop"), tail='policies = { policy "drop_health_checks", '
                             'policy "probabilistic" { sampling_percentage = 10 } }'))
    for receiver in ("otlp/grpc", "otlp/http", "admin"):
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", collector.address(receiver))
    collector.wait_line(lambda x: re.search(r"policies=drop_health_checks,probabilistic$", x))
    lines = collector.output().splitlines()
    assert all(fields(line).get("level") in ("info", "warn") for line in lines)


def test_it_takes_as_many_descriptors_as_it_may(start):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard - 1), hard))
    try:
        collector = start(config(exporter("nop")))
        collector.wait_line(lambda x: "policies, in order" in x)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert collector.scrape().total("process_max_fds") == hard


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_nothing_of_its_own_takes_the_place_of_a_standard_file(tmp_path, closed):
    (tmp_path / "config.lua").write_text(config(exporter("nop")).replace("FOLDER", str(tmp_path)))
    collector = subprocess.Popen([PROGRAM, "run", "--config", tmp_path / "config.lua"],
                                 cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL,
                                 preexec_fn=lambda: [os.close(fd) for fd in closed])
    socket, until = tmp_path / "journal" / "control.sock", time.monotonic() + PATIENCE
    while not socket.exists() and time.monotonic() < until:
        time.sleep(0.01)
    held = [os.readlink(f"/proc/{collector.pid}/fd/{fd}") for fd in range(3)]
    collector.send_signal(signal.SIGTERM)
    assert held == [os.devnull] * 3
    assert collector.wait(PATIENCE) == 0


def test_health_of_grpc_says_serving(start):
    collector = start(config(exporter("nop")))
    client = Grpc(collector.grpc)
    assert client.call(b"", "/grpc.health.v1.Health/Check") == b"\x08\x01"
    client.close()


WRONG = {
    "a wrong type": ('workers = "many",', ["workers", "many"]),
    "a typo": ('worker = 2,', ["worker", "workers"]),
    "a bad duration": ('shutdown_timeout = "fast",', ["shutdown_timeout", "fast"]),
    "a collector's key": ('memory_limiter = { limit_mib = 400 },', ["limit_mib", 'limit = "400MiB"']),
    "out of bounds": ('head_sampling = { sampling_percentage = 140 },',
                      ["sampling_percentage", "140", "100"]),
    "not Lua": ('workers = = 2,', ["config.lua"]),
}


@pytest.mark.parametrize("more, words", WRONG.values(), ids=WRONG.keys())
def test_check_names_the_file_the_line_and_what_is_allowed(more, words, tmp_path):
    path = tmp_path / "config.lua"
    path.write_text(config(exporter("nop"), more=more).replace("FOLDER", str(tmp_path)))
    done = run("check", "--config", str(path), folder=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 78, text
    assert re.search(r"config\.lua:7\b", text), text
    for word in words:
        assert word in text, text
    failed = run("run", "--config", str(path), folder=tmp_path)
    assert failed.returncode == 78, failed.stderr


def test_check_names_all_errors_at_once(tmp_path):
    path = tmp_path / "config.lua"
    path.write_text('return { workers = -1, jit = "maybe", tail_sampling = { policies = {} } }')
    done = run("check", "--config", str(path), folder=tmp_path)
    text = done.stdout + done.stderr
    assert done.returncode == 78
    for word in ("workers", "jit", "policies", "exporters"):
        assert word in text, text


def test_check_accepts_what_ships(tmp_path):
    assert run("check", "--config", f"{ROOT}/config.lua", folder=tmp_path).returncode == 0
    assert run("check", "--config", f"{tmp_path}/absent.lua", folder=tmp_path).returncode == 78


def test_print_config_loads_again_and_hides_secrets(tmp_path):
    text = config(exporter("otlp", endpoint="http://127.0.0.1:1", protocol="grpc")[:-2]
                  + ', headers = { authorization = "Bearer " .. secret(env "TOKEN") } }')
    path = tmp_path / "config.lua"
    path.write_text(text.replace("FOLDER", str(tmp_path)))
    printed = run("print-config", "--config", str(path), folder=tmp_path, env={"TOKEN": "s3cr3t"})
    assert printed.returncode == 0 and "s3cr3t" not in printed.stdout, printed.stdout
    assert "****" in printed.stdout
    again = tmp_path / "again.lua"
    again.write_text(printed.stdout)
    assert run("check", "--config", str(again), folder=tmp_path).returncode == 0


def test_a_port_that_is_taken_is_said_and_ends_with_73(start, tmp_path):
    first = start(config(exporter("nop")))
    path = tmp_path / "config.lua"
    path.write_text(config(exporter("nop"), receivers=f'http = "{first.http}"')
                    .replace("FOLDER", str(tmp_path)))
    failed = run("run", "--config", str(path), folder=tmp_path)
    assert failed.returncode == 73
    assert f"receivers.otlp.http: cannot listen on {first.http}: " in failed.stderr, failed.stderr
    path.write_text(config(exporter("nop")).replace("FOLDER", str(tmp_path)).replace(
        'admin = { listen = "127.0.0.1:0" }', f'admin = {{ listen = "{first.http}" }}'))
    failed = run("run", "--config", str(path), folder=tmp_path)
    assert failed.returncode == 73
    assert f"admin.listen: cannot listen on {first.http}: " in failed.stderr, failed.stderr


@pytest.mark.parametrize("arguments, message", [
    (["load", "--endpoint", "https://127.0.0.1:4318"],
     "--endpoint is 'https://127.0.0.1:4318'; allowed: http://HOST:PORT, without TLS"),
    (["load", "--header", "xy"], "--header is 'xy'; allowed: 'name: value'"),
    (["load", "--traces", "-1"], "--traces is '-1'; allowed: a whole number of traces"),
    (["load", "--rate", "fast"], "--rate is 'fast'; allowed: 0 (as many as it can) to 1000000"),
    (["load", "--duration", "5"], "--duration is '5'; allowed: a time as in 20s or 5m"),
    (["load", "--duration", "0s"], "--duration is '0s'; allowed: a time as in 20s or 5m, more than"),
    (["demo", "--duration", "0ms"], "duration is '0ms'; allowed: a time as in 20s or 5m, more than"),
    (["demo", "--rate", "abc"], "--rate is 'abc'; allowed: 0 (as many as it can) to 1000000"),
    (["demo", "--protocol", "http"], "--protocol is 'http'; allowed: grpc, http/protobuf"),
    (["demo", "now"], "there is no argument 'now'"),
    (["health", "--address", "foo"], "foo: not an address such as 127.0.0.1:13133"),
])
def test_what_an_argument_may_be_is_said_before_anything_starts(tmp_path, arguments, message):
    done = run(*arguments, folder=tmp_path, env={"DURATION": "1s"})
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert message in done.stderr and f"usage: moontail {arguments[0]} " in done.stderr


def test_usage_errors_end_with_2(tmp_path):
    assert run(folder=tmp_path).returncode == 2
    assert run("nonsense", folder=tmp_path).returncode == 2
    assert run("load", "--rate", "fast", folder=tmp_path).returncode == 2
    assert run("load", "--endpoint", "http://192.0.2.1:4318", folder=tmp_path).returncode == 2
    assert run("--version", folder=tmp_path).returncode == 0
    helped = run("--help", folder=tmp_path)
    assert helped.returncode == 0 and max(map(len, helped.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], ["check"],
                                       ["api"], ["print-config", "--docs"]])
def test_output_that_finds_no_room_is_a_failure(tmp_path, arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([PROGRAM, *arguments], cwd=tmp_path, stdout=full, text=True,
                              stderr=subprocess.PIPE, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "moontail: cannot write to standard output\n")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_load_is_judged_as_it_says(protocol, start, backend, tmp_path):
    """What `load` counts as errors, slow and health checks is what the policies find."""
    collector = start(config(
        exporter("otlp", endpoint=backend.grpc, protocol="grpc"), wait="1h", workers=2,
        tail='policies = { policy "drop_health_checks", policy "status_code" '
             '{ status_codes = { "ERROR" } }, policy "latency" { threshold_ms = 500 }, '
             'policy "probabilistic" { sampling_percentage = 0 } }'))
    address = collector.grpc if protocol == "grpc" else collector.http
    done = run("load", "--endpoint", f"http://{address}", "--protocol", protocol, "--rate", "0",
               "--traces", "2000", "--seed", "42", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    sent = __import__("json").loads(done.stdout)
    collector.end_wait()
    metrics = collector.wait_decided(sent["spans"])
    got = spans_of(backend.wait(spans=int(metrics.total("moontail_kept_spans_total"))))
    assert len({s.trace_id for s in got}) == sent["error"] + sent["slow"]
    dropped = metrics.by("moontail_dropped_spans_total", "reason")
    assert dropped["health_check"] == sent["health_check"]


def test_load_sends_all_the_traces_that_it_was_asked_for(start, tmp_path):
    """However long that takes: no time was given. A time that is given ends it."""
    collector = start(config(exporter("nop")))
    asked = ["load", "--endpoint", f"http://{collector.http}", "--json", "--rate", "10",
             "--traces"]
    done = run(*asked, "206", folder=tmp_path)
    assert done.returncode == 0 and __import__("json").loads(done.stdout)["traces"] == 206
    done = run(*asked, "206", "--duration", "1s", folder=tmp_path)
    assert __import__("json").loads(done.stdout)["traces"] < 30
    helped = run("load", "--help", folder=tmp_path).stdout
    assert "0 is without a limit" in helped and "with --traces until all of them are sent" in helped


def test_demo_without_a_rate_says_so(tmp_path):
    done = run("demo", "--rate", "0", "--duration", "1s", folder=tmp_path)
    assert "; sending as many made-up traces as it can to it by OTLP grpc.\n" in done.stdout


def on_terminal(folder, **env):
    """What a short demonstration writes to one."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([PROGRAM, "demo", "--duration", "2s"], cwd=folder, stdin=theirs,
                          stdout=theirs, stderr=theirs, env={**os.environ, **env}) as demo:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # nobody has the other end any more
                break
    os.close(ours)
    assert demo.returncode == 0, said
    return said


def test_a_terminal_gets_only_what_it_can_show(tmp_path):
    assert b"\x1b[H" in on_terminal(tmp_path, TERM="xterm", NO_COLOR="")
    assert b"\x1b" not in on_terminal(tmp_path, TERM="dumb", NO_COLOR="")


def test_demo_ends_by_itself(tmp_path):
    done = subprocess.run([PROGRAM, "demo"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=60, env={"DURATION": "5s", "PATH": "/usr/bin:/bin"}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("kept", "dropped", "health_check", "error", "slow"):
        assert word in done.stdout, done.stdout
    assert "cannot write" not in done.stderr, done.stderr  # nor can its sender


