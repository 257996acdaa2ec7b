"""What the pages say and can be seen: where links lead, which metrics and labels there are."""
import glob
import os
import re

from clients import post
from harness import KEEP_ALL, ROOT, config, run
from messages import request_with, span, trace_id

COUNTED = """span_metrics = {}, service_graph = {}, logs = { follow_traces = true },
  processors = { kept = { processor "redact" {},
    processor { name = "own", on = "kept", log = function() return drop "own" end } } },"""
JUDGED = KEEP_ALL.replace("{", """{ policy { name = "few",
    setup = function() return limit { rate = 1, per = "1s" } end,
    decide = function(trace, _, my)
      if trace.entry.name == "dull" and my:take() then return drop "dull" end
    end },""", 1)
OWN = """exporter { name = "own", encode = function() count "batches"; return ok() end,
    signals = { "traces", "metrics", "logs" }, doc = "counts" }"""

ONE_LOG = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}'


def pages():
    """{path: text} of each page."""
    found = [path for folder in ("*.md", "src/*.md", "docs/**/*.md", "deploy/**/*.md")
             for path in glob.glob(folder, root_dir=ROOT, recursive=True)]
    return {path: open(f"{ROOT}/{path}").read() for path in found}


def headings(text):
    """The anchors of a page, as GitHub makes them."""
    found = set()
    for title in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        while anchor in found:
            anchor += "-1"
        found.add(anchor)
    return found


def test_links_between_pages_lead_somewhere():
    texts, seen, dead = pages(), 0, []
    for page, text in texts.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if ":" in path:
                continue
            seen += 1
            to = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(f"{ROOT}/{to}") or anchor and anchor not in headings(texts[to]):
                dead.append(f"{page}: {target}")
    assert seen > 200 and not dead, dead


def named(text):
    """[(metric, its labels)] of a page; NAME_{a,b}_total are two."""
    for name, choice, rest in re.findall(r"\b(moontail_[a-z_]*_)\{([a-z,]+)\}(_[a-z_]+)", text):
        yield from ((name + each + rest, set()) for each in choice.split(","))
    for name, labels in re.findall(r"\b(moontail_[a-z_]*[a-z])\b(?:\{([a-z_,]+)\}(?!_))?", text):
        yield name, set(labels.split(",")) - {""}


def test_metrics_that_pages_name_are_there_with_their_labels(start):
    collector = start(config(OWN, tail=JUDGED, more=COUNTED))
    post(collector.http, ONE_LOG, "application/json", path="/v1/logs")
    post(collector.http, request_with(
        span(trace_id(1), 1, attributes={"password": "secret"}),
        span(trace_id(2), 1, name="dull")).SerializeToString())
    there = {}
    for name, labels in collector.wait_metrics(lambda m: m.total("moontail_export_script_total") and
                                               m.total("moontail_dropped_spans_total")):
        there.setdefault(name, set()).update(label for label, _ in labels)
    asked = [(page, name, labels) for page, text in pages().items() if page.startswith("docs/")
             for name, labels in named(text)]
    assert len(asked) > 100
    assert not [a for a in asked if a[1] not in there or a[2] - there[a[1]]]


def test_every_command_is_on_a_page(tmp_path):
    commands = re.findall(r"^  ([a-z-]+)  ", run("--help", folder=tmp_path).stdout, re.M)
    texts = "".join(text for page, text in pages().items() if not page.startswith("CHANGELOG"))
    assert len(commands) > 15
    assert not [c for c in commands if f"moontail {c}" not in texts]
