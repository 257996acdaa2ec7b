"""What deploy/ says and the program does are the same; what needs other tools is in deploy/check."""
import glob
import json
import os
import re
import subprocess

import pytest
import yaml
from clients import post
from harness import ROOT, config, exporter, parse_metrics, run
from messages import request_with, span, trace_id

DEPLOY = f"{ROOT}/deploy"
CHART = "helm/moontail"
KNOWN_WORDS = {"FARGATE", "HEALTHY", "AWS_REGION", "CLUSTER_NAME", "SAMPLING_PERCENTAGE",
               "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"}
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
    assert actions(read_json("iam/remote-write.json")) == {"aps:RemoteWrite"}
    assert read_json("iam/remote-write.json")["Statement"] == [
        s for s in both["Statement"] if s["Resource"] != "*"]
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
    assert {e["name"] for e in sidecar["environment"]} <= asked | {"AWS_REGION"}  # xray's own
    limit = int(re.search(r'"MEMORY_LIMIT", "(\d+)MiB"', read("docker/config.lua"))[1])
    assert sidecar["memory"] >= limit * 1.25


def test_the_program_takes_the_configuration_of_the_image(tmp_path):
    checked = run("check", "--config", f"{DEPLOY}/docker/config.lua", folder=tmp_path,
                  env={"CLUSTER_NAME": "prod"})
    assert checked.returncode == 0 and "4 policies, 1 exporter" in checked.stdout, checked.stderr


def test_the_commands_of_the_page_fill_in_what_is_in_capitals(tmp_path):
    with open(f"{ROOT}/docs/aws.md") as f:
        page = f.read()
    commands = re.findall(r'^ +(sed "[^>]*)> /tmp/', page, re.M)
    env = {"ACCOUNT": "123456789012", "AWS_REGION": "eu-central-1", "CLUSTER": "prod",
           "OIDC": "oidc.example/id/A", "TRACES": "210987654321", "PATH": os.environ["PATH"]}
    files = set()
    for command in commands:
        done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=env, capture_output=True,
                              text=True, check=True)
        filled = json.dumps(json.loads(done.stdout))
        left = set(re.findall(r"\b[A-Z][A-Z_]{5,}\b", filled)) - KNOWN_WORDS
        assert not left and "/CLUSTER_NAME" not in filled, f"{command}: {left}"
        files.add(re.search(r"deploy/\S+", command)[0])
    assert len(files) == 6


def test_the_unit_fits_the_program(tmp_path):
    lines = dict(line.split("=", 1) for line in read("systemd/moontail.service").splitlines()
                 if "=" in line and line[0] != "#")
    timeout = re.search(r'shutdown_timeout = "(\d+)s"', defaults(tmp_path))
    assert int(lines["TimeoutStopSec"]) > int(timeout[1])
    limit = re.search(r' limit = "(\d+)MiB"', defaults(tmp_path))
    assert int(lines["MemoryMax"].rstrip("M")) >= 1.25 * int(limit[1])
    assert f'env("STATE_DIRECTORY", "/var/lib/{lines["StateDirectory"]}")' in defaults(tmp_path)
    # A failure that passes, such as a port in use (73), is tried again for as long as it takes.
    assert lines["RestartPreventExitStatus"] == "2 78" and lines["StartLimitIntervalSec"] == "0"
    # The files of the page on exporters can be written.
    with open(f"{ROOT}/docs/exporters.md") as f:
        assert f'path = "/var/log/{lines["LogsDirectory"]}/' in f.read()
    # What it starts and reloads with are commands of the program, with arguments that they have.
    for key in ("ExecStart", "ExecReload"):
        program, *arguments = lines[key].split()
        assert program == "/usr/bin/moontail"
        arguments[-1] = "missing.lua"
        assert run(*arguments, folder=tmp_path).returncode == 78


# ---- the chart ----

def mounted(example, folder):
    """What the kubelet would put into /etc/moontail and the environment."""
    documents = [d for d in yaml.safe_load_all(read(f"{CHART}/examples/{example}/rendered.yaml")) if d]
    data, = (d["data"] for d in documents if d["kind"] == "ConfigMap")
    for name, text in data.items():
        (folder / name).write_text(text)
    container, = next(d for d in documents if d["kind"] in ("DaemonSet", "Deployment", "StatefulSet")
                      )["spec"]["template"]["spec"]["containers"]
    return container, {e["name"]: e["value"] for e in container["env"] if "value" in e}


