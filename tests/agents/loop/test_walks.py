"""Random walks through whole searches: killed at random places, steered, their position damaged. Whatever
was done on the way, what is left at the end agrees with itself and keeps what was promised."""

import json
import random
import re
from collections import Counter

import pytest
from loop_run import Crash, has_begun, jobs_run, resume, run_directory, start, write_config

from agents import requests
from agents.helm import history_of
from agents.progress import read_heartbeat, trials_by_state
from agents.report.reading import read_run
from agents.trial import TrialState

EARLY = (
    "agents.ledger.Ledger.add",
    "agents.ledger.Ledger.record_job",
    "scheduler.cluster.Cluster.submit",
    "scheduler.cluster.Cluster.poll",
)
"""Where each search comes by, before it has got far."""
PLACES = (
    *EARLY,
    *(f"agents.nodes.SearchNodes.{node}" for node in ("collect", "decide", "confirm", "finish")),
    *(f"agents.helm.Helm.{step}" for step in ("_enter", "_apply", "settle", "stopped")),
    "agents.ledger.Ledger.finish",
    "agents.flight.Flight._run_again",
    "agents.paperwork.Paperwork.write_iterations",
    "agents.paperwork.Paperwork.write_last",
)
STARTERS = ({"x": 0.9, "y": 2, "pause": 0.02}, {"x": 0.2, "y": 7, "pause": 0.02})
FATES = """\
fate = {fates}[task["trial"]]
if fate == "error": sys.exit("it went wrong")
if fate == "silent": sys.exit(0)
if fate == "stopped" and not os.path.basename(os.getcwd()).endswith("_attempt_2"):
    os.kill(os.getpid(), 15)
if fate == "half":
    open("results.json", "w").write("{{")
    sys.exit(0)
"""


class Walk:
    """A search that is drawn by its seed, and what is done to it."""

    def __init__(self, seed, directory):
        self.chance = random.Random(seed)
        self.quiet = self.chance.random() < 0.5
        """Nobody asks for anything: it must end as if nothing had been."""
        self.iterations, self.jobs = self.chance.randint(1, 3), self.chance.randint(2, 3)
        self.most = self.chance.choice([None, 2, 5])
        self.starters = STARTERS[: self.chance.randint(0, 2)]
        self.again = self.chance.choice([0, 0, 1])
        self.schedule = "batch" if self.quiet else self.chance.choice(["batch", "steady"])
        document = {
            "loop": {
                "max_iterations": self.iterations,
                "jobs_per_iteration": self.jobs,
                "max_trials": self.most,
                "schedule": self.schedule,
            },
            "stop": {"failures_in_a_row": self.chance.choice([None, 3])},
            "constraints": ["x * y <= 4"],
            "initial_trials": self.starters,
            "confirm": {"trials": self.again, "seeds": 2},
        }
        self.extra = "".join(f"{key}: {json.dumps(part)}\n" for key, part in document.items())
        kinds = ["fine", "fine", "fine", "error", "silent", "half", "stopped"]
        self.fates = [self.chance.choice(kinds) for _ in range(40)]
        self.pack = self.chance.choice(["", "", "  pack: {trials: 2}\n"])
        self.config = self.write(directory)
        self.screens = []

    def write(self, directory):
        directory.mkdir()
        config = write_config(directory, self.extra)
        text = config.read_text().replace("value: 0.15", "value: 0.02")
        config.write_text(text.replace("cluster:\n", f"cluster:\n{self.pack}"))
        program = directory / "program.py"
        before, task, after = program.read_text().partition('h = task["hyperparameters"]\n')
        program.write_text(before + task + FATES.format(fates=self.fates) + after)
        return config

    def go(self):
        """To the end, through a few deaths."""
        for places in (EARLY, *[PLACES] * self.chance.randint(0, 2)):
            place, when = self.chance.choice(places), self.chance.choice(["before", "after"])
            if self.leg(Crash(place, when, self.chance.randint(1, 2))) != -9:
                break
            self.meanwhile()
        assert self.leg(None) in (0, 1)
        assert requests.waiting(run_directory(self.config)) == []

    def leg(self, crash):
        begin = resume if has_begun(self.config) else start
        orchestrator = begin(self.config, crash=crash)
        code = orchestrator.wait()
        self.screens.append(orchestrator.screen)
        assert code in (-9, 0, 1), orchestrator.screen
        assert not re.search("^error: ", orchestrator.screen, re.MULTILINE), orchestrator.screen
        return code

    def meanwhile(self):
        """What happens while nobody works on it."""
        run = run_directory(self.config)
        if self.chance.random() < 0.3:
            (run / "graph.db").write_bytes(b"no database" * 500)
        if not self.quiet:
            for verb, arguments in self.chance.sample(self.wishes(), self.chance.randint(0, 3)):
                requests.leave(run, requests.new_request(verb, arguments))

    def wishes(self):
        chance = self.chance
        self.iterations = max(self.iterations, more := chance.randint(1, 4))
        return [
            ("set", {"key": "loop.max_iterations", "value": str(more)}),
            ("set", {"key": "loop.max_iterations", "value": "many"}),
            ("add", {"parameters": {"x": chance.random() / 2, "y": 3, "pause": 0.02}}),
            ("forbid", {"expression": "x > 0.7"}),
            ("cancel", {"trials": "all"}),
            ("cancel", {"trials": None}),
            ("stop", {}),
            ("note", {"text": "be careful"}),
        ]


