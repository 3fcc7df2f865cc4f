import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.models import Shape, build_model
from training.optimizers import WeightAverage, build_optimizer, rate_share
from training.options import OPTIMIZERS, SCHEDULES, BadHyperparameter, Options, read_options, unused


@given(st.sampled_from(SCHEDULES), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_is_never_zero_and_never_above_its_highest(schedule, done, warmup):
    assert 0 < rate_share(schedule, done, warmup) <= 1


def test_the_courses_of_the_rate():
    assert rate_share("constant", 0.9, 0.0) == 1.0
    assert rate_share("cosine", 0.5, 0.0) == pytest.approx(0.5)
    assert rate_share("cosine", 0.05, 0.1) == pytest.approx(0.5)
    assert [rate_share("step", done, 0) for done in (0.4, 0.6, 0.8)] == pytest.approx(
        [1, 0.1, 0.01]
    )
    assert rate_share("onecycle", 0.3, 0.0) == 1.0
    assert rate_share("onecycle", 0.15, 0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_and_norms_do_not_decay(name):
    model = build_model(Options(model="resnet18"), Shape(3, 32, 10))
    decayed, plain = build_optimizer(model, Options(optimizer=name, weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim > 1 for p in decayed["params"])
    count = len(decayed["params"]) + len(plain["params"])
    assert count == len(list(model.parameters()))


def test_the_average_follows_the_weights():
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.5)
    torch.nn.init.ones_(model.weight)
    for _ in range(40):
        average.update()
    assert average.model.weight.item() == pytest.approx(1.0, abs=1e-6)
    assert not average.model.weight.requires_grad


def test_what_has_no_effect_is_named():
    given = {"optimizer": "adam", "momentum": 0.5, "model_type": "resnet18", "hidden_size": 32}
    assert unused(read_options(given), given) == ["momentum", "hidden_size"]


@given(
    st.dictionaries(
        st.sampled_from(["width", "learning_rate", "flip", "model", "nonsense"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    )
)
def test_any_hyperparameters_are_options_or_one_message(given):
    try:
        read_options(given)
    except BadHyperparameter as error:
        assert "hyperparameters." in str(error)
