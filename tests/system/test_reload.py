"""The configuration is read again: each way in which it changes, and what is refused."""
import os
import signal
import time

import pytest
from clients import post
from harness import PATIENCE, config, exporter, run
from messages import request_with, span, trace_id
from reload_campaign import Campaign

KEEP = 'policies = { policy "always_sample" }'
MINE = 'policies = { policy "mine" }'
SCRIPT = 'return policy { decide = function(trace) return keep("%s") end }\n'


def text_of(collector, tail):
    return config(exporter("nop"), tail=tail, wait="10ms").replace("FOLDER", collector.folder)


def send(collector, number):
    post(collector.http, request_with(span(trace_id(number), 1)).SerializeToString())


def reloads(collector, cause, count=1):
    """Waits for the log to say so."""
    def says(line):
        return "msg=reloaded" in line and f'cause={cause}' in line
    collector.wait_line(lambda line: says(line) and sum(map(says, filter(
        None, collector.lines))) >= count)


def in_place(path, text):
    with open(path, "w") as f:
        f.write(text)


def rename_over(path, text):
    in_place(path + "~", text)
    os.rename(path + "~", path)


def as_vim(path, text):
    os.rename(path, path + "~")
    in_place(path, text)
    os.unlink(path + "~")


FILE = '"change of a file"'


@pytest.mark.parametrize("change", [in_place, rename_over, as_vim])
def test_a_change_of_config_lua_is_taken(start, change):
    collector = start(config(exporter("nop"), tail=KEEP, wait="10ms"))
    assert collector.http
    change(os.path.join(collector.folder, "config.lua"),
           text_of(collector, 'default = keep("all"), policies = { policy "latency" '
                              '{ threshold_ms = 99999 } }'))
    reloads(collector, FILE)
    send(collector, 1)
    collector.wait_metrics(lambda m: m.total("moontail_kept_spans_total", policy="default",
                                             reason="all") == 1)


def test_a_script_in_a_folder_that_is_new_is_taken(start):
    collector = start(config(exporter("nop"), tail=KEEP, wait="10ms"))
    assert collector.http
    scripts = os.path.join(collector.folder, "policies")
    os.mkdir(scripts)
    in_place(os.path.join(scripts, "mine.lua"), SCRIPT % "one")
    reloads(collector, FILE)
    rename_over(os.path.join(collector.folder, "config.lua"), text_of(collector, MINE))
    reloads(collector, FILE, 2)
    in_place(os.path.join(scripts, "mine.lua"), SCRIPT % "two")
    reloads(collector, FILE, 3)
    send(collector, 1)
    collector.wait_metrics(lambda m: m.total("moontail_kept_spans_total", policy="mine",
                                             reason="two") == 1)


PROCESSOR = ('return processor { doc = "d", on = "kept", '
             'span = function(span) span:set_name("%s") end }\n')
EXPORTER = ('return exporter { doc = "d", batch = { timeout = "0s" }, encode = function(batch) '
            'for _, s in batch:spans() do log.info("%s sends " .. s.name) end end }\n')


@pytest.mark.parametrize("flat", [False, True])
def test_scripts_of_processors_and_exporters_are_taken_too(start, tmp_path, flat):
    folder = tmp_path / "scripts"
    folder.mkdir()

    def script(kind, text):
        path = folder / (f"{kind}.mine.lua" if flat else f"{kind}/mine.lua")
        path.parent.mkdir(exist_ok=True)
        rename_over(str(path), text)

    script("processors", PROCESSOR % "one")
    script("exporters", EXPORTER % "first")
    collector = start(config('exporter "mine"', tail=KEEP, wait="10ms",
                             more='processors = { kept = { processor "mine" } },'), folder=folder)
    send(collector, 1)
    collector.wait_line(lambda line: "first sends one" in line)
    before = info_hash(collector)
    script("processors", PROCESSOR % "two")
    reloads(collector, FILE)
    assert info_hash(collector) != before
    send(collector, 2)
    collector.wait_line(lambda line: "first sends two" in line)
    script("exporters", EXPORTER % "second")
    reloads(collector, FILE, 2)
    send(collector, 3)
    collector.wait_line(lambda line: "second sends two" in line)


