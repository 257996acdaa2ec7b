"""moontail check and print-config, as an operator calls them."""
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "moontail")


def moontail(*arguments, env=None):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_shipped_config_is_good():
    for arguments in [("check",), ("check", "--config", os.path.join(ROOT, "config.lua"))]:
        done = moontail(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r".* is good: 4 policies, 1 exporter, hash [0-9a-f]{16}\n", done.stdout)


def test_every_error_comes_at_once_with_exit_78(tmp_path):
    path = write(tmp_path, "config.lua", """
return {
  workers = "many",
  memory_limiter = { limit_mib = 512 },
  tail_sampling = { decison_wait = "5s", policies = {} },
  exporters = { exporter "nop" },
}
""")
    done = moontail("check", "--config", path)
    assert done.returncode == 78 and done.stdout == ""
    assert '  3 |   workers = "many",\n    |              ^~~~\n' in done.stderr
    assert sorted(x for x in done.stderr.splitlines() if x.startswith(path)) == [
        f"{path}:3: workers is 'many'; allowed: a whole number, from 0 to 256",
        f"{path}:4: unknown key memory_limiter.limit_mib; write limit = \"512MiB\"",
        f"{path}:5: tail_sampling.policies is {{}}; allowed: a list of 1 to 1000 policy "
        "\"NAME\" { ... }",
        f"{path}:5: unknown key tail_sampling.decison_wait; did you mean decision_wait?"]


def test_a_long_path_is_said_in_full(tmp_path):
    folder = tmp_path / ("long_" * 20)
    for text, line in [("return {\n  workers = \n}", 3), ("local a = 1\nerror('no')", 2)]:
        path = write(folder, "config.lua", text)
        assert moontail("check", "--config", path).stderr.startswith(f"{path}:{line}: ")


HOG = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(60000) .. i end"


@pytest.mark.parametrize("wrong, said", [
    (HOG, "not enough memory"), ("error({})", "error value of type table"), ("error('mine', 0)", "mine")])
def test_what_has_no_line_says_the_file(wrong, said, tmp_path):
    scripts = {name: write(tmp_path, f"{folder}/mine.lua", wrong)
               for name, folder in [("policy", "policies"), ("processor", "processors"), ("exporter", "exporters")]}
    for name, use in [
            ("policy", 'tail_sampling = { policies = { policy "mine" } }, exporters = { exporter "nop" }'),
            ("processor", 'processors = { kept = { processor "mine" } }, exporters = { exporter "nop" }'),
            ("exporter", 'exporters = { exporter "mine" }')]:
        path = write(tmp_path, "config.lua", f"return {{ {use} }}")
        done = moontail("check", "--config", path)
        assert done.returncode == 78 and done.stderr.startswith(f"{scripts[name]}: {said}\n")
    path = write(tmp_path, "config.lua", wrong)
    assert moontail("check", "--config", path).stderr.startswith(f"{path}: {said}\n")


def test_a_policy_that_takes_all_memory_leaves_enough_for_the_next(tmp_path):
    caught = f"pcall(function() {HOG} end)"
    setups = [HOG, f"{caught} error('mine', 0)", caught, "return ('x'):rep(60000)"]
    policies = ", ".join(f'policy {{ name = "p{i}", setup = function() {text} end, decide = function() end }}'
                         for i, text in enumerate(setups))
    path = write(tmp_path, "config.lua", f"""
return {{ tail_sampling = {{ policies = {{ {policies} }} }}, exporters = {{ exporter "nop" }} }}
""")
    done = moontail("check", "--config", path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("    ") and " | " not in line[:8]]
    assert done.returncode == 78 and said == [
        f'{path}:2: policy "p0": not enough memory', f'{path}:2: policy "p1": mine']


def test_a_default_that_is_not_allowed_is_said_where_the_policy_is_used(tmp_path):
    path = write(tmp_path, "config.lua", """
return { tail_sampling = { policies = { policy "mine" } }, exporters = { exporter "nop" } }
""")
    write(tmp_path, "policies/mine.lua", """
return policy { doc = "x", options = { least = option.number { default = 1, min = 2 } }, decide = function() end }
""")
    done = moontail("check", "--config", path)
    assert done.returncode == 78
    assert done.stderr.startswith(
        f'{path}:2: policy "mine": the default of least is 1; allowed: a number, at least 2\n')


def test_a_policy_is_one_file_beside_the_config(tmp_path):
    path = write(tmp_path, "config.lua", """
return { tail_sampling = { policies = { policy "mine" { threshold = 3 } } }, exporters = { exporter "nop" } }
""")
    assert moontail("check", "--config", path).returncode == 78
    source = """
return policy {
  doc = "Keep traces of many spans.",
  options = { threshold = option.integer { default = 10, min = 1, doc = "spans" } },
  decide = function(trace, opt) if trace.span_count > opt.threshold then return keep "many" end end,
}
"""
    write(tmp_path, "policies.mine.lua", source)
    assert moontail("check", "--config", path).returncode == 0
    write(tmp_path, "policies/mine.lua", source.replace("threshold =", "limit ="))
    done = moontail("check", "--config", path)
    assert done.returncode == 78
    assert "policy \"mine\": unknown key threshold; allowed: " in done.stderr


