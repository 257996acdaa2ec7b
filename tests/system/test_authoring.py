"""What somebody who writes policies has: init, test, repl, the pages, and a folder of scripts."""
import json
import os
import re
import shlex
import subprocess

from clients import post
from harness import PROGRAM, ROOT, config, exporter, run
from messages import CLIENT, request_with, span, to_json, trace_id

ALL = 'policy "always_sample"'
NO_BUSTED = {"LUA_PATH": "/nowhere/?.lua", "LUA_CPATH": "/nowhere/?.so"}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def moontail(*arguments, folder, code=0, env=None):
    """The output of a command that ends with this exit code."""
    done = run(*arguments, folder=folder, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


# ---- init ----


def test_what_init_writes_is_checked_and_tested(tmp_path):
    out = moontail("init", "new", folder=tmp_path)
    written = re.findall(r"^written +(\S+)$", out, re.M)
    assert sorted(os.path.relpath(f, "new") for f in written) == [
        ".luarc.json", ".vscode/tasks.json", "config.lua", "policies/slow_db.lua",
        "spec/slow_db_spec.lua", "types/moontail.lua"]
    assert "is good: 4 policies, 1 exporter" in moontail("check", "--config", "new/config.lua",
                                                         folder=tmp_path)
    assert moontail("test", "new", folder=tmp_path, env=NO_BUSTED) == "3 passed, 0 failed\n"
    for folder in ([], ["."], ["spec"], ["./spec"], [str(tmp_path / "new/spec")]):
        assert moontail("test", *folder, folder=tmp_path / "new",
                        env=NO_BUSTED) == "3 passed, 0 failed\n"
    json.loads((tmp_path / "new/.luarc.json").read_text())
    tasks = json.loads((tmp_path / "new/.vscode/tasks.json").read_text())["tasks"]
    help_text = moontail("--help", folder=tmp_path)
    for task in tasks:
        assert f"\n  {task['args'][0]} " in help_text, f"no command {task['args'][0]}"
    assert (tmp_path / "new/types/moontail.lua").read_text() == moontail("api", folder=tmp_path)


def test_init_never_overwrites(tmp_path):
    write(tmp_path, {"config.lua": "-- mine\n", "spec/slow_db_spec.lua": "-- mine too\n"})
    out = moontail("init", ".", folder=tmp_path)
    assert "is there  ./config.lua\n" in out and "is there  ./spec/slow_db_spec.lua\n" in out
    assert (tmp_path / "config.lua").read_text() == "-- mine\n"
    assert (tmp_path / "spec/slow_db_spec.lua").read_text() == "-- mine too\n"
    again = moontail("init", ".", folder=tmp_path)
    assert again.count("is there") == 6 and "written" not in again


def test_the_problem_matchers_of_the_tasks_find_file_and_line(tmp_path):
    moontail("init", ".", folder=tmp_path)
    tasks = {t["args"][0]: t for t in json.loads(
        (tmp_path / ".vscode/tasks.json").read_text())["tasks"]}
    broken = (tmp_path / "policies/slow_db.lua").read_text().replace("keep(", "kep(")
    write(tmp_path, {"policies/slow_db.lua": broken, "policies/worse.lua": "return policy {",
                     "config.lua": 'return { tail_sampling = { policies = { policy "worse" } }, '
                                   'exporters = { exporter "nop" } }'})
    for command, code, expected in [("check", 78, ("policies/worse.lua", "1")),
                                    ("test", 1, ("spec/slow_db_spec.lua", "4"))]:
        out = moontail(*tasks[command]["args"], folder=tmp_path, code=code)
        pattern = tasks[command]["problemMatcher"]["pattern"]
        found = [re.match(pattern["regexp"], line) for line in out.splitlines()]
        places = [(m[pattern["file"]], m[pattern["line"]]) for m in found if m]
        assert expected in [(os.path.normpath(f), n) for f, n in places], out


def test_the_commands_that_init_names_can_be_copied(tmp_path):
    out = moontail("init", "my shop's/", folder=tmp_path)
    commands = out.splitlines()[-1].removeprefix("next: ").split("; ")
    assert [shlex.split(c)[1:] for c in commands] == [
        ["check", "--config", "my shop's/config.lua"], ["test", "my shop's"],
        ["run", "--config", "my shop's/config.lua"]]


# ---- test ----

POLICY = """return policy {
  doc = "Keep long traces.",
  options = { spans = option.integer { default = 10, min = 1, doc = "so many spans are long" } },
  decide = function(trace, opt)
    if trace.span_count >= opt.spans then return keep("long") end
  end,
}
"""


def test_a_failure_says_where_what_was_expected_and_exits_1(tmp_path):
    write(tmp_path, {"policies/long.lua": POLICY, "spec/long_spec.lua": """
local t = require "moontail.testing"
describe("long", function()
  it("holds", function() assert.is_nil(t.policy "long":decide(t.trace { {} })) end)
  it("does not", function()
    assert.same({ "keep", "long" }, t.policy "long":decide(t.trace { {} }))
  end)
  it("raises", function() t.policy("long", { spans = 0 }) end)
  it("has no such word", function() assert.spy(1) end)
  pending("is to be written")
end)
""", "spec/broken_spec.lua": "describe('x'\n"})
    out = moontail("test", folder=tmp_path, code=1, env=NO_BUSTED)
    assert ("FAILED long does not\n  spec/long_spec.lua:6: expected { \"keep\", \"long\" }, got nil\n"
            in out)
    assert ("FAILED long raises\n  spec/long_spec.lua:8: policy \"long\": spans is 0; allowed: a "
            "whole number, at least 1\n" in out)
    assert re.search(r"FAILED spec/broken_spec.lua\n  spec/broken_spec.lua:2: ", out), out
    assert "there is no assert.spy here" in out and "PENDING long is to be written\n" in out
    assert out.endswith("\n1 passed, 4 failed, 1 pending\n")


def test_a_policy_in_a_spec_has_the_budget_and_the_environment_of_the_collector(tmp_path):
    write(tmp_path, {"policies/endless.lua": """return policy {
  doc = "Never ends.",
  decide = function()
    while true do end
  end,
}
""", "policies/outside.lua": """return policy {
  doc = "Wants out.",
  decide = function() os.exit(0) end,
}
""", "spec/a_spec.lua": """
local t = require "moontail.testing"
it("ends", function()
  assert.error_matches(function() t.policy "endless":decide(t.trace { {} }) end,
                       "policies/endless.lua:4: more than 10 ms of CPU time")
end)
it("stays in", function()
  assert.error_matches(function() t.policy "outside":decide(t.trace { {} }) end, "there is no 'os'")
end)
"""})
    assert moontail("test", folder=tmp_path, env=NO_BUSTED) == "2 passed, 0 failed\n"


def test_traces_come_from_files_too_one_request_or_one_in_each_line(tmp_path):
    one, two = (request_with(span(trace_id(i), 1), span(trace_id(i), 2, 1, kind=CLIENT))
                for i in (1, 2))
    both = request_with(span(trace_id(3)), span(trace_id(4)), span(trace_id(3), 2, 1))
    write(tmp_path, {
        "lines.jsonl": to_json(one) + "\n" + to_json(two) + "\n",
        "pretty.json": json.dumps(json.loads(to_json(both)), indent=2),
        "bad.jsonl": to_json(one) + "\n{\n",
        "spec/a_spec.lua": """
local t = require "moontail.testing"
local function counts(name)
  local list = {}
  for i, trace in ipairs(t.file(name)) do
    list[i] = t.read(trace, function(x) return x.id .. " " .. x.span_count end)
  end
  return list
end
it("reads", function()
  assert.same({ "%s 2", "%s 2" }, counts "lines.jsonl")
  assert.same({ "%s 2", "%s 1" }, counts "pretty.json")
  assert.same({ "%s 2" }, counts "one.bin")
  assert.error_matches(function() t.file "bad.jsonl" end, "^spec/a_spec.lua:14: bad.jsonl:2: ")
  assert.error_matches(function() t.file "none" end, "cannot open none: No such file")
  assert.error_matches(function() t.traces "{}" end, "there is no span in it")
end)
""" % tuple(trace_id(i).hex() for i in (1, 2, 3, 4, 1))})
    (tmp_path / "one.bin").write_bytes(one.SerializeToString())
    assert moontail("test", folder=tmp_path, env=NO_BUSTED) == "1 passed, 0 failed\n"


def test_the_specs_of_shipped_scripts_pass_without_busted_and_with_it():
    few = "spec/processors", "spec/policies/latency_spec.lua", "spec/policies/novelty_spec.lua"
    without = moontail("test", *few, folder=ROOT, env=NO_BUSTED)
    passed = re.search(r"^(\d+) passed, 0 failed$", without, re.M)[1]
    busted = moontail("test", "--busted", *few, folder=ROOT)
    assert f"{passed} successes / 0 failures / 0 errors / 0 pending" in busted
    missing = moontail("test", "--busted", *few, folder=ROOT, code=1, env=NO_BUSTED)
    assert "luarocks --lua-version 5.1 install busted" in missing


def test_where_there_is_no_spec_it_says_what_to_write(tmp_path):
    assert "there is no spec in .: write ./spec/NAME_spec.lua" in moontail(
        "test", folder=tmp_path, code=1)
    assert "there is no file or folder nowhere" in moontail("test", "nowhere", folder=tmp_path, code=1)


# ---- repl ----


def prompt(folder, lines, *arguments):
    """What is said to these lines."""
    done = subprocess.run([PROGRAM, "repl", *arguments], cwd=folder, input="\n".join(lines),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


def test_of_a_policys_file_its_spec_is_named(tmp_path):
    moontail("init", "new", folder=tmp_path)
    out = moontail("test", "new/policies/slow_db.lua", folder=tmp_path, code=1)
    assert "That of new/policies/slow_db.lua is spec/slow_db_spec.lua:" in out, out
    assert out.endswith("\n0 passed, 1 failed\n"), out
    (tmp_path / "new/spec/slow_db_spec.lua").write_text("nothing()\n")
    assert "is this a spec?" not in moontail("test", "new", folder=tmp_path, code=1)


def test_a_prompt_reads_a_trace_of_a_file_and_goes_on_after_errors(tmp_path):
    write(tmp_path, {"policies/long.lua": POLICY, "traces.jsonl": to_json(request_with(
        span(trace_id(1), 1, ms=700, attributes={"http.route": "/a"}),
        span(trace_id(1), 2, 1, kind=CLIENT, error=True, name="call"))) + "\n" + to_json(
            request_with(span(trace_id(2)))) + "\n"})
    said = prompt(tmp_path, [
        "trace.duration_ms", "t.entry.http.route", "local n = trace:count(match { kind = 'client' })",
        "n + 1", "trace:find(match { status = 'error' })", "trace.nothing", "while true do end",
        "for _, s in trace:spans() do", "  n = n + 1", "end", "n", "os.exit()", "1 +", "2",
        "ask(policy 'long' { spans = 2 })", "ask(policy 'latency' { threshold_ms = 800 })",
        "use(2).span_count", "use(3)", "trace.id", "m = 7 m = m + 1", "m"],
        "--trace", "traces.jsonl")
    assert said == [
        "700", '"/a"', "2", "span 0000000000000002: client error shop call, 10 ms",
        "prompt:1: trace has no field 'nothing'", "prompt:1: more than 250 ms of CPU time", "3",
        "prompt:1: there is no 'os'", "3", 'keep("long")', "nil", "1",
        "use(3): the file has the traces 1 to 2", f'"{trace_id(2).hex()}"', "8"]


def test_a_prompt_without_a_file_has_a_trace_to_begin_with(tmp_path):
    assert prompt(tmp_path, ["trace.span_count", "trace.complete"]) == ["3", "true"]
    assert prompt(tmp_path, ["trce", "x", "x = 3", "x"]) == [
        "prompt:1: there is no 'trce' (did you mean 'trace'?)", "prompt:1: there is no 'x'", "3"]
    assert moontail("repl", "--trace", "nowhere", folder=tmp_path,
                    code=1) == "moontail: cannot open nowhere: No such file or directory\n"


# ---- a script is its file and its spec ----

SCRIPTS = {
    "policies/long.lua": "-- Many spans.\n--\n--     policy \"long\" { spans = 5 }\n\n" + POLICY,
    "processors/shout.lua": """return processor {
  doc = "Names in capitals.",
  on = "kept",
  span = function(span) span:set_name(span.name:upper()) end,
}
""",
    "exporters/lines.lua": """return exporter {
  doc = "A line a batch.",
  options = { url = option.string { doc = "where it goes" } },
  encode = function(batch, opt) return { url = opt.url, body = tostring(batch.span_count) } end,
}
""",
}
SPECS = {
    "spec/long_spec.lua": """
local t = require "moontail.testing"
it("keeps long traces", function()
  assert.same({ "keep", "long" }, t.policy("long", { spans = 2 }):decide(t.trace { {}, {} }))
end)
""",
    "spec/shout_spec.lua": """
local t = require "moontail.testing"
it("shouts", function()
  local left = t.processor "shout":process(t.trace { { name = "a" } })
  assert.equal("A", t.read(left, function(trace) return trace.entry.name end))
end)
""",
}
USED = """return {
  processors = { kept = { processor "shout" } },
  tail_sampling = { policies = { policy "long" { spans = 5 } } },
  exporters = { exporter "lines" { url = "http://127.0.0.1:1/" } },
}
"""


def test_adding_a_policy_a_processor_and_an_exporter_touches_their_files_only(tmp_path):
    write(tmp_path, {"config.lua": USED})
    missing = moontail("check", "--config", "config.lua", folder=tmp_path, code=78)
    for what in ['no policy "long"', 'no processor "shout"', 'exporter "lines" is not known']:
        assert what in missing
    write(tmp_path, {**SCRIPTS, **SPECS})
    assert "is good: 1 policy, 1 exporter" in moontail("check", "--config", "config.lua",
                                                       folder=tmp_path)
    assert moontail("test", folder=tmp_path, env=NO_BUSTED) == "2 passed, 0 failed\n"
    assert moontail("api", "--pages", "docs", ".", folder=tmp_path) == ""
    assert "there is no script in policies, processors or exporters of spec" in moontail(
        "api", "--pages", "none", "spec", folder=tmp_path, code=1)
    pages = {os.path.relpath(os.path.join(folder, name), tmp_path / "docs")
             for folder, _, names in os.walk(tmp_path / "docs") for name in names}
    assert pages == {"policies/README.md", "policies/long.md", "processors/README.md",
                     "processors/shout.md", "exporters/README.md", "exporters/lines.md"}
    page = (tmp_path / "docs/policies/long.md").read_text()
    assert page.startswith("# long\n\nKeep long traces.\n\nMany spans.\n\n    policy \"long\"")
    assert "| `spans` | `10` | a whole number, at least 1 | so many spans are long |" in page
    assert "| [lines](lines.md) | A line a batch. |" in (
        tmp_path / "docs/exporters/README.md").read_text()


# ---- what recent traffic never has ----


def test_attributes_that_never_come_are_named_by_check_and_at_a_reload(start, tmp_path):
    slip = ('policy { name = "gold", decide = function(trace) '
            'if trace.entry:attr "user.teir" then return keep() end end }, ' + ALL)
    text = config(exporter("nop"), tail="policies = { " + ALL + " }", journal='history = "64MiB"')
    collector = start(text, folder=tmp_path)
    checked = ["check", "--history", "--config", "config.lua"]

    def send(first, count):
        spans = [span(trace_id(i), attributes={"user.tier": "a"}) for i in range(first, first + count)]
        assert post(collector.http, request_with(*spans).SerializeToString()).status == 200
        collector.wait_decided(first + count)

    send(0, 100)
    (tmp_path / "config.lua").write_text(
        (tmp_path / "config.lua").read_text().replace(ALL, slip))
    out = moontail(*checked, folder=tmp_path)
    assert "100 traces whole; attributes are compared with 1000" in out and "user.t" not in out
    send(100, 950)
    said = ("config.lua:6: none of the last 1000 traces has the attribute 'user.teir' (did you mean "
            "'user.tier'?)")
    assert said in moontail(*checked, folder=tmp_path)
    assert said in moontail("reload", "--config", "config.lua", folder=tmp_path)
    assert said in collector.wait_line(lambda line: "hint=" in line)