def info_hash(collector):
    return next(dict(labels)["hash"] for name, labels in collector.scrape()
                if name == "moontail_config_info")


def data_folder(mount, number, files):
    folder = f"..2026_{number}"
    os.makedirs(os.path.join(mount, folder))
    for name, text in files.items():
        in_place(os.path.join(mount, folder, name), text)
    os.symlink(folder, os.path.join(mount, "..data_tmp"))
    os.rename(os.path.join(mount, "..data_tmp"), os.path.join(mount, "..data"))


def test_the_swap_of_a_config_map_is_taken(start, tmp_path):
    """As the kubelet does it: files are links through ..data, which is renamed over."""
    mount = tmp_path / "mount"
    mount.mkdir()
    for name in ("config.lua", "policies.mine.lua"):
        os.symlink(f"..data/{name}", mount / name)
    text = config(exporter("nop"), tail=MINE, wait="10ms").replace("FOLDER", str(mount))
    data_folder(mount, 1, {"config.lua": text, "policies.mine.lua": SCRIPT % "one"})
    collector = start(text, folder=mount)  # writes config.lua again, through the link
    assert collector.http
    data_folder(mount, 2, {"config.lua": text, "policies.mine.lua": SCRIPT % "two"})
    reloads(collector, FILE)
    send(collector, 1)
    collector.wait_metrics(lambda m: m.total("moontail_kept_spans_total", policy="mine",
                                             reason="two") == 1)


