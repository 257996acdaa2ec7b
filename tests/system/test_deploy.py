"""What deploy/ says and the program does are the same; what needs other tools is in deploy/check."""
import glob
import json
import re

from harness import ROOT, run

DEPLOY = f"{ROOT}/deploy"
WRITE_TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}


def read(path):
    with open(f"{DEPLOY}/{path}") as f:
        return f.read()


def read_json(path):
    return json.loads(read(path))


def as_list(value):
    return value if isinstance(value, list) else [value]


def actions(policy):
    assert policy["Version"] == "2012-10-17"
    assert all(s["Effect"] == "Allow" for s in policy["Statement"])
    return {action for s in policy["Statement"] for action in as_list(s["Action"])}


def defaults(tmp_path):
    return run("print-config", "--defaults", folder=tmp_path).stdout


def test_roles_may_do_what_is_needed_and_no_more():
    assert actions(read_json("iam/xray.json")) == WRITE_TRACES
    both = read_json("iam/xray-and-remote-write.json")
    assert actions(both) == WRITE_TRACES | {"aps:RemoteWrite"}
    assert actions(read_json("iam/assume-role.json")) == {"sts:AssumeRole"}
    wide = [s for s in both["Statement"] if s["Resource"] == "*"]
    assert [set(s["Action"]) for s in wide] == [WRITE_TRACES]


def test_roles_are_taken_by_those_who_are_meant():
    trusts = {path.rsplit("trust-", 1)[1][:-5]: json.load(open(path))
              for path in glob.glob(f"{DEPLOY}/iam/trust-*.json")}
    assert set(trusts) == {"irsa", "pod-identity", "ecs", "ec2", "account"}
    for name, trust in trusts.items():
        assert all("*" not in as_list(s["Principal"]) for s in trust["Statement"]), name
        assert actions(trust) <= {"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity",
                                  "sts:TagSession"}
    subject = trusts["irsa"]["Statement"][0]["Condition"]["StringEquals"]
    assert sorted(key.split(":")[1] for key in subject) == ["aud", "sub"]
    assert all(f"({name}" in read("iam/README.md")
               for name in (p.rsplit("/", 1)[1] for p in glob.glob(f"{DEPLOY}/iam/*.json")))


def test_the_task_definition_fits_the_program(tmp_path):
    task = read_json("ecs/task-definition.json")
    app, sidecar = task["containerDefinitions"]
    assert (app["name"], sidecar["name"]) == ("app", "moontail")
    assert sidecar["readonlyRootFilesystem"] and not sidecar["user"].startswith("0")
    # The health check is a command of the program, and asks where the program answers.
    program, *arguments = sidecar["healthCheck"]["command"][1:]
    assert program == "/usr/bin/moontail"
    assert run(*arguments, "--address", "127.0.0.1:1", folder=tmp_path).returncode == 1
    assert 'listen = "127.0.0.1:13133"' in defaults(tmp_path)
    # It stops after the program has, whose own bound is shutdown_timeout.
    timeout = re.search(r'shutdown_timeout = "(\d+)s"', defaults(tmp_path))
    assert sidecar["stopTimeout"] > int(timeout[1])
    mount, = sidecar["mountPoints"]
    assert f'"{mount["containerPath"]}"' in defaults(tmp_path)
    assert {v["name"] for v in task["volumes"]} == {mount["sourceVolume"]}
    endpoint = {e["name"]: e["value"] for e in app["environment"]}["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert endpoint.rsplit(":", 1)[1] == re.search(r'http = ":(\d+)"', read("docker/config.lua"))[1]


def test_the_image_reads_what_the_task_definition_sets():
    _, sidecar = read_json("ecs/task-definition.json")["containerDefinitions"]
    asked = set(re.findall(r'env\(?\s?"(\w+)"', read("docker/config.lua")))
    assert {e["name"] for e in sidecar["environment"]} <= asked
    limit = int(re.search(r'"MEMORY_LIMIT", "(\d+)MiB"', read("docker/config.lua"))[1])
    assert sidecar["memory"] >= limit * 1.25
