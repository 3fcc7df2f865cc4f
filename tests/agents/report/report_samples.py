"""Made-up runs for the tests of the reports."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from agents.config.model import (
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from agents.report import RunFacts
from agents.trial import Direction, Job, Origin, StudyView, Trial, TrialState
from scheduler.job import Cause, Failure
from training.contract import Curve, ParameterValue

START = datetime(2026, 11, 23, 14, 25, 30, tzinfo=UTC)

SPACE: dict[str, Parameter] = {
    "learning_rate": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log", default=1e-3),
    "batch_size": IntParameter(type="int", low=16, high=512, scale="log"),
    "optimizer": CategoricalParameter(type="categorical", choices=["adamw", "sgd", "lion"]),
    "momentum": FloatParameter(type="float", low=0.5, high=0.99, when={"optimizer": "sgd"}),
    "dropout": FloatParameter(type="float", low=0, high=0.6),
    "nesterov": CategoricalParameter(type="categorical", choices=[True, False]),
    "epochs": FixedParameter(type="fixed", value=12),
}

RATIONALES = (
    "Raise the learning rate: the best trials all end high and still climb.",
    "Dropout below 0.2 won three times in a row; smaller batches gave steadier curves. "
    "I keep AdamW and look between the two best learning rates, since the surrogate is least "
    "certain there, and leave the other parameters alone so that the effect can be told apart.",
)


def facts(**changes: object) -> RunFacts:
    """The facts of a finished run."""
    values: dict[str, object] = {
        "experiment": "fashion_cnn",
        "description": "A small CNN on Fashion-MNIST: the highest validation accuracy AUC in 12 epochs.",
        "run_directory": "results/20261123_142530_fashion_cnn",
        "started_at": START,
        "updated_at": START + timedelta(hours=3, minutes=12),
        "elapsed_seconds": 11520.0,
        "stop_reason": "8 iterations without an improvement of 0.001 on accuracy_auc = 0.8871; "
        "the limit is 8",
        "notices": ("The LLM endpoint did not answer for 4 min; the sampler proposed meanwhile.",),
        "configuration": "experiment:\n  id: fashion_cnn\n  seed: 7\nloop:\n  max_iterations: 40\n",
        "environment": {"host": "login1", "python": "3.11.2", "optuna": "5.0.0"},
        "git": {"commit": "4f1c2d" * 6, "branch": "main", "changed": True},
        "parameters": SPACE,
    }
    return RunFacts(**{**values, **changes})  # type: ignore[arg-type]


def study(
    count: int,
    *,
    seed: int = 1,
    failures: float = 0.08,
    all_failed: bool = False,
    direction: Direction = "maximize",
    per_iteration: int = 4,
) -> StudyView:
    """A search of `count` trials over `SPACE` that gets better as it goes."""
    chance = random.Random(seed)
    trials = [
        _trial(number, count, chance, 1.0 if all_failed else failures, per_iteration)
        for number in range(count)
    ]
    return StudyView("fashion_cnn", "accuracy_auc", direction, trials)


def _trial(
    number: int, count: int, chance: random.Random, failing: float, per_iteration: int
) -> Trial:
    parameters = _parameters(number, count, chance)
    origin: Origin = "default" if number == 0 else chance.choice(["sampler", "sampler", "llm"])
    if number in (1, 2):
        origin = "user"
    failed = chance.random() < failing
    pruned = not failed and number > 5 and chance.random() < 0.07
    running = number == count - 1 and count > 9
    curve = _curve(parameters, chance, pruned or failed)
    state = TrialState.COMPLETED
    if failed:
        state = TrialState.FAILED
    elif pruned:
        state = TrialState.PRUNED
    if running:
        state = TrialState.RUNNING
    ended = [value for value in curve.accuracy if value is not None]
    auc = sum(ended) / len(ended) if ended else None
    done = state is TrialState.COMPLETED
    began = START + timedelta(seconds=90 * number)
    return Trial(
        number=number,
        iteration=number // per_iteration + 1,
        state=state,
        parameters=parameters,
        origin=origin,
        seed=number,
        rationale=chance.choice(RATIONALES) if origin == "llm" else "",
        predicted=0.85 if origin == "llm" else None,
        fallback_reason="the LLM's answer was no JSON" if number % 37 == 5 else None,
        job=Job(
            f"job_{number}", f"job_fashion_cnn_iter_001_trial_{number:04d}", job_id=str(number)
        ),
        value=auc if done else None,
        metrics={"accuracy_auc": auc, "final_accuracy": ended[-1]} if done and ended else {},
        curve=curve,
        seconds=60 + 40 * chance.random() if not running else None,
        failure=_failure(chance) if state is TrialState.FAILED else None,
        warnings=("the program says accuracy_auc = 0.5, its curve says 0.6; the curve counts",)
        if number % 41 == 3
        else (),
        created_at=began,
        finished_at=None if running else began + timedelta(seconds=80),
    )


def _parameters(number: int, count: int, chance: random.Random) -> dict[str, ParameterValue]:
    focus = 1.6 * (1 - number / max(count, 1)) + 0.25
    rate = min(1e-1, max(1e-5, 10 ** (-2.6 + focus * chance.gauss(0, 0.8))))
    optimizer = chance.choice(["adamw", "adamw", "sgd", "lion"])
    parameters: dict[str, ParameterValue] = {
        "learning_rate": rate,
        "batch_size": int(2 ** chance.uniform(4, 9)),
        "optimizer": optimizer,
        "dropout": min(0.6, max(0.0, chance.gauss(0.2, 0.15 * focus))),
        "nesterov": chance.random() < 0.5,
        "epochs": 12,
    }
    if number == 0:
        parameters.update(learning_rate=1e-3, batch_size=64, optimizer="adamw", dropout=0.5)
        return parameters
    if optimizer == "sgd":
        parameters["momentum"] = chance.uniform(0.5, 0.99)
    return parameters


def _curve(parameters: dict[str, ParameterValue], chance: random.Random, short: bool) -> Curve:
    rate, dropout = parameters["learning_rate"], parameters["dropout"]
    assert isinstance(rate, float) and isinstance(dropout, float)
    end = 0.92 - 0.05 * (math.log10(rate) + 2.6) ** 2 - 0.3 * (dropout - 0.2) ** 2
    end = max(0.1, end + chance.gauss(0, 0.006))
    epochs = chance.randint(0, 4) if short else 12
    steps = tuple(float(epoch) for epoch in range(1, epochs + 1))
    values = (end * (1 - 0.6 * math.exp(-0.7 * step)) + chance.gauss(0, 0.006) for step in steps)
    return Curve(steps, tuple(min(1.0, max(0.0, value)) for value in values))


def _failure(chance: random.Random) -> Failure:
    return chance.choice(
        [
            Failure(
                Cause.OUT_OF_MEMORY,
                "The job was killed for using more than its 4096 MiB; raise resources.memory.",
                exit_code=137,
                scheduler_state="OUT_OF_MEMORY",
                stderr_tail="slurmstepd: error: Detected 1 oom_kill event in StepId=118.batch.",
            ),
            Failure(
                Cause.PROGRAM_ERROR,
                "ValueError: expected input of 28 x 28",
                exit_code=1,
                stderr_tail="Traceback (most recent call last):\n"
                '  File "train.py", line 88, in <module>\n'
                "ValueError: expected input of 28 x 28",
            ),
            Failure(Cause.DIVERGED, "The loss was not finite in epoch 3."),
        ]
    )