def test_a_link_that_leads_elsewhere_is_followed(start, tmp_path):
    """Of releases in folders of their own: what is edited where the link leads now is seen at once."""
    (tmp_path / "link").mkdir()
    path = tmp_path / "link" / "config.lua"
    text = config(exporter("nop"), tail=KEEP, wait="10ms").replace("FOLDER", str(tmp_path / "link"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        in_place(tmp_path / name / "config.lua", text)
    os.symlink(tmp_path / "one" / "config.lua", path)
    collector = start(text, folder=tmp_path / "link")
    assert collector.http
    os.symlink(tmp_path / "two" / "config.lua", f"{path}~")
    os.rename(f"{path}~", path)
    reloads(collector, FILE)
    begin = time.monotonic()
    in_place(tmp_path / "two" / "config.lua", text.replace("10ms", "20ms"))
    reloads(collector, FILE, count=2)
    assert time.monotonic() - begin < 15  # names and times are compared every 30 s


def test_what_is_wrong_is_refused_and_stays_visible(start):
    collector = start(config(exporter("nop"), tail=KEEP, wait="10ms"))
    path = os.path.join(collector.folder, "config.lua")
    before = collector.scrape()
    hash_ = info_hash(collector)
    assert before.total("moontail_config_last_reload_successful") == 1
    rename_over(path, text_of(collector, 'policies = { policy "always_sampel" }'))
    collector.wait_metrics(lambda m: m.total("moontail_config_last_reload_successful") == 0)
    line = collector.wait_line(lambda x: "the configuration was refused" in x)
    assert "config.lua:6: " in line and "always_sampel" in line
    status, _, ready = collector.get("/readyz?verbose")
    assert status == 200 and "config refused: " in ready and "config.lua:6: " in ready, ready
    errors = [x for x in collector.output().splitlines() if "level=error" in x]
    assert errors == [line], errors
    done = run("reload", "--journal", f"{collector.folder}/journal", folder=collector.folder)
    assert done.returncode == 78 and "config.lua:6: " in done.stderr, done
    done = run("reload", "--config", path, folder=collector.folder)
    assert done.returncode == 78 and "config.lua:6: " in done.stderr, done
    source, caret = done.stderr.splitlines()[1:3]
    assert source.startswith("  6 | ") and caret.strip() == "| " + " " * (
        source.index("always_sampel") - 6) + "^~~~~~~~~~~~~", done.stderr
    metrics = collector.scrape()
    assert metrics.total("moontail_config_info", hash=hash_) == 1
    send(collector, 1)
    collector.wait_metrics(lambda m: m.total("moontail_kept_spans_total",
                                             policy="always_sample") == 1)
    rename_over(path, text_of(collector, KEEP))
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_config_last_reload_successful") == 1)
    assert metrics.total("moontail_config_info", hash=hash_) == 1
    since = "moontail_config_last_reload_success_timestamp_seconds"
    assert metrics.total(since) > before.total(since)


def test_a_signal_and_a_command_reload_and_say_what_wants_a_restart(start):
    collector = start(config(exporter("nop"), tail=KEEP))
    path = os.path.join(collector.folder, "config.lua")
    assert collector.http
    collector.signal(signal.SIGHUP)
    reloads(collector, "SIGHUP")
    in_place(path, text_of(collector, KEEP).replace("workers = 1", "workers = 2"))
    done = run("reload", "--config", path, folder=collector.folder)
    assert done.returncode == 0 and done.stdout.startswith("reloaded, hash "), done
    assert "needs a restart: workers\n" in done.stdout
    collector.wait_line(lambda line: "needs a restart" in line and "keys=workers" in line)
    assert "config needs a restart: workers\n" in collector.get("/readyz?verbose")[2]
    assert not done.stderr
    other = os.path.join(collector.folder, "other.lua")
    in_place(other, text_of(collector, MINE.replace("mine", "status_code")))
    done = run("reload", "--config", other, folder=collector.folder)
    assert done.returncode == 0 and done.stdout.startswith("reloaded, hash "), done
    assert f"moontail: {other} has the hash " in done.stderr
    assert " here: the collector read another file, or " in done.stderr
    collector.stop()
    done = run("reload", "--config", path, folder=collector.folder)
    assert done.returncode == 1 and "is moontail running" in done.stderr, done


def test_a_configuration_with_another_journal_does_not_find_who_runs(start):
    """What is said then leads there."""
    collector = start(config(exporter("nop"), tail=KEEP))
    assert collector.http
    path = os.path.join(collector.folder, "config.lua")
    in_place(path, text_of(collector, KEEP).replace("/journal", "/elsewhere"))
    done = run("reload", "--config", path, folder=collector.folder)
    assert done.returncode == 1 and "/elsewhere/control.sock: No such file" in done.stderr
    assert ("\nmoontail: where journal.path was changed, `moontail reload --journal OLDPATH` names "
            "the folder of the one that runs\n") in done.stderr
    done = run("reload", "--journal", f"{collector.folder}/journal", folder=collector.folder)
    assert done.returncode == 0 and "needs a restart: journal.path\n" in done.stdout, done
    in_place(path, text_of(collector, KEEP).replace(
        'listen = "127.0.0.1:0"', 'listen = "127.0.0.1:0", control = "other.sock"', 1))
    done = run("reload", "--config", path, folder=collector.folder)
    assert done.returncode == 1 and "other.sock: No such file" in done.stderr, done
    assert done.stderr.endswith("\nmoontail: where admin.control was changed, the one that runs "
                                "listens where it did: send it SIGHUP\n")


def test_reloads_under_load_lose_nothing(tmp_path):
    campaign = Campaign(tmp_path)
    try:
        campaign.run(12)
    finally:
        campaign.close()


def cpu_ticks(collector, thread):
    """Of the thread of that name."""
    tasks = f"/proc/{collector.process.pid}/task"
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/stat") as f:
            name, fields = f.read().split("(")[1].rsplit(")", 1)
        if name == thread:
            return sum(map(int, fields.split()[11:13]))
    return 0  # it has not begun yet


def test_a_shutdown_does_not_wait_for_a_configuration_that_never_ends(start):
    collector = start(config(exporter("nop"), tail=KEEP, wait="10ms"))
    assert collector.http
    in_place(os.path.join(collector.folder, "config.lua"), "while true do end\n")
    collector.signal(signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while cpu_ticks(collector, "builder") < 10:
        assert collector.is_alive() and time.monotonic() < end
        collector.pause()
    began = time.monotonic()
    collector.stop()
    assert time.monotonic() - began < 9  # the file alone would take 10 seconds of CPU time
    log = collector.output()
    assert "a reload was given up" in log and "level=error" not in log
