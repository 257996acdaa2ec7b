"""moontail doctor: one line for each thing that a configuration needs."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aws import REGION
from harness import HERE, PATIENCE, PROGRAM, config, exporter

NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
          "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def doctor(folder, text, env=None, under=()):
    """(exit code, the lines); under: a command that runs the program."""
    (folder / "config.lua").write_text(text.replace("FOLDER", str(folder)))
    done = subprocess.run([*under, PROGRAM, "doctor", "--config", str(folder / "config.lua")],
                          cwd=folder, env={**os.environ, **(env or {})}, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout.splitlines()


def of(lines, about):
    """The lines about one thing: their first word and text."""
    found = [line.split(None, 2) for line in lines]
    return [(words[0], words[2]) for words in found if words[1:2] == [about]]


def signed(url):
    return config(exporter("otlp", endpoint=url, protocol="http/protobuf",
                           sigv4={"service": "xray", "region": REGION}))


def test_a_good_configuration_is_well(tmp_path):
    code, lines = doctor(tmp_path, config(exporter("nop")))
    assert code == 0, lines
    assert of(lines, "config")[0][0] == "ok" and "1 policy, 1 exporter" in of(lines, "config")[0][1]
    assert [word for word, _ in of(lines, "port")] == ["ok"] * 3
    assert of(lines, "memory")[0][0] == "ok"
    assert of(lines, "journal")[0][1].startswith(f"{tmp_path}/journal will be made; ")
    assert not os.path.exists(tmp_path / "journal")
    assert len(lines) <= 24


def test_ports_of_a_collector_that_runs_are_its_own(start, tmp_path):
    collector = start(config(exporter("nop")))
    taken = collector.grpc

    def text(admin):
        return config(exporter("nop"), receivers=f'grpc = "{taken}", http = false').replace(
            'admin = { listen = "127.0.0.1:0" }', f'admin = {{ listen = "{admin}" }}')
    code, lines = doctor(tmp_path, text(collector.address("admin")))
    assert code == 0, lines
    assert [what for _, what in of(lines, "port")] == [
        f"otlp/grpc {taken} is in use, and a moontail runs",
        f"admin {collector.address('admin')} is in use, and a moontail runs"]
    os.mkdir(tmp_path / "journal")
    code, lines = doctor(tmp_path, text("127.0.0.1:0"))
    assert code == 1 and [word for word, _ in of(lines, "port")] == ["FAIL", "ok"]
    assert of(lines, "journal")[0][1].startswith(f"{tmp_path}/journal is writable; ")
    assert os.listdir(tmp_path / "journal") == []


def test_what_is_wrong_is_a_line_and_what_to_do(tmp_path):
    taken = socket.create_server(("127.0.0.1", 0))
    text = config(
        exporter("otlp", endpoint="http://127.0.0.1:1") + ", "
        + exporter("otlp/b", endpoint="http://nowhere.invalid:4317"),
        receivers=f'grpc = "127.0.0.1:{taken.getsockname()[1]}", http = false',
        more='memory_limiter = { limit = "60TiB" },')
    code, lines = doctor(tmp_path, text.replace("FOLDER/journal", "/dev/null/journal"))
    taken.close()
    assert code == 1
    assert of(lines, "port")[0][0] == of(lines, "memory")[0][0] == of(lines, "journal")[0][0] == "FAIL"
    assert [word for word, _ in of(lines, "network")] == ["FAIL", "FAIL"]
    assert "Connection refused" in of(lines, "network")[0][1]
    assert "no address for nowhere.invalid" in of(lines, "network")[1][1]
    for i, line in enumerate(lines):
        if line.startswith("FAIL"):
            assert lines[i + 1].lstrip().startswith("-> "), line


def test_files_that_the_start_would_miss_are_named_by_their_keys(tmp_path):
    (tmp_path / "here.jsonl").write_text("")
    (tmp_path / "no.pem").write_text("nothing")
    text = config(
        exporter("file", path=f"{tmp_path}/no/x.jsonl") + ", "
        + exporter("file/b", path=str(tmp_path)) + ", "
        + exporter("file/c", path="here.jsonl") + ", "
        + exporter("otlp", endpoint="https://127.0.0.1:1", tls={"ca_file": "/no.pem"}),
        receivers='grpc = false, http = { listen = "127.0.0.1:0", '
                  f'tls = {{ cert_file = "{tmp_path}/no.pem", key_file = "no.key" }} }}')
    code, lines = doctor(tmp_path, text)
    assert code == 1
    found = of(lines, "files")
    assert [word for word, _ in found] == ["FAIL"] * 4, lines
    for (_, said), words in zip(found, [
            f'receivers.otlp.http: tls.cert_file "{tmp_path}/no.pem" can\'t be used: ',
            f'exporter "file": path "{tmp_path}/no/x.jsonl" can\'t be made in its folder ',
            f'exporter "file/b": path "{tmp_path}" is a folder; allowed: a file',
            'exporter "otlp": tls.ca_file "/no.pem" can\'t be used: ']):
        assert said.startswith(words), said
    assert not os.path.exists(tmp_path / "no")


def test_files_that_are_there_are_well(tmp_path):
    cert, key = tmp_path / "a.crt", tmp_path / "a.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-subj",
                    "/CN=a"], check=True, capture_output=True)
    code, lines = doctor(tmp_path, config(
        exporter("file", path=f"{tmp_path}/new.jsonl"),
        receivers='http = false, grpc = { listen = "127.0.0.1:0", '
                  f'tls = {{ cert_file = "{cert}", key_file = "{key}" }} }}'))
    assert code == 0, lines
    assert of(lines, "files") == [("ok", "receivers.otlp.grpc: tls has a certificate and its key")]
    assert not os.path.exists(tmp_path / "new.jsonl")


def test_what_helps_depends_on_why_a_port_is_not_had(tmp_path):
    code, lines = doctor(tmp_path, config(exporter("nop"), receivers='grpc = "192.0.2.1:1", '
                                                                     'http = false'))
    assert code == 1
    assert of(lines, "port")[0] == (
        "FAIL", "otlp/grpc: cannot listen on 192.0.2.1:1: Cannot assign requested address")
    assert "no interface of this machine has it" in lines[lines.index(next(
        x for x in lines if "192.0.2.1" in x)) + 1]


def test_a_control_socket_that_the_start_could_not_make_fails(tmp_path):
    def control(path):
        code, lines = doctor(tmp_path, config(exporter("nop")).replace(
            "admin = { ", f'admin = {{ control = "{path}", '))
        return code, of(lines, "control")
    (tmp_path / "file").write_text("mine")
    for path, why in [
            (f"{tmp_path}/no/sock", f"{tmp_path}/no/sock can't be made in its folder {tmp_path}/no: "),
            (f"{tmp_path}/file", f"{tmp_path}/file is there and is not a socket"),
            ("/" + "x" * 110, "admin.control: /xxx")]:
        code, found = control(path)
        assert code == 1 and found[0][0] == "FAIL" and found[0][1].startswith(why), found
    assert control("sock") == (0, []) and not (tmp_path / "sock").exists()
    code, lines = doctor(tmp_path, config(exporter("nop")).replace(
        "FOLDER/journal", f"FOLDER/{'x' * 110}"))
    assert code == 1 and "longer than the 107 bytes" in of(lines, "control")[0][1], lines


@pytest.mark.skipif(os.getuid() != 0, reason="another user is had by root alone")
def test_a_journal_of_somebody_else_is_one_line():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        os.mkdir(f"{folder}/journal", mode=0o700)
        program, path = shutil.copy(PROGRAM, folder), f"{folder}/config.lua"
        with open(path, "w") as f:
            f.write(config(exporter("nop")).replace("FOLDER", folder))
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               program, "doctor", "--config", path], cwd="/", capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and of(lines, "control") == [], done
    assert "can't be written to: Permission denied" in of(lines, "journal")[0][1]


def test_a_journal_too_small_for_the_cpus_of_this_machine_fails(tmp_path):
    code, lines = doctor(tmp_path, config(exporter("nop"), workers=0, journal='max_size = "16MiB"'))
    assert code == 1
    assert of(lines, "journal")[0][1].startswith("journal.max_size is 16MiB; the segments that ")


def test_too_few_file_descriptors_for_a_start_fail(tmp_path):
    text = config(exporter("nop"), workers=4)
    code, lines = doctor(tmp_path, text, under=("sh", "-c", 'ulimit -n 85; exec "$@"', "sh"))
    assert code == 1
    assert of(lines, "limits")[0][1].startswith(
        "this process may have 85 file descriptors, and 4 workers need 86: raise it"), lines
    code, lines = doctor(tmp_path, text, under=("sh", "-c", 'ulimit -n 86; exec "$@"', "sh"))
    assert code == 0 and of(lines, "limits") == [], lines


def test_a_configuration_with_errors_is_all_that_is_looked_at(tmp_path):
    code, lines = doctor(tmp_path, "return { exporters = 5 }")
    assert code == 1 and len(lines) == 2 and of(lines, "config")[0][0] == "FAIL"


def test_who_signs_is_said_and_that_it_is_taken(tmp_path, judge):
    env = {**NOBODY, **judge.env, "AWS_ENDPOINT_URL": judge.url}
    code, lines = doctor(tmp_path, signed(judge.url), env)
    assert code == 0, lines
    assert of(lines, "network")[0][0] == "ok"
    assert of(lines, "aws") == [
        ("ok", "otlp: signs as arn:aws:iam::123456789012:user/moontail"),
        ("ok", "otlp: xray takes a signed call (status 200)")]

    code, lines = doctor(tmp_path, signed(judge.url), {**env, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert code == 1
    assert "SignatureDoesNotMatch" in of(lines, "aws")[0][1]
    assert ("FAIL", "otlp: xray refuses the signed call: AWS says SignatureDoesNotMatch") in of(
        lines, "aws")
    assert "wrong" not in "\n".join(lines).replace("are wrong", "")


def test_a_role_is_taken_with_what_another_role_gives(tmp_path, aws):
    (tmp_path / "token").write_text("a token")
    text = config(exporter("xray", endpoint=aws.url, role_arn="arn:aws:iam::1:role/traces"))
    code, lines = doctor(tmp_path, text, {
        **NOBODY, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": aws.url,
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/moontail",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token")})
    assert code == 0, lines
    assert of(lines, "aws")[1] == ("ok", "xray: xray takes a signed call (status 200)")


@pytest.mark.parametrize("under", [(), (sys.executable, "-c", """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as some that start others leave it
os.execv(sys.argv[1], sys.argv[1:])""")], ids=["", "ignored children"])
def test_credentials_that_have_to_be_asked_for_are_used_once_they_are_there(tmp_path, aws, under):
    (tmp_path / "give").write_text("""printf '{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"s",'
