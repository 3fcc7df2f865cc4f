"""How a real server is asked: what it refuses, what it takes, and that this is remembered."""

import pytest
from recorder import Recorder

from agents.config.model import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    LlmSettings,
)
from agents.proposers.answer import read_answer
from agents.proposers.endpoint import Endpoint, EndpointAway
from agents.proposers.prompt import answer_schema, render_prompt, task_card
from agents.space import SearchSpace
from agents.trial import StudyView

SPACE = SearchSpace.build(
    {
        "learning_rate": FloatParameter(type="float", low=1e-5, high=1e-1, scale="log"),
        "batch_size": IntParameter(type="int", low=16, high=256, scale="log"),
        "optimizer": CategoricalParameter(type="categorical", choices=["adam", "sgd"]),
        "momentum": FloatParameter(type="float", low=0, high=0.99, when={"optimizer": "sgd"}),
    },
    [],
)
SCHEMA = answer_schema(SPACE, 1)
CARD = task_card(SPACE, "val_accuracy", "maximize", 20, "Classify grey images of clothing.")
QUESTION = [
    {
        "role": "user",
        "content": render_prompt(CARD, StudyView("e", "val_accuracy", "maximize", []), 1),
    }
]


def settings(url, model, **fields):
    known = {"timeout": 600.0, "max_retries": 2, "max_tokens": 600}
    return LlmSettings(base_url=url, model=model, **{**known, **fields})


def test_the_way_of_asking_is_found_once_and_remembered(llm):
    with Recorder(llm.url) as recorder:
        endpoint = Endpoint(settings(recorder.url, llm.model), sleep=lambda _: None)
        first = endpoint.ask(QUESTION, SCHEMA, patient=True)
        found = list(recorder.asked)
        second = endpoint.ask(QUESTION, SCHEMA, patient=True)
        later = recorder.asked[len(found) :]
    assert all(one.status >= 400 for one in found[:-1])
    assert (found[-1].way, found[-1].status) == (first.method, 200)
    assert [(one.way, one.status) for one in later] == [(first.method, 200)]
    assert second.method == first.method
    for reply in (first, second):
        assert reply.usage["input_tokens"] > 100
        assert reply.usage["output_tokens"] > 10
        assert read_answer(reply.text, SPACE.names)


def test_the_models_that_it_has_are_listed(llm):
    assert llm.model in (Endpoint(settings(llm.url, llm.model)).models(60) or [llm.model])


def test_a_question_that_is_too_long_for_the_model_is_said(llm):
    endpoint = Endpoint(settings(llm.url, llm.model), sleep=lambda _: None)
    long = [{"role": "user", "content": "one two three four five six seven eight\n" * 20_000}]
    with pytest.raises(EndpointAway, match=r"(?i)context|token|length"):
        endpoint.ask(long, SCHEMA, patient=False)
