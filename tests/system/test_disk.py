"""A journal's disk that is held by another, can't be written, or is full."""
import os
import subprocess

import pytest
from clients import post
from harness import config, exporter, run
from load import request_bytes



@pytest.fixture
def small_disk(tmp_path):
    """small_disk(MiB) mounts a file system of that size; only root may."""
    mounted = []

    def mount(size, options=""):
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m{options}", "tmpfs", path],
                       check=True)
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def write(folder, text):
    path = folder / "config.lua"
    path.write_text(text.replace("FOLDER", str(folder)))
    return path


def test_a_second_instance_exits_73_and_says_who_holds_the_folder(start, tmp_path):
    text = config(exporter("nop"), journal="")
    first = start(text)
    first.http
    second = run("run", "--config", f"{first.folder}/config.lua", folder=tmp_path)
    assert second.returncode == 73, second.stderr
    assert f"{first.process.pid}" in second.stderr and "journal" in second.stderr, second.stderr
    assert post(first.http, request_bytes([os.urandom(24)])).status == 200


def test_a_folder_that_cannot_be_written_is_73(small_disk, tmp_path):
    disk = small_disk(4, ",ro")
    path = write(tmp_path, config(exporter("nop"), journal="").replace(
        "FOLDER/journal", f"{disk}/journal"))
    told = run("run", "--config", str(path), folder=tmp_path)
    assert told.returncode == 73, told.stderr
    assert str(disk) in told.stderr and "Read-only file system" in told.stderr, told.stderr


def test_where_min_free_leaves_no_room_it_is_what_is_said(tmp_path):
    for min_free in ['"99.99%"', '"1048576GiB"']:
        path = write(tmp_path, config(exporter("nop"), journal="").replace(
            "min_free = 0", f"min_free = {min_free}").replace("FOLDER", str(tmp_path)))
        told = run("run", "--config", str(path), folder=tmp_path)
        assert told.returncode == 73, told.stderr
        assert told.stderr.startswith("journal.min_free keeps ") and "this user" not in told.stderr


def test_no_space_at_the_start_is_73(small_disk, tmp_path):
    disk = small_disk(1)
    path = write(tmp_path, config(exporter("nop"), journal="").replace(
        "FOLDER/journal", f"{disk}/journal"))
    told = run("run", "--config", str(path), folder=tmp_path)
    assert told.returncode == 73, told.stderr
    assert str(disk) in told.stderr and ("bytes" in told.stderr or "space" in told.stderr)
    print(told.stderr)
