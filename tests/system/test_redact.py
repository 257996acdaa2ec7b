"""No planted secret leaves the program: not to a backend, nor to the log, nor to who asks about it."""
import os

from clients import Grpc, post
from harness import config, exporter, run
from messages import request_with, span, spans_of, to_json, trace_id

SECRETS = ["hunter2", "ada@example.org", "4111111111111111", "AKIAIOSFODNN7EXAMPLE", "QWxhZGRpbjpv"]
TAIL = """policies = {
  policy { name = "talks", decide = function(trace)
    log.warn("seen", trace.entry:attr "message")
    return trace.entry:attr "drop" and drop("not " .. trace.entry:attr "who")
  end },
  policy { name = "raises", decide = function(trace) error("bad " .. trace.entry:attr "message") end },
  policy { name = "says", decide = function(trace) return keep("for " .. trace.entry:attr "who") end },
}"""
REDACT = 'processors = { kept = { processor "redact" {} } },'


DOOR = """processors = { received = { processor "redact" {} } },
span_metrics = { dimensions = { "who", "message" } },"""


def planted(trace, **more):
    s = span(trace_id(trace), 1)
    s.name = "GET /users/ada@example.org"
    s.status.message = "password=hunter2 is wrong"
    attributes = {"who": "ada@example.org", "message": "card 4111111111111111 and AKIAIOSFODNN7EXAMPLE",
                  "http.request.header.authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
                  "db.statement": "SELECT 'hunter2'", "url.full": "https://x:hunter2@h/", **more}
    for key, value in attributes.items():
        s.attributes.add(key=key).value.string_value = value
    event = s.events.add(name="exception")
    event.attributes.add(key="exception.message").value.string_value = "no ada@example.org"
    s.links.add(trace_id=bytes(16), span_id=bytes(8)).attributes.add(
        key="token").value.string_value = "hunter2"
    request = request_with(s)
    request.resource_spans[0].resource.attributes.add(
        key="process.command_line").value.string_value = "run --password=hunter2"
    request.resource_spans[0].scope_spans[0].scope.attributes.add(
        key="api_key").value.string_value = "hunter2"
    return request


def test_planted_secrets_are_nowhere(start, backend, tmp_path):
    path = tmp_path / "out.json"
    exporters = ", ".join([
        exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
        exporter("debug", verbosity="detailed"), exporter("file", path=str(path))])
    text = config(exporters, tail=TAIL, more=REDACT, journal='ack = "written"')
    collector = start(text.replace("record = false", "record = true"))
    post(collector.http, planted(1).SerializeToString())
    post(collector.http, planted(2, drop="yes").SerializeToString())
    metrics = collector.wait_delivered(1)
    collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") == 1)
    journal = ["--journal", os.path.join(collector.folder, "journal")]
    explained = [run("explain", trace_id(n).hex(), *journal, folder=collector.folder).stdout for n in (1, 2)]
    assert "for ****" in explained[0] and "not ****" in explained[1], explained
    assert run("rescue", trace_id(2).hex(), *journal, folder=collector.folder).returncode == 0
    sent = list(spans_of(backend.wait(spans=2)))
    tried = run("try", f"{collector.folder}/config.lua", "--history", folder=collector.folder)
    found = metrics.by("moontail_redacted_values_total", "rule")
    scraped = collector.get("/metrics")
    collector.stop()
    shown = {"explain": explained, "try": tried.stdout + tried.stderr, "backend": sent,
             "metrics": scraped, "file": path.read_text(), "log and debug": collector.output()}
    assert "GET /users/****" in shown["log and debug"] and "GET /users/****" in shown["file"]
    assert "seen card **** and ****" in shown["log and debug"], "what a policy of config.lua says"
    for where, what in shown.items():
        assert str(what), where
        assert [s for s in SECRETS if s in str(what)] == [], where
    assert found["email"] >= 3 and found["url"] == 1 and found["sql"] == 1 and found["key"] >= 3


def files_below(folder):
    for where, _, names in os.walk(folder):
        for name in (n for n in names if os.path.isfile(os.path.join(where, n))):  # no socket
            with open(os.path.join(where, name), "rb") as f:
                yield name, f.read()


