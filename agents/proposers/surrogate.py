"""A Gaussian process over the completed trials: what to expect at a point, and how surely.

Small on purpose: Matern 5/2 with one length scale for each parameter, fitted by penalized
likelihood. NumPy and SciPy come with Optuna and this project, so it stays in the core's
dependencies, without torch.

Imports NumPy, SciPy and Optuna: import this module where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from scipy.linalg import cho_solve, solve_triangular  # type: ignore[import-untyped]
from scipy.optimize import minimize  # type: ignore[import-untyped]

from agents.proposers.encoding import Encoder
from agents.space import SearchSpace
from agents.trial import StudyView, Trial, TrialState, sign
from training.contract import ParameterValue

Array: TypeAlias = NDArray[np.float64]
Groups: TypeAlias = NDArray[np.intp]
"""Of each coordinate, which parameter it belongs to: the choices of one share a length scale."""

MAX_TRIALS = 200
"""With a value: the best third and the latest of a longer history; the fit is cubic in their number.
As many that ended without one, and as many that run, are assumed (`Surrogate.given`)."""
FEWEST = 4
"""With a value: fewer teach nothing."""
BAD = 0.25
"""A trial without a value is taken for one at this quantile, where nothing worse is expected."""
_JITTER = 1e-6
_PENALTY = 1e9
_STEPS = 20


@dataclass(frozen=True)
class Prediction:
    """In the objective's units, but larger is better whatever the direction."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Surrogate:
    """A model of a history. Make it with `fit`."""

    encoder: Encoder
    lengths: Array
    """Length scale of each coordinate."""
    noise: float
    """Variance, in units of `scale` squared."""
    center: float
    scale: float
    """Standard deviation of the objective over the trials."""
    _x: Array
    _y: Array
    _chol: Array
    _weights: Array

    @classmethod
    def fit(cls, space: SearchSpace, view: StudyView) -> Surrogate | None:
        """None while there is too little to learn from (fewer than `FEWEST` values, or all the same)."""
        trials = _chosen(view)
        if len(trials) < FEWEST:
            return None
        up = sign(view.direction)
        values = np.array([up * (trial.value or 0.0) for trial in trials])
        if values.min() == values.max():  # whose deviation need not be 0: their mean is rounded
            return None
        low, high = np.quantile(values, [0.25, 0.75])
        # A collapsed run would otherwise be all that the scale is made of.
        values = np.maximum(values, low - 1.5 * max(high - low, 1e-12))
        center, scale = float(values.mean()), float(values.std())
        if not scale > 0:
            return None
        encoder, groups = Encoder(space.distributions()), _groups(space)
        x = np.array([encoder.encode(trial.parameters) for trial in trials])
        y = (values - center) / scale
        log = _fitted(x, y, groups)
        lengths, noise = np.exp(log[:-1])[groups], float(np.exp(log[-1]))
        chol, weights = _solved(x / lengths, y, noise)
        return cls(encoder, lengths, noise, center, scale, x / lengths, y, chol, weights)

    @classmethod
    def of(cls, space: SearchSpace, view: StudyView) -> Surrogate | None:
        """The model of a whole history: what failed, was pruned or runs is assumed (`given`), trials
        from before the space was changed are left out. None where `fit` is."""
        known = inside(space, view)
        model = cls.fit(space, known)
        return model.given(known) if model is not None else None

    def given(self, view: StudyView) -> Surrogate:
        """The model with assumptions about those of the history that teach and have no value, the latest
        of a longer history: as many for each with a value as there were."""
        unknown = [t for t in view.trials if t.teaches and not has_value(t)]
        waiting = [t.parameters for t in unknown if t.state is TrialState.RUNNING]
        ended = [t.parameters for t in unknown if t.state.is_finished]
        share = len(self._y) / max(1, sum(map(has_value, view.trials)))
        fair = min(MAX_TRIALS, math.ceil(share * len(ended)))
        return self.assuming(waiting[-MAX_TRIALS:], ended[len(ended) - fair :])

    def assuming(
        self,
        waiting: Sequence[Mapping[str, ParameterValue]],
        failed: Sequence[Mapping[str, ParameterValue]],
    ) -> Surrogate:
        """The model once these trials have ended, as far as it can tell now.

        Those that wait come out as expected, so that only the doubt about them goes. Those that
        failed, or were pruned, come out badly.
        """
        points = [*waiting, *failed]
        if not points:
            return self
        more = np.array([self.encoder.encode(point) for point in points])
        assumed, _ = self.posterior(more)
        bad = float(np.quantile(self._y, BAD))
        assumed[len(waiting) :] = np.minimum(assumed[len(waiting) :], bad)
        x, y = np.vstack([self._x, more / self.lengths]), np.concatenate([self._y, assumed])
        chol, weights = _solved(x, y, self.noise)
        return replace(self, _x=x, _y=y, _chol=chol, _weights=weights)

    @property
    def incumbent(self) -> float:
        """The best expectation at a point that was tried, on the scale of `posterior`."""
        return float(np.max(self._y - (self.noise + _JITTER) * self._weights))

    def posterior(self, vectors: Array) -> tuple[Array, Array]:
        """Means and deviations at encoded points, in units of `scale` around `center`."""
        cross = _kernel(self._x, vectors / self.lengths)
        half = solve_triangular(self._chol, cross, lower=True, check_finite=False)
        variances = np.maximum(1.0 - (half**2).sum(axis=0), 1e-12)
        return self._weights @ cross, np.sqrt(variances)

    def predict(self, parameters: Mapping[str, ParameterValue]) -> Prediction:
        """What to expect of one point, noise left out."""
        means, deviations = self.posterior(np.array([self.encoder.encode(parameters)]))
        mean = self.center + self.scale * float(means[0])
        return Prediction(mean, self.scale * float(deviations[0]))


