"""Requests to AWS, judged by a server that checks every signature."""
import json
import socket

import pytest
from clients import post
from harness import PATIENCE, config, exporter, fields
from messages import request_with, span, trace_id
from ports import free_ports

TRACE = "1-5f84c7a0-aaaaaaaaaaaaaaaaaaaaaaaa"
DOCUMENT = {"trace_id": TRACE, "id": "1111111111111111", "name": "shop",
            "start_time": 1.0, "end_time": 2.0}


def put(client):
    return client.put_trace_segments(TraceSegmentDocuments=[json.dumps(DOCUMENT)])


def test_the_judge_takes_a_right_key_and_refuses_a_wrong_one(judge):
    assert put(judge.client("xray"))["UnprocessedTraceSegments"] == []
    assert judge.segments([TRACE])["1111111111111111"]["name"] == "shop"
    from botocore.exceptions import ClientError
    right, judge.secret = judge.secret, "wrong"
    try:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            put(judge.client("xray"))
    finally:
        judge.secret = right


# A segment of X-Ray for each span, as small as can be.
SEGMENTS = """return exporter { doc = "segments", options = { url = option.string {} },
  encode = function(batch, opt)
    local documents = {}
    for _, span in batch:spans() do
      local id = span.trace_id
      documents[#documents + 1] = json.encode { trace_id = "1-" .. id:sub(1, 8) .. "-" .. id:sub(9), id = span.id,
                                                name = span.name, start_time = 1, end_time = 2 }
    end
    return { url = opt.url .. "/TraceSegments", headers = { ["content-type"] = "application/json" },
             body = json.encode { TraceSegmentDocuments = documents }, sigv4 = { service = "xray" } }
  end }
"""


@pytest.fixture
def segments(start, judge, tmp_path):
    """segments(env) runs a collector that sends to the judge."""
    def start_one(env):
        (tmp_path / "exporters").mkdir()
        (tmp_path / "exporters" / "segments.lua").write_text(SEGMENTS)
        text = config(exporter("segments", url=judge.url, batch={"timeout": "0s"},
                               circuit={"probe": "20ms"}))
        return start(text, {**judge.env, **env}, tmp_path)
    return start_one


def send(collector, number):
    """One span; its X-Ray trace id."""
    message = request_with(span(trace_id(number), 1, name="shop"))
    assert post(collector.http, message.SerializeToString()).status == 200
    return f"1-{trace_id(number).hex()[:8]}-{trace_id(number).hex()[8:]}"


def test_a_right_key_is_taken(judge, segments):
    collector = segments({})
    trace = send(collector, 1)
    collector.wait_delivered(1)
    assert [d["name"] for d in judge.segments([trace]).values()] == ["shop"]


def test_a_wrong_key_loses_nothing_and_is_said_once_until_it_is_right(judge, segments, tmp_path):
    def write(secret):
        part = tmp_path / "credentials.part"
        part.write_text(f"[default]\naws_access_key_id = {judge.key}\n"
                        f"aws_secret_access_key = {secret}\n")
        part.rename(tmp_path / "credentials")

    write("wrong")
    collector = segments({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                          "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})
    trace = send(collector, 2)
    line = collector.wait_line(lambda x: "the endpoint fails" in x)
    assert fields(line)["error"] == "HTTP status 403, AWS says SignatureDoesNotMatch"
    metrics = collector.wait_metrics(lambda m: m.total("moontail_export_failures_total") >= 3)
    assert metrics.total("moontail_export_queued_spans") == 1
    assert collector.get("/readyz")[0] == 200
    write(judge.secret)
    collector.wait_delivered(1)
    assert judge.segments([trace])
    warnings = [x for x in collector.output().splitlines()
                if "level=warn" in x and "inside a container" not in x]
    assert warnings == [line]


DATAGRAMS = """return exporter { doc = "datagrams", options = { url = option.string {} },
  encode = function(batch, opt)
    local list = {}
    for _, span in batch:spans() do list[#list + 1] = { url = opt.url, body = "{}\\n" .. span.name } end
    return list
  end }
"""


def test_a_daemon_gets_datagrams_and_nothing_is_lost_before_it_listens(start, tmp_path):
    (tmp_path / "exporters").mkdir()
    (tmp_path / "exporters" / "datagrams.lua").write_text(DATAGRAMS)
    address = "127.0.0.1", *free_ports(1)
    collector = start(config(exporter(
        "datagrams", url=f"udp://127.0.0.1:{address[1]}", batch={"timeout": "0s"},
        retry={"initial_interval": "20ms", "max_interval": "50ms"}, circuit={"probe": "20ms"})),
        folder=tmp_path)
    # Where the machine is busy its kernel says of a datagram only at the next one that nobody listens.
    refused, sent = False, 0
    while not refused:
        send(collector, 100 + sent)
        sent += 1
        metrics = collector.wait_metrics(
            lambda m: m.total("moontail_export_failures_total") >= 1
            or m.total("moontail_export_delivered_spans_total") >= sent)
        refused = metrics.total("moontail_export_failures_total") >= 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(address)
        daemon.settimeout(PATIENCE)
        assert daemon.recv(65536) == b"{}\nshop"
        metrics = collector.wait_delivered(sent)
    assert metrics.total("moontail_export_lost_spans_total") == 0
