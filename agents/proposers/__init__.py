"""Who proposes the next trials: one verb, several minds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agents.trial import Proposal, StudyView


@dataclass(frozen=True)
class Proposed:
    """The answer of a proposer."""

    proposals: Sequence[Proposal]
    """As many as were asked for; fewer only where a finite space (a grid) is used up."""
    sampler_state: Mapping[str, Any] = field(default_factory=dict)
    """New value of `StudyView.sampler_state`, to be stored with the study."""
    notices: Sequence[str] = ()
    """What a person should be told: a fallback, an endpoint that is away."""


class Proposer(Protocol):
    """Proposes hyperparameters from what is known.

    `propose` is called once an iteration (or whenever a slot is free), with a snapshot that holds
    every trial so far, running ones included. It does not change the study, may be called again
    with the same snapshot after a crash, and then answers the same if it is deterministic. All
    proposals it returns have passed `SearchSpace.validate`.
    """

    def propose(self, view: StudyView, count: int) -> Proposed: ...
