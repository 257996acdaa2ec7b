"""A change is tried on recent traces: what reload says, and `moontail try` beside and after."""
import os
import re

import pytest
from clients import post
from harness import Collector, config, exporter, run
from messages import request_with, span, to_json, trace_id

SLOW = 'policies = { policy "latency" { threshold_ms = %d } }'
MINE = """return policy {
  options = { at_ms = option.number { default = 200, min = 0 } },
  decide = function(trace, opt)
    if trace.duration_ms >= opt.at_ms then return keep("mine") end
  end,
}
"""
WHOLE = """local mine = policy { name = "mine", decide = function(trace)
  if trace.duration_ms >= 200 then return keep("mine") end
end }
return {
  journal = { path = env "NOT_SET_ANYWHERE_ELSE" },
  tail_sampling = { policies = { mine, policy "probabilistic" { sampling_percentage = 0 } } },
  exporters = { exporter "nop" },
}
"""
RAISES = """return policy {
  decide = function(trace)
    return keep(trace.nonsense)
  end,
}
"""


def text_of(tail):
    return config(exporter("nop"), tail=tail, wait="10ms").replace('ack = "memory"',
                                                                  'ack = "written"')


def trace(number, ms):
    return span(trace_id(number), ms=ms)


def send(collector):
    """Ten traces: two of 700 ms, three of 300 ms, five of 10 ms."""
    for number in range(10):
        ms = 700 if number < 2 else 300 if number < 5 else 10
        post(collector.http, request_with(trace(number, ms)).SerializeToString())
    collector.wait_metrics(lambda m: m.total("moontail_dropped_spans_total") == 8 and
                           m.total("moontail_kept_spans_total") == 2)


def write(collector, name, text):
    path = os.path.join(collector.folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text.replace("FOLDER", str(collector.folder)))


def moontail(folder, *arguments):
    """(exit code, stdout, stderr)"""
    done = run(*arguments, folder=folder)
    return done.returncode, done.stdout, done.stderr


def test_reload_and_the_log_say_what_a_change_does_to_the_last_traces(start):
    collector = start(text_of(SLOW % 500))
    send(collector)
    write(collector, "config.lua", text_of(SLOW % 200))
    code, out, _ = moontail(collector.folder, "reload", "--config", "config.lua")
    assert code == 0
    assert "\ntried on the last 10 traces: keep 20.0 % -> 50.0 %, +3 slow, -0\n" in out
    line = collector.wait_line(lambda line: "msg=reloaded" in line)
    assert ' tried=10 keep="20.0 % -> 50.0 %" change="+3 slow, -0"' in line and "failed" not in line

    write(collector, "policies/raises.lua", RAISES)
    write(collector, "config.lua", text_of('policies = { policy "raises" }'))
    code, out, _ = moontail(collector.folder, "reload", "--config", "config.lua")
    assert code == 0
    assert "\nwarning: it fails on them: policy raises, 10 times: " in out
    assert "policies/raises.lua:3: trace has no field 'nonsense'" in out
    collector.wait_line(lambda line: "msg=reloaded" in line and "level=warn" in line and
                        "policies/raises.lua:3: " in line)
    m = collector.scrape()  # nothing of that was live
    assert m.total("moontail_policy_errors_total") == 0
    assert m.total("moontail_kept_spans_total") == 2