def inside(space: SearchSpace, view: StudyView) -> StudyView:
    """The history without trials that the space, which was changed since, does not hold."""
    return replace(view, trials=[one for one in view.trials if space.contains(one.parameters)])


def has_value(trial: Trial) -> bool:
    """Whether it completed with a finite objective that is a lesson."""
    completed = trial.state is TrialState.COMPLETED and trial.value is not None
    return completed and trial.teaches and math.isfinite(trial.value or 0.0)


def _chosen(view: StudyView) -> Sequence[Trial]:
    trials = [trial for trial in view.trials if has_value(trial)]
    if len(trials) <= MAX_TRIALS:
        return trials
    up = sign(view.direction)
    best = sorted(trials, key=lambda t: -up * (t.value or 0.0))[: MAX_TRIALS // 3]
    kept = {t.number for t in best} | {t.number for t in trials[-(MAX_TRIALS - len(best)) :]}
    return [trial for trial in trials if trial.number in kept]


def _groups(space: SearchSpace) -> Groups:
    searched = [d for d in space.distributions().values() if not d.single()]
    widths = [len(d.choices) if isinstance(d, CategoricalDistribution) else 1 for d in searched]
    return np.repeat(np.arange(len(widths)), widths)


def _kernel(a: Array, b: Array) -> Array:
    """Matern 5/2 with variance 1, of points that are divided by their length scales."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * a @ b.T
    return _matern(np.sqrt(5.0 * np.maximum(squares, 0.0)))


def _matern(distances: Array) -> Array:
    kernel: Array = (1.0 + distances + distances**2 / 3.0) * np.exp(-distances)
    return kernel


def _solved(x: Array, y: Array, noise: float) -> tuple[Array, Array]:
    noisy = _kernel(x, x) + (noise + _JITTER) * np.eye(len(x))
    chol: Array = np.linalg.cholesky(noisy).astype(np.float64)
    return chol, cho_solve((chol, True), y)


def _fitted(x: Array, y: Array, groups: Groups) -> Array:
    """Logarithms of the length scale of each parameter, and of the noise variance."""
    count = len(set(groups.tolist()))
    differences = (x[:, None, :] - x[None, :, :]) ** 2
    squares = np.array(
        [differences[:, :, groups == one].sum(axis=2).ravel() for one in range(count)]
    ).reshape(count, len(y) ** 2)
    # Priors: lengths of half the cube within a factor of e, more for more parameters; little noise.
    center = np.array([math.log(0.5 * math.sqrt(max(1, count) / 2))] * count + [-4.0])
    width = np.array([1.0] * count + [2.0])

    def cost(log: Array) -> tuple[float, Array]:
        value, slope = _evidence(log, squares, y)
        away = (log - center) / width
        return value + 0.5 * float((away**2).sum()), slope + away / width

    bounds = [(c - 3 * w, c + 3 * w) for c, w in zip(center, width, strict=True)]
    found = minimize(
        cost, center, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
    )
    best: Array = np.asarray(found.x, dtype=np.float64)
    return best


def _evidence(log: Array, squares: Array, y: Array) -> tuple[float, Array]:
    """Negative log likelihood and its gradient; `squares`: distances by parameter, a row each."""
    inverse, noise = np.exp(-2.0 * log[:-1]), math.exp(log[-1])
    distances = np.sqrt(5.0 * (inverse @ squares)).reshape(len(y), len(y))
    kernel = _matern(distances) + (noise + _JITTER) * np.eye(len(y))
    try:
        chol = np.linalg.cholesky(kernel)
    except np.linalg.LinAlgError:
        return _PENALTY, np.zeros_like(log)
    precision = cho_solve((chol, True), np.eye(len(y)), check_finite=False)
    weights = precision @ y
    value = 0.5 * float(y @ weights) + float(np.log(np.diag(chol)).sum())
    slope = precision - np.outer(weights, weights)
    pull = slope * (1.0 + distances) * np.exp(-distances)
    by_length = squares @ pull.ravel() * (5.0 / 6.0) * inverse
    return value, np.append(by_length, 0.5 * np.trace(slope) * noise)
