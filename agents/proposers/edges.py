"""Proposals that hug the edges of the space: what an LLM says that has no idea, or that was misled."""

from __future__ import annotations

from collections.abc import Mapping

from agents.space import SearchSpace
from agents.tradeoff import on_the_front
from agents.trial import StudyView
from training.contract import ParameterValue

FEWEST = 3
"""Parameters at an edge before it is worth a word; an optimum at one or two edges is common."""
SHARE = 0.75
"""Of the numeric parameters."""
FEWEST_VALUES = 5
"""A range of fewer values is all edge."""


def hugging(
    space: SearchSpace, view: StudyView, parameters: Mapping[str, ParameterValue]
) -> str | None:
    """What is wrong with a point that lies in a corner of the space, or None.

    An edge does not count where the default lies, or the best run so far (with two objectives, a run
    of the Pareto front): who went there step by step may go on.
    """
    known = [space.default(), *(trial.parameters for trial in on_the_front(view))]
    here = sides(space, parameters)
    there = [sides(space, point) for point in known]
    new = [name for name, side in here.items() if side and all(o.get(name) != side for o in there)]
    if len(new) < max(FEWEST, SHARE * len(here)):
        return None
    return (
        f"{', '.join(new)} lie at the edges of their ranges, all at once, where no good run lies: "
        "change fewer of them so far, or stay inside"
    )


def sides(space: SearchSpace, parameters: Mapping[str, ParameterValue]) -> dict[str, str]:
    """``low``, ``high`` or nothing for each numeric parameter of a point."""
    from optuna.distributions import CategoricalDistribution

    from agents.proposers.encoding import NEAR, Encoder

    found = {}
    for name, distribution in space.distributions().items():
        if isinstance(distribution, CategoricalDistribution) or name not in parameters:
            continue
        if _values(distribution) < FEWEST_VALUES:
            continue
        [share] = Encoder({name: distribution}).encode({name: parameters[name]})
        found[name] = "low" if share < NEAR else "high" if share > 1 - NEAR else ""
    return found


def _values(distribution: object) -> float:
    low, high, step = (getattr(distribution, name, None) for name in ("low", "high", "step"))
    if low is None or high is None or step is None:
        return float("inf")
    return 1 + (float(high) - float(low)) / float(step)