def test_try_reads_the_history_beside_a_running_collector_and_after_it(start):
    collector = start(text_of(SLOW % 500))
    send(collector)
    write(collector, "elsewhere/mine.lua", MINE)
    journal = os.path.join(collector.folder, "journal")
    beside = moontail(collector.folder, "try", "elsewhere/mine.lua", "--journal", journal)
    code, out, err = beside
    assert (code, err) == (0, "")
    assert f"tried on 10 traces of {journal}: keep 20.0 % -> 50.0 %, +3 mine, -0\n" in out
    assert "      5  keep by mine\n      5  drop by default\n" in out
    changed = out.split("\n")[:3]
    assert changed[0].endswith("  keep by mine; it was drop by default")
    assert changed[1].startswith("    1 span, 300.000 ms, ")
    assert changed[2] == "    mine: keep (mine)"

    out = moontail(collector.folder, "try", "elsewhere/mine.lua", "--options", "{ at_ms = 600 }",
                   "--history", "--config", "config.lua", "--show", "0")
    assert out[0] == 0 and "keep 20.0 % -> 20.0 %, +0, -0\n" in out[1]
    collector.stop()
    assert moontail(collector.folder, "try", "elsewhere/mine.lua", "--journal", journal) == beside
    code, out, _ = moontail(collector.folder, "try", "config.lua")  # of its own journal
    assert code == 0 and "keep 20.0 % -> 20.0 %, +0, -0\n" in out


@pytest.fixture(name="folder", scope="module")
def folder_(tmp_path_factory):
    folder = tmp_path_factory.mktemp("try")
    request = request_with(trace(1, 700), trace(2, 10), trace(3, 300))
    (folder / "mine.lua").write_text(MINE)
    (folder / "raises.lua").write_text(RAISES)
    (folder / "named.lua").write_text(MINE.replace("return policy", "local p = policy") + "  return p")
    (folder / "indented.lua").write_text("\n  " + MINE)
    (folder / "forgotten.lua").write_text(MINE.replace("return policy", "policy"))
    (folder / "raising.lua").write_text('local m = match { knd = "client" }\n' + MINE)
    (folder / "shout.lua").write_text(
        '  return processor { on = "kept", span = function(span) span:set_name "A" end }\n')
    (folder / "lines.lua").write_text(
        'local e = exporter { doc = "Lines.", encode = function() return ok() end }\nreturn e\n')
    (folder / "whole.lua").write_text(WHOLE)
    (folder / "plain.lua").write_text(WHOLE.replace('env "NOT_SET_ANYWHERE_ELSE"', '"journal"'))
    (folder / "broken.lua").write_text(MINE.replace("return keep", "retrun keep"))
    (folder / "good.pb").write_bytes(request.SerializeToString())
    (folder / "good.json").write_text(to_json(request).replace(", ", ",\n"))
    lines = [to_json(request_with(trace(n, 10 * n))) + "\n" for n in (1, 30, 70)]
    (folder / "lines.jsonl").write_text("".join(lines))
    (folder / "bad.jsonl").write_text(lines[0] + lines[1].replace(":", "", 1))
    (folder / "bad.json").write_text('{\n  "resourceSpans": [\n    nonsense\n  ]\n}\n')
    (folder / "bad.pb").write_bytes(b"\x0a\xff")
    (folder / "empty.json").write_text("\n")
    (folder / "none.json").write_text('{"resourceSpans": []}')
    return folder


@pytest.mark.parametrize("file", ["good.pb", "good.json", "lines.jsonl"])
def test_try_reads_a_file(folder, file):
    code, out, err = moontail(folder, "try", "mine.lua", "--trace", file)
    assert (code, err) == (0, "")
    assert f"tried on 3 traces of {file}: 2 kept (66.7 %)\n" in out
    ids = (30, 70, 1) if file == "lines.jsonl" else (1, 3, 2)
    assert re.findall(r"^([0-9a-f]{32})  (?:keep by|no)", out, re.M) == [
        trace_id(n).hex() for n in ids]  # those first that it has an opinion of


@pytest.mark.parametrize("file", ["named.lua", "indented.lua"])
def test_a_policy_is_known_by_what_its_file_returns(folder, file):
    """However that is written."""
    code, out, err = moontail(folder, "try", file, "--options", "{ at_ms = 200 }", "--trace",
                              "good.pb")
    assert (code, err) == (0, "")
    assert "tried on 3 traces of good.pb: 2 kept (66.7 %)\n" in out


