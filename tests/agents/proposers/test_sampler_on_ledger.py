"""The sampler on a real ledger file: what SQLite gives back is what was proposed from."""

from datetime import UTC, datetime

import pytest
from spaces import score

from agents.config.model import CategoricalParameter, FloatParameter, IntParameter, SamplerSettings
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import StudyView, TrialState

SPACE = SearchSpace.build(
    {
        "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
        "drop": FloatParameter(type="float", low=0, high=0.6, step=0.1),
        "layers": IntParameter(type="int", low=1, high=9),
        "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd", None]),
        "momentum": FloatParameter(type="float", low=0, high=0.9, when={"opt": "sgd"}),
    },
    ["layers < 8 or drop < 0.5"],
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def search(path, kind, iterations, *, die_between):
    """The parameters of a search; with `die_between`, each iteration is another process's."""
    ledger = mind = None
    for iteration in range(1, iterations + 1):
        if ledger is None or die_between:
            ledger = Ledger.open(f"sqlite:///{path}", "run", "maximize", SPACE)
            mind = SamplerProposer(
                SPACE, SamplerSettings(kind=kind, startup_trials=3), 7, "maximize"
            )
        proposed = mind.propose(
            StudyView("e", "m", "maximize", ledger.trials(), ledger.sampler_state()), 2
        )
        for position, proposal in enumerate(proposed.proposals):
            last = position == len(proposed.proposals) - 1
            ledger.add(proposal, iteration, 0, proposed.sampler_state if last else None)
        for trial in ledger.trials()[-3:-1]:
            if trial.state is TrialState.RUNNING:
                value = score({n: v for n, v in trial.parameters.items() if v is not None})
                ledger.finish(trial.number, Outcome(TrialState.COMPLETED, value), NOW)
    trials = ledger.trials()
    ledger.close()
    return [dict(trial.parameters) for trial in trials]


@pytest.mark.parametrize("kind", ["auto", "tpe", "cmaes", "qmc", "random"])
def test_a_run_that_dies_after_each_iteration_is_the_run_that_does_not(tmp_path, kind):
    whole = search(tmp_path / "whole.db", kind, 7, die_between=False)
    pieces = search(tmp_path / "pieces.db", kind, 7, die_between=True)
    assert len(whole) == 14
    assert pieces == whole
