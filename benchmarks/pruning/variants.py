"""What an arm stands for: settings of `pruner`, and what was tried beside the product.

median,startup_trials=10
halving,reduction_factor=3,warmup_steps=2
halving,judged=again        judged at every poll anew, not once at a rung
halving,lesson=worst        a pruned trial is taken for the worst that completed
halving,lesson=rank         … for what its best says by its rank among the completed ones then
halving,lesson=data         … the same, and the model is fitted to these values as to any others
halving,lesson=nothing      … is as if it had never been
"""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from agents.proposers.goals import Models
from agents.proposers.surrogate import BAD, Surrogate, _solved, has_value
from agents.pruning import Pruning
from agents.trial import TrialState, sign


@contextmanager
def played_as(arm):
    """The settings of an arm, with the product changed as it says."""
    kind, *rest = arm.split(",")
    settings = {"kind": kind}
    with ExitStack() as changes:
        for text in rest:
            name, value = text.split("=")
            if name == "judged":
                changes.enter_context(patch.object(Pruning, "_is_new_there", _always))
            elif value == "data":
                changes.enter_context(patch.object(Models, "goal", _goal_of_all))
            elif name == "lesson":
                changes.enter_context(patch.object(Surrogate, "given", LESSONS[value]))
            else:
                settings[name] = int(value)
        yield settings


def _always(pruning, trial, reached):
    return reached is not None


def _given(pruned_values):
    """`Surrogate.given`, with other values for pruned trials: of the model's own scale, at most."""

    def given(model, view):
        unknown = [t for t in view.trials if t.teaches and not has_value(t)]
        waiting = [t.parameters for t in unknown if t.state is TrialState.RUNNING]
        pruned = [t for t in unknown if t.state is TrialState.PRUNED]
        failed = [t.parameters for t in unknown if t.state is TrialState.FAILED]
        values = pruned_values(model, view, pruned)
        return _assuming(model, waiting, failed, [t.parameters for t in pruned], values)

    return given


def _assuming(model, waiting, failed, pruned, values):
    """What `Surrogate.assuming` does, and pruned trials with these values."""
    points = [*waiting, *failed, *(pruned if values is not None else [])]
    if not points:
        return model
    more = np.array([model.encoder.encode(point) for point in points])
    assumed, _ = model.posterior(more)
    known, bad = len(waiting) + len(failed), float(np.quantile(model._y, BAD))
    assumed[len(waiting) : known] = np.minimum(assumed[len(waiting) : known], bad)
    if values is not None:
        assumed[known:] = values
    x, y = np.vstack([model._x, more / model.lengths]), np.concatenate([model._y, assumed])
    chol, weights = _solved(x, y, model.noise)
    return replace(model, _x=x, _y=y, _chol=chol, _weights=weights)


def _worst(model, view, pruned):
    return np.full(len(pruned), model._y.min())


def _nothing(model, view, pruned):
    return None


def _ranked(model, view, pruned):
    """By which part of the completed trials its best beat theirs at its last step; the same quantile of
    how they ended."""
    up = sign(view.direction)
    curves = [
        np.maximum.accumulate(up * np.array(trial.curve.accuracy))
        for trial in view.trials
        if has_value(trial)
    ]
    found = []
    for trial in pruned:
        own = up * np.array(trial.curve.accuracy)
        then = np.array([curve[min(len(own), len(curve)) - 1] for curve in curves])
        beaten = float((then < own.max()).mean()) if len(own) else 0.0
        found.append(float(np.quantile(model._y, beaten)))
    return np.array(found)


def _with_values(view):
    """Pruned trials as completed ones, those that came furthest first: at the quantile of how the others
    ended, known or taken for, that its best has among theirs at its last step."""
    up = sign(view.direction)
    known = [(_best_so_far(t, up), up * t.value) for t in view.trials if has_value(t)]
    pruned = [t for t in view.trials if t.state is TrialState.PRUNED and len(t.curve.step)]
    if not known:
        return view
    trials = list(view.trials)
    for trial in sorted(pruned, key=lambda one: -len(one.curve.step)):
        own = _best_so_far(trial, up)
        then = np.array([curve[min(len(own), len(curve)) - 1] for curve, _ in known])
        beaten = float((then < own[-1]).mean())
        value = float(np.quantile([end for _, end in known], beaten))
        known.append((own, value))
        trials[trial.number] = replace(trial, state=TrialState.COMPLETED, value=up * value)
    return replace(view, trials=trials)


def _best_so_far(trial, up):
    return np.maximum.accumulate(up * np.array(trial.curve.accuracy))


_goal = Models.goal


def _goal_of_all(models, view):
    return _goal(models, _with_values(view))


LESSONS = {"worst": _given(_worst), "nothing": _given(_nothing), "rank": _given(_ranked)}
