"""moontail import: other collectors' configurations, and what comes out of them can run."""
import os
import subprocess

import pytest
from test_check import ROOT, moontail

FOLDER = os.path.join(ROOT, "tests", "system", "import")
ENV = {"CLUSTER_NAME": "c1", "SAMPLING_PERCENTAGE": "10", "TOKEN": "t", "AWS_REGION": "eu-west-1",
       "BACKEND": "http://b:1/otlp/"}


def imported(path):
    done = moontail("import", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def from_text(tmp_path, text):
    path = tmp_path / "other.yaml"
    path.write_text(text)
    return imported(path)


def check(tmp_path, text):
    path = tmp_path / "config.lua"
    path.write_text(text)
    return moontail("check", "--config", str(path), env=ENV)


def collector(policies):
    """A collector's configuration with these policies, a line each."""
    lines = "\n".join("      - " + line for line in policies)
    return f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors:
  tail_sampling:
    policies:
{lines}
exporters: {{nop: }}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [nop]}}}}}}
"""


def test_the_reference_pipeline_comes_out_as_three_policies_a_stamp_and_an_exporter(tmp_path):
    text, report = imported(os.path.join(FOLDER, "reference.yaml"))
    body = "".join(line for line in text.splitlines(True) if not line.startswith("-- "))
    assert body == """return {
  receivers = { otlp = { grpc = { listen = "0.0.0.0:4317" }, http = { listen = "0.0.0.0:4318" } } },
  memory_limiter = { limit = "400MiB", spike_limit = "100MiB" },
  tail_sampling = {
    decision_wait = "10s",
    num_traces = 100000,
    policies = {
      policy "status_code/errors-policy" { status_codes = { "ERROR" } },
      policy "latency/slow-traces-policy" { threshold_ms = 500 },
      policy "probabilistic/randomized-policy" { sampling_percentage = 10 },
    },
  },
  resource = { cluster_name = env "CLUSTER_NAME" },
  exporters = {
    exporter "xray" { region = "eu-west-1", index_all_attributes = true, signals = { "traces" } },
    exporter "debug" { verbosity = "detailed", signals = { "traces" } },
  },
}
"""
    assert 'exporters.awsxray: exporter "xray"' in report and "\nnot mapped" not in report
    assert check(tmp_path, text).returncode == 0


def test_what_comes_out_of_a_large_file_can_run_and_every_key_is_accounted_for(tmp_path):
    text, report = imported(os.path.join(FOLDER, "everything.yaml"))
    done = check(tmp_path, text)
    assert done.returncode == 0, done.stderr
    words = " ".join(text.split())
    for made in ['processor "filter/some-metrics" { metrics = match { metric = { name = regex "^jvm[.]" } } }',
                 'logs = match { ["not"] = { log = { severity_text = { "WARN", "ERROR" } } } }',
                 'processor "attributes/y" { metrics = true, logs = true, delete = { "secret" } }',
                 'metric_name_selectors = { "^http\\\\." }']:
        assert made in words, text
    assert 'output_destination = "stdout"' in words and "output_destination" not in report
    assert "sigv4auth: sigv4 = { ... } of the exporters that it signs for" in report
    for said in ["line 80 exporters.otlp/tempo.frobnicate: there is no such setting here",
                 "receivers.jaeger: moontail receives OTLP",
                 "actions[3].action: insert of a: write a processor",
                 "processors.filter/health: processor \"drop_at_door/health\""]:
        assert said in report, report
    assert 'authorization = secret("Bearer " .. env "TOKEN")' in text


def test_remote_write_comes_over_with_all_that_says_how_series_look(tmp_path):
    text, report = from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: }}}
extensions:
  sigv4auth/amp: {region: eu-west-1, service: aps, assume_role: {arn: "arn:aws:iam::123456789012:role/m"}}
  sigv4auth/unused: {region: eu-west-1}
exporters:
  prometheusremotewrite:
    endpoint: https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write
    auth: {authenticator: sigv4auth/amp}
    namespace: shop
    external_labels: {cluster: blue, zone: "${env:ZONE}"}
    add_metric_suffixes: false
    send_metadata: true
    target_info: {enabled: false}
    resource_to_telemetry_conversion: {enabled: true}
    max_batch_size_bytes: 1000000
    headers: {x-scope-orgid: one}
    tls: {ca_file: /etc/ca.pem, insecure: false}
    remote_write_queue: {enabled: true, num_consumers: 4}
    retry_on_failure: {max_elapsed_time: 0}
    timeout: 7s
  prometheusremotewrite/plain:
    endpoint: http://prometheus:9090/api/v1/write
    auth: {authenticator: basicauth}
    translation_strategy: NoTranslation
service:
  extensions: [sigv4auth/amp]
  pipelines:
    metrics: {receivers: [otlp], exporters: [prometheusremotewrite, prometheusremotewrite/plain]}
""")
    words = " ".join(text.split())
    for made in ['exporter "prometheus_remote_write" {',
                 'endpoint = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"',
                 'sigv4 = { service = "aps", region = "eu-west-1", role_arn = "arn:aws:iam::123456789012:role/m", }',
                 'external_labels = { cluster = "blue", zone = env "ZONE" }', 'namespace = "shop"',
                 "add_metric_suffixes = false", "send_metadata = true", "target_info = { enabled = false }",
                 "resource_to_telemetry_conversion = { enabled = true }", "max_batch_size_bytes = 1000000",
                 'tls = { ca_file = "/etc/ca.pem" }', '["x-scope-orgid"] = "one"', 'timeout = "7s"',
                 'exporter "prometheus_remote_write/plain" { endpoint = "http://prometheus:9090/api/v1/write"']:
        assert made in words, text
    assert "extensions.sigv4auth/amp: sigv4 = { ... } of the exporters that it signs for" in report
    assert "prometheusremotewrite/plain.auth: give the header in headers = { ... }" in report
    assert "remote_write_queue" in report and "translation_strategy" in report
    path = tmp_path / "config.lua"
    path.write_text(text.replace("/etc/ca.pem", str(path)))
    done = moontail("check", "--config", str(path), env={**ENV, "ZONE": "z"})
    assert done.returncode == 0, done.stderr


