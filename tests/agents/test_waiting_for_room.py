"""Trials whose submission hits a limit on jobs wait, visibly, and are tried again soon."""

import datetime
import time
from contextlib import ExitStack

import pytest
from test_submit import write_config

from agents.config import load
from agents.cost import node_hours
from agents.experiment import Experiment
from agents.interrupts import Interrupts
from agents.journal import Journal
from agents.patience import Patience
from agents.search import open_run
from agents.standing import standing
from agents.workspace import create
from scheduler.errors import LoginNeeded, SchedulerAway
from scheduler.job import (
    Cause,
    Failure,
    InDoubt,
    JobState,
    Listing,
    NeverSubmitted,
    Observation,
    Refused,
    Submitted,
    Unwritable,
)
from scheduler.outcome import Failed

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


def ask_with(run, monkeypatch, *answers):
    """One answer a submission. Returns what was said each time to be certainly not taken."""
    left, told = list(answers), []

    def submit(requests, again):
        told.append(set(again))
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {r.name: answer(r) for r in requests}

    monkeypatch.setattr(run.flight._cluster, "submit", submit)
    return told


def waits(run):
    return run.flight.submitting._not_before - time.monotonic()


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
    log = (run.workspace.directory / "logs" / "run.jsonl").read_text()
    assert log.count("submit_later") == 1
    answer_with(run, monkeypatch, lambda r: Submitted(r.name, "1"))
    run.flight.submit()
    assert not run.flight.submitting.held_back
    assert not run.flight.may_submit()


def test_a_refusal_in_two_lines_is_said_in_one(run, monkeypatch):
    said = []
    run.flight.said = said.append
    words = (
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed\n"
    )
    answer_with(run, monkeypatch, lambda r: Refused(r.name, words, backpressure=True))
    run.flight.submit()
    assert said == [
        "trial 0: submitted later: sbatch: error: QOSMaxSubmitJobPerUserLimit "
        "sbatch: error: Batch job submission failed"
    ]


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
        held_back=run.flight.submitting.held_back,
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


def limit(r):
    return Refused(r.name, LIMIT, backpressure=True)


def test_a_refusal_is_certain_for_one_try(run, monkeypatch):
    """The next try may be cut off after it was taken: then nothing is certain any more."""
    doubt = lambda r: InDoubt(r.name, 0.0)  # noqa: E731
    told = ask_with(run, monkeypatch, limit, doubt, doubt)
    for _ in range(3):
        run.flight.submit()
    assert [len(names) for names in told] == [0, 1, 0]
    assert not run.flight.submitting.certainly_none(run.flight.running()[0])


def test_a_trial_that_is_cancelled_in_doubt_is_looked_for_and_not_submitted(run, monkeypatch):
    told = ask_with(run, monkeypatch, lambda r: InDoubt(r.name, 0.0))
    looks = [lambda r: InDoubt(r.name, 60.0), lambda r: NeverSubmitted(r.name)]
    monkeypatch.setattr(
        run.flight._cluster,
        "withdraw",
        lambda requests: {r.name: answer(r) for answer in [looks.pop(0)] for r in requests},
    )
    run.flight.submit()
    run.flight.obey({0: "cancelled by ann"})
    run.flight.submit()
    assert run.flight.numbers() == [0]
    run.flight.submit()
    assert run.flight.numbers() == []
    failure = run.ledger.trials()[0].failure
    assert (failure.cause, failure.message) == (Cause.CANCELLED, "cancelled by ann")
    assert told == [set()]


def test_a_trial_that_is_cancelled_in_doubt_and_was_taken_is_cancelled(run, monkeypatch):
    ask_with(run, monkeypatch, lambda r: InDoubt(r.name, 0.0))
    ended = []
    monkeypatch.setattr(
        run.flight._cluster, "withdraw", lambda rs: {r.name: Submitted(r.name, "7") for r in rs}
    )
    monkeypatch.setattr(run.flight._cluster, "cancel", ended.extend)
    run.flight.submit()
    for _ in range(2):
        run.flight.obey({0: "cancelled by ann"})
        if not ended:
            run.flight.submit()
    assert [ref.job_id for ref in ended] == ["7"]


def test_a_refusal_is_not_repeated_as_certain_after_a_broken_line(run, monkeypatch):
    monkeypatch.setattr(run.flight._patience._interrupts, "sleep", lambda seconds: None)
    told = ask_with(run, monkeypatch, limit, SchedulerAway("it broke"), limit)
    for _ in range(2):
        run.flight.submit()
    assert [len(names) for names in told] == [0, 1, 0]
    assert run.flight.submitting.certainly_none(run.flight.running()[0])


def test_a_directory_that_is_away_makes_nothing_certain(run, monkeypatch):
    full = lambda r: Unwritable(r.name, "cannot write to it")  # noqa: E731
    told = ask_with(run, monkeypatch, full, full)
    for _ in range(2):
        run.flight.submit()
    assert told == [set(), set()]
    assert run.flight.submitting.held_back == {0: "cannot write to it"}


