"""From a program's result to the numbers that are compared between trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.contract import ContractError, Curve, Result, accuracy_auc

AUC_TOLERANCE = 1e-3
"""A program's own AUC may differ from ours by this much before it is reported."""


@dataclass(frozen=True)
class Measured:
    """The metrics of one trial and what was odd about them."""

    metrics: Mapping[str, float | None]
    warnings: Sequence[str] = ()


def measure(result: Result) -> Measured:
    """The program's metrics, with those that follow from its curve computed from the curve.

    Adds `accuracy_auc`, `final_accuracy`, `best_accuracy`, `epochs_to_90` and `seconds`. Where the
    program names an AUC that disagrees with its own curve, ours counts and a warning says so.
    """
    metrics: dict[str, float | None] = dict(result.metrics)
    warnings: list[str] = []
    if result.seconds is not None:
        metrics.setdefault("seconds", result.seconds)
    points = _points(result.curve)
    if not points:
        return Measured(metrics, warnings)
    steps, accuracies = [step for step, _ in points], [accuracy for _, accuracy in points]
    try:
        auc = accuracy_auc(accuracies, steps)
    except ContractError as error:
        return Measured(metrics, [f"no AUC from the curve: {error}"])
    claimed = metrics.get("accuracy_auc")
    if claimed is not None and auc is not None and abs(claimed - auc) > AUC_TOLERANCE:
        warnings.append(
            f"the program says accuracy_auc = {claimed:.6g}, its curve says {auc:.6g}; "
            "the curve counts"
        )
    metrics["accuracy_auc"] = auc
    metrics["final_accuracy"] = accuracies[-1]
    metrics["best_accuracy"] = max(accuracies)
    metrics["epochs_to_90"] = epochs_to_fraction(result.curve, 0.9)
    return Measured(metrics, warnings)


def epochs_to_fraction(curve: Curve, fraction: float) -> float | None:
    """The first step at which the curve reaches `fraction` of its best accuracy.

    A measure of how fast a trial converged. None for a curve without a positive point.
    """
    points = _points(curve)
    best = max((accuracy for _, accuracy in points), default=0.0)
    if best <= 0:
        return None
    return next(step for step, accuracy in points if accuracy >= fraction * best)


def _points(curve: Curve) -> list[tuple[float, float]]:
    pairs = zip(curve.step, curve.accuracy, strict=True)
    return [(step, accuracy) for step, accuracy in pairs if accuracy is not None]
