"""What a real model proposes is used or refused with reasons; nothing is filled in silently."""

import json
from dataclasses import replace
from itertools import count

import pytest
from test_endpoint import CARD, SPACE, settings

from agents.config.model import SamplerSettings, ToolSettings
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint, ToolsRefused
from agents.proposers.exchanges import ExchangeLog, read_exchanges
from agents.proposers.llm import LlmProposer
from agents.proposers.pending import with_pending
from agents.proposers.sampler import SamplerProposer
from agents.proposers.tool_loop import LookingUp
from agents.proposers.tools import RunTools, langchain_tools
from agents.trial import Failure, StudyView, TrialState
from scheduler.job import Cause

ROUNDS = 3


def score(point):
    return round(0.9 - abs(point["learning_rate"] - 0.01) ** 0.5, 4)


def ended(view):
    """The running trials once they have ended; every fifth for want of memory."""
    trials = []
    for trial in view.trials:
        if trial.state is TrialState.RUNNING and trial.number % 5 == 4:
            why = Failure(Cause.OUT_OF_MEMORY, "CUDA out of memory")
            trial = replace(trial, state=TrialState.FAILED, failure=why)
        elif trial.state is TrialState.RUNNING:
            trial = replace(trial, state=TrialState.COMPLETED, value=score(trial.parameters))
        trials.append(trial)
    return replace(view, trials=trials)


def history(trials):
    """A view of so many ended trials of the sampler."""
    view = StudyView("e", "val_accuracy", "maximize", [])
    sampler = SamplerProposer(SPACE, SamplerSettings(kind="random"), 3, "maximize")
    return ended(with_pending(view, sampler.propose(view, trials).proposals))


@pytest.fixture(scope="module")
def searched(llm, tmp_path_factory):
    """Proposals of a few rounds, and the exchanges about them."""
    folder = tmp_path_factory.mktemp("real") / "exchanges"
    sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
    endpoint = Endpoint(settings(llm.url, llm.model))
    mind = LlmProposer(Advisor(SPACE, CARD, endpoint, ExchangeLog(folder), 1), sampler)
    view, proposals, notices = history(6), [], []
    for _ in range(ROUNDS):
        proposed = mind.propose(view, 2)
        proposals += proposed.proposals
        notices += proposed.notices
        view = with_pending(view, proposed.proposals)
        view = ended(replace(view, sampler_state=proposed.sampler_state))
    return proposals, notices, [document for _, document in read_exchanges(folder)]


def test_every_proposal_is_inside_the_space_and_none_comes_twice(searched):
    proposals, *_ = searched
    assert len(proposals) == 2 * ROUNDS
    for proposal in proposals:
        assert SPACE.validate(proposal.parameters) == dict(proposal.parameters)
    points = [json.dumps(dict(one.parameters), sort_keys=True) for one in proposals]
    assert len(set(points)) == len(points)


def test_each_slot_is_the_llms_or_says_why_it_is_not(searched):
    proposals, notices, _ = searched
    for proposal in proposals:
        assert proposal.origin in ("llm", "sampler")
        assert (proposal.origin == "sampler") == bool(proposal.fallback_reason)
    if any(proposal.origin == "sampler" for proposal in proposals):
        assert any("in place of the LLM" in notice for notice in notices)


def test_each_exchange_is_kept_with_what_was_taken_and_what_was_refused(searched):
    proposals, _, exchanges = searched
    taken = [point for one in exchanges for point in one["accepted"]]
    assert taken == [dict(one.parameters) for one in proposals if one.origin == "llm"]
    for one in exchanges:
        assert one["error"] is None
        assert one["usage"]["input_tokens"] > 0
        assert one["usage"]["output_tokens"] > 0
        assert len(one["accepted"]) == one["asked_for"] or one["refused"]
    assert len({one["method"] for one in exchanges}) == 1


def test_looking_up_ends_within_its_budget(llm):
    budget = ToolSettings(calls=3, tokens=6000, seconds=600.0)
    endpoint = Endpoint(settings(llm.url, llm.model))
    tools = langchain_tools(RunTools(SPACE, history(8)))
    turns = count()
    spent = []

    def keep(messages, reply):
        next(turns)
        spent.append(sum(reply.usage.values()))

    question = "You choose hyperparameters. Look at the best run, and at why runs failed."
    try:
        found = LookingUp(endpoint, budget).look_up(question, tools, keep)
    except ToolsRefused as error:
        pytest.skip(f"this server takes no tools: {error}")
    assert found.calls == len(found.lines) <= budget.calls
    assert found.tokens == sum(spent)
    # The last question begins below the budget; its answer may go over it.
    assert sum(spent[:-1]) <= budget.tokens
    assert next(turns) <= budget.calls + 1


def test_a_consultation_with_tools_ends_in_proposals_or_in_a_reason(llm, tmp_path):
    sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
    advisor = Advisor(
        SPACE,
        CARD,
        Endpoint(settings(llm.url, llm.model)),
        ExchangeLog(tmp_path / "exchanges"),
        1,
        tools=ToolSettings(calls=2, tokens=8000, seconds=600.0),
    )
    (proposal,) = LlmProposer(advisor, sampler).propose(history(8), 1).proposals
    assert proposal.origin == "llm" or proposal.fallback_reason
    kinds = [one["kind"] for _, one in read_exchanges(tmp_path / "exchanges")]
    assert kinds[0] == "look_up"
    assert kinds[-1] == "answer"