NO_ACCOUNT = "Invalid account or account/partition combination specified"


def test_what_the_site_took_before_and_refuses_now_is_waited_for(run, monkeypatch):
    answer_with(run, monkeypatch, lambda r: Submitted(r.name, "1"))
    run.flight.submit()
    Experiment(run).enter({"x": 0.7, "kind": "a"})
    answer_with(run, monkeypatch, lambda r: Refused(r.name, NO_ACCOUNT))
    run.flight.submit()
    assert run.flight.submitting.held_back == {1: NO_ACCOUNT}
    assert len(run.flight.running()) == 2


def test_what_no_site_ever_took_fails_at_once(run, monkeypatch):
    answer_with(run, monkeypatch, lambda r: Refused(r.name, NO_ACCOUNT))
    run.flight.submit()
    assert run.flight.running() == []


def test_of_twins_the_one_that_has_the_lock_is_followed(run, monkeypatch):
    """A submission in doubt was repeated, and the first one began after all."""
    answer_with(run, monkeypatch, lambda r: Submitted(r.name, "103.server"))
    run.flight.submit()
    trial = run.flight.running()[0]
    seen = Observation(trial.job.name, None, True, None, None, holder="102.server.example")
    monkeypatch.setattr(run.flight._cluster, "poll", lambda refs: {trial.job.name: seen})
    run.flight.poll()
    assert run.flight.running()[0].job.job_id == "102.server"


def test_a_job_in_flight_costs_from_when_it_was_first_seen_running(run, monkeypatch):
    answer_with(run, monkeypatch, lambda r: Submitted(r.name, "1"))
    run.flight.submit()
    name = run.flight.running()[0].job.name
    for is_running in (False, True):
        seen = Observation(name, Listing("1", JobState.RUNNING), is_running, None, None)
        monkeypatch.setattr(run.flight._cluster, "poll", lambda refs, seen=seen: {name: seen})
        run.flight.poll()
        assert (run.flight.running()[0].job.started_at is not None) == is_running
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=2)
    assert node_hours(Experiment(run).view(), later) == pytest.approx(2.0, abs=0.01)


def packed_run(tmp_path, stack, trials):
    sets = [
        "cluster.pack={trials: 2}",
        "cluster.max_per_submission=1",
        "cluster.retry.node_failure=2",
    ]
    loaded = load(write_config(tmp_path), sets)
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    interrupts = stack.enter_context(Interrupts())
    run = stack.enter_context(open_run(loaded, workspace, interrupts))
    for number in range(trials):
        Experiment(run).enter({"x": 0.1 * number, "kind": "a"})
    return run


def test_a_pack_that_was_held_back_goes_out_whole(tmp_path, monkeypatch):
    """A trial that is run again comes before it, and must not take the place of one of its trials."""
    with ExitStack() as stack:
        run = packed_run(tmp_path, stack, 4)
        sent = []
        answers = [lambda r: Submitted(r.name, "1"), limit, limit, limit]
        monkeypatch.setattr(
            run.flight._cluster,
            "submit",
            lambda requests, again: (
                sent.append([r.name for r in requests]),
                {r.name: answers[len(sent) - 1](r) for r in requests},
            )[1],
        )
        run.flight.submit()
        run.flight.submit()
        first = run.flight.running()[0]
        assert run.flight._run_again(first, Failed(Failure(Cause.NODE_FAILURE, "node died")))
        run.flight.submit()
        packs = {trial.number: trial.job.pack for trial in run.flight.running()}
        assert packs[2] == packs[3] == "pack_0002"
        assert [len(names) for names in sent] == [1, 1, 1]


def test_more_than_the_queue_allows_is_refused_to_a_trial_that_was_short_of_it(
    tmp_path, monkeypatch
):
    overrides = ["cluster.resources.walltime=1h", "cluster.resources.memory=4G"]
    loaded = load(write_config(tmp_path), overrides)
    workspace = create(loaded.settings.directories, "single", loaded.resolved, NOW)
    short = Failure(Cause.WALLTIME, "F (Exit_status -29): the job reached its walltime")
    refusal = "qsub: Job violates queue and/or server resource limits"
    with Interrupts() as interrupts, open_run(loaded, workspace, interrupts) as run:
        Experiment(run).enter({"x": 0.5, "kind": "a"})
        answer_with(run, monkeypatch, lambda r: Submitted(r.name, "1"))
        run.flight.submit()
        assert run.flight._run_again(run.flight.running()[0], Failed(short))
        answer_with(run, monkeypatch, lambda r: Refused(r.name, refusal))
        run.flight.submit()
        [trial] = Experiment(run).view().trials
    assert trial.failure is not None
    assert trial.failure.cause is Cause.WALLTIME
    assert trial.failure.message == (
        f"{short.message}; a job with 1 h 30 min of walltime was refused: {refusal}"
    )