def test_variables_and_odd_values_come_out_as_lua_that_can_be_read(tmp_path):
    text, report = from_text(tmp_path, """
receivers:
  otlp:
    protocols:
      grpc: {max_recv_msg_size_mib: "${env:MIB}", auth: {authenticator: bearertokenauth}}
extensions:
  bearertokenauth: {token: "${env:TOKEN}"}
  sigv4auth: {region: "${env:AWS_REGION}", service: aps}
processors:
  memory_limiter: {limit_mib: "${env:MIB}"}
  attributes:
    include: {match_type: strict, services: 7}
    actions:
      - {key: "${env:TOKEN}", value: 1, action: upsert}
      - {pattern: "^secret", action: delete}
  filter: {traces: {span: [true, 'name == "${env:TOKEN}"', name == "ping"]}}
exporters:
  otlp: {endpoint: "${env:HOST}:4317", headers: {x-honeycomb-team: "${env:TOKEN}", authorization: }}
  prometheusremotewrite: {endpoint: "http://a:1/w", auth: {authenticator: sigv4auth}}
service:
  extensions: ["${env:EXTENSION}", sigv4auth]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, filter, attributes], exporters: [otlp]}
    metrics: {receivers: [otlp], exporters: [prometheusremotewrite]}
""")
    words = " ".join(text.split())
    for made in ['max_body = tonumber(env "MIB") .. "MiB"', 'bearer = { secret(env "TOKEN") }',
                 'memory_limiter = { limit = tonumber(env "MIB") .. "MiB" }', "service = 7",
                 'endpoint = "https://" .. env "HOST" .. ":4317"',
                 '["x-honeycomb-team"] = secret(env "TOKEN")', 'region = env "AWS_REGION"']:
        assert made in words, text
    for said in ['extensions.env "EXTENSION": there is no such extension here',
                 "actions[1].key: is not a name", "actions[2].action: delete of ^secret: write",
                 "span[1]: a condition is a text without variables", "headers.authorization: is not a single"]:
        assert said in report, report
    assert "table: 0x" not in text + report
    path = tmp_path / "config.lua"
    path.write_text(text)
    done = moontail("check", "--config", str(path), env={**ENV, "MIB": "128", "HOST": "h"})
    assert done.returncode == 0, done.stderr
    assert "$" not in moontail("print-config", "--config", str(path),
                               env={**ENV, "MIB": "128", "HOST": "h"}).stdout


def test_connectors_become_span_metrics_and_the_service_graph(tmp_path):
    text, report = from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: }}}
connectors:
  spanmetrics:
    namespace: shop
    histogram: {unit: s, explicit: {buckets: [100us, 1ms, 1.5s]}}
    dimensions: [{name: http.method, default: GET}, {name: http.status_code}]
    aggregation_temporality: AGGREGATION_TEMPORALITY_DELTA
    metrics_flush_interval: 15s
    exemplars: {enabled: true}
    exclude_dimensions: [status.code]
  spanmetrics/again:
  servicegraph: {latency_histogram_buckets: [100ms, 1s], dimensions: [region], store: {ttl: 2s}}
  forward: {}
  count: {}
exporters: {otlp: {endpoint: "a:1"}, otlphttp: {endpoint: "http://b:1"}}
service:
  pipelines:
    traces/in: {receivers: [otlp], exporters: [forward, spanmetrics, servicegraph, count]}
    traces/out: {receivers: [forward], exporters: [otlp, spanmetrics/again]}
    metrics: {receivers: [spanmetrics, servicegraph], exporters: [otlphttp]}
""")
    words = " ".join(text.split())
    for made in ['span_metrics = { namespace = "shop", dimensions = { "http.method", "http.status_code" }, '
                 'histogram = { unit = "s", explicit = { buckets = { "100us", "1ms", "1500ms" } } }, '
                 'aggregation_temporality = "delta", metrics_flush_interval = "15s", exemplars = { enabled = true }, }',
                 'service_graph = { dimensions = { "region" }, latency_histogram_buckets = { "100ms", "1s" } }',
                 'signals = { "traces" }', 'signals = { "metrics" }']:
        assert made in words, text
    for said in ["connectors.spanmetrics: span_metrics: all spans that come in",
                 "dimensions[1].default: a span without it has", "servicegraph.store: the whole trace is",
                 "spanmetrics.exclude_dimensions: there is no such setting", "spanmetrics/again: a second one",
                 "connectors.forward: the pipelines of a signal are one", "count: there is no such connector"]:
        assert said in report, report
    assert "point the senders there" not in report
    assert check(tmp_path, text).returncode == 0


def test_the_newer_names_of_components_are_the_same_components(tmp_path):
    older = """
receivers: {otlp: {protocols: {grpc: {auth: {authenticator: bearertokenauth}}}}}
extensions:
  bearertokenauth: {token: "${env:TOKEN}"}
  sigv4auth: {region: eu-west-1, service: aps}
processors: {resourcedetection: {detectors: [env, ec2], override: false}}
connectors: {spanmetrics: {namespace: shop}, servicegraph: {dimensions: [region]}}
exporters:
  awsxray: {region: eu-west-1}
  awsemf/two: {region: eu-west-1}
  otlp: {endpoint: "a:1"}
  otlphttp/b: {endpoint: "http://b:1"}
  prometheusremotewrite: {endpoint: "http://c:1/w", auth: {authenticator: sigv4auth}}
