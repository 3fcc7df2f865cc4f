"""The report of a long search, against Optuna's own plots for the same study."""

import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna

from agents.config.model import FloatParameter
from agents.report import RunFacts, write_html
from agents.trial import Job, StudyView, Trial, TrialState
from training.contract import Curve

TRIALS = 1000
EPOCHS = 12
NAMES = ("a", "b", "c", "d", "e", "f")
START = datetime(2026, 1, 1, tzinfo=UTC)


def measure() -> list[tuple[str, str, str, str]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    view = _view()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        ours = _seconds(lambda: write_html(view, _facts(), directory))
        size = (directory / "report.html").stat().st_size / 1e6
        theirs, their_size = _optuna(view, directory)
    if theirs is None:
        baseline = ("plotly is not installed", "plotly is not installed")
    else:
        baseline = (
            f"{ours / theirs:.2f} x Optuna's five plots ({theirs:.1f} s)",
            f"{size / their_size:.2f} x Optuna's five plots ({their_size:.1f} MB)",
        )
    return [
        (f"report of {TRIALS} trials", f"{ours:.2f} s", baseline[0], "10 s"),
        (f"page of {TRIALS} trials", f"{size:.2f} MB", baseline[1], "5 MB"),
    ]


def _seconds(run: Callable[[], object]) -> float:
    run()  # imports
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _optuna(view: StudyView, directory: Path) -> tuple[float | None, float]:
    """Seconds and megabytes of the five plots that our page has too, in one self-contained page."""
    try:
        import plotly.io
    except ImportError:
        return None, 0.0
    study = _study(view)
    path = directory / "optuna.html"
    plots = (
        optuna.visualization.plot_optimization_history,
        optuna.visualization.plot_intermediate_values,
        optuna.visualization.plot_param_importances,
        optuna.visualization.plot_parallel_coordinate,
        optuna.visualization.plot_slice,
    )

    def draw() -> None:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        parts = []
        for number, plot in enumerate(plots):
            given = {"evaluator": evaluator} if plot.__name__ == "plot_param_importances" else {}
            script = number == 0
            parts.append(
                plotly.io.to_html(plot(study, **given), full_html=False, include_plotlyjs=script)
            )
        path.write_text(f"<!doctype html><body>{''.join(parts)}</body>", encoding="utf-8")

    return _seconds(draw), path.stat().st_size / 1e6


def _view() -> StudyView:
    chance = random.Random(0)
    return StudyView(
        "bench", "accuracy_auc", "maximize", [_trial(n, chance) for n in range(TRIALS)]
    )


def _trial(number: int, chance: random.Random) -> Trial:
    parameters = {name: chance.random() for name in NAMES}
    end = 1 - sum((value - 0.3) ** 2 for value in parameters.values()) / 6
    curve = [end * (1 - 0.5 ** (epoch + 1)) for epoch in range(EPOCHS)]
    began = START + timedelta(seconds=20 * number)
    job = Job(
        f"job_{number}",
        f"job_{number}",
        job_id=str(number),
        submitted_at=began,
        started_at=began + timedelta(seconds=15),
        ended_at=began + timedelta(seconds=75),
    )
    return Trial(
        number=number,
        iteration=number // 4 + 1,
        state=TrialState.COMPLETED,
        parameters=parameters,
        origin="llm" if number % 4 == 0 else "sampler",
        seed=number,
        rationale="Between the two best, where little is known." if number % 4 == 0 else "",
        predicted=end if number % 4 == 0 else None,
        job=job,
        value=sum(curve) / EPOCHS,
        metrics={"accuracy_auc": sum(curve) / EPOCHS, "final_accuracy": curve[-1]},
        curve=Curve(tuple(range(1, EPOCHS + 1)), tuple(curve)),
        seconds=60.0,
        environment={"host": f"node{number % 8}", "torch": "2.13.0"},
        created_at=began,
        finished_at=job.ended_at,
    )


def _facts() -> RunFacts:
    return RunFacts(
        experiment="bench",
        description="",
        run_directory="results/bench",
        started_at=START,
        updated_at=START + timedelta(hours=6),
        elapsed_seconds=6 * 3600.0,
        stop_reason=None,
        notices=(),
        configuration="",
        environment={},
        git={},
        parameters={name: FloatParameter(type="float", low=0, high=1) for name in NAMES},
    )


def _study(view: StudyView) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    distribution = optuna.distributions.FloatDistribution(0, 1)
    for trial in view.trials:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.parameters),
                distributions=dict.fromkeys(NAMES, distribution),
                value=trial.value,
                intermediate_values={int(s): a for s, a in zip(*_points(trial), strict=True)},
            )
        )
    return study


def _points(trial: Trial) -> tuple[list[float], list[float]]:
    return list(trial.curve.step), [value or 0.0 for value in trial.curve.accuracy]
