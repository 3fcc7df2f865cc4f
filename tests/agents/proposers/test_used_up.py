"""A finite space of which every point has been tried: nothing is left to ask an LLM for."""

import json
from dataclasses import replace

import pytest
from spaces import EMPTY, enter

from agents.config.model import CategoricalParameter, IntParameter, SamplerSettings
from agents.proposers.advisor import USED_UP, Advisor
from agents.proposers.chat import Reply
from agents.proposers.exchanges import ExchangeLog
from agents.proposers.hybrid import HybridProposer
from agents.proposers.llm import LlmProposer
from agents.proposers.prompt import task_card
from agents.proposers.replay import Replay
from agents.proposers.sampler import SamplerProposer
from agents.space import SearchSpace
from agents.trial import TrialState

SPACE = SearchSpace.build(
    {
        "opt": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
        "layers": IntParameter(type="int", low=1, high=4, when={"opt": "sgd"}),
    },
    ["layers < 4"],
)
POINTS = 4
"""Of a product of eight."""


class Mind:
    """An endpoint that proposes one point after the other."""

    name = "mind"

    def __init__(self):
        self.asked = 0

    def ask(self, messages, schema, patient):
        self.asked += 1
        point = {"opt": "sgd" if self.asked % 2 else "adam", "layers": 1 + self.asked % 3}
        one = {"rationale": "r", "parameters": point, "expected": None}
        return Reply(json.dumps({"proposals": [one]}), "text")

    def hide_secrets(self, text):
        return text


def proposer(kind, endpoint, directory):
    card = task_card(SPACE, "accuracy_auc", "maximize", 40)
    advisor = Advisor(SPACE, card, endpoint, ExchangeLog(directory), 1)
    sampler = SamplerProposer(SPACE, SamplerSettings(), 1, "maximize")
    if kind == "llm":
        return LlmProposer(advisor, sampler)
    return HybridProposer(SPACE, advisor, sampler, 40)


def search(mind, count):
    """The trials of a search, and what was said."""
    view, said = EMPTY, []
    for n in range(count):
        proposed = mind.propose(view, 1)
        said += proposed.notices
        view = enter(view, proposed)
        done = replace(view.trials[-1], state=TrialState.COMPLETED, value=n % 7 / 7)
        view = replace(view, trials=[*view.trials[:-1], done])
    return view.trials, said


@pytest.mark.parametrize("kind", ["llm", "hybrid"])
def test_no_llm_is_asked_for_what_is_not_there(tmp_path, kind):
    mind = Mind()
    trials, said = search(proposer(kind, mind, tmp_path), 30)
    points = [tuple(t.parameters.items()) for t in trials]
    assert len(set(points)) == POINTS
    used_up = next(n for n in range(30) if len(set(points[:n])) == POINTS)
    asked = [int(path.name.split("_")[1]) for path in tmp_path.glob("trial_*.json")]
    assert max(asked) < used_up
    assert sum("tried" in text for text in said) == 1
    assert {t.fallback_reason for t in trials[used_up:]} <= {USED_UP, None}
    assert USED_UP in {t.fallback_reason for t in trials[used_up:]}


def test_such_a_search_can_be_replayed(tmp_path):
    trials, _ = search(proposer("llm", Mind(), tmp_path / "then"), 10)
    again, _ = search(proposer("llm", Replay(tmp_path / "then"), tmp_path / "now"), 10)
    assert [t.parameters for t in again] == [t.parameters for t in trials]
    assert [t.origin for t in again] == [t.origin for t in trials]


def test_a_replay_asks_where_the_llm_was_asked_in_vain(tmp_path, monkeypatch):
    """By a version that did not look whether anything was left."""
    with monkeypatch.context() as before:
        before.setattr(Advisor, "_is_used_up", lambda self, view: False)
        trials, _ = search(proposer("llm", Mind(), tmp_path / "then"), 8)
    again, _ = search(proposer("llm", Replay(tmp_path / "then"), tmp_path / "now"), 8)
    assert [t.fallback_reason for t in again] == [t.fallback_reason for t in trials]


@pytest.mark.parametrize("is_earlier", [False, True])
def test_repeats_go_round_all_points_where_the_model_has_no_choice_of_its_own(is_earlier):
    def ended(view):
        done = [
            replace(t, state=TrialState.COMPLETED, value=float(t.number % 7)) for t in view.trials
        ]
        return replace(view, trials=done)

    def search(view, count):
        for _ in range(count):
            mind = SamplerProposer(SPACE, SamplerSettings(), 3, "maximize")
            view = ended(enter(view, mind.propose(view, 1)))
        return view

    known = search(EMPTY, POINTS)
    first = len(known.trials)
    if is_earlier:
        known, first = replace(EMPTY, earlier=known.trials), 0
    again = search(known, 3 * POINTS).trials[first:]
    assert len({tuple(trial.parameters.items()) for trial in again}) == POINTS
