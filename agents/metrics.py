"""From a program's result to the numbers that are compared between trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.contract import ContractError, Curve, Result, accuracy_auc

AUC_TOLERANCE = 1e-3
"""A program's own AUC may differ from ours by this much before it is reported."""

FRACTIONS = ("accuracy_auc", "final_accuracy", "best_accuracy")
"""Metrics between 0 and 1 that follow from the curve."""

OF_ITS_END = ("accuracy_auc", "final_accuracy")
"""Metrics that a curve which ends without a number does not have."""


@dataclass(frozen=True)
class Measured:
    """The metrics of one trial and what was odd about them."""

    metrics: Mapping[str, float | None]
    warnings: Sequence[str] = ()
    broken_off: str | None = None
    """Set where the curve ends without a number: what is missing for it."""
    unusable: str | None = None
    """Set where the curve is none of accuracies (percent, say): why there is no AUC."""


def measure(result: Result) -> Measured:
    """The program's metrics, with those that follow from its curve computed from the curve.

    Adds `accuracy_auc`, `final_accuracy`, `best_accuracy`, `epochs_to_90` and `seconds`. Where the
    program names an AUC that disagrees with its own curve, ours counts and a warning says so. A curve
    that ends without a number has neither an AUC nor a final accuracy, whatever the program names
    (decision 019).
    """
    metrics: dict[str, float | None] = dict(result.metrics)
    warnings: list[str] = []
    if metrics.get("seconds") is None and result.seconds is not None:
        metrics["seconds"] = result.seconds
    curve, points = result.curve, _points(result.curve)
    if not curve.step:
        return Measured(metrics, warnings)
    try:
        auc = accuracy_auc(*_area_of(curve))
    except ContractError as error:
        unusable = f"no AUC from the curve: {error}"
        return Measured(metrics, [unusable], unusable=unusable)
    holes, broken_off = _holes(curve), None
    if curve.accuracy[-1] is None:
        broken_off = f"no AUC and no final accuracy: the curve ends without a number ({holes})"
        auc = None
    if holes:
        warnings.append(broken_off or f"the curve has holes: {holes}")
    claimed = metrics.get("accuracy_auc")
    if claimed is not None and auc is not None and abs(claimed - auc) > AUC_TOLERANCE:
        warnings.append(
            f"the program says accuracy_auc = {claimed:.6g}, its curve says {auc:.6g}; "
            "the curve counts"
        )
    metrics["accuracy_auc"] = auc
    metrics["final_accuracy"] = curve.accuracy[-1]
    if points:
        metrics["best_accuracy"] = max(accuracy for _, accuracy in points)
        metrics["epochs_to_90"] = epochs_to_fraction(curve, 0.9)
    return Measured(metrics, warnings, broken_off)


def epochs_to_fraction(curve: Curve, fraction: float) -> float | None:
    """The first step at which the curve reaches `fraction` of its best accuracy.

    A measure of how fast a trial converged. None for a curve without a positive point.
    """
    points = _points(curve)
    best = max((accuracy for _, accuracy in points), default=0.0)
    if best <= 0:
        return None
    return next(step for step, accuracy in points if accuracy >= fraction * best)


def _area_of(curve: Curve) -> tuple[list[float], list[float]]:
    """The accuracies and steps that the area is under. At the beginning, where nothing is known to have
    been reached, a null counts as 0; a later one as the straight line between its neighbours."""
    first = next((n for n, value in enumerate(curve.accuracy) if value is not None), 0)
    pairs = [
        (0.0 if value is None else value, step)
        for n, (step, value) in enumerate(zip(curve.step, curve.accuracy, strict=True))
        if value is not None or n < first
    ]
    return [value for value, _ in pairs], [step for _, step in pairs]


def _holes(curve: Curve) -> str:
    """How many points are no numbers, in words; empty where all are."""
    missing = curve.accuracy.count(None)
    if not missing:
        return ""
    begins = "; those at its beginning count as 0" if curve.accuracy[0] is None else ""
    return f"{missing} of {len(curve.step)} points are no numbers{begins}"


def _points(curve: Curve) -> list[tuple[float, float]]:
    pairs = zip(curve.step, curve.accuracy, strict=True)
    return [(step, accuracy) for step, accuracy in pairs if accuracy is not None]


def as_float(value: object) -> float | None:
    """The finite number that `value` is, integers left whole, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None
