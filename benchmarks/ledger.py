"""A propose and collect cycle in a long history, against plain Optuna on the same storage."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import optuna
import sqlalchemy

from agents.config.model import FloatParameter, SamplerSettings
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import Job, StudyView, TrialState

SIZES = (100, 1000, 5000)
CYCLES = 30
NAMES = ("a", "b", "c", "d")
_NOW = datetime.now(UTC)


def measure() -> list[tuple[str, str, str, str]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for size in SIZES:
            history = _history(size, Path(directory))
            rows += [_row(kind, size, history) for kind in ("random", "tpe")]
    return rows


def _row(kind: str, size: int, history: Path) -> tuple[str, str, str, str]:
    ours, plain = _pair(kind, history)
    return (
        f"cycle at {size}, {kind}",
        f"{1000 * ours:.1f} ms",
        f"{ours / plain:.2f} x ask and tell ({1000 * plain:.1f} ms)",
        "1.3 x",
    )


def _pair(kind: str, history: Path) -> tuple[float, float]:
    """Seconds of our cycle and of plain ask and tell, each on a copy of `history`."""
    with tempfile.TemporaryDirectory() as directory:
        databases = [Path(directory) / "ours.db", Path(directory) / "plain.db"]
        for database in databases:
            shutil.copy(history, database)
        ours, plain = (f"sqlite:///{database}" for database in databases)
        # In turns, so that what else the machine does falls on both.
        cycles = [_ours(kind, ours), _plain(kind, plain)]
        seconds: list[list[float]] = [[], []]
        for number in range(CYCLES + 1):
            for place, cycle in enumerate(cycles):
                began = time.perf_counter()
                cycle(number)
                seconds[place].append(time.perf_counter() - began)
    first, second = (statistics.median(found[1:]) for found in seconds)
    return first, second


def _history(size: int, directory: Path) -> Path:
    """A study of `size` finished trials; made in memory-like speed, since nobody times it."""
    path = directory / f"{size}.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def unsafe(connection, record):
        connection.execute("PRAGMA synchronous = OFF")

    storage.engine.dispose()
    study = optuna.create_study(study_name="bench", storage=storage, direction="maximize")
    _fill(study, size)
    storage.engine.dispose()
    return path


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


def _ours(kind: str, url: str) -> Callable[[int], None]:
    parameters = {name: FloatParameter(type="float", low=0, high=1) for name in NAMES}
    space = SearchSpace.build(parameters, [])
    ledger = Ledger.open(url, "bench", "maximize", space)
    proposer = SamplerProposer(space, SamplerSettings(kind=kind), 0, "maximize")

    def cycle(number: int) -> None:
        ledger.refresh()
        known = StudyView(
            "bench", "accuracy_auc", "maximize", ledger.trials(), ledger.sampler_state()
        )
        (proposal,) = proposer.propose(known, 1).proposals
        trial = ledger.add(proposal, number, 0)
        ledger.record_job(trial, Job("name", "directory"))
        ledger.record_job(trial, Job("name", "directory", job_id="1"))
        ended = Outcome(TrialState.COMPLETED, value=_value(proposal.parameters))
        ledger.finish(trial, ended, _NOW)

    return cycle


def _plain(kind: str, url: str) -> Callable[[int], None]:
    sampler = (
        optuna.samplers.RandomSampler(seed=0)
        if kind == "random"
        else optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    )
    study = optuna.load_study(study_name="bench", storage=url, sampler=sampler)

    def cycle(number: int) -> None:
        trial = study.ask()
        parameters = {name: trial.suggest_float(name, 0, 1) for name in NAMES}
        study.tell(trial, _value(parameters))

    return cycle
