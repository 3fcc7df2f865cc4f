"""An LLM as a proposer, with a sampler behind it for every slot that the LLM leaves empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.proposers import Proposed, Proposer
from agents.proposers.advisor import Advice, Advisor
from agents.proposers.pending import with_pending
from agents.trial import Proposal, StudyView


class LlmProposer:
    """Asks an LLM for everything; the sampler fills what it leaves empty, and each such proposal
    says why."""

    def __init__(self, advisor: Advisor, sampler: Proposer) -> None:
        self._advisor = advisor
        self._filling = Filling(sampler)

    def propose(self, view: StudyView, count: int) -> Proposed:
        return self._filling.around(self._advisor.consult(view, count), view, count, count)


class Filling:
    """Lets a sampler fill the slots that an LLM left empty, and says so.

    A notice tells when that begins, and when it is over, not each time.
    """

    def __init__(self, sampler: Proposer) -> None:
        self._sampler = sampler
        self._said: str | None = None
        self._stop: str | None = None

    def around(self, advice: Advice, view: StudyView, count: int, llm_slots: int) -> Proposed:
        """`count` proposals: the advice, then the sampler's. `llm_slots` of them were the LLM's."""
        accepted = list(advice.accepted)
        missing, empty = count - len(accepted), llm_slots - len(accepted)
        notices = [
            *self._notices(advice.trouble if advice.is_fault else None, empty, llm_slots),
            *advice.notices,
            *self._advised(advice.stop),
        ]
        if missing == 0:
            return Proposed(_noted(accepted, advice.stop), view.sampler_state, notices)
        rest = self._sampler.propose(with_pending(view, accepted), missing)
        filled = [
            replace(proposal, fallback_reason=advice.trouble) if position < empty else proposal
            for position, proposal in enumerate(rest.proposals)
        ]
        proposals = _noted([*accepted, *filled], advice.stop)
        return Proposed(proposals, rest.sampler_state, [*notices, *rest.notices])

    def _notices(self, trouble: str | None, empty: int, slots: int) -> list[str]:
        before, self._said = self._said, trouble
        if trouble is not None and before is None:
            return [f"The sampler filled {empty} of {slots} slots in place of the LLM: {trouble}."]
        if trouble is None and before is not None:
            return ["The LLM proposes again."]
        return []

    def _advised(self, stop: str | None) -> list[str]:
        before, self._stop = self._stop, stop
        if stop is None or before is not None:
            return []
        return [
            f'The LLM recommends to end the search: "{stop}". It goes on; with stop.patience, an '
            "iteration without an improvement counts twice where it says so."
        ]


def _noted(proposals: list[Proposal], stop: str | None) -> list[Proposal]:
    """The proposals, the first with the advice to end the search."""
    if stop is None or not proposals:
        return proposals
    return [replace(proposals[0], stop_advice=stop), *proposals[1:]]


class WithoutLlm:
    """The sampler, where an LLM might have proposed and none is configured; says so once."""

    def __init__(self, sampler: Proposer, *, wanted: bool) -> None:
        """`wanted`: the configuration asks for an LLM by name."""
        self._sampler = sampler
        self._reason = "no LLM endpoint is configured" if wanted else None
        self._notices: Sequence[str] = (
            "No LLM endpoint is configured, so the sampler proposes: set llm.base_url and "
            "llm.model, or proposer.kind to sampler.",
        )

    def propose(self, view: StudyView, count: int) -> Proposed:
        proposed = self._sampler.propose(view, count)
        proposals = [replace(one, fallback_reason=self._reason) for one in proposed.proposals]
        notices, self._notices = self._notices, ()
        return replace(proposed, proposals=proposals, notices=[*notices, *proposed.notices])