def secrets_in_journal(collector):
    files = list(files_below(os.path.join(collector.folder, "journal")))
    assert any(b"****" in data for _, data in files), "the search would find nothing anyway"
    return [(s, name) for s in SECRETS for name, data in files if s.encode() in data]


def test_redacted_at_the_door_nothing_is_ever_written(start, backend):
    text = config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"), tail=TAIL, more=DOOR,
                  wait="1500ms", journal='ack = "fsync"')
    collector = start(text)
    post(collector.http, planted(1).SerializeToString())
    Grpc(collector.grpc).export(planted(2).SerializeToString())
    post(collector.http, planted(3, drop="yes").SerializeToString())
    assert secrets_in_journal(collector) == []
    collector.wait_delivered(2)
    collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") == 1)
    assert secrets_in_journal(collector) == []
    spans = str(list(spans_of(backend.wait(spans=2)))) + str(collector.get("/metrics/spans"))
    assert "GET /users/****" in spans and "card ****" in spans
    assert [s for s in SECRETS if s in spans] == []
    collector.stop()
    assert [s for s in SECRETS if s in collector.output()] == []


SAYS = """return policy { decide = function(trace)
  log.warn("saw", trace.entry:attr "who")
  if trace.entry:attr "who" == "ada@example.org" then return keep("for " .. trace.entry:attr "who") end
  error("bad " .. trace.entry:attr "message")
end }
"""


def files_of_traces(folder, where):
    """A file of a trace whose service has a name to hide too; a configuration that redacts; a policy that tells all."""
    request = planted(1)
    for attribute in request.resource_spans[0].resource.attributes:
        if attribute.key == "service.name":
            attribute.value.string_value = "ada@example.org"
    (folder / "trace.pb").write_bytes(request.SerializeToString())
    (folder / "trace.json").write_text(to_json(request))
    (folder / "config.lua").write_text(config(exporter("nop"), tail=TAIL, more=where).replace("FOLDER", str(folder)))
    (folder / "says.lua").write_text(SAYS)


def told(folder, *arguments, stdin=None):
    done = run(*arguments, folder=folder, stdin=stdin)
    assert [s for s in SECRETS if s in done.stdout + done.stderr] == [], (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_what_is_tried_shows_no_secret_of_a_file(tmp_path):
    files_of_traces(tmp_path, REDACT)
    text = told(tmp_path, "try", "config.lua", "--trace", "trace.pb")
    assert "****: GET /users/****" in text
    assert "keep by says (for ****)" in text and "bad card **** and ****" in text
    # A policy alone: by the configuration it is for, and by the default rules where none is named.
    for more in [("--config", "config.lua"), ()]:
        text = told(tmp_path, "try", "says.lua", "--trace", "trace.json", *more)
        assert "keep by says (for ****)" in text and "GET /users/****" in text


def test_what_is_redacted_at_the_door_is_tried_as_policies_will_see_it(tmp_path):
    files_of_traces(tmp_path, DOOR)
    assert "keep by says (for ****)" in told(tmp_path, "try", "config.lua", "--trace", "trace.pb")
    text = told(tmp_path, "try", "says.lua", "--trace", "trace.pb", "--config", "config.lua")
    assert "says: failed (error)" in text and "bad card **** and ****" in text  # "who" is not ada any more


def test_the_prompt_shows_what_the_configuration_leaves(tmp_path):
    for where in (REDACT, DOOR):
        files_of_traces(tmp_path, where)
        lines = 'trace\ntrace.entry.name\ntrace.entry:attr "who":sub(1, 5)\ntrace.entry:attr "message"\nuse()\n'
        text = told(tmp_path, "repl", "--trace", "trace.json", "--config", "config.lua", stdin=lines)
        assert "GET /users/****" in text and "card **** and ****" in text and '"****"' in text
    done = run("repl", "--trace", "trace.json", folder=tmp_path, stdin='trace.entry:attr "who"\n')
    assert "ada@example.org" in done.stdout  # a file is shown as it is where no configuration is named
    assert run("repl", "--config", "nothing.lua", folder=tmp_path).returncode == 78