service:
  extensions: [sigv4auth, bearertokenauth]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [resourcedetection]
      exporters: [awsxray, otlp, spanmetrics, servicegraph]
    metrics: {receivers: [spanmetrics, servicegraph], exporters: [awsemf/two, otlphttp/b, prometheusremotewrite]}
"""
    newer = older
    for name, renamed in (("awsxray", "aws_xray"), ("awsemf", "aws_emf"), ("otlphttp", "otlp_http"),
                          ("otlp: {end", "otlp_grpc: {end"), (" otlp, span", " otlp_grpc, span"),
                          ("spanmetrics", "span_metrics"), ("servicegraph", "service_graph"),
                          ("sigv4auth", "sigv4_auth"),
                          ("resourcedetection", "resource_detection"),
                          ("prometheusremotewrite", "prometheus_remote_write"),
                          ("bearertokenauth", "bearer_token_auth")):
        newer = newer.replace(name, renamed)
    text, report = from_text(tmp_path, newer)
    assert text == from_text(tmp_path, older)[0]
    assert "not there yet" not in report and "\nnot mapped" not in report, report
    assert check(tmp_path, text).returncode == 0


@pytest.mark.parametrize("given, made", [
    ("endpoint: https://g.net/otlp", '"https://g.net/otlp/v1/traces"'),
    ("endpoint: https://g.net/otlp/", '"https://g.net/otlp/v1/traces"'),
    ("endpoint: http://tempo:4318", '"http://tempo:4318"'),
    ("endpoint: http://tempo:4318/", '"http://tempo:4318/"'),
    ("endpoint: '${env:BACKEND}'", 'env "BACKEND" .. "/v1/traces"'),
    ("traces_endpoint: http://t/custom", '"http://t/custom"'),
    ("logs_endpoint: http://l/x/v1/logs, metrics_endpoint: http://l/x/v1/metrics", '"http://l/x/v1/metrics"'),
])
def test_signals_go_to_the_paths_behind_an_endpoint_of_http_that_they_have_there(given, made, tmp_path):
    text, report = from_text(tmp_path, f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{otlphttp: {{{given}}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
""")
    assert f"endpoint = {made}" in " ".join(text.split()), text
    assert "not mapped" not in report
    assert check(tmp_path, text).returncode == 0


def test_an_endpoint_of_a_signal_that_is_elsewhere_is_said(tmp_path):
    _, report = from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: }}}
