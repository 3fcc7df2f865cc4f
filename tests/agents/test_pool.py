"""Experiments put together: each result once, whoever made its directory and however often."""

from datetime import UTC, datetime, timedelta

import pytest

from agents import pool
from agents.config import load
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.pool import gather
from agents.report.reading import read_run
from agents.space import SearchSpace
from agents.trial import Proposal, TrialState
from agents.workspace import lay_out

ENDED = datetime(2026, 11, 24, 12, tzinfo=UTC)
NAME = "20261124_120000_e"


@pytest.fixture
def experiment(tmp_path):
    """Makes an experiment that has ended, in the directory of somebody."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "experiment: {id: e}\n"
        "search_space: {x: {type: float, low: 0, high: 1}}\n"
        "training: {command: [python, t.py]}\n"
    )
    loaded = load(config)

    def make(who, x, value, *, token=None, ended=ENDED):
        directory = tmp_path / who / NAME
        directory.mkdir(parents=True)
        made = lay_out(directory, "e", loaded.resolved, ENDED, "experiment")
        space = SearchSpace.build(loaded.settings.search_space, [])
        ledger = Ledger.open(f"sqlite:///{made.study_file}", NAME, "maximize", space)
        ledger.set_attribute("started_at", ENDED.isoformat())
        if token is not None:
            ledger.set_attribute("token", token)
        ledger.add(Proposal({"x": x}, "user", "by hand"), 1, 0)
        ledger.finish(0, Outcome(TrialState.COMPLETED, value=value), ended)
        ledger.close()
        return made

    return make


def values(run):
    return [trial.value for trial in read_run(run.directory).view.trials]


@pytest.mark.parametrize("tokens", [("3fa9c1", "b20e77"), (None, None)])
def test_directories_of_one_name_are_not_taken_for_one_another(tmp_path, experiment, tokens):
    ann = experiment("ann", 0.2, 0.5, token=tokens[0])
    bob = experiment("bob", 0.8, 0.9, token=tokens[1])
    gathered, new = gather([ann, bob], tmp_path / "pool")
    assert (values(gathered), new) == ([0.5, 0.9], 2)
    again, new = gather([bob, ann], tmp_path / "pool")
    assert (values(again), new) == ([0.5, 0.9], 0)


def test_what_was_entered_under_the_directory_s_name_alone_is_known(
    tmp_path, experiment, monkeypatch
):
    """So versions before marked them; the other of that name was lost, and comes now."""
    ann = experiment("ann", 0.2, 0.5, token="3fa9c1")
    bob = experiment("bob", 0.2, 0.9, token="b20e77", ended=ENDED + timedelta(minutes=1))
    added = pool._added
    monkeypatch.setattr(
        pool, "_added", lambda run, trial, mark: added(run, trial, f"by hand ({NAME}, trial 0)")
    )
    gathered, _ = gather([ann], tmp_path / "pool")
    monkeypatch.undo()
    assert gather([ann], tmp_path / "pool")[1] == 0
    assert gather([ann, bob], tmp_path / "pool")[1] == 1
    assert values(gathered) == [0.5, 0.9]
