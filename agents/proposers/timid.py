"""Seeds that teach too little: an earlier run with one value moved. Small models write little else."""

from __future__ import annotations

from collections.abc import Mapping

from agents.space import SearchSpace
from agents.trial import StudyView
from training.contract import ParameterValue

FEWEST = 2
"""Values in which a seed differs clearly from each run before it."""
CLEARLY = 0.1
"""Share of a range, by its scale."""


def timid(
    space: SearchSpace, view: StudyView, parameters: Mapping[str, ParameterValue]
) -> str | None:
    """What is wrong with a seed that is nearly an earlier run, or None.

    Nothing is in a space of no more than `FEWEST` parameters.
    """
    from agents.proposers.encoding import Encoder

    searched = {name: one for name, one in space.distributions().items() if not one.single()}
    if len(searched) <= FEWEST:
        return None
    encoder = Encoder(searched)
    for trial in view.trials:
        moved = encoder.moved(parameters, trial.parameters, CLEARLY)
        if len(moved) < FEWEST:
            what = f"in {moved[0]} only" if moved else "in nothing"
            return (
                f"it differs clearly from run {trial.number} {what}: as long as so little is known, "
                "change two values or more, each by a tenth of its range at least"
            )
    return None
