"""Trials whose submission hits a limit on jobs wait, visibly, and are tried again soon."""

import datetime
import time

import pytest
from test_submit import write_config

from agents.config import load
from agents.experiment import Experiment
from agents.interrupts import Interrupts
from agents.journal import Journal
from agents.patience import Patience
from agents.search import open_run
from agents.standing import standing
from agents.workspace import create
from scheduler.errors import LoginNeeded, SchedulerAway
from scheduler.job import InDoubt, Refused, Submitted

NOW = datetime.datetime.now(datetime.UTC)
LIMIT = "qsub: would exceed queue debug's per-user limit"


@pytest.fixture
def run(tmp_path):
    loaded = load(write_config(tmp_path), ["cluster.poll.floor=1s", "cluster.poll.ceiling=600s"])
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    with Interrupts() as interrupts, open_run(loaded, workspace, interrupts) as run:
        Experiment(run).enter({"x": 0.5, "kind": "a"})
        yield run


def answer_with(run, monkeypatch, answer):
    monkeypatch.setattr(
        run.flight._cluster, "submit", lambda requests, again: {r.name: answer(r) for r in requests}
    )


def waits(run):
    return run.flight._not_before - time.monotonic()


def test_a_limit_is_said_once_and_tried_again_soon_then_less_often(run, monkeypatch):
    said = []
    run.flight.said = said.append
    answer_with(run, monkeypatch, lambda r: Refused(r.name, f"{LIMIT}\n", backpressure=True))
    found = []
    for _ in range(4):
        run.flight.submit()
        found.append(waits(run))
    assert found == pytest.approx([1, 2, 4, 8], abs=0.5)
    assert said == [f"trial 0: submitted later: {LIMIT}"]
    answer_with(run, monkeypatch, lambda r: Submitted(r.name, "1"))
    run.flight.submit()
    assert not run.flight.held_back
    assert not run.flight.may_submit()


def test_a_submission_in_doubt_is_said_with_its_reason(run, monkeypatch):
    said = []
    run.flight.said = said.append
    answer_with(run, monkeypatch, lambda r: InDoubt(r.name, 3.0, why="Connection refused"))
    run.flight.submit()
    assert said == ["trial 0: submitted later: submission in doubt for 3 s: Connection refused"]


def test_the_screen_says_why_a_trial_waits(run, monkeypatch):
    answer_with(run, monkeypatch, lambda r: Refused(r.name, LIMIT, backpressure=True))
    run.flight.submit()
    run.flight.poll()
    shown = standing(
        Experiment(run).view(),
        run.flight.watch,
        iteration=1,
        max_iterations=1,
        elapsed=0.0,
        doing="wait",
        waiting=None,
        held_back=run.flight.held_back,
    )
    assert [(job.state, job.reason) for job in shown.jobs] == [("to be submitted", LIMIT)]


class Naps:
    """Interrupts that only note how long one would have slept."""

    def __init__(self):
        self.slept = []

    def check(self):
        pass

    def sleep(self, seconds):
        self.slept.append(seconds)


def test_a_person_who_logged_in_is_not_kept_waiting(tmp_path):
    """The question costs the site nothing; a scheduler that is away is asked less and less often."""
    naps, errors = Naps(), [*[SchedulerAway("down")] * 4, *[LoginNeeded("log in")] * 3]
    patience = Patience(naps, Journal(tmp_path / "run.jsonl"), 30, 600)

    def action():
        if errors:
            raise errors.pop(0)

    patience(action)
    assert naps.slept == [30, 60, 120, 240, 30, 30, 30]


def test_trials_of_a_pack_are_asked_for_under_the_name_that_was_submitted(tmp_path, monkeypatch):
    loaded = load(write_config(tmp_path), ["cluster.pack={trials: 2}"])
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    with Interrupts() as interrupts, open_run(loaded, workspace, interrupts) as run:
        Experiment(run).enter({"x": 0.5, "kind": "a"})
        submitted = []
        answer_with(run, monkeypatch, lambda r: submitted.append(r.name) or Submitted(r.name, "1"))
        run.flight.submit()
        refs = run.flight.watch.refs(run.flight.watched())
        assert [ref.batch_name for ref in refs] == submitted
        assert [ref.name for ref in refs] != submitted
