"""An LLM that recommends to end the search: recorded and weighed, never obeyed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import proposals
from spaces import EMPTY
from trials import stop_reason

from agents.config.model import LoopSettings, StopSettings
from agents.convergence import idle_iterations, stop_advised
from agents.ledger import Ledger
from agents.proposers import Proposed
from agents.proposers.advisor import Advice
from agents.proposers.answer import read_answer, read_stop
from agents.proposers.llm import Filling
from agents.space import SearchSpace
from agents.trial import Proposal, Trial, TrialState


def answer(stop):
    return json.dumps({**json.loads(proposals({"x": 1})), "stop": stop})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (answer("It is good\nenough."), "It is good enough."),
        ("<think>x</think> ```json\n" + answer("done \x1b[2J\u202e") + "\n```", "done [2J"),
        (answer("x" * 9999), "x" * 499 + "…"),
        *[(answer(nothing), None) for nothing in (None, "", " ", "null", "None.", "no", True, 1, [], {})],
        (proposals({"x": 1}), None),
        ('{"stop": "now"}', None),
        ("stop!", None),
        (answer("now")[:-3], None),
    ],
)  # fmt: skip
def test_a_reason_is_read_where_there_is_one(text, reason):
    assert read_stop(text) == reason


def test_the_proposals_count_all_the_same():
    assert [dict(one.parameters) for one in read_answer(answer("stop"), ["x"])] == [{"x": 1}]


class Fills:
    def propose(self, view, count):
        return Proposed([Proposal({"x": 0.5}, "sampler")] * count)


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_the_advice_goes_with_the_first_proposal_whoever_made_it(accepted):
    advice = Advice([Proposal({"x": 1.0}, "llm")] * accepted, "refused", stop="enough")
    filling = Filling(Fills())
    first = filling.around(advice, EMPTY, 2, 2)
    assert [one.stop_advice for one in first.proposals] == ["enough", None]
    assert 'recommends to end the search: "enough". It goes on' in first.notices[0]
    assert not filling.around(advice, EMPTY, 2, 2).notices
    filling.around(replace(advice, stop=None), EMPTY, 2, 2)
    assert filling.around(advice, EMPTY, 2, 2).notices


def test_the_ledger_keeps_it():
    from agents.config.model import FloatParameter

    space = SearchSpace.build({"x": FloatParameter(type="float", low=0, high=1)}, [])
    ledger = Ledger.open("sqlite://", "s", "maximize", space)
    ledger.add(Proposal({"x": 0.5}, "llm", stop_advice="enough", adopted=True), 1, 0)
    ledger.add(Proposal({"x": 0.6}, "llm"), 1, 0)
    assert [trial.stop_advice for trial in ledger.trials()] == ["enough", None]
    assert [trial.adopted for trial in ledger.trials()] == [True, False]


def history(values, advised=()):
    """One trial an iteration, from 1 on."""
    trials = [
        Trial(
            number, number + 1, TrialState.COMPLETED, {}, "llm", 0, value=value,
            stop_advice="enough" if number + 1 in advised else None,
        )
        for number, value in enumerate(values)
    ]  # fmt: skip
    return replace(EMPTY, trials=trials)


def reason(view, patience):
    loop = LoopSettings(max_iterations=10**6)
    return stop_reason(view, 0, 0.0, loop, StopSettings(patience=patience))


def test_an_idle_iteration_counts_twice_where_the_llm_advised_to_stop():
    flat = [0.5, 0.5, 0.5]
    assert reason(history(flat), 3) is None
    assert reason(history(flat, advised={2}), 4) is None
    stop = reason(history(flat, advised={2}), 3)
    assert stop.rule == "patience"
    assert "2 iterations without" in stop.sentence
    assert "of which 1 count twice: the LLM recommended to stop" in stop.sentence
    assert stop.numbers == {"iterations": 2, "limit": 3, "value": 0.5, "advised": 1}
    assert "advised" not in reason(history(flat), 2).numbers


def test_advice_where_the_search_improves_counts_for_nothing():
    assert reason(history([0.1, 0.2, 0.3, 0.4], advised={1, 2, 3, 4}), 1) is None
    assert reason(history([0.1, 0.1, 0.9], advised={1, 2, 3}), 2) is None


def test_without_patience_it_ends_nothing():
    assert reason(history([0.5] * 50, advised=set(range(1, 51))), None) is None


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    advised=st.sets(st.integers(1, 12)),
    patience=st.integers(1, 8),
)
def test_it_never_ends_a_search_before_half_its_patience_nor_keeps_one_going(
    values, advised, patience
):
    plain, weighed = reason(history(values), patience), reason(history(values, advised), patience)
    idle = idle_iterations(history(values), 0.001)
    assert weighed is not None or plain is None
    assert weighed is None or 2 * len(idle) >= patience
    assert stop_advised(history(values, advised)) == advised & set(range(1, len(values) + 1))
