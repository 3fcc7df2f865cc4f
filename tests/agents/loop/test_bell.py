"""Jobs that ring when they end: a search that would not poll for hours goes on at once."""

import http.client
import json
import shutil
import socket
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from lab_fixtures import plain_slurm  # noqa: F401
from lab_ports import a_port
from loop_run import run_directory, write_config

from agents.bell import Bell
from agents.commands.search import SearchOptions, run_search
from agents.errors import ConfigurationError
from scheduler.settings import BellSettings

HOURS = 3600.0 * 12


def settings(port=None):
    port = port or a_port()
    return BellSettings(listen=f"127.0.0.1:{port}", url=f"http://127.0.0.1:{port}/")


def ask(bell, method, path):
    host, _, port = bell.url.removeprefix("http://").split("/")[0].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    connection.request(method, path)
    return connection.getresponse().status


def path_of(bell):
    return "/" + bell.url.split("/", 3)[3]


@pytest.fixture
def bell(tmp_path):
    bell = Bell(settings(), tmp_path)
    yield bell
    bell.close()


def test_a_ring_is_heard_once(bell):
    assert not bell.rung()
    assert ask(bell, "POST", path_of(bell)) == 204
    assert bell.rung()
    assert not bell.rung()


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("POST", "/ring/guessed", 404),
        ("POST", "/", 404),
        ("POST", "/ring/%C3%A9", 404),
        ("GET", None, 501),
        ("DELETE", None, 501),
    ],
)
def test_who_does_not_know_the_address_rings_nothing(bell, method, path, status):
    assert ask(bell, method, path or path_of(bell)) == status
    assert not bell.rung()


def test_a_caller_who_says_nothing_keeps_nobody_else_away(bell, capfd):
    _, port = settings(int(bell.url.split(":")[2].split("/")[0])).address
    with socket.create_connection(("127.0.0.1", port)), ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: ask(bell, "POST", path_of(bell)), range(8)))
    assert done == [204] * 8
    assert capfd.readouterr() == ("", "")


def test_callers_beyond_a_number_are_turned_away_and_a_place_is_free_again(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.bell.SLOW_SECONDS", 600.0)
    monkeypatch.setattr("agents.bell.MOST_CALLERS", 8, raising=False)
    bell = Bell(settings(), tmp_path)
    before = threading.active_count()
    with ExitStack() as stack:
        callers = [stack.enter_context(a_caller(bell)) for _ in range(24)]
        assert [one.recv(1) for one in callers[8:]] == [b""] * 16
        assert threading.active_count() - before <= 8
    for _ in range(1000):  # the server sees them leave when it does
        try:
            status = ask(bell, "POST", path_of(bell))
            break
        except OSError:
            time.sleep(0.02)
    assert status == 204
    assert bell.rung()
    bell.close()


def a_caller(bell):
    _, port = settings(int(bell.url.split(":")[2].split("/")[0])).address
    caller = socket.create_connection(("127.0.0.1", port), timeout=10)
    caller.sendall(b"P")
    return caller


def test_a_caller_who_never_finishes_is_hung_up_on(bell, monkeypatch):
    monkeypatch.setattr("agents.bell.SLOW_SECONDS", 0.5)
    with a_caller(bell) as caller:
        for _ in range(100):
            try:
                caller.settimeout(0.1)
                assert caller.recv(1) == b""
                break
            except TimeoutError:
                caller.sendall(b"x")
            except OSError:
                break
        else:
            pytest.fail("still listened to, ten seconds on")


def test_after_a_resume_jobs_still_know_the_address(tmp_path):
    where = settings()
    first = Bell(where, tmp_path)
    first.close()
    (token,) = tmp_path.iterdir()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    second = Bell(where, tmp_path)
    assert second.url == first.url
    second.close()
    token.write_text("")  # a crash between making and writing it
    third = Bell(where, tmp_path)
    assert len(third.url) == len(first.url)
    third.close()


@pytest.fixture
def patient(monkeypatch):
    """The orchestrator would look at its jobs twice a day."""
    monkeypatch.setattr("agents.flight.poll_interval", lambda *_: HOURS)


def configured(tmp_path, port, floor="0.05s"):
    config = write_config(tmp_path, "loop: {max_iterations: 2, jobs_per_iteration: 2}\n")
    bell = f"bell: {{listen: 127.0.0.1:{port}, url: 'http://127.0.0.1:{port}'}}"
    config.write_text(config.read_text().replace("floor: 0.05s", f"floor: {floor}, {bell}"))
    return config


@pytest.mark.skipif(not shutil.which("curl") and not shutil.which("wget"), reason="needs curl")
def test_a_search_goes_on_when_its_jobs_ring(tmp_path, patient):
    config = configured(tmp_path, a_port())
    assert run_search(SearchOptions(config=config)) == 0
    directory = run_directory(config)
    completed = json.loads((directory / "progress.json").read_text())["trials"]["completed"]
    assert completed == 4
    token = (directory / "bell.token").read_text()
    said = [*(directory / "reports").iterdir(), directory / "logs" / "run.jsonl"]
    assert not any(token in path.read_text() for path in said)


@pytest.mark.cluster
@pytest.mark.skipif(not shutil.which("curl") and not shutil.which("wget"), reason="needs curl")
def test_slurm_jobs_ring_too(tmp_path, patient, plain_slurm, monkeypatch):  # noqa: F811
    for key, value in plain_slurm.environment.items():
        monkeypatch.setenv(key, value)
    config = configured(tmp_path, a_port())
    text = config.read_text().replace("{kind: local, slots: 2}", "{kind: slurm}")
    resources = "  resources: {cpus: 1, walltime: 2m}\n"
    config.write_text(text.replace("cluster:\n", f"cluster:\n{resources}"))
    assert run_search(SearchOptions(config=config)) == 0


@pytest.mark.parametrize("tool", ["curl", "wget"])
def test_a_job_rings_with_what_its_node_has(tmp_path, patient, monkeypatch, tool):
    found = shutil.which(tool)
    if not found:
        pytest.skip(f"needs the package {tool}")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "mkdir", "cat", "date", "uname", "mv", "rm", "flock", "timeout", "kill",
                 "sleep", "ls", "printf", "setsid", "nohup", "env", "ps", "awk", "sed", "tr"):  # fmt: skip
        if path := shutil.which(name):
            (tools / name).symlink_to(path)
    (tools / tool).symlink_to(found)
    config = configured(tmp_path, a_port())
    text = config.read_text()
    config.write_text(text.replace("cluster:\n", f"cluster:\n  environment: {{PATH: {tools}}}\n"))
    assert run_search(SearchOptions(config=config)) == 0


def test_where_the_port_is_taken_the_search_says_so_and_polls(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = configured(tmp_path, taken.getsockname()[1])
        assert run_search(SearchOptions(config=config)) == 0
    assert "jobs cannot ring" in capsys.readouterr().out


@pytest.mark.parametrize("listen", ["8799", "host:", "host:0", "host:70000", "host:port"])
def test_an_address_that_is_none_is_refused(tmp_path, listen):
    config = configured(tmp_path, 1)
    config.write_text(config.read_text().replace("127.0.0.1:1,", f"'{listen}',"))
    with pytest.raises(ConfigurationError, match=r"cluster\.poll\.bell\.listen"):
        run_search(SearchOptions(config=config))


def test_the_address_is_in_the_rendered_job_without_the_runs_token(tmp_path, capsys):
    from agents.commands.dry_run import rendered
    from agents.config import load

    text = rendered(load(configured(Path(tmp_path), 8799), []))
    assert "http://127.0.0.1:8799/ring/TOKEN" in text