printf '"Expiration":"%s"}' $(date -u -d '+1 hour' +%FT%TZ)""")
    (tmp_path / "aws").write_text(f"[default]\ncredential_process = sh {tmp_path}/give\n")
    begin = time.monotonic()
    code, lines = doctor(tmp_path, config(exporter("xray", endpoint=aws.url)), {
        **NOBODY, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_STS": aws.url,
        "AWS_CONFIG_FILE": str(tmp_path / "aws")}, under)
    assert code == 0, lines
    assert of(lines, "aws")[1] == ("ok", "xray: xray takes a signed call (status 200)")
    assert time.monotonic() - begin < 12, "it waits for 15 s where nobody answers"


def test_remote_write_is_signed_for_prometheus(tmp_path, judge):
    text = config(exporter("prometheus_remote_write", endpoint=f"{judge.url}/api/v1/remote_write",
                           sigv4={"region": REGION}))
    _, lines = doctor(tmp_path, text, {**NOBODY, **judge.env, "AWS_ENDPOINT_URL_STS": judge.url})
    said = of(lines, "aws")[1][1]
    assert said.startswith("prometheus_remote_write: aps "), lines


def test_the_machine_says_the_region_where_nothing_else_does(tmp_path, judge):
    code, lines = doctor(tmp_path, config(exporter("xray")), {
        **NOBODY, "AWS_ACCESS_KEY_ID": judge.key, "AWS_SECRET_ACCESS_KEY": judge.secret,
        "AWS_ENDPOINT_URL": judge.url, "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": judge.url})
    assert code == 0, lines
    assert len(of(lines, "network")) == 1
    assert of(lines, "aws")[1] == ("ok", "xray: xray takes a signed call (status 200)")


def test_whether_metrics_may_be_written_to_cloudwatch_is_asked_without_writing(tmp_path, judge):
    env = {**NOBODY, **judge.env, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": judge.url,
           "AWS_ENDPOINT_URL_STS": judge.url}
    text = config(exporter("awsemf", log_group_name="/metrics/{ServiceName}/x"))
    code, lines = doctor(tmp_path, text, env)
    assert code == 0, lines
    assert of(lines, "network")[0][0] == "ok"
    assert of(lines, "aws")[0] == ("ok", "awsemf: signs as arn:aws:iam::123456789012:user/moontail")
    assert of(lines, "aws")[1][1].startswith("awsemf: logs takes a signed call (status ")
    assert not judge.client("logs").describe_log_groups(
        logGroupNamePrefix="/metrics/undefined")["logGroups"]

    code, lines = doctor(tmp_path, text, {**env, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert code == 1
    assert any(word == "FAIL" and "logs refuses the signed call" in said
               for word, said in of(lines, "aws")), lines
    code, lines = doctor(tmp_path, config(exporter("awsemf", output_destination="stdout")), NOBODY)
    assert code == 0 and not of(lines, "aws") and not of(lines, "network"), lines


def test_without_credentials_nothing_is_called(tmp_path, judge):
    code, lines = doctor(tmp_path, signed(judge.url), {**NOBODY, "AWS_ENDPOINT_URL": judge.url})
    assert code == 1
    assert [word for word, _ in of(lines, "aws")] == ["FAIL"]
    assert "AWS_EC2_METADATA_DISABLED" in of(lines, "aws")[0][1]


def test_where_memory_can_not_be_made_executable_it_says_so(tmp_path):
    code, lines = doctor(tmp_path, config(exporter("nop")),
                         under=(sys.executable, f"{HERE}/no_exec.py"))
    assert code == 0 and of(lines, "jit")[0][0] == "warn"


class Late(BaseHTTPRequestHandler):
    """Takes everything, ten minutes ago."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response_only(200)
        self.send_header("Date", formatdate(time.time() - 600, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_clock_that_is_ahead_is_said(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Late)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                     daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    code, lines = doctor(tmp_path, signed(url), {
        **NOBODY, "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S"})
    server.shutdown()
    server.server_close()
    assert code == 1, lines
    word, what = of(lines, "clock")[-1]
    assert word == "FAIL" and " s ahead of its backend" in what


def test_by_a_proxy_it_is_the_proxy_that_is_connected_to(tmp_path):
    proxy = socket.create_server(("127.0.0.1", 0))
    by = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    text = config(exporter("otlp", endpoint="http://a.nowhere.invalid:4317"))
    code, lines = doctor(tmp_path, text, {"http_proxy": by, "no_proxy": "", "NO_PROXY": ""})
    assert code == 0 and of(lines, "network")[0][1].startswith("otlp: by the proxy 127.0.0.1:")
    code, lines = doctor(tmp_path, text, {"http_proxy": by, "no_proxy": "x, .nowhere.invalid"})
    proxy.close()
    assert code == 1 and "no address for a.nowhere.invalid" in of(lines, "network")[0][1]
