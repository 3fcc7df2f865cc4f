"""A propose and collect cycle in a long history, against plain Optuna on the same storage."""

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import optuna

from agents.config.model import FloatParameter, SamplerSettings
from agents.ledger import Ledger, snapshot
from agents.outcome import Outcome
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import Job, TrialState

SIZES = (100, 1000, 5000)
CYCLES = 15
NAMES = ("a", "b", "c", "d")
_NOW = datetime.now(UTC)


def measure() -> list[tuple[str, str, str, str]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    for kind in ("random", "tpe"):
        for size in SIZES:
            ours, plain = _pair(kind, size)
            rows.append(
                (
                    f"cycle at {size}, {kind}",
                    f"{1000 * ours:.1f} ms",
                    f"{ours / plain:.2f} x ask and tell ({1000 * plain:.1f} ms)",
                    "1.3 x",
                )
            )
    return rows


def _pair(kind: str, size: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as directory:
        ours = _ours(kind, size, f"sqlite:///{Path(directory)}/ours.db")
        plain = _plain(kind, size, f"sqlite:///{Path(directory)}/plain.db")
    return ours, plain


def _value(parameters: dict) -> float:
    return 1.0 - sum((value - 0.3) ** 2 for value in parameters.values())


def _fill(study: optuna.Study, size: int) -> None:
    distribution = optuna.distributions.FloatDistribution(0, 1)
    random = optuna.samplers.RandomSampler(seed=0)
    for _ in range(size):
        parameters = {n: random._rng.rng.random() for n in NAMES}
        study.add_trial(
            optuna.trial.create_trial(
                params=parameters,
                distributions=dict.fromkeys(NAMES, distribution),
                value=_value(parameters),
            )
        )


def _ours(kind: str, size: int, url: str) -> float:
    parameters = {name: FloatParameter(type="float", low=0, high=1) for name in NAMES}
    space = SearchSpace.build(parameters, [])
    ledger = Ledger.open(url, "bench", "maximize", space)
    _fill(optuna.load_study(study_name="bench", storage=url), size)
    proposer = SamplerProposer(space, SamplerSettings(kind=kind), 0, "maximize")
    seconds = []
    for cycle in range(CYCLES + 1):
        began = time.perf_counter()
        known = snapshot(ledger, "bench", "accuracy_auc", "maximize")
        (proposal,) = proposer.propose(known, 1).proposals
        number = ledger.add(proposal, cycle, 0)
        ledger.record_job(number, Job("name", "directory"))
        ledger.record_job(number, Job("name", "directory", job_id="1"))
        ended = Outcome(TrialState.COMPLETED, value=_value(proposal.parameters))
        ledger.finish(number, ended, _NOW)
        seconds.append(time.perf_counter() - began)
    ledger.close()
    return statistics.median(seconds[1:])


def _plain(kind: str, size: int, url: str) -> float:
    sampler = (
        optuna.samplers.RandomSampler(seed=0)
        if kind == "random"
        else optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    )
    study = optuna.create_study(
        study_name="bench", storage=url, direction="maximize", sampler=sampler
    )
    _fill(study, size)
    seconds = []
    for _ in range(CYCLES + 1):
        began = time.perf_counter()
        trial = study.ask()
        parameters = {name: trial.suggest_float(name, 0, 1) for name in NAMES}
        study.tell(trial, _value(parameters))
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
