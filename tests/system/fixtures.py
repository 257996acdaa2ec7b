import pytest
from harness import Backend, Collector


@pytest.fixture
def start(tmp_path, backends):  # backends outlive it: what is left to send is sent
    """start(text) runs a collector; at the end each one must scrape clean and exit 0."""
    started = []

    def start_one(text, env=None, folder=None, under=()):
        folder = folder or tmp_path / f"collector{len(started)}"
        folder.mkdir(exist_ok=True)
        started.append(Collector(folder, text, env, under))
        return started[-1]

    yield start_one
    try:
        for c in started:
            c.stop()
    finally:
        for c in started:
            c.kill()
            print(f"--- log of the collector in {c.folder}\n{c.output()}")


@pytest.fixture
def backends(tmp_path):
    """backends() starts a backend; backends(ports) one on the ports of another that has ended."""
    started = []

    def start_one(ports=()):
        started.append(Backend(tmp_path, ports))
        return started[-1]

    yield start_one
    for b in started:
        b.kill()


@pytest.fixture
def backend(backends):
    return backends()


@pytest.fixture
def at(tmp_path):
    """at(text) runs a collector on the one folder of the test, one after the other; they are killed at the end."""
    started = []

    def begin(text):
        started.append(Collector(tmp_path, text))
        return started[-1]
    yield begin
    for collector in started:
        collector.kill()