def test_where_nobody_said_whose_traces_are_meant_it_says_how(folder):
    (folder / "empty").mkdir()
    for place in ("nowhere", "empty"):
        done = run("try", "mine.lua", folder=folder, env={"STATE_DIRECTORY": place})
        assert done.returncode == 1 and place in done.stderr
        assert "--config FILE or --journal PATH says whose traces to read" in done.stderr
    code, _, err = moontail(folder, "try", "mine.lua", "--journal", "empty")
    assert code == 1 and "--config" not in err


def test_a_configuration_with_a_policy_of_its_own_is_one(folder):
    done = run("try", "whole.lua", "--trace", "good.pb", folder=folder,
               env={"NOT_SET_ANYWHERE_ELSE": "journal"})
    assert done.returncode == 0, done.stderr
    assert "      2  keep by mine\n      1  drop by probabilistic (sampled)\n" in done.stdout
    code, _, err = moontail(folder, "try", "whole.lua", "--trace", "good.pb")
    assert code == 78 and "whole.lua:5: env NOT_SET_ANYWHERE_ELSE is not set" in err


@pytest.mark.parametrize("arguments, code, message", [
    (["mine.lua", "--trace", "nothing.json"], 1, "nothing.json: No such file"),
    (["mine.lua", "--trace", "bad.json"], 1, "moontail: bad.json:3: the body is not JSON: "),
    (["mine.lua", "--trace", "bad.jsonl"], 1, "moontail: bad.jsonl:2: the body is not JSON: "),
    (["mine.lua", "--trace", "bad.pb"], 1, "moontail: bad.pb: not OTLP traces: "),
    (["mine.lua", "--trace", "empty.json"], 1, "moontail: empty.json: it is empty"),
    (["mine.lua", "--trace", "none.json"], 1, "moontail: none.json: there is no span in it"),
    (["mine.lua", "--journal", "nowhere"], 1, "nowhere: No such file"),
    (["broken.lua", "--trace", "good.pb"], 78, "broken.lua:4: "),
    (["nothing.lua", "--trace", "good.pb"], 78, "nothing.lua: No such file"),
    (["mine.lua", "--options", "{ at = 1 }", "--trace", "good.pb"], 78,
     '--options:1: policy "mine": unknown key at; allowed: at_ms'),
    (["mine.lua", "--history", "--trace", "good.pb"], 2, "give one"),
    (["mine.lua", "--show", "many"], 2, "--show 'many' is no number"),
    ([], 2, "which policy, or config.lua?"),
    (["shout.lua", "--trace", "good.pb"], 2,
     "moontail: shout.lua is a processor's file: try is for policies and configurations"),
    (["lines.lua", "--trace", "good.pb"], 2,
     "moontail: lines.lua is an exporter's file: try is for policies and configurations"),
    (["forgotten.lua", "--trace", "good.pb"], 78,
     "forgotten.lua: the file must return policy { ... }"),
    (["raising.lua", "--options", "{}", "--trace", "good.pb"], 78,
     "raising.lua:1: match{} has no field 'knd' (did you mean 'kind'?)"),
    (["plain.lua", "--options", "{}", "--trace", "good.pb"], 2,
     "--options are for a policy: a configuration has its own"),
])
def test_what_can_not_be_tried_is_said(folder, arguments, code, message):
    got, out, err = moontail(folder, "try", *arguments)
    assert (got, out) == (code, "") and message in err


def test_a_policy_that_raises_makes_try_fail_and_is_named(folder):
    code, out, _ = moontail(folder, "try", "raises.lua", "--trace", "good.pb")
    assert code == 1
    assert "warning: it fails on them: policy raises, 3 times: raises.lua:3: " in out
    assert "raises: failed (error)" in out


def test_try_reads_what_a_killed_collector_left(tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    collector = Collector(folder, text_of(SLOW % 500))
    try:
        send(collector)
    finally:
        collector.kill()
    write(collector, "config.lua", text_of(SLOW % 200))
    code, out, _ = moontail(folder, "try", "config.lua")
    assert code == 0 and "tried on 10 traces of " in out and "+3 slow, -0\n" in out
