"""A Gaussian process over the completed trials: what to expect at a point, and how surely.

Small on purpose: Matern 5/2 with one length scale for each dimension, fitted by penalized
likelihood. It judges proposals; it does not look for optima, so it stays in the core's
dependencies (NumPy and SciPy come with Optuna and this project), without torch.

Imports NumPy and SciPy: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve  # type: ignore[import-untyped]
from scipy.optimize import minimize  # type: ignore[import-untyped]

from agents.proposers.encoding import Encoder
from agents.space import SearchSpace
from agents.trial import StudyView, Trial
from training.contract import ParameterValue

Array: TypeAlias = NDArray[np.float64]

MAX_TRIALS = 150
"""The best third and the latest of a longer history; the fit is cubic in their number."""
_JITTER = 1e-6
_PENALTY = 1e9


@dataclass(frozen=True)
class Prediction:
    """In the objective's units, but larger is better whatever the direction (see `sign`)."""

    mean: float
    deviation: float


class Surrogate:
    """Fitted to a view. Make it with `fit`."""

    def __init__(self, encoder: Encoder, x: Array, y: Array, center: float, scale: float) -> None:
        self._encoder = encoder
        self._x, self._center, self.scale = x, center, scale
        """`scale`: standard deviation of the objective over the trials."""
        self._log = _fitted(x, y)
        self._chol = np.linalg.cholesky(_noisy(_kernel(x, x, self._log), self._log))
        self._weights = cho_solve((self._chol, True), y)

    @classmethod
    def fit(cls, space: SearchSpace, view: StudyView) -> Surrogate | None:
        """None while there is too little to learn from (fewer than 4 values, or all the same)."""
        trials = _chosen(view)
        if len(trials) < 4:
            return None
        encoder = Encoder(space.distributions())
        sign = 1.0 if view.direction == "maximize" else -1.0
        values = np.array([sign * (trial.value or 0.0) for trial in trials])
        low, high = np.quantile(values, [0.25, 0.75])
        # A collapsed run would otherwise be all that the scale is made of.
        values = np.maximum(values, low - 1.5 * max(high - low, 1e-12))
        scale = float(values.std())
        if not scale > 0:
            return None
        center = float(values.mean())
        x = np.array([encoder.encode(trial.parameters) for trial in trials])
        return cls(encoder, x, (values - center) / scale, center, scale)

    def predict(self, parameters: Mapping[str, ParameterValue]) -> Prediction:
        """What to expect of one point, noise left out."""
        point = np.array([self._encoder.encode(parameters)])
        cross = _kernel(self._x, point, self._log)[:, 0]
        mean = float(cross @ self._weights)
        variance = 1.0 - float(cross @ cho_solve((self._chol, True), cross))
        deviation = math.sqrt(max(variance, 1e-12))
        return Prediction(self._center + self.scale * mean, self.scale * deviation)


def _chosen(view: StudyView) -> Sequence[Trial]:
    trials = [t for t in view.completed if t.value is not None and math.isfinite(t.value)]
    if len(trials) <= MAX_TRIALS:
        return trials
    sign = -1.0 if view.direction == "maximize" else 1.0
    best = sorted(trials, key=lambda t: sign * (t.value or 0.0))[: MAX_TRIALS // 3]
    kept = {t.number for t in best} | {t.number for t in trials[-(MAX_TRIALS - len(best)) :]}
    return [trial for trial in trials if trial.number in kept]


def _kernel(a: Array, b: Array, log: Array) -> Array:
    """Matern 5/2 with variance 1; `log`: of the length scales, then of the noise variance."""
    scaled = (a[:, None, :] - b[None, :, :]) / np.exp(log[:-1])
    distance = np.sqrt(5.0 * np.maximum((scaled**2).sum(axis=2), 0.0))
    kernel: Array = (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
    return kernel


def _noisy(kernel: Array, log: Array) -> Array:
    noisy: Array = kernel + (np.exp(log[-1]) + _JITTER) * np.eye(len(kernel))
    return noisy


def _fitted(x: Array, y: Array) -> Array:
    dimensions = x.shape[1]
    # Priors: lengths of half the cube within a factor of e, more for more dimensions; little noise.
    center = np.array([math.log(0.5 * math.sqrt(max(1, dimensions) / 2))] * dimensions + [-4.0])
    width = np.array([1.0] * dimensions + [2.0])

    def cost(log: Array) -> float:
        try:
            chol = np.linalg.cholesky(_noisy(_kernel(x, x, log), log))
        except np.linalg.LinAlgError:
            return _PENALTY
        fit = 0.5 * y @ cho_solve((chol, True), y) + np.log(np.diag(chol)).sum()
        return float(fit + 0.5 * (((log - center) / width) ** 2).sum())

    bounds = [(c - 3 * w, c + 3 * w) for c, w in zip(center, width, strict=True)]
    options = {"maxiter": 15, "maxfun": 25 * (dimensions + 2)}
    found = minimize(cost, center, method="L-BFGS-B", bounds=bounds, options=options)
    best: Array = np.asarray(found.x, dtype=np.float64)
    return best
