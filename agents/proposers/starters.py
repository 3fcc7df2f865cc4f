"""First the user's own trials and the default configuration, then any other proposer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.errors import ConfigurationError, ProposalRejected
from agents.proposers import Proposed, Proposer
from agents.proposers.pending import point_key, with_pending
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView


class StarterProposer:
    """Puts `initial_trials` and the space's default before what `inner` proposes.

    A starter counts as done when any trial has its parameters, whoever proposed it and whatever
    became of it: so it is proposed once, also after a crash. Starters that are incomplete are
    completed from the defaults. Raises ConfigurationError, at construction, for one that the
    space does not allow.
    """

    def __init__(
        self,
        space: SearchSpace,
        initial_trials: Sequence[Mapping[str, Any]],
        inner: Proposer,
        allowed: SearchSpace | None = None,
    ) -> None:
        """`allowed`: starters outside of it, which was forbidden since, are left out."""
        left = allowed or space
        self._starters = [
            one for one in starters(space, initial_trials) if left.allows(dict(one.parameters))
        ]
        self._inner = inner

    def propose(self, view: StudyView, count: int) -> Proposed:
        tried = {point_key(trial.parameters) for trial in view.trials}
        due = [s for s in self._starters if point_key(s.parameters) not in tried][:count]
        if len(due) == count:
            return Proposed(due, sampler_state=view.sampler_state)
        rest = self._inner.propose(with_pending(view, due), count - len(due))
        return replace(rest, proposals=[*due, *rest.proposals])


def starters(space: SearchSpace, initial_trials: Sequence[Mapping[str, Any]]) -> list[Proposal]:
    """The user's trials in their order, then the default where it is none of them."""
    proposals: list[Proposal] = []
    problems: list[str] = []
    for position, partial in enumerate(initial_trials):
        try:
            parameters = space.validate(space.complete(partial))
        except ProposalRejected as error:
            problems += [f"initial_trials[{position}]: {reason}" for reason in error.reasons]
            continue
        proposals.append(Proposal(parameters, "user", "from initial_trials"))
    if problems:
        raise ConfigurationError(problems)
    default = Proposal(space.default(), "default", "the default configuration")
    distinct = {point_key(p.parameters): p for p in reversed([*proposals, default])}
    return [p for p in [*proposals, default] if distinct[point_key(p.parameters)] is p]