exporters: {otlphttp: {endpoint: "http://a/x", traces_endpoint: "http://a/x/v1/traces", logs_endpoint: "http://loki/otlp"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}}
""")
    assert 'logs_endpoint: an exporter has one endpoint: write another one, with signals = { "logs" }' in report
    assert "traces_endpoint" not in report


FILTERED = """
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{filter: {{{signal}: {{{how}: {{match_type: strict, {what}}}}}}}}}
exporters: {{nop: }}
service: {{pipelines: {{{pipeline}: {{receivers: [otlp], processors: [filter], exporters: [nop]}}}}}}
"""


@pytest.mark.parametrize("signal, how, what, key", [
    ("metrics", "exclude", "expressions: ['HasLabel(\"a\")']", "expressions"),
    ("metrics", "include", "metric_names: [m], expressions: ['HasLabel(\"a\")']", "expressions"),
    ("logs", "exclude", "bodies: [x], severity_number: {min: ERROR}", "severity_number"),
    ("logs", "include", "severity_number: {min: INFO}", "severity_number"),
    ("spans", "exclude", "services: [shop], libraries: [{name: lib}]", "libraries"),
])
def test_a_filter_of_which_a_part_is_not_understood_drops_nothing(signal, how, what, key, tmp_path):
    pipeline = "traces" if signal == "spans" else signal
    text, report = from_text(tmp_path, FILTERED.format(signal=signal, how=how, what=what, pipeline=pipeline))
    assert "processor " not in text, text
    assert f"processors.filter.{signal}.{how}.{key}: there is no such setting here" in report
    assert check(tmp_path, text).returncode == 0


def test_a_filter_that_excludes_metrics_by_name_and_resource_drops_what_either_names(tmp_path):
    text, _ = from_text(tmp_path, FILTERED.format(
        signal="metrics", how="exclude", pipeline="metrics",
        what="metric_names: [m], resource_attributes: [{key: env, value: test}]"))
    words = " ".join(text.split())
    assert 'processor "filter/metrics" { metrics = match { metric = { name = "m" } } }' in words
    assert 'processor "filter/metrics-resource" { metrics = match { resource = { env = "test" } } }' in words
    assert check(tmp_path, text).returncode == 0


@pytest.mark.parametrize("signal, what, made", [
    ("metrics", "resource_attributes: [{key: env, value: ^p}]", 'metrics = match { resource = { env = regex "^p" } }'),
    ("logs", "bodies: [a], record_attributes: [{key: k, value: x|y}, {key: n}]",
     'logs = match { log = { body = regex "a" }, attr = { k = regex "x|y", n = any } }'),
    ("logs", "resource_attributes: [{key: env, value: ^p}]", 'logs = match { resource = { env = regex "^p" } }'),
    ("spans", "span_kinds: ['_(SERVER|CONSUMER)$', IENT]", 'when = match { kind = { "server", "consumer", "client" } }'),
    ("spans", "services: [], span_names: [q]", 'when = match { name = regex "q" }'),
    ("logs", "bodies: [], severity_texts: [I]", 'logs = match { log = { severity_text = regex "I" } }'),
])
def test_a_filter_by_patterns_is_one_here(signal, what, made, tmp_path):
    pipeline = "traces" if signal == "spans" else signal
    text, report = from_text(tmp_path, FILTERED.format(
        signal=signal, how="exclude", what=what, pipeline=pipeline).replace("strict", "regexp"))
    assert made in " ".join(text.split()), text
    assert ("attributes[1].value: is a pattern of texts here" in report) == ("value:" in what), report
    assert check(tmp_path, text).returncode == 0


@pytest.mark.parametrize("signal, what, said", [
    ("logs", "record_attributes: [{key: a, value: x}, {key: a, value: y}]", "record_attributes[2].key: a is not"),
    ("metrics", "resource_attributes: [{key: a, value: [x]}]", "resource_attributes[1].value: is not a single value"),
    ("spans", "span_names: [q], span_kinds: ['^x']", "span_kinds: no kind of spans is called so"),
])
def test_a_filter_by_what_is_not_understood_drops_nothing(signal, what, said, tmp_path):
    pipeline = "traces" if signal == "spans" else signal
    text, report = from_text(tmp_path, FILTERED.format(
        signal=signal, how="include", what=what, pipeline=pipeline).replace("strict", "regexp"))
    assert "processor " not in text, text
    assert said in report, report


ATTRIBUTES = """
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{attributes: {{{how}: {{match_type: strict, {what}}}, actions: [{{key: secret, action: delete}}]}}}}
exporters: {{nop: }}
service: {{pipelines: {{{pipeline}: {{receivers: [otlp], processors: [attributes], exporters: [nop]}}}}}}
"""


@pytest.mark.parametrize("pipeline, how, what, said", [
    ("traces", "include", "libraries: [{name: lib}]", "include.libraries: there is no such setting"),
    ("traces", "exclude", "services: [shop], libraries: [{name: lib}]", "exclude.libraries: there is no such setting"),
    ("traces", "exclude", "attributes: [{key: a, value: 1}, {key: a, value: 2}]", "exclude.attributes[2].key: a is not"),
    ("traces", "include", "attributes: [{key: a, value: 9007199254740993}]", "include.attributes[1].key: a is not"),
    ("logs", "include", "log_severity_texts: [x]", "include.log_severity_texts: there is no such setting"),
    ("logs", "include", "attributes: [{key: a, value: 1}]", "its include or exclude is not understood"),
])
def test_a_processor_of_which_it_is_not_clear_what_it_edits_edits_nothing(pipeline, how, what, said, tmp_path):
    text, report = from_text(tmp_path, ATTRIBUTES.format(pipeline=pipeline, how=how, what=what))
    assert said in report and "processors.attributes: the whole processor is left out" in report, report
    assert "delete =" not in text and '-- processor "attributes": what it is about is not understood' in text, text
    assert check(tmp_path, text).returncode == 0


def test_of_a_processor_with_include_spans_alone_are_edited(tmp_path):
    text, report = from_text(tmp_path, ATTRIBUTES.format(pipeline="traces", how="include", what="services: [shop]").replace(
        "service: {pipelines: {", "service: {pipelines: {logs: {receivers: [otlp], processors: [attributes], exporters: [nop]}, "))
    assert 'when = match { service = "shop" }, delete = { "secret" }' in " ".join(text.split()), text
    assert "processors.attributes: include and exclude are of spans: write metrics or logs" in report
    assert check(tmp_path, text).returncode == 0


IN_PIPELINES = """
receivers: {otlp: {protocols: {grpc: }}}
processors:
  resource: {attributes: [{key: env, value: prod, action: upsert}]}
  resource/clean: {attributes: [{key: env, action: delete}]}
  filter: {metrics: {exclude: {match_type: strict, resource_attributes: [{key: env, value: dev}]}}}
  attributes: {include: {match_type: strict, resources: [{key: env, value: dev}]}, actions: [{key: a, action: delete}]}
  batch: {timeout: 1s}
  probabilistic_sampler: {sampling_percentage: 10}
  resourcedetection: {detectors: [env], override: false}
exporters: {nop: }
service: {pipelines: {PIPELINES}}
"""


def in_pipelines(tmp_path, **processors):
    """Text in one line and report, with these processors of each signal."""
    pipelines = ", ".join(f"{signal}: {{receivers: [otlp], processors: [{ids}], exporters: [nop]}}"
                          for signal, ids in processors.items())
    text, report = from_text(tmp_path, IN_PIPELINES.replace("PIPELINES", pipelines))
    assert check(tmp_path, text).returncode == 0, text
    return " ".join(text.split()).replace(", }", " }"), report


@pytest.mark.parametrize("processors, made", [
    ({"traces": "resource, batch"}, 'resource = { env = "prod" }'),
    ({"traces": "resource", "logs": "resource, batch"}, 'resource = { env = "prod" }'),
    ({"traces": "resource", "logs": "batch"},
     'processor "attributes/resource" { target = "resource", upsert = { env = "prod" } }'),
    ({"traces": "resource", "metrics": "", "logs": "resource"},
     'processor "attributes/resource" { target = "resource", when = true, logs = true, upsert = { env = "prod" } }'),
    ({"metrics": "resource, filter"},
     'kept = { processor "attributes/resource" { target = "resource", metrics = true, upsert = { env = "prod" } }, '
     'processor "filter/metrics-resource"'),
    ({"traces": "resource, attributes"},
     'kept = { processor "attributes/resource" { target = "resource", upsert = { env = "prod" } }, processor "attributes"'),
    ({"traces": "resource, resource/clean"},
     'kept = { processor "resource" { upsert = { env = "prod" } }, processor "resource/clean" { delete = { "env" } }'),
    ({"traces": "resource, resource/clean", "logs": "resource"},
     'kept = { processor "attributes/resource" { target = "resource", when = true, logs = true, upsert = { env = "prod" } }, '
     'processor "attributes/resource-clean" { target = "resource", delete = { "env" } }'),
])
def test_resources_are_edited_for_whom_and_before_whom_they_are_there(processors, made, tmp_path):
    text, _ = in_pipelines(tmp_path, **processors)
    assert made in text, text


def test_what_processors_do_for_one_signal_alone_or_in_another_order_is_said(tmp_path):
    order = "processors: stand in another order here"
    _, report = in_pipelines(tmp_path, traces="probabilistic_sampler, resource, batch", metrics="batch, resource",
                             logs="probabilistic_sampler, resource")
    assert "processors.probabilistic_sampler: is about spans alone here: logs pass as they are" in report
    assert order not in report
    _, report = in_pipelines(tmp_path, traces="resource, resource/clean", metrics="resource/clean, resource", logs="resource")
    assert "service.pipelines.metrics." + order in report and "service.pipelines.logs." + order not in report
    text, report = in_pipelines(tmp_path, metrics="resourcedetection, filter", logs="")
    assert 'resource_detection = { "env" }' in text
    assert "processors.resourcedetection: sets what is detected on resources of all signals" in report
    assert "processors.resourcedetection: sets what is detected behind all others: they do not see it" in report


@pytest.mark.parametrize("value, made", [
    ("$${env:X}", '"${env:X}"'), ("$$$${X}", '"$${X}"'), ("$$${env:X}", '"$" .. env "X"'),
    ("a$b$$c${", '"a$b$c${"'), ("${env:X:-a$$b}-$$", 'env("X", "a$$b") .. "-$"'),
])
def test_a_doubled_dollar_is_one_and_begins_no_variable(value, made, tmp_path):
    text, _ = from_text(tmp_path, f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{resource: {{attributes: [{{key: k, value: '{value}', action: upsert}}]}}}}
exporters: {{nop: }}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [resource], exporters: [nop]}}}}}}
""")
    assert f"resource = {{ k = {made} }}" in text, text