def told(config):
    """The trials of a search, and why it ended."""
    reading = read_run(run_directory(config))
    trials = [
        (t.number, t.iteration, t.state, t.value, dict(t.parameters), t.seed, t.origin, t.confirms)
        for t in reading.view.trials
    ]
    causes = [
        (t.failure.cause if t.failure else None, len(t.attempts)) for t in reading.view.trials
    ]
    return trials, causes, reading.facts.stop_reason


def assert_agrees(config, view):
    """The ledger, the reports, the summary and the sign of life tell the same."""
    run = run_directory(config)
    in_ledger = {t.number: (t.state.value, t.value) for t in view.trials}
    assert list(in_ledger) == list(range(len(in_ledger)))
    in_reports = [
        (trial["trial"], (trial["state"], trial["value"]))
        for path in (run / "reports").glob("iteration_*.json")
        for trial in json.loads(path.read_text())["trials"]
    ]
    assert sorted(in_reports) == sorted(in_ledger.items())
    summary = json.loads((run / "summary.json").read_text())
    beat = read_heartbeat(run / "progress.json")
    assert summary["counts"] == beat["trials"] == trials_by_state(view)
    assert beat["trials"]["running"] == 0
    best = (view.best.number, view.best.value) if view.best else (None, None)
    assert (beat["best_trial"], beat["best_value"]) == best
    assert (summary["best"] or {"trial": None})["trial"] == best[0]


def assert_bounds(walk, view):
    searched = [trial for trial in view.trials if trial.confirms is None]
    sizes = Counter(trial.iteration for trial in searched)
    assert len(sizes) <= walk.iterations
    assert max(sizes.values()) <= walk.jobs
    assert walk.most is None or len(searched) <= walk.most
    everything = {trial.iteration for trial in view.trials}
    assert everything == set(range(1, len(everything) + 1))


def assert_points(walk, view, history):
    for trial in view.trials:
        at = trial.parameters
        assert 0 <= at["x"] <= 1
        assert at["y"] in range(1, 9)
        assert at["x"] * at["y"] <= 4
    asked = {taken.id: taken for taken in history}
    since = [t.taken_at for t in history if t.request.verb == "forbid" and not t.refused]
    for trial in view.trials:
        if since and trial.created_at > since[0] and trial.origin != "user":
            assert trial.confirms is not None or trial.parameters["x"] <= 0.7
    added = [trial.request for trial in view.trials if trial.request is not None]
    assert len(set(added)) == len(added)
    assert all(asked[request].request.verb == "add" for request in added)
    own = [t for t in view.trials if (t.origin, t.request, t.confirms) == ("user", None, None)]
    left_out = [list(walk.starters).index(dict(trial.parameters)) for trial in own]
    assert left_out == sorted(set(left_out))


def contents(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_a_walk(tmp_path, seed):
    walk = Walk(seed, tmp_path / "walk")
    walk.go()
    run = run_directory(walk.config)
    reading = read_run(run)
    history = history_of(reading.facts.steering)
    assert not [screen for screen in walk.screens if "Traceback" in screen]
    assert set(jobs_run_once(walk.config).values()) <= {1}
    assert_agrees(walk.config, reading.view)
    assert_bounds(walk, reading.view)
    assert_points(walk, reading.view, history)
    meant = {n for t in history if t.request.verb == "cancel" and not t.refused for n in t.trials}
    cancelled = {
        t.number for t in reading.view.trials if t.failure and t.failure.cause == "cancelled"
    }
    assert cancelled <= meant
    completed = [t for t in reading.view.trials if t.state is TrialState.COMPLETED]
    assert all((run / t.job.directory / "runs").exists() for t in completed)
    # In steady, trials that ended after the rule had held may have lifted it: then it goes on.
    if walk.schedule == "batch" and "asked for it" not in reading.facts.stop_reason:
        before = contents(run)
        assert resume(walk.config).wait() == (0 if completed else 1)
        assert contents(run) == before
    if walk.quiet:
        assert undisturbed(walk, tmp_path / "undisturbed") == told(walk.config)


def jobs_run_once(config):
    """How often each attempt ran, also those in packs."""
    run = run_directory(config)
    return jobs_run(config) | {str(p): len(p.read_text()) for p in run.glob("pack_*/*/runs")}


def undisturbed(walk, directory):
    config = walk.write(directory)
    assert start(config).wait() in (0, 1)
    return told(config)
