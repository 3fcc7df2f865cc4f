"""An LLM's seeds teach something: not an earlier run with one value moved."""

from dataclasses import replace

import pytest
from openai_server import MODEL, OpenAiServer, proposals, says
from spaces import EMPTY

from agents.config.model import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    LlmSettings,
    SamplerSettings,
)
from agents.proposers.advisor import Advisor
from agents.proposers.endpoint import Endpoint
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.hybrid import HybridProposer
from agents.proposers.pending import pending_trial
from agents.proposers.prompt import task_card
from agents.proposers.sampler import SamplerProposer
from agents.proposers.timid import timid
from agents.space import SearchSpace
from agents.trial import Proposal, TrialState

SPACE = SearchSpace.build(
    {
        "lr": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log", default=1e-3),
        "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
        "momentum": FloatParameter(type="float", low=0, high=0.9, when={"opt": "sgd"}),
        "width": IntParameter(type="int", low=16, high=1024, scale="log", default=64),
    },
    [],
)
DEFAULT = {"lr": 1e-3, "opt": "adam", "width": 64}


def after(view, parameters, origin, value):
    """The history with one more run that has completed."""
    trial = pending_trial(len(view.trials), 1, Proposal(parameters, origin))
    ended = replace(trial, state=TrialState.COMPLETED, value=value)
    return replace(view, trials=[*view.trials, ended])


STARTED = after(EMPTY, DEFAULT, "default", 0.5)


@pytest.mark.parametrize(
    ("change", "is_timid"),
    [
        ({}, True),
        ({"lr": 3e-3}, True),
        ({"lr": 3e-3, "width": 65}, True),
        ({"lr": 1.2e-3, "width": 66}, True),
        ({"lr": 3e-3, "width": 128}, False),
        ({"opt": "sgd", "momentum": 0.5}, False),
    ],
)
def test_what_is_too_near_to_a_run(change, is_timid):
    said = timid(SPACE, STARTED, {**DEFAULT, **change})
    assert (said is not None) == is_timid
    if is_timid:
        assert "run 0" in said
        assert ("in lr only" in said) == (change.get("lr") == 3e-3)


def test_every_run_counts_and_a_small_space_has_no_such_rule():
    point = {"lr": 1e-2, "opt": "adam", "width": 512}
    assert timid(SPACE, STARTED, point) is None
    second = after(STARTED, {**point, "lr": 5e-2}, "sampler", 0.4)
    assert "run 1" in timid(SPACE, second, point)
    two = SearchSpace.build({n: SPACE.parameters[n] for n in ("lr", "width")}, [])
    assert timid(two, STARTED, {"lr": 2e-3, "width": 64}) is None


def proposed(tmp_path, view, *points):
    """What the hybrid makes of an LLM that answers with these points, one after the other."""
    with OpenAiServer(*(says(proposals(point)) for point in points)) as server:
        settings = LlmSettings(base_url=server.url, model=MODEL, timeout=60.0, max_retries=0)
        card = task_card(SPACE, "accuracy_auc", "maximize", 40)
        endpoint = Endpoint(settings, sleep=lambda _: None)
        advisor = Advisor(SPACE, card, endpoint, ExchangeLog(tmp_path), len(points) - 1)
        sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
        [found] = HybridProposer(SPACE, advisor, sampler, 40).propose(view, 1).proposals
        return found, server.requests


TIMID = {"lr": 3e-3, "opt": "adam", "momentum": None, "width": 64}
BOLD = {"lr": 1e-2, "opt": "adam", "momentum": None, "width": 256}


def test_a_timid_seed_goes_back_and_a_bolder_one_is_taken(tmp_path):
    found, requests = proposed(tmp_path, STARTED, TIMID, BOLD)
    assert (found.origin, found.parameters["width"]) == ("llm", 256)
    assert "change two values or more" in requests[1]["messages"][-1]["content"]


def test_an_llm_that_stays_timid_leaves_the_slot_to_the_sampler(tmp_path):
    found, _ = proposed(tmp_path, STARTED, TIMID, TIMID)
    assert found.origin == "sampler"
    assert "differs clearly from run 0 in lr only" in found.fallback_reason


def test_an_llm_whose_run_is_the_best_may_stay_near_it(tmp_path):
    led = after(STARTED, {**DEFAULT, "lr": 1e-2, "width": 256}, "llm", 0.7)
    near = {**TIMID, "lr": 2e-2, "width": 256}
    found, _ = proposed(tmp_path, led, near)
    assert (found.origin, found.parameters["lr"]) == ("llm", 2e-2)
    behind = replace(led, trials=[led.trials[0], replace(led.trials[1], value=0.5)])
    assert proposed(tmp_path / "again", behind, near)[0].origin == "sampler"
