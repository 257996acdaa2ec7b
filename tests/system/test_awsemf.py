"""Exporter "awsemf": what an SDK measures is what CloudWatch's logs hold, in the embedded metric format."""
import json

import pytest
from aws import REGION
from harness import config, exporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from test_xray import SOON, Front


class Shop:
    """Metrics of an SDK, sent when they are asked for."""

    def __init__(self, collector, name):
        exporter_ = OTLPMetricExporter(f"http://{collector.http}/v1/metrics")
        self.reader = PeriodicExportingMetricReader(exporter_, export_interval_millis=1e9)
        view = View(instrument_name="exact", aggregation=ExponentialBucketHistogramAggregation())
        self.provider = MeterProvider([self.reader], views=[view], resource=Resource(
            {"service.name": name, "service.namespace": "shop"}))
        meter = self.provider.get_meter("lib")
        self.orders = meter.create_counter("orders", unit="1")
        self.latency = meter.create_histogram("latency", unit="ms")
        self.exact = meter.create_histogram("exact", unit="s")
        self.level = 5
        meter.create_observable_gauge(
            "level", callbacks=[lambda _: [Observation(self.level, {"tank": "a"})]], unit="By")

    def measure(self, route, count, *values):
        self.orders.add(count, {"route": route})
        for value in values:
            self.latency.record(value, {"route": route})
            self.exact.record(value, {"route": route})

    def send(self):
        self.reader.collect()

    def stop(self):
        self.provider.shutdown()


def emf(url, **options):
    return exporter("awsemf", **{"endpoint": url, "region": REGION, "log_stream_name": "s",
                                 "batch": {"timeout": "0s"}, "retry": SOON,
                                 "circuit": {"probe": "20ms"}, **options})


def events(server, group, stream="s"):
    """The documents of a stream, in order; each is checked against the format."""
    logs = server.client("logs")
    documents = []
    for event in logs.get_log_events(logGroupName=group, logStreamName=stream,
                                     startFromHead=True)["events"]:
        document = json.loads(event["message"])
        assert document["Version"] == "1"
        assert document["_aws"]["Timestamp"] == event["timestamp"]
        for directive in document["_aws"]["CloudWatchMetrics"]:
            assert len(directive["Metrics"]) <= 100 and directive["Namespace"]
            for metric in directive["Metrics"]:
                assert metric["Name"] in document
            for dimensions in directive["Dimensions"]:
                assert len(dimensions) <= 30
                assert all(isinstance(document[d], str) and document[d] for d in dimensions)
        documents.append(document)
    return documents


def values(documents, name, **labels):
    return [d[name] for d in documents
            if name in d and all(d.get(k) == v for k, v in labels.items())]


def test_events_hold_what_an_sdk_measured(start, judge):
    collector = start(config(emf(judge.url, log_retention=7, tags={"team": "shop"})), judge.env)
    shop = Shop(collector, "first")
    shop.measure("/a", 3, 1, 20)
    shop.measure("/b", 1, 300)
    shop.send()
    collector.wait_items("metrics", 7)
    shop.measure("/a", 4, 2, 2, 8)
    shop.level = 7
    shop.send()
    shop.stop()  # sends once more, with nothing new
    metrics = collector.wait_items("metrics", 21)
    group = "/metrics/shop/first"
    documents = events(judge, group)
    assert values(documents, "orders", route="/a") == [4, 0]
    assert values(documents, "orders", route="/b") == [0, 0]
    assert values(documents, "level", tank="a") == [5, 7, 7]
    latency = values(documents, "latency", route="/a")[0]
    assert (latency["Count"], latency["Sum"]) == (3, 12)
    exact = values(documents, "exact", route="/a")[0]
    assert (exact["Count"], exact["Sum"]) == (3, 12) and sum(exact["Counts"]) == 3
    assert exact["Values"] == pytest.approx([2, 8], rel=0.05)
    level = next(d for d in documents if "level" in d)["_aws"]["CloudWatchMetrics"][0]
    assert level["Namespace"] == "shop/first"
    assert level["Metrics"] == [{"Name": "level", "Unit": "Bytes", "StorageResolution": 60}]
    assert level["Dimensions"] == [["OTelLib"], ["OTelLib", "tank"]]
    described = judge.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [g["retentionInDays"] for g in described] == [7]
    assert judge.client("logs").list_tags_log_group(logGroupName=group)["tags"] == {"team": "shop"}
    assert metrics.total("moontail_export_lost_items_total") == 0
    assert metrics.total("moontail_unaccounted_items") == 0
    said = metrics.by("moontail_export_script_total", "what")
    assert said["created"] == 2 and said["baseline"] == 6