EXAMPLES = [path.split("/")[-2] for path in glob.glob(f"{DEPLOY}/{CHART}/examples/*/values.yaml")]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_program_takes_what_the_chart_mounts(example, tmp_path):
    container, env = mounted(example, tmp_path)
    env["STATE_DIRECTORY"] = str(tmp_path / "journal")
    assert container["args"] == ["run", "--config", "/etc/moontail/config.lua"]
    checked = run("check", "--config", "config.lua", folder=tmp_path, env=env)
    assert checked.returncode == 0, checked.stderr
    printed = run("print-config", "--config", "config.lua", folder=tmp_path, env=env).stdout
    assert f'limit = "{env["MEMORY_LIMIT"]}"' in printed
    assert f'max_size = "{env["JOURNAL_MAX_SIZE"]}"' in printed
    for port in container["ports"]:
        assert f'listen = ":{port["containerPort"]}"' in printed, port


def test_ports_and_bounds_of_the_chart_are_the_programs_defaults(tmp_path):
    values, text = yaml.safe_load(read(f"{CHART}/values.yaml")), defaults(tmp_path)
    for name in ("otlp", "otlp-http", "admin"):
        assert f'"127.0.0.1:{values["ports"][name]["containerPort"]}"' in text
    assert f'limit = "{values["memoryLimiter"]["limit"]}"' in text
    assert f'spike_limit = "{values["memoryLimiter"]["spikeLimit"]}"' in text
    for key, default in (("max_size", "maxSize"), ("ack", "ack"), ("on_shutdown", "onShutdown")):
        assert f'{key} = "{values["journal"][default]}"' in text
    assert f'shutdown_timeout = "{values["shutdownTimeoutSeconds"]}s"' in text


def test_the_schema_of_the_values_knows_each_and_no_other():
    def compare(values, schema, path):
        if schema.get("additionalProperties") is not False:
            return
        assert set(values) <= set(schema["properties"]), path
        for key, value in values.items():
            if isinstance(value, dict):
                part = schema["properties"][key]
                compare(value, definitions[part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part,
                        f"{path}.{key}")

    schema = read_json(f"{CHART}/values.schema.json")
    definitions = schema["definitions"]
    assert schema["additionalProperties"] is False
    compare(yaml.safe_load(read(f"{CHART}/values.yaml")), schema, "values")


# ---- alerts and the dashboard ----

def test_every_metric_that_is_watched_exists(start):
    policies = """policies = { policy {
      name = "first", doc = "one of each", setup = function()
        return { names = seen { window = "1m", max_keys = 1 } } end,
      decide = function(trace, opt, my)
        if my.names:add(trace.entry.name) and trace.error_count == 0 then return drop("dull") end
        return keep("errors") end } }"""
    counting = """exporter { name = "counting", doc = "counts", encode = function(batch)
      count("documents", batch.span_count) end }"""
    collector = start(config(counting, tail=policies,
                             more="processors = { kept = { processor 'truncate' {} } },"))
    sent = request_with(span(trace_id(1), 1), span(trace_id(2), 2, name="second", error=True))
    post(collector.http, sent.SerializeToString())
    metrics = collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") and
                                     m.total("moontail_export_script_total"))
    there = {name for name, _ in metrics}
    watched = read(f"{CHART}/alerts.yml") + read("grafana/moontail.json")
    assert read("prometheus/alerts.yml") == read(f"{CHART}/alerts.yml")
    used = set(re.findall(r"\b(?:moontail|process)_[a-z_]+", watched))
    assert len(used) > 40 and not used - there, used - there


def test_every_alert_has_its_page():
    rules = [r for name in ("alerts", "services")
             for g in yaml.safe_load(read(f"prometheus/{name}.yml"))["groups"] for r in g["rules"]]
    with open(f"{ROOT}/docs/alerts.md") as f:
        headings = re.findall(r"^### (\w+)$", f.read(), re.M)
    assert [r["alert"] for r in rules] == headings
    for rule in rules:
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")


def test_metrics_of_services_that_are_watched_are_there(start):
    collector = start(config('exporter "nop"', more="span_metrics = {}, service_graph = {},"))
    sent = request_with(span(trace_id(1), 1, kind=3, error=True), span(trace_id(1), 2, 1))
    post(collector.http, sent.SerializeToString())
    collector.wait_decided(2)
    there = {name for name, _ in parse_metrics(collector.get("/metrics/spans")[2])}
    there |= {name for name, _ in collector.scrape()}
    watched = "".join(map(read, ("prometheus/services.yml", "grafana/red.json",
                                 "grafana/service-graph.json")))
    used = set(re.findall(r"\b(?:traces|moontail)_[a-z_]+", watched))
    assert len(used) > 10 and not used - there, used - there
    labels = {label for (name, labels) in parse_metrics(collector.get("/metrics/spans")[2])
              for label, _ in labels}
    asked = set(re.findall(r"by \(([a-z_, ]+)\)", watched))
    assert {x for each in asked for x in each.split(", ")} - {"id", "title"} <= labels


@pytest.mark.parametrize("name", ["moontail", "red", "service-graph"])
def test_the_dashboard_is_laid_out(name):
    panels = read_json(f"grafana/{name}.json")["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken = set()
    for place in (p["gridPos"] for p in panels):
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