def test_what_stands_as_a_comment_is_one_whatever_is_in_it(tmp_path):
    deep = "{k: " * 55 + "[" + ", ".join("x" * 900) + "]" + "}" * 55
    text, _ = from_text(tmp_path, r"""
receivers: {otlp: {protocols: {grpc: }}}
processors:
  "transform/\r]]\e": {"a\rb": "c\td\0"}
  transform/deep: DEEP
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: ["transform/\r]]\e", transform/deep], exporters: [nop]}}}
""".replace("DEEP", deep))
    lines = [line.strip() for line in text.splitlines()]
    assert '-- processor "transform/?]]?": not there yet' in lines and "--   a?b: c d" in lines, lines[:12]
    assert lines.count("--" + " " * 113 + "- x") == 900, lines[-12:]
    assert check(tmp_path, text).returncode == 0


def test_a_whole_number_that_is_a_text_here_is_said(tmp_path):
    text, report = from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: }}}
processors:
  attributes:
    actions:
      - {key: most, value: 9007199254740991, action: insert}
      - {key: more, value: 9007199254740993, action: insert}
      - {key: least, value: -9223372036854775808, action: insert}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [attributes], exporters: [nop]}}}
""")
    assert "most = 9007199254740991" in text and 'more = "9007199254740993"' in text, text
    for i in (2, 3):
        assert f"actions[{i}].value: a whole number beyond 2^53 is a text here" in report, report
    assert "actions[1].value" not in report


def test_bounds_between_which_nothing_is_are_said(tmp_path):
    text, report = from_text(tmp_path, collector([
        "{name: a, type: numeric_attribute, numeric_attribute: {key: k, min_value: 100, max_value: 50}}",
        "{name: b, type: span_count, span_count: {min_spans: 10, max_spans: 5}}",
        "{name: c, type: latency, latency: {threshold_ms: 500, upper_threshold_ms: 100}}",
        "{name: d, type: latency, latency: {threshold_ms: 500}}",
    ]))
    for number, low, high in [(1, "min_value", "max_value"), (2, "min_spans", "max_spans"),
                              (3, "threshold_ms", "upper_threshold_ms")]:
        assert f"{low}: is above {high}: nothing is within" in report, report
        assert f"policies[{number}]: the whole policy is left out" in report, report
    assert check(tmp_path, text).returncode == 0


def test_a_limit_in_percent_is_not_mapped_and_one_in_mib_counts_more(tmp_path):
    def limited(by):
        return from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: }}}
processors: {memory_limiter: {check_interval: 1s, LIMITS}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [memory_limiter], exporters: [nop]}}}
""".replace("LIMITS", by))

    text, report = limited("limit_percentage: 75, spike_limit_percentage: 25")
    assert "memory_limiter" not in text and "processors.memory_limiter: memory_limiter" not in report, report
    assert "limit_percentage: memory_limiter is in sizes: say how much that is; without it the limit is 400MiB" in report
    text, report = limited("limit_percentage: 75, limit_mib: 512, spike_limit_mib: 64")
    assert 'memory_limiter = { limit = "512MiB", spike_limit = "64MiB" }' in text
    assert "limit_percentage: the sizes count, as there" in report


def test_an_old_version_of_tls_is_the_oldest_that_there_is(tmp_path):
    text, report = from_text(tmp_path, """
receivers: {otlp: {protocols: {grpc: {tls: {cert_file: c, key_file: k, min_version: "1.0"}}, http: {tls: {cert_file: c, key_file: k, min_version: "1.3"}}}}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
""")
    assert 'grpc = { tls = { cert_file = "c", key_file = "k" } }' in text, text
    assert 'min_version = "1.3"' in text
    assert "tls.min_version: 1.2 is the oldest version of TLS here" in report
    assert "min_version" not in check(tmp_path, text).stderr


