"""The verbs that steer and look, at a terminal and without one, on runs in every state."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import forked
import pytest

from agents import requests, run_lock
from agents.commands.listing import list_json, list_text
from agents.commands.status import run_state
from agents.commands.status_lines import sparkline, status_lines, status_text
from agents.commands.watch import view, watch
from agents.config import load
from agents.errors import ConfigurationError
from agents.progress import Again, Budget, JobLine, Progress, Source, Waiting, write_heartbeat
from agents.standing import best_so_far, sources, standing, thinned
from agents.steering import Taken
from agents.trial import StudyView
from agents.watch import Watch
from agents.workspace import create

ROOT = Path(__file__).parent.parent.parent
CONFIG = """\
experiment: {id: fashion}
search_space:
  rate: {type: float, low: 0.0001, high: 1.0, scale: log, default: 0.1}
  layers: {type: int, low: 1, high: 4, default: 2}
training: {command: ["true", "{hyperparameters}"]}
loop: {max_iterations: 5}
"""
VERBS = {
    "pause": [],
    "continue": [],
    "stop": [],
    "cancel": ["--all"],
    "set": ["loop.max_iterations=40"],
    "add": ["rate=0.01"],
    "forbid": ["rate > 0.5"],
    "note": ["große Netze", "sind langsam"],
}
WRONG = {
    "cancel": ([], ["1", "--all"], ["seven"]),
    "set": (["loop.max_iterations=0"], ["loop.max_iterations=many"], ["loop.schedule=steady"]),
    "add": (["rate=7"], ["speed=1"], ["rate"], []),
    "forbid": (["rate >"], ["speed > 1"], ["rate > 0"]),
    "note": ([" "],),
}


@pytest.fixture
def run(tmp_path):
    """A run directory as a search leaves it before its first sign of life."""
    base = tmp_path / "Läufe von Åsa & Co"
    base.mkdir()
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    loaded = load(file, [f"directories.local_base={base}"])
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    return create(loaded.settings.directories, "fashion", loaded.resolved, now)


def pilothouse(*arguments, **environment):
    return forked.command(arguments, environment={**os.environ, **environment})


def progress(**fields):
    known = {
        "experiment": "fashion",
        "iteration": 2,
        "max_iterations": 5,
        "metric": "accuracy_auc",
        "elapsed": 754.0,
        "trials": {"running": 2, "completed": 3, "pruned": 0, "failed": 1},
        "jobs": [
            JobLine(4, "running", "17", 3, 0.61, "", "llm", (0.2, 0.5, 0.61)),
            JobLine(5, "queued", "18", None, None, "Resources", "sampler"),
        ],
        "best_value": 0.8123,
        "best_trial": 2,
        "best_parameters": {"rate": 0.0123456, "layers": 3},
        "best_so_far": (0.4, 0.7, 0.8123),
        "sources": {"sampler": Source(3, 0.71), "llm": Source(1, 0.8123)},
        "budgets": [Budget("iterations", 1, 5), Budget("time", 754.0, 43200.0)],
        "doing": "wait",
        "doing_since": datetime(2026, 11, 24, 12, 1, tzinfo=UTC),
    }
    return Progress(**{**known, **fields})


class Orchestrator:
    """Holds a run as an orchestrator does, and takes every request."""

    def __init__(self, run, refused=False):
        self._run, self._refused = run, refused
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._takes)

    def __enter__(self):
        self._lock = self._run.lock()
        write_heartbeat(self._run.progress_file, progress())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        self._lock.release()

    def _takes(self):
        taken = []
        while not self._ended.wait(0.02):
            for path in requests.waiting(self._run.directory):
                asked = requests.read(path)
                entry = {
                    "id": asked.id,
                    "what": asked.what,
                    "by": asked.by,
                    "effect": "as you wish",
                }
                entry["asked_at"] = asked.asked_at.isoformat()
                taken.append({**entry, "refused": self._refused})
                requests.withdraw(path)
                write_heartbeat(self._run.progress_file, progress(steering=taken[-20:]))


# -- on runs in every state ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_shows_an_example(verb):
    done = pilothouse(verb, "--help", COLUMNS="40", NO_COLOR="1")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "\x1b[" not in done.stdout


def test_each_verb_is_taken_by_a_running_search(run):
    with Orchestrator(run):
        for verb, arguments in VERBS.items():
            done = pilothouse(verb, run.directory, *arguments)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(f"{verb} ") or done.stdout.startswith(f"{verb}:")
            assert "as you wish" in done.stdout
        done = pilothouse("note", run.directory, "x", "--json")
        assert json.loads(done.stdout)["state"] == "taken"
        shown = pilothouse("status", run.directory).stdout
        assert "note große Netze sind langsam" in shown


def test_a_request_that_the_search_refuses_is_an_error(run):
    with Orchestrator(run, refused=True):
        done = pilothouse("stop", run.directory)
        assert (done.returncode, done.stdout) == (2, "")
        assert "refused: stop: as you wish" in done.stderr
        done = pilothouse("stop", run.directory, "--json")
        assert (done.returncode, json.loads(done.stdout)["state"]) == (2, "refused")


@pytest.mark.parametrize("verb", [*VERBS, "status", "watch", "resume"])
def test_where_there_is_no_run_each_verb_says_so(tmp_path, verb):
    nowhere = tmp_path / "nicht da"
    for place, words in ((nowhere, "no such directory"), (tmp_path, "it has no run.json")):
        done = pilothouse(verb, place, *VERBS.get(verb, []))
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_version_is_said_to_be_one(run):
    card = json.loads((run.directory / "run.json").read_text())
    (run.directory / "run.json").write_text(json.dumps({**card, "schema": 9}))
    for verb in ("pause", "status", "watch"):
        done = pilothouse(verb, run.directory)
        assert done.returncode == 2
        assert "another version of Pilothouse (schema 9; this is 1)" in done.stderr
    assert requests.waiting(run.directory) == []


def test_a_finished_run_is_left_alone_and_each_verb_says_what_can_be_done(run):
    write_heartbeat(run.progress_file, progress(jobs=[]))
    run.summary_file.write_text("{}")
    said = {}
    for verb, arguments in VERBS.items():
        done = pilothouse(verb, run.directory, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        said[verb] = done.stderr
        assert "has finished" in done.stderr
    assert f"resume '{run.directory}' --set KEY=VALUE" in said["set"]
    assert requests.waiting(run.directory) == []
    assert "finished" in pilothouse("status", run.directory).stdout
    assert "finished" in pilothouse("watch", run.directory).stdout


def test_a_stopped_run_keeps_the_request_until_it_is_resumed(run):
    done = pilothouse("forbid", run.directory, "rate > 0.5")
    assert done.returncode == 0
    assert f"python -m agents.run resume '{run.directory}'" in done.stdout
    (path,) = requests.waiting(run.directory)
    assert requests.read(path).what == "forbid rate > 0.5"
    assert "forbid rate > 0.5" in pilothouse("status", run.directory).stdout
    assert "not taken yet" in pilothouse("status", run.directory).stdout


@pytest.mark.parametrize("finished", [False, True])
def test_what_is_wrong_is_said_before_anything_is_asked(run, finished):
    if finished:
        run.summary_file.write_text("{}")
    for verb, cases in WRONG.items():
        for arguments in cases:
            done = pilothouse(verb, run.directory, *arguments)
            assert done.returncode == 2, (verb, arguments)
            assert "Traceback" not in done.stderr
            assert verb == "cancel" or "has finished" not in done.stderr
    assert requests.waiting(run.directory) == []


def test_a_search_that_does_not_look_is_not_waited_for(run):
    lock = run.lock()
    write_heartbeat(run.progress_file, progress())
    done = pilothouse("pause", run.directory, "--wait", "0.2")
    assert done.returncode == 0
    assert "not taken yet: the orchestrator is at `wait` since" in done.stdout
    lock.release()


def test_a_request_that_comes_too_late_is_taken_back(run, monkeypatch):
    from agents.commands import steering

    lock = run.lock()

    def ends(_):
        lock.release()
        run.summary_file.write_text("{}")

    monkeypatch.setattr(steering.time, "sleep", ends)
    with pytest.raises(ConfigurationError, match="has finished"):
        steering.ask(run.directory, "pause", {}, wait=0.5)
    assert requests.waiting(run.directory) == []


def test_nobody_may_write_here(run, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(requests, "write_atomically", refused)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        requests.leave(run.directory, requests.new_request("pause", {}))


# -- looking -------------------------------------------------------------------------------------


def test_a_run_that_is_being_written_or_torn_is_looked_at_all_the_same(run):
    assert "stopped" in status_text(run_state(run))
    for content in (b"", b"{", b"[]", b"null", b'{"trials": null, "jobs": null}'):
        run.progress_file.write_bytes(content)
        assert run_state(run).state == "stopped"
        assert status_text(run_state(run))


def _places(value, *path):
    """Every place of a JSON document."""
    yield path
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(below, *path, key)


def _with(value, path, other):
    if not path:
        return other
    changed = value.copy()
    changed[path[0]] = _with(value[path[0]], path[1:], other)
    return changed


def test_what_has_another_type_than_it_should_is_looked_at_all_the_same(run):
    taken = {
        "id": "1", "verb": "note", "what": "note x", "by": "ada", "effect": "kept",
        "asked_at": "2026-11-24T12:00:00+00:00", "refused": False,
    }  # fmt: skip
    fields = {
        "waiting": Waiting("ssh", "gone", "ssh h", datetime.now(UTC)), "steering": [taken],
        "paused": {"by": "ada", "taken_at": taken["asked_at"]}, "confirmed": [Again(2, 0.8, 0.1, 2)],
    }  # fmt: skip
    write_heartbeat(run.progress_file, progress(**fields))
    whole = json.loads(run.progress_file.read_bytes())
    lock = run.lock()
    wrong = ("x", "2026-11-24T12:00:00", 5, 10**400, True, None, [1], [None], {"a": 1}, {"a": None})
    for path in _places(whole):
        for other in wrong:
            run.progress_file.write_text(json.dumps(_with(whole, path, other)))
            try:
                assert status_text(run_state(run))
                assert list_text(run.directory.parent)
                assert list_json(run.directory.parent)
            except Exception as error:
                raise AssertionError(f"{path} is {other!r:.20}") from error
    run.progress_file.write_text(json.dumps({**whole, "best_value": "0.9"}))
    assert "0.9" not in status_text(run_state(run))
    lock.release()


def test_status_tells_what_there_is_to_know(run):
    lock = run.lock()
    write_heartbeat(run.progress_file, progress())
    text = status_text(run_state(run))
    for words in (
        "running",
        "2 of 5; trials: 1 running, 1 queued, 3 completed, 1 failed",
        "accuracy_auc 0.8123 (trial 2)",
        "llm 0.8123 in 1 trial, sampler 0.7100 in 3 trials",
        "░░░░░░░░░░ 12 min of 12 h",
        "██░░░░░░░░ 1 of 5 iterations",
        "rate=0.01235, layers=3",
        "llm: running, job 17, epoch 3, 0.6100  ▁▆█",
        "sampler: queued (Resources), job 18",
        "wait: for jobs to end since",
    ):
        assert words in text, words
    write_heartbeat(run.progress_file, progress(budgets=[Budget("iterations", 22, 3)]))
    assert "22 used, the limit is 3 iterations" in status_text(run_state(run))
    waiting = Waiting("ssh", "the connection is gone", "ssh login1", datetime.now(UTC))
    write_heartbeat(run.progress_file, progress(waiting=waiting))
    state = run_state(run)
    assert state.state == "waiting"
    assert "ssh since" in status_text(state)
    assert "ssh login1" in status_text(state)
    paused = {"by": "ada@login1", "taken_at": "2026-11-24T12:00:00+00:00"}
    write_heartbeat(run.progress_file, progress(paused=paused))
    assert run_state(run).state == "paused"
    assert "by ada@login1 since" in status_text(run_state(run))
    lock.release()
    assert "python -m agents.run resume" in status_text(run_state(run))


def test_a_run_that_another_host_holds_is_running_while_it_gives_signs_of_life(run):
    write_heartbeat(run.progress_file, progress())
    (run.directory / "run.lock").write_text('{"host": "elsewhere", "pid": 1}')
    assert run_state(run).state == "running"
    os.utime(run.progress_file, (0, 0))
    assert run_state(run).state == "stopped"


def test_looking_at_a_run_never_keeps_its_orchestrator_away(run, monkeypatch):
    """`status` holds the lock for a moment; a resume in that moment tries again."""
    import fcntl

    (run.directory / "run.lock").touch()
    with open(run.directory / "run.lock") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        waited = []

        def wait(seconds):
            """The second pause outlasts the look."""
            waited.append(seconds)
            if len(waited) == 2:
                fcntl.flock(looker, fcntl.LOCK_UN)

        monkeypatch.setattr(run_lock.time, "sleep", wait)
        run.lock().release()
    assert len(waited) == 2


class Clock:
    """Sleeps by doing the next thing, and ends the run after the last."""

    def __init__(self, *steps):
        self._steps = list(steps)

    def __call__(self, seconds):
        self._steps.pop(0)()


def test_without_a_terminal_watch_prints_each_change_once(run, capsys):
    lock = run.lock()

    def ends():
        lock.release()
        run.summary_file.write_text("{}")

    def better():
        write_heartbeat(run.progress_file, progress(best_value=0.9, best_trial=4))

    write_heartbeat(run.progress_file, progress())
    watch(run.directory, sleep=Clock(lambda: None, lambda: None, better, lambda: None, ends))
    shown = capsys.readouterr().out
    assert shown.count("0.8123 (trial 2)") == 1
    assert shown.count("0.9000 (trial 4)") == 1
    assert shown.count("queued (Resources)") == 1
    assert "finished" in shown
    assert "\x1b" not in shown


def seen_in_a_terminal(run, columns, **environment):
    """What `watch` draws on a terminal of its own, while the run changes once and ends."""
    lock = run.lock()
    write_heartbeat(run.progress_file, progress())
    process, terminal = pty.fork()
    if process == 0:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.chdir(ROOT)
        # readline puts COLUMNS into the process's environment behind Python's back.
        plain = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        plain |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        command = [sys.executable, "-m", "agents.run", "watch", str(run.directory)]
        os.execve(sys.executable, command, {**plain, **environment})
    screen = b""
    steps = [
        (b"0.8123", lambda: write_heartbeat(run.progress_file, progress(iteration=3))),
        (b"3 of 5", lambda: (run.summary_file.write_text("{}"), lock.release())),
    ]
    while True:
        try:
            screen += os.read(terminal, 4096)
        except OSError:  # Linux says EIO once the terminal is closed on the other side.
            break
        if steps and steps[0][0] in screen:
            steps.pop(0)[1]()
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return screen.decode(), os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("columns", [40, 100])
def test_on_a_terminal_watch_draws_and_leaves_when_the_run_has_ended(run, columns):
    screen, code = seen_in_a_terminal(run, columns, NO_COLOR="1")
    assert code == 0
    assert "finished" in screen
    assert "▁" in screen
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen)
    rows = re.sub(r"\x1b\[[0-9]*[AK]", "\n", screen)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", rows)
    assert max(len(line.rstrip()) for line in plain.replace("\r", "\n").split("\n")) <= columns


def test_watch_has_colours_where_nobody_forbids_them(run):
    screen, _ = seen_in_a_terminal(run, 100, NO_COLOR="")
    assert "\x1b[1" in screen


def drawn(state, width):
    from rich.console import Console

    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(view(state, status_lines(state), width))
    return capture.get()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_view_fits_into_any_width(run, width):
    lock = run.lock()
    many = [JobLine(n, "queued", str(n), None, None, "Priority " * 9) for n in range(99)]
    entry = {"what": f"note {'Wörter ' * 40}", "by": "ada@login1", "refused": False}
    entry |= {"asked_at": "2026-11-24T12:00:00+00:00", "effect": "part of every prompt"}
    waiting = Waiting("ssh", "gone", "python -m agents.run connect --config aurora.yaml")
    write_heartbeat(run.progress_file, progress(jobs=many, steering=[entry] * 20, waiting=waiting))
    text = drawn(run_state(run), width)
    assert max(map(len, text.splitlines())) <= width
    words = "".join(text.split())
    assert "aurora.yaml" in words
    assert "87moretrialsinflight" in words
    lock.release()


def test_a_run_of_thousands_of_trials_is_looked_at_as_quickly_as_a_small_one(run):
    """progress.json does not grow with the search: nothing else is read."""
    from trials import trial
    from trials import view as study

    known = study(*(trial(n, 0.5 + n / 10000) for n in range(2000)))
    write_heartbeat(
        run.progress_file,
        progress(best_so_far=thinned(best_so_far(known), 60), sources=sources(known)),
    )
    assert run.progress_file.stat().st_size < 6000
    assert run_state(run).sources["sampler"]["trials"] == 2000


def test_a_forbidden_region_is_shown_however_much_was_asked_for_after_it(run):
    asked = [requests.new_request("forbid", {"expression": "rate > 0.5"})]
    asked += [requests.new_request("note", {"text": f"word {n}"}) for n in range(30)]
    history = [Taken(request, request.asked_at, "kept") for request in asked]
    view = StudyView("fashion", "accuracy_auc", "maximize", [])
    shown = standing(
        view, Watch(1, "t"), iteration=1, max_iterations=5, elapsed=1.0, doing="wait", waiting=None,
        history=history,
    )  # fmt: skip
    write_heartbeat(run.progress_file, shown)
    text = pilothouse("status", run.directory).stdout
    assert "forbid rate > 0.5" in text
    assert "word 29" in text
    assert "word 20" not in text


def test_status_imports_no_database():
    code = (
        "import sys, agents.run, agents.commands.status, agents.commands.watch\n"
        "print(sorted({'optuna', 'sqlalchemy', 'langgraph', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_sparkline_is_as_wide_as_it_may_be():
    assert sparkline([], 8) == sparkline([0.5], 8) == ""
    assert sparkline([0, 1], 8) == "▁█"
    assert sparkline([0.5, 0.5], 8) == "▁▁"
    long = sparkline([n / 100 for n in range(100)], 8)
    assert len(long) == 8
    assert long == "".join(sorted(long))


def test_the_last_of_thinned_values_is_the_last():
    assert thinned(list(range(100)), 7)[-1] == 99
    assert len(thinned(list(range(100)), 7)) == 7
    assert thinned([1, 2], 7) == [1, 2]


def test_an_experiment_without_a_search_cannot_be_steered(run):
    card = json.loads((run.directory / "run.json").read_text())
    (run.directory / "run.json").write_text(json.dumps({**card, "kind": "experiment"}))
    done = pilothouse("pause", run.directory)
    assert done.returncode == 2
    assert "a single experiment" in done.stderr
    assert "harvest" in done.stderr