def test_groups_that_are_there_are_used_and_streams_go_by_the_resource(start, aws):
    aws.client("logs").create_log_group(logGroupName="/ecs/there")
    declarations = [{"dimensions": [["tank"], ["absent"]], "metric_name_selectors": ["^lev"],
                     "label_matchers": [{"label_names": ["tank"], "regex": "^a$"}]}]
    collector = start(config(emf(aws.url, log_group_name="/ecs/there", namespace="own",
                                 log_stream_name="{ServiceName}", metric_declarations=declarations,
                                 dimension_rollup_option="NoDimensionRollup")), aws.env)
    for name in ("one", "two"):
        Shop(collector, name).stop()
    collector.wait_items("metrics", 2)
    for name in ("one", "two"):
        documents = events(aws, "/ecs/there", name)
        assert values(documents, "level")[0] == 5
        directive = documents[0]["_aws"]["CloudWatchMetrics"][0]
        assert directive["Namespace"] == "own" and directive["Dimensions"] == [["tank"]]


def test_events_may_be_lines_of_standard_output_and_nothing_is_signed(start):
    collector = start(config(exporter("awsemf", namespace="lines", output_destination="stdout",
                                      retain_initial_value_of_delta_metric=True,
                                      batch={"timeout": "0s"})),
                      {"AWS_EC2_METADATA_DISABLED": "true"})
    shop = Shop(collector, "cart")
    for count in (1, 2):
        shop.measure("/a", count, 5)
        shop.send()
    collector.wait_items("metrics", 8)
    shop.stop()
    metrics = collector.wait_items("metrics", 12)
    collector.stop()
    documents = [json.loads(line) for line in collector.output().splitlines()
                 if line.startswith('{"Version"')]
    assert values(documents, "orders", route="/a") == [1, 2, 0]
    assert values(documents, "level", tank="a") == [5, 5, 5]
    assert all(d["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "lines" for d in documents)
    assert metrics.by("moontail_export_script_total", "what")["events"] == len(documents)
    assert metrics.total("moontail_unaccounted_items") == 0


def test_throttling_and_an_outage_lose_nothing(start, aws):
    front = Front(aws.url)
    refusals = iter([(400, b'{"__type":"ThrottlingException","message":"Rate exceeded"}')] * 3
                    + [(503, b"down")] * 5 + [(500, b'{"__type":"InternalFailure"}')] * 2)
    front.answers = lambda body: next(refusals, None)
    collector = start(config(emf(front.url, retain_initial_value_of_delta_metric=True,
                                 namespace="outage")), aws.env)
    shop = Shop(collector, "cart")
    for count in (1, 2, 3, 4):
        shop.measure("/a", count)
        shop.send()
    shop.stop()
    metrics = collector.wait_items("metrics", 10)
    documents = events(aws, "/metrics/outage")
    assert sum(values(documents, "orders", route="/a")) == 10
    assert len(values(documents, "level")) == 5
    assert metrics.total("moontail_export_lost_items_total") == 0
    assert metrics.by("moontail_export_script_total", "what")["throttled"] >= 1


def test_what_cloudwatch_leaves_out_of_a_request_is_counted(start, aws):
    front = Front(aws.url)
    left_out = b'{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1}}'
    front.answers = lambda body: (200, left_out) if "logEvents" in body else None
    collector = start(config(emf(front.url)), aws.env)
    shop = Shop(collector, "old")
    shop.stop()
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_lost_items_total", reason="permanent") == 1)
    assert metrics.by("moontail_export_script_total", "what")["too_old"] == 1