def test_drops_come_first_and_shares_last(tmp_path):
    text, report = from_text(tmp_path, collector([
        "{name: some, type: probabilistic, probabilistic: {sampling_percentage: 5}}",
        "{name: more, type: probabilistic, probabilistic: {sampling_percentage: 20}}",
        "{name: slow, type: latency, latency: {threshold_ms: 100}}",
        "{name: ping, type: drop, drop: {drop_sub_policy: [{name: p, type: string_attribute, "
        "string_attribute: {key: http.route, values: [/ping]}}]}}",
    ]))
    order = [text.index(f'policy "{name}"') for name in
             ["drop/ping", "latency/slow", "probabilistic/more", "probabilistic/some"]]
    assert order == sorted(order)
    assert check(tmp_path, text).returncode == 0


def test_a_zero_that_says_nothing_there_says_nothing_here(tmp_path):
    text, report = from_text(tmp_path, collector([
        "{name: a, type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 0}}",
        "{name: b, type: latency}",
        "{name: c, type: numeric_attribute, numeric_attribute: {key: n, min_value: 0, max_value: 5}}",
        "{name: d, type: rate_limiting, rate_limiting: {spans_per_second: 10, burst_capacity: 0}}",
        "{name: e, type: probabilistic, probabilistic: {sampling_percentage: 150}}",
        "{name: f, type: probabilistic}",
    ]))
    for made in ['"latency/a" { threshold_ms = 100 }', '"latency/b" { threshold_ms = 0 }',
                 '"numeric_attribute/c" { key = "n", max_value = 5 }',
                 '"rate_limiting/d" { spans_per_second = 10 }',
                 '"probabilistic/e" { sampling_percentage = 100 }',
                 '"probabilistic/f" { sampling_percentage = 0 }']:
        assert made in text, text
    assert "numeric_attribute.min_value: 0 is no bound there, and is left out" in report
    assert check(tmp_path, text).returncode == 0


def test_a_rate_beyond_all_that_there_are_is_the_nearest(tmp_path):
    text, report = from_text(tmp_path, collector([
        "{name: a, type: rate_limiting, rate_limiting: {spans_per_second: 5_000_000}}",
        "{name: b, type: composite, composite: {max_total_spans_per_second: 2000000, composite_sub_policy: "
        "[{name: c, type: rate_limiting, rate_limiting: {spans_per_second: 0}}]}}"]))
    assert 'policy "rate_limiting/a" { spans_per_second = 1000000 }' in text, text
    assert "max_total_spans_per_second = 1000000" in text and "{ spans_per_second = 1 }" in text, text
    assert report.count("per_second: is from 1 to 1000000 here") == 3, report
    assert check(tmp_path, text).returncode == 0


def test_a_zero_that_is_no_bound_there_is_none_here(tmp_path):
    text, report = from_text(tmp_path, """
receivers:
  otlp:
    protocols:
      grpc: {max_recv_msg_size_mib: 0, max_concurrent_streams: 0,
             keepalive: {server_parameters: {max_connection_age: 0s}}}
      http: {max_request_body_size: 0}
processors: {batch: {send_batch_size: 0, timeout: 0s}}
exporters: {otlp: {endpoint: "a:1", timeout: 0}}
service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [otlp]}}}
""")
    assert "otlp = { grpc = {}, http = {} }" in text and 'batch = { timeout = "0s" }' in text, text
    assert 'timeout = "1h"' in text and "exporters.otlp.timeout: 0 is none there" in report, text
    assert check(tmp_path, text).returncode == 0


def test_batches_of_a_queue_come_over(tmp_path):
    queues = {"a": "{batch: {flush_timeout: 5s, min_size: 100, max_size: 400}}",
              "b": "{sizer: bytes, batch: {flush_timeout: 200ms, min_size: 65_536}}",
              "c": "{batch: {sizer: requests, flush_timeout: 1s, min_size: 3}, block_on_overflow: true}", "d": "{}"}
    lines = "\n".join(f"  otlp/{n}: {{endpoint: 'a:1', sending_queue: {q}}}" for n, q in queues.items())
    text, report = from_text(tmp_path, f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
processors: {{batch: {{send_batch_size: 7}}}}
exporters:
{lines}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [batch],
  exporters: [{", ".join("otlp/" + n for n in queues)}]}}}}}}
