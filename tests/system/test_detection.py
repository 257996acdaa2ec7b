"""resource_detection: what the platform says of itself is set where spans do not say it."""
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clients import post
from harness import config, exporter
from messages import request_with, span, trace_id

TASK = {"Cluster": "prod", "TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/prod/abc",
        "Family": "shop", "Revision": "7", "LaunchType": "FARGATE",
        "AvailabilityZone": "eu-west-1a", "Containers": [{"Name": "moontail"}]}
DOCUMENT = {"accountId": "123456789012", "region": "eu-west-1", "availabilityZone": "eu-west-1b",
            "instanceId": "i-0123", "instanceType": "m7g.large", "imageId": "ami-1"}
NOTHING = {name: "" for name in ("ECS_CONTAINER_METADATA_URI_V4", "OTEL_RESOURCE_ATTRIBUTES",
                                 "KUBERNETES_SERVICE_HOST", "AWS_EC2_METADATA_DISABLED")}


class Platform(BaseHTTPRequestHandler):
    """The metadata of a task, and of an instance that wants a token."""

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_PUT(self):
        good = (self.path == "/latest/api/token"
                and self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600")
        self.answer(200 if good else 400, "T0KEN")

    def do_GET(self):
        if self.path == "/v4/task-1/task":
            self.answer(200, json.dumps(TASK))
        elif self.headers.get("X-aws-ec2-metadata-token") != "T0KEN":
            self.answer(401, "")
        elif self.path == "/latest/dynamic/instance-identity/document":
            self.answer(200, json.dumps(DOCUMENT))
        else:
            self.answer(404, "")

    def log_message(self, *_):
        pass


@pytest.fixture
def platform():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Platform)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                     daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def detecting(backend, *detectors):
    names = ", ".join(f'"{name}"' for name in detectors)
    return config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                           batch={"timeout": "0s"}), more=f"resource_detection = {{ {names} }},")


def resource_of(collector, backend, number):
    """Sends a span; the attributes of the resource that it arrives with."""
    backend.clear()
    message = request_with(span(trace_id(number), 1))
    assert post(collector.http, message.SerializeToString()).status == 200
    [resource] = [rs.resource for rs in backend.wait(spans=1).resource_spans]
    return {a.key: a.value.string_value for a in resource.attributes}


def test_a_task_and_its_instance_say_where_they_are(start, backend, platform):
    collector = start(detecting(backend, "ecs", "ec2"), {
        **NOTHING, "ECS_CONTAINER_METADATA_URI_V4": f"{platform}/v4/task-1",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": platform})
    found = resource_of(collector, backend, 1)
    assert found["cloud.platform"] == "aws_ecs" and found["aws.ecs.task.arn"] == TASK["TaskARN"]
    assert found["aws.ecs.cluster.arn"] == "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
    assert found["aws.ecs.launchtype"] == "fargate"
    assert found["cloud.availability_zone"] == "eu-west-1a" and found["host.id"] == "i-0123"


def test_a_reload_asks_again_and_a_failure_is_a_line(start, backend, platform, tmp_path):
    folder = tmp_path / "here"
    collector = start(detecting(backend, "ec2"),
                      {**NOTHING, "AWS_EC2_METADATA_SERVICE_ENDPOINT": platform}, folder)
    assert resource_of(collector, backend, 1)["host.type"] == "m7g.large"
    (folder / "new").write_text(detecting(backend, "ecs").replace("FOLDER", str(folder)))
    os.replace(folder / "new", folder / "config.lua")
    line = collector.wait_line(lambda x: "its attributes are missing" in x)
    assert "ecs: this is no task" in line
    collector.wait_line(lambda x: "msg=reloaded" in x)
    assert "host.type" not in resource_of(collector, backend, 2)


def test_nobody_answering_costs_the_attributes_and_nothing_else(start, backend):
    collector = start(detecting(backend, "ec2"), {
        **NOTHING, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    assert not any(key.startswith(("cloud.", "host.")) for key in resource_of(collector, backend, 1))
    assert collector.output().count("its attributes are missing") == 1
    assert collector.get("/readyz")[0] == 200
