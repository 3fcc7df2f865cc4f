"""Proposals that the ledger does not have yet, shown to the next proposer as running trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from agents.trial import Proposal, StudyView, Trial, TrialState
from training.contract import ParameterValue

PointKey: TypeAlias = frozenset[tuple[str, ParameterValue]]


def point_key(parameters: Mapping[str, ParameterValue]) -> PointKey:
    """What two trials with exactly the same hyperparameters have in common; hashable."""
    return frozenset(parameters.items())


def pending_trial(number: int, iteration: int, proposal: Proposal) -> Trial:
    """The running trial that a proposal becomes, as far as a proposer looks at it."""
    return Trial(
        number=number,
        iteration=iteration,
        state=TrialState.RUNNING,
        parameters=proposal.parameters,
        origin=proposal.origin,
        seed=0,
        fallback_reason=proposal.fallback_reason,
        adopted=proposal.adopted,
        sampler_attrs=proposal.sampler_attrs,
    )


def with_pending(view: StudyView, proposals: Sequence[Proposal]) -> StudyView:
    """The snapshot as it will be once these proposals run."""
    iteration = view.trials[-1].iteration if view.trials else 1
    first = len(view.trials)
    pending = [
        pending_trial(first + offset, iteration, proposal)
        for offset, proposal in enumerate(proposals)
    ]
    return replace(view, trials=[*view.trials, *pending])