""")
    words = " ".join(text.split())
    for name, wanted in (("a", 'batch = { max_spans = 400, timeout = "5s" },'),
                         ("b", 'batch = { max_bytes = 65536, timeout = "200ms" },'),
                         ("c", 'batch = { timeout = "1s" }, queue = { on_full = "refuse" },'),
                         ("d", "batch = { max_spans = 7 },")):
        assert f'exporter "otlp/{name}" {{ endpoint = "https://a:1", {wanted}' in words, text
    assert "no such setting" not in report, report
    assert check(tmp_path, text).returncode == 0


def test_of_files_nothing_is_deleted_that_stays_there(tmp_path):
    names = {"grows": "{path: ROOT/a}", "default": "{path: ROOT/b, rotation: }",
             "few": "{path: ROOT/c, rotation: {max_megabytes: 10, max_backups: 3}}",
             "all": "{path: ROOT/d, rotation: {max_backups: 0}}"}
    lines = "\n".join(f"  file/{name}: {value}" for name, value in names.items())
    text, report = from_text(tmp_path, f"""
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters:
{lines.replace("ROOT", str(tmp_path))}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [{", ".join("file/" + n for n in names)}]}}}}}}
""")
    words = " ".join(text.split())
    for wanted in ('/a", max_size = "1024GiB",', '/b", max_files = 101,', '/c", max_size = "10MiB", max_files = 4,',
                   '/d", max_files = 1000,'):
        assert wanted in words, text
    assert "exporters.file/grows.rotation: the file only grows there" in report, report
    assert "exporters.file/all.rotation.max_backups: 0 is all there; here the last 1000 files stay" in report
    assert check(tmp_path, text).returncode == 0


FILTERS = """
receivers: {otlp: {protocols: {grpc: }}}
processors:
  filter/paths:
    trace_conditions:
      - span.attributes["http.route"] == "/health"
      - spanevent.name == "retry"
      - context: span
        conditions: ['IsRootSpan() and IsMatch(name, "^ping")']
      - {context: resource, error_mode: silent, conditions: ['attributes["host"] == "a" and not IsMatch(attributes["host"], "b$")']}
    log_conditions: ['log.severity_number < 9']
  filter/resource:
    traces:
      resource: ['attributes["service.name"] == "quiet" or resource.attributes["env"] == "dev"']
      span: ['name == "x"']
  filter/odd:
    trace_conditions: ['span.name == "y"', 'Frobnicate(span.name)']
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], processors: [filter/paths, filter/resource, filter/odd], exporters: [nop]}}}
"""


def test_conditions_that_say_what_they_are_about_come_over(tmp_path):
    text, report = from_text(tmp_path, FILTERS)
    for wanted in (
            r'(span.attributes[\"http.route\"] == \"/health\") or (IsRootSpan() and IsMatch(name, \"^ping\")) or '
            r'(resource.attributes[\"host\"] == \"a\" and not IsMatch(resource.attributes[\"host\"], \"b$\"))',
            r'(resource.attributes[\"service.name\"] == \"quiet\" or resource.attributes[\"env\"] == \"dev\") or '
            r'(name == \"x\")'):
        assert wanted in text, text
    for said in ('processors.filter/paths: processor "drop_at_door/paths"',
                 "filter/paths.trace_conditions[2]: moontail drops spans, not events",
                 "filter/paths.log_conditions: conditions of OTTL are of spans",
                 "filter/odd.trace_conditions[2]: the function Frobnicate is not known",
                 "processors.filter/odd: the whole filter of spans is left out"):
        assert said in report, report
    assert "no such setting" not in report and "drop_at_door/odd" not in text
    assert check(tmp_path, text).returncode == 0


def test_policies_whose_names_are_alike_here_all_come_over(tmp_path):
    text, report = from_text(tmp_path, collector([
        "{name: a b, type: string_attribute, string_attribute: {key: k, values: [x]}}",
        "{name: a/b, type: string_attribute, string_attribute: {key: k, values: [y]}}",
        "{name: latency, type: latency, latency: {threshold_ms: 1}}",
        "{name: '', type: latency, latency: {threshold_ms: 2}}",
        "{name: both, type: and, and: {and_sub_policy: ["
        "{name: s, type: string_attribute, string_attribute: {key: k, values: [x]}}, "
        "{name: s, type: string_attribute, string_attribute: {key: l, values: [x]}}]}}",
    ]))
    for name in ["string_attribute/a-b", "string_attribute/a-b-2", "latency", "latency/2",
                 "string_attribute/s", "string_attribute/s-2"]:
        assert f'policy "{name}" {{' in text, text
    assert "\nnot mapped" not in report
    assert check(tmp_path, text).returncode == 0


def test_edits_that_policies_and_filters_see_there_are_said(tmp_path):
    def report_of(before):
        text, report = from_text(tmp_path, collector([
            "{name: a, type: string_attribute, string_attribute: {key: env, values: [prod]}}",
        ]).replace("processors:\n", """processors:
  resource: {attributes: [{key: env, value: prod, action: upsert}, {key: env, value: dev, action: upsert}]}
  resource/again: {attributes: [{key: env, action: delete}, {key: env, value: x, action: insert}]}
  filter: {traces: {span: ['resource.attributes["env"] == "prod"']}}
""").replace("[tail_sampling]", before))
        assert check(tmp_path, text).returncode == 0
        return report

    edits = "processors.resource: edits kept spans; the policies see what came in"
    filters = "processors.filter: sees spans as they came, before the edits that stand in front"
    report = report_of("[resource, resource/again, filter, tail_sampling]")
    assert edits in report and filters in report
    assert "resource/again.attributes[2].key: a second action on env: here all inserts" in report
    assert "processors.resource.attributes" not in report
    report = report_of("[filter, tail_sampling, resource]")
    assert edits not in report and filters not in report


def test_of_two_samplers_at_the_head_the_smaller_share_counts(tmp_path):
    def head(first, second):
        text, report = from_text(tmp_path, collector(["{name: a, type: always_sample}"]).replace("processors:\n", f"""processors:
  probabilistic_sampler: {{sampling_percentage: {first}}}
  probabilistic_sampler/2: {{sampling_percentage: {second}}}
