"""What trials ran on, and where that differs between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.trial import StudyView, Trial

_WHY: Mapping[str, str] = {
    "device": "timings are not comparable, and accuracies may differ",
    "device_name": "another GPU type: timings are not comparable, and accuracies may differ",
    "gpu": "another GPU type: timings are not comparable, and accuracies may differ",
    "gpu_type": "another GPU type was asked for: timings are not comparable",
    "cuda": "another CUDA: timings and the last digits may differ",
    "torch": "another torch: results may differ",
    "python": "another Python",
    "threads": "another number of threads: timings are not comparable",
    "cpus": "other nodes: timings may not be comparable",
    "data": "other data: values are not comparable",
    "git_commit": "another state of the code: values may not be comparable",
    "git_changed": "code with and without uncommitted changes",
}
"""What follows from a difference, by the key in results.json's environment."""

_EACH_ITS_OWN = frozenset(
    {"scheduler_job", "allocation", "resumed_after", "earlier_seconds", "job", "pid"}
)
"""Differs by its nature and means nothing."""
MOST_VALUES = 8


@dataclass(frozen=True)
class Difference:
    """One fact of the environment that is not the same for all trials."""

    key: str
    why: str
    """What follows from it; empty where nothing need."""
    values: Sequence[tuple[str, Sequence[int]]]
    """Each value with its trials, the most frequent first."""


def common(view: StudyView) -> list[tuple[str, str]]:
    """What is the same in all trials that told."""
    return [
        (key, next(iter(values)))
        for key, values in _by_key(view).items()
        if len(values) == 1 and next(iter(values)) not in ("", "None")
    ]


def differences(view: StudyView) -> list[Difference]:
    """What differs, first what matters."""
    found = [
        Difference(key, _WHY.get(key, ""), sorted(values.items(), key=lambda v: -len(v[1])))
        for key, values in _by_key(view).items()
        if len(values) > 1
    ]
    return sorted(found, key=lambda one: not one.why)


def _by_key(view: StudyView) -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = {}
    for trial in view.trials:
        for key, value in _told(trial).items():
            if key not in _EACH_ITS_OWN:
                found.setdefault(key, {}).setdefault(_word(value), []).append(trial.number)
    return found


def _told(trial: Trial) -> dict[str, object]:
    told: dict[str, object] = dict(trial.environment)
    if told and trial.job is not None and trial.job.resources.gpu_type is not None:
        told["gpu_type"] = trial.job.resources.gpu_type
    return told


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
