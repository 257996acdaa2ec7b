"""moontail doctor: one line for each thing that a configuration needs."""
import os
import socket

from aws import REGION
from harness import config, exporter, run

NOBODY = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
          "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def doctor(folder, text, env=None):
    """(exit code, the lines)"""
    (folder / "config.lua").write_text(text.replace("FOLDER", str(folder)))
    done = run("doctor", "--config", str(folder / "config.lua"), folder=folder, env=env)
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


def test_without_credentials_nothing_is_called(tmp_path, judge):
    code, lines = doctor(tmp_path, signed(judge.url), {**NOBODY, "AWS_ENDPOINT_URL": judge.url})
    assert code == 1
    assert [word for word, _ in of(lines, "aws")] == ["FAIL"]
    assert "AWS_EC2_METADATA_DISABLED" in of(lines, "aws")[0][1]
