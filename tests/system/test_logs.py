"""What is logged is what config.lua asks for."""
import json
import os
import signal

from harness import config, exporter


def end(collector):
    """After a line that is logged once signals are obeyed."""
    collector.signal(signal.SIGTERM)
    assert collector.wait_exit() == 0
    collector.stop = lambda: None
    return [line for line in collector.lines if line is not None]


def test_json_lines_from_the_first_to_the_last(start):
    collector = start(config(exporter("nop"), more='log = { format = "json" },'))
    collector.wait_line(lambda x: "policies, in order" in x)
    lines = [json.loads(line) for line in end(collector)]
    assert all({"ts", "level", "msg"} <= set(x) for x in lines)
    bound = [x["address"] for x in lines if x.get("receiver") == "otlp/http"]
    assert len(bound) == 1 and bound[0].startswith("127.0.0.1:")


def test_below_its_level_nothing_is_logged(start):
    collector = start(config(exporter("nop"), more='log = { level = "error" },'))
    while not os.path.exists(f"{collector.folder}/journal/control.sock"):  # made after listening
        assert collector.is_alive()
        collector.pause()
    collector.kill()
    assert collector.output() == ""
    collector.stop = lambda: None


def test_what_was_accepted_without_effect_is_said_at_start(start):
    collector = start(config(exporter("nop"), more='memory_limiter = { check_interval = "1s" },'))
    collector.wait_line(lambda x: "policies, in order" in x)
    said = [line for line in end(collector) if "check_interval" in line]
    assert len(said) == 1 and "not needed" in said[0] and "level=warn" in said[0]