""").replace("[tail_sampling]", "[probabilistic_sampler, probabilistic_sampler/2, tail_sampling]"))
        assert "probabilistic_sampler/2: a second one: there is one draw here" in report
        assert check(tmp_path, text).returncode == 0
        return text

    assert "head_sampling = { sampling_percentage = 20 }" in head(20, 150)
    assert "head_sampling = { sampling_percentage = 100 }" in head(150, 100)
    assert "head_sampling = { sampling_percentage = 5 }" in head(20, 5)


def test_an_inverted_match_stays_one(tmp_path):
    text, _ = from_text(tmp_path, collector([
        "{name: nohealth, type: string_attribute, string_attribute: "
        "{key: http.route, values: [/health], invert_match: true}}",
    ]))
    assert 'values = { "/health" }, invert_match = true' in " ".join(text.split())
    assert check(tmp_path, text).returncode == 0


def test_what_it_is_not_is_said(tmp_path):
    for text, said in [("a: [1\nb: 2\n", "other.yaml:2: "), ("- a\n", "neither a collector's"),
                       ("x: 1\n", "neither a collector's")]:
        path = tmp_path / "other.yaml"
        path.write_text(text)
        done = moontail("import", str(path))
        assert done.returncode == 78 and said in done.stderr and done.stdout == "", done.stderr
    done = moontail("import", str(tmp_path / "absent.yaml"))
    assert done.returncode == 1 and "absent.yaml" in done.stderr
    done = moontail("import", str(path), "--output")
    assert done.returncode == 2 and "--output needs a file" in done.stderr


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    source, target = os.path.join(FOLDER, "reference.yaml"), tmp_path / "config.lua"
    assert moontail("import", source, "--output", str(target)).returncode == 0
    before = target.read_text()
    done = moontail("import", source, "--output", str(target))
    assert done.returncode == 73 and target.read_text() == before
    piped = subprocess.run([os.path.join(ROOT, "build", "moontail"), "import", "-"],
                           stdin=open(source, "rb"), capture_output=True, text=True, timeout=60)
    assert piped.stdout.split("return", 1)[1] == before.split("return", 1)[1]


def test_refinerys_rules_become_one_policy_and_what_matches_none_is_kept(tmp_path):
    text, report = imported(os.path.join(FOLDER, "refinery.yaml"))
    done = check(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert "default = keep()" in text and 'policy "rules/environments"' in text
    order = [text.index(name) for name in ['"production"', '"staging"', '"__default__"']]
    assert order == sorted(order), text
    for said in ["EMADynamicSampler.Frobnicate: there is no such setting here",
                 "UseClusterSize: a goal is each node's own", 'rule "drop health checks"']:
        assert said in report, report


def test_values_of_refinerys_conditions_are_what_it_makes_of_them(tmp_path):
    def made(condition):
        text, report = from_text(tmp_path, f"""
RulesVersion: 2
Samplers: {{__default__: {{RulesBasedSampler: {{Rules: [{{Name: r, SampleRate: 2, Conditions: [{condition}]}}]}}}}}}
""")
        return " ".join(text.split()), report, check(tmp_path, text).returncode

    for condition, lua in [
        ("{Field: f, Operator: '>=', Value: '500', Datatype: int}", 'operator = ">=", value = 500'),
        ("{Field: f, Operator: in, Value: a}", 'value = { "a" }'),
        ("{Field: f, Operator: starts-with, Value: 5}", 'value = "5"'),
        ("{Field: f, Operator: matches, Value: 500}", 'value = "500"'),
        ("{Operator: has-root-span, Value: 'false'}", "value = false"),
        ("{Operator: has-root-span, Value: 'true'}", "value = true"),
        ("{Operator: has-root-span}", "value = false"),
        ("{Field: trace.parent_id, Operator: '=', Value: root}", 'field = "trace.parent_id"'),
    ]:
        text, report, code = made(condition)
        assert lua in text and code == 0 and "not mapped (1)" in report, (text, report)
    for condition, said, refused in [
        ("{Field: f, Operator: '>', Value: a}", "Value: > is for numbers here, not for a", True),
        ("{Fields: [root.f, f], Operator: exists}", "Fields: are either all of the root or none here", True),
        ("{Field: meta.signal_type, Operator: not-exists}", "Field: meta.signal_type is never there", False),
    ]:
        text, report, code = made(condition)
        assert said in report and (code != 0) == refused, report


def test_a_rule_of_refinery_that_says_nothing_of_what_it_does_is_in_the_report(tmp_path):
    text, report = from_text(tmp_path, """
RulesVersion: 2
Samplers: {__default__: {RulesBasedSampler: {Rules: [{Name: r, Conditions: [{Field: f, Operator: exists}]}]}}}
""")
    assert "SampleRate: is not given: there the rule drops, here it keeps" in report, report
    assert check(tmp_path, text).returncode == 0


def test_what_says_nothing_to_refinery_is_left_out(tmp_path):
    text, report = from_text(tmp_path, """
RulesVersion: 2
Samplers:
  a:
    EMADynamicSampler: {GoalSampleRate: 5, FieldList: [f], AdjustmentInterval: 0s, Weight: 0, AgeOutValue: 0, MaxKeys: 0,
                        BurstMultiple: 0, BurstDetectionDelay: 0, UseTraceLength: false}
  b: {RulesBasedSampler: {Rules: [{Name: r, Scope: "", Drop: true, Conditions: [{Field: f, Operator: exists, Datatype: ""}]}]}}
""")
    words = " ".join(text.split()).replace(", }", " }")
    assert '"ema_dynamic/a" { goal_sample_rate = 5, field_list = { "f" }, use_trace_length = false }' in words, words
    assert '{ name = "r", drop = true, conditions = { { field = "f", operator = "exists" } } }' in words, words
    assert check(tmp_path, text).returncode == 0


def test_the_report_is_in_the_order_of_the_file(tmp_path):
    keys = ["num_shards", "block_on_overflow", "sample_on_first_match", "expected_new_traces_per_sec"]
    for given in (keys, keys[::-1]):
        lines = "".join(f"\n    {key}: 1" for key in given)
        text = collector(["{name: a, type: always_sample}"])
        _, report = from_text(tmp_path, text.replace("    policies:", lines[1:] + "\n    policies:"))
        places = [report.index("tail_sampling." + key) for key in given]
        assert places == sorted(places)


def test_detectors_are_those_that_there_are(tmp_path):
    text = collector(["{name: a, type: always_sample}"]).replace(
        "processors: [tail_sampling]", "processors: [resourcedetection/aws, tail_sampling]").replace(
        "processors:\n", "processors:\n  resourcedetection/aws: {detectors: [env, eks, gcp], timeout: 2s}\n", 1)
    made, report = from_text(tmp_path, text)
    assert 'resource_detection = { "env", "eks" }' in made
    assert "detectors: there is no detector 'gcp' here" in report
    assert check(tmp_path, made).returncode == 0