def test_what_fails_on_made_up_traces_is_a_warning(tmp_path):
    path = write(tmp_path, "config.lua", """
return { tail_sampling = { policies = {
  policy { name = "slow", decide = function(trace) if trace.duration > 5 then return keep() end end },
  policy { name = "first", decide = function(trace) log.info "here"; if trace.complete then return keep() end end },
  policy { name = "text", decide = function(trace) if trace.complete then return "keep" end end },
  policy { name = "error", decide = function(trace)
    if trace.error_count > 0 then return trace:spans().status end
  end },
  policy { name = "guarded", when = function() return match { name = "of nobody" } end, decide = function(trace) return trace.no end },
} }, exporters = { exporter "nop" } }
""")
    done = moontail("check", "--config", path)
    assert done.returncode == 0 and " is good: 5 policies" in done.stdout, done
    lines = done.stderr.splitlines()
    assert len(lines) == 3, lines
    assert lines[0] == (f"{path}:3: trace has no field 'duration' (did you mean 'duration_ms'?); "
                        'policy "slow" failed so on 8 of 8 made-up traces')
    assert lines[1] == (f"{path}:5: decide returned a string; allowed: a verdict or nil; "
                        'policy "text" failed so on 8 of 8 made-up traces')
    assert lines[2].startswith(f"{path}:7: ") and "failed so on 2 of 8" in lines[2]


def test_a_processor_fails_on_made_up_traces_as_often_as_it_is_asked(tmp_path):
    path = write(tmp_path, "config.lua", """
return { processors = { received = {
  processor { name = "mine", on = "received", span = function(span) return span.no end },
} }, exporters = { exporter "nop" } }
""")
    done = moontail("check", "--config", path)
    assert done.returncode == 0, done
    times = re.search(r'config.lua:3: .*; processor "mine" failed so (\d+) times on 8 made-up traces$', done.stderr.strip())
    assert times and int(times[1]) > 8, done.stderr


def test_a_secret_shows_nowhere(tmp_path):
    path = write(tmp_path, "config.lua", """
local token = secret(env "TOKEN")
return {
  receivers = { otlp = { grpc = { auth = { bearer = { token } } }, http = false } },
  exporters = { exporter "nop" },
}
""")
    for arguments in [("check", "--config", path), ("print-config", "--config", path)]:
        done = moontail(*arguments, env={"TOKEN": "hunter2"})
        assert done.returncode == 0 and "hunter2" not in done.stdout + done.stderr
    assert 'bearer = { secret "****" }' in done.stdout
    done = moontail("check", "--config", path)
    assert done.returncode == 78
    assert done.stderr == (f"{path}:2: env TOKEN is not set and has no default; "
                           "write env(\"TOKEN\", \"...\")\n")


AT = ("is a URL with an @ in it; credentials belong in headers, those of a proxy in HTTPS_PROXY "
      "(in a path write %40)")


@pytest.mark.parametrize("kind, option", [
    ("xray", "endpoint"), ("xray", "proxy_address"), ("awsemf", "endpoint"),
    ("awsemf", "proxy_address"), ("prometheus_remote_write", "endpoint"),
    ("prometheus_remote_write", "proxy_address"), ("otlp", "endpoint")])
def test_a_password_in_a_url_is_refused_and_shows_nowhere(kind, option, tmp_path):
    options = {"region": '"eu-west-1"'} if kind in ("xray", "awsemf") else {}
    if kind == "prometheus_remote_write":
        options = {"endpoint": '"http://127.0.0.1/"', "headers": '{ x = secret "hunter2" }'}
    for url in ["http://me:hunter2@127.0.0.1:9", "http://127.0.0.1:9"]:
        text = ", ".join(f"{k} = {v}" for k, v in {**options, option: f'"{url}"'}.items())
        path = write(tmp_path, "config.lua",
                     f'return {{ exporters = {{ exporter "{kind}" {{ {text} }} }} }}')
        for command in ["check", "print-config"]:
            done = moontail(command, "--config", path)
            assert "hunter2" not in done.stdout + done.stderr, done
            assert done.returncode == (78 if "@" in url else 0), done
            assert "@" not in url or "credentials belong in headers" in done.stderr
            if "@" in url and kind != "otlp":
                assert done.stderr == f'{path}:1: exporter "{kind}": {option} {AT}\n'


@pytest.mark.parametrize("url", ["http://a:99999", "http://:4317", "http://a:grpc", "http://[::1:1"])
def test_an_endpoint_that_nobody_can_connect_to_is_refused(url, tmp_path):
    path = write(tmp_path, "config.lua", f"""return {{ exporters = {{
  exporter "otlp" {{ endpoint = "{url}" }},
  exporter "prometheus_remote_write" {{ endpoint = "{url}" }},
}} }}
""")
    done = moontail("check", "--config", path)
    assert done.returncode == 78
    assert (f"{path}:2: exporter \"otlp\" has the endpoint '{url}'; allowed: http://HOST:PORT or "
            "https://HOST:PORT\n") in done.stderr
    assert (f"{path}:3: exporter \"prometheus_remote_write\": endpoint is '{url}'; allowed: a URL "
            "such as \"https://HOST:PORT\"\n") in done.stderr


def test_what_print_config_prints_is_a_config(tmp_path):
    first = moontail("print-config")
    path = write(tmp_path, "config.lua", first.stdout)
    second = moontail("print-config", "--config", path)
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout and "policy \"latency\" { threshold_ms = 500 }" in first.stdout


def test_the_defaults_run_once_the_required_keys_are_given(tmp_path):
    text = moontail("print-config", "--defaults").stdout
    text = re.sub(r"policies = nil,", 'policies = { policy "always_sample" },', text)
    text = re.sub(r"exporters = nil,", 'exporters = { exporter "nop" },', text)
    done = moontail("check", "--config", write(tmp_path, "config.lua", text))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_of_the_keys_is_current():
    with open(os.path.join(ROOT, "docs", "configuration.md"), encoding="utf-8") as page:
        assert moontail("print-config", "--docs").stdout == page.read()


def test_wrong_arguments_are_exit_2():
    for arguments in [("check", "--confg", "x"), ("check", "--config"), ("print-config", "x")]:
        done = moontail(*arguments)
        assert done.returncode == 2 and "usage: moontail " in done.stderr
