"""Jobs that wait and will never start: said once, cancelled after a while, their trials failed."""

import datetime

import pytest
from test_submit import write_config

from agents.config import load
from agents.experiment import Experiment
from agents.interrupts import Interrupts
from agents.search import open_run
from agents.standing import standing
from agents.stuck import ATTRIBUTE, Stuck
from agents.trial import TrialState
from agents.workspace import create
from scheduler.job import Cause, JobState, Listing, Observation, Submitted

NOW = datetime.datetime.now(datetime.UTC)
WORDS = "PartitionTimeLimit: asks for more time than the partition allows; it will never start"
QUEUED = {"state": JobState.QUEUED, "raw_state": "PENDING"}
STUCK = Listing("12", **QUEUED, reason=WORDS, never_starts=True)
WAITS = Listing("12", **QUEUED, reason="Priority")
GONE = Listing("12", JobState.ENDED, "CANCELLED", cause=Cause.CANCELLED)


class Bench:
    """One trial whose job the scheduler lists as it is told, and a clock of our own."""

    def __init__(self, run, monkeypatch):
        self.run, self.flight = run, run.flight
        self.said, self.cancelled, self.now = [], [], 0.0
        self.flight.noticed = self.said.append
        cluster = self.flight._cluster
        monkeypatch.setattr(self.flight.watch, "_clock", lambda: self.now)
        monkeypatch.setattr(cluster, "poll", lambda refs: {r.name: self.seen(r) for r in refs})
        monkeypatch.setattr(cluster, "cancel", lambda refs: self.cancelled.append(len(refs)))
        monkeypatch.setattr(
            cluster, "submit", lambda requests, again: {r.name: Submitted(r.name, "12") for r in requests}
        )  # fmt: skip
        Experiment(run).enter({"x": 0.5, "kind": "a"})
        self.flight.submit()

    def seen(self, ref):
        return Observation(ref.name, self.listing, False, None, None)

    def poll(self, listing, at):
        self.listing, self.now = listing, at
        self.flight.poll()

    def trial(self):
        self.flight.collect()
        return Experiment(self.run).view().trials[0]


@pytest.fixture
def bench(tmp_path, monkeypatch, request):
    overrides = getattr(request, "param", ["cluster.poll.never_starts=1h"])
    loaded = load(write_config(tmp_path), overrides)
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    with Interrupts() as interrupts, open_run(loaded, workspace, interrupts) as run:
        yield Bench(run, monkeypatch)


def test_it_is_said_once_and_the_job_cancelled_after_a_while(bench):
    for at in (0, 10, 3599):
        bench.poll(STUCK, at)
    assert len(bench.said) == 1
    assert WORDS in bench.said[0]
    assert "job 12" in bench.said[0] and "1 h" in bench.said[0]
    assert bench.cancelled == []
    bench.poll(STUCK, 3600)
    bench.poll(STUCK, 3700)
    assert bench.cancelled == [1]
    bench.poll(GONE, 3800)
    bench.poll(GONE, 4800)
    trial = bench.trial()
    assert trial.state is TrialState.FAILED
    assert trial.failure.cause is Cause.CANNOT_START
    assert WORDS in trial.failure.message


def test_a_request_that_was_mended_waits_on(bench):
    bench.poll(STUCK, 0)
    bench.poll(WAITS, 3000)
    bench.poll(STUCK, 6000)
    bench.poll(STUCK, 9000)
    assert bench.cancelled == []


@pytest.mark.parametrize("bench", [["cluster.poll.never_starts=null"]], indirect=True)
def test_without_a_limit_it_is_only_said(bench):
    bench.poll(STUCK, 0)
    bench.poll(STUCK, 10**6)
    assert len(bench.said) == 1
    assert bench.cancelled == []


def test_whoever_goes_on_after_a_crash_knows_why_it_was_cancelled(bench):
    bench.poll(STUCK, 0)
    bench.poll(STUCK, 3600)
    flight = bench.flight
    flight._stuck = Stuck(flight._ledger, flight.watch, flight._cancelling)
    assert list(flight._ledger.attributes()[ATTRIBUTE].values()) == [WORDS]
    bench.poll(GONE, 3800)
    bench.poll(GONE, 4800)
    assert bench.trial().failure.cause is Cause.CANNOT_START


def test_the_screen_and_status_know_it(bench):
    bench.poll(STUCK, 0)
    shown = standing(
        Experiment(bench.run).view(),
        bench.flight.watch,
        iteration=1,
        max_iterations=1,
        elapsed=0.0,
        doing="wait",
        waiting=None,
    )
    assert [(job.never_starts, job.reason) for job in shown.jobs] == [(True, WORDS)]
