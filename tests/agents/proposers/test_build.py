"""Which proposer a configuration gets, and what a person is told about it."""

import pytest
from openai_server import MODEL, OpenAiServer, proposals, says
from spaces import EMPTY, enter

from agents.config.model import Settings
from agents.errors import ConfigurationError
from agents.proposers.build import build_proposer
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.space import SearchSpace


def built(tmp_path, **sections):
    settings = Settings.model_validate(
        {
            "experiment": {"id": "e"},
            "search_space": {"x": {"type": "float", "low": 0, "high": 1}},
            "training": {"command": ["true"]},
            **sections,
        }
    )
    space = SearchSpace.build(settings.search_space, settings.constraints)
    return build_proposer(settings, space, tmp_path / "exchanges")


def past_the_default(mind):
    return enter(EMPTY, mind.propose(EMPTY, 1))


@pytest.mark.parametrize(
    ("kind", "fallback"),
    [
        ("auto", None),
        ("llm", "no LLM endpoint is configured"),
        ("hybrid", "no LLM endpoint is configured"),
    ],
)
def test_without_an_endpoint_the_sampler_proposes_and_says_so_once(tmp_path, kind, fallback):
    mind = built(tmp_path, proposer={"kind": kind})
    view = past_the_default(mind)
    first, second = mind.propose(view, 2), mind.propose(view, 2)
    assert [one.origin for one in first.proposals] == ["sampler", "sampler"]
    assert first.proposals[0].fallback_reason == fallback
    assert len(first.notices) == 1
    assert "llm.base_url" in first.notices[0]
    assert not second.notices
    assert not (tmp_path / "exchanges").exists()


def test_a_sampler_by_choice_is_nothing_to_talk_about(tmp_path):
    mind = built(tmp_path, proposer={"kind": "sampler"}, llm={"base_url": "http://127.0.0.1:1/v1"})
    proposed = mind.propose(past_the_default(mind), 1)
    assert proposed.proposals[0].origin == "sampler"
    assert not proposed.notices


def test_with_an_endpoint_the_llm_proposes(tmp_path):
    with OpenAiServer(says(proposals({"x": 0.25}))) as server:
        mind = built(tmp_path, llm={"base_url": server.url, "model": MODEL})
        proposed = mind.propose(past_the_default(mind), 1)
    assert proposed.proposals[0].origin == "llm"
    assert (tmp_path / "exchanges").is_dir()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("auto", HybridProposer), ("hybrid", HybridProposer), ("llm", LlmProposer)],
)
def test_which_mind_an_endpoint_gets(tmp_path, kind, expected):
    llm = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
    mind = built(tmp_path, proposer={"kind": kind}, llm=llm)
    assert isinstance(mind._inner, expected)


def test_a_grid_is_a_sampler_too(tmp_path):
    space = {"n": {"type": "int", "low": 1, "high": 3}}
    mind = built(
        tmp_path, search_space=space, proposer={"kind": "sampler", "sampler": {"kind": "grid"}}
    )
    assert len(mind.propose(EMPTY, 9).proposals) == 3


def test_half_an_endpoint_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="belong together"):
        built(tmp_path, llm={"model": "m"})
