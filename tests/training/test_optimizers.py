import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.models import Shape, build_model
from training.optimizers import (
    WeightAverage,
    _all_orthogonal,
    build_optimizer,
    go_on_from,
    rate_share,
)
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
    *decayed, plain = build_optimizer(model, Options(optimizer=name, weight_decay=0.1)).param_groups
    assert plain["weight_decay"] == 0.0
    assert all(p.ndim <= 1 for p in plain["params"])
    assert all(group["weight_decay"] == 0.1 for group in decayed)
    count = sum(len(group["params"]) for group in (*decayed, plain))
    assert count == len(list(model.parameters()))


def stepped(optimizer, model, images):
    model(images).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_muon_turns_hidden_weights_and_adapts_the_others():
    torch.manual_seed(0)
    model = build_model(Options(width=4), Shape(1, 28, 10))
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(model, Options(optimizer="muon", learning_rate=0.02))
    stepped(optimizer, model, torch.randn(8, 1, 28, 28))
    moved = {name: value.detach() - before[name] for name, value in model.named_parameters()}
    weights = [name for name, value in before.items() if value.ndim > 1]
    for name in weights[1:-1]:
        sizes = torch.linalg.svdvals(moved[name].flatten(1)) / 0.02
        assert sizes.max() < 1.3, name
        assert (sizes > 0.5).sum() >= 4, name  # gradients of few images have few directions
    for name in (weights[0], weights[-1]):
        # Adam's first step is the rate for every weight, whatever its gradient.
        changed = moved[name].abs()
        assert changed[changed > 0].median().item() == pytest.approx(0.002, rel=0.01), name


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_weights_that_are_made_orthogonal_together_are_as_each_alone(layout):
    shapes = [(6, 4, 3, 3), (16, 4, 1, 1), (6, 4, 3, 3), (5, 9), (4, 16, 1, 1), (16, 4, 1, 1)]
    weights = [torch.randn(shape) for shape in shapes]
    weights = [w.to(memory_format=layout) if w.ndim == 4 else w for w in weights]
    for weight, turned in zip(weights, _all_orthogonal(weights), strict=True):
        # The formula, on one matrix.
        near = weight.double().flatten(1)
        near = near / near.norm()
        for _ in range(5):
            square = near @ near.T
            near = 3.4445 * near + (-4.7750 * square + 2.0315 * square @ square) @ near
        wanted = near * max(1.0, near.shape[0] / near.shape[1]) ** 0.5
        assert turned.shape == weight.shape
        assert torch.allclose(turned.flatten(1).double(), wanted, atol=1e-4)
        if layout == torch.channels_last:  # kernels for many weights want steps that lie like them
            assert turned.stride() == weight.stride()


def test_muon_goes_on_from_what_was_kept():
    images = torch.randn(8, 1, 28, 28)
    options = Options(width=4, optimizer="muon", weight_decay=0.1)
    whole = build_model(options, Shape(1, 28, 10))
    optimizer = build_optimizer(whole, options)
    stepped(optimizer, whole, images)
    again = copy.deepcopy(whole)
    other = build_optimizer(again, options)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, one in ((whole, optimizer), (again, other)):
        stepped(one, model, images)
    pairs = zip(whole.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


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


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_state_is_gone_on_from_in_the_way_of_this_device(kind):
    """CUDA moves all weights in one call, which takes scaled gradients; a CPU and MPS do not."""

    def made(**how):
        weight = torch.nn.Parameter(torch.ones(4, 4))
        return kind([weight], 0.1, **how), weight

    def step(optimizer, weight, scaler):
        scaler.scale(weight.square().sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    there, here = made(foreach=True), made(fused=True)
    for optimizer, other in ((there, here), (here, there)):
        step(*optimizer, torch.amp.GradScaler("cpu"))
        go_on_from(other[0], copy.deepcopy(optimizer[0].state_dict()))
        step(*other, torch.amp.GradScaler("cpu"))
    ways = [
        [opt.param_groups[0][name] for name in ("foreach", "fused")] for opt, _ in (there, here)
    ]
    assert ways == [[True, None], [None, True]]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_was_kept_lies_as_the_weights_do_here(name):
    """Channels last on CUDA and on a CPU, and not on MPS."""
    images, options = torch.randn(8, 3, 32, 32), Options(width=4, optimizer=name)
    there = build_model(options, Shape(3, 32, 10))
    here = copy.deepcopy(there).to(memory_format=torch.channels_last)
    theirs, ours = build_optimizer(there, options), build_optimizer(here, options)
    stepped(theirs, there, images)
    here.load_state_dict(there.state_dict())
    go_on_from(ours, copy.deepcopy(theirs.state_dict()))
    for parameter, kept in ours.state.items():
        tensors = [v for v in kept.values() if torch.is_tensor(v) and v.shape == parameter.shape]
        assert tensors
        assert all(value.stride() == parameter.stride() for value in tensors)
    for optimizer, model in ((theirs, there), (ours, here)):
        stepped(optimizer, model, images)
    pairs = zip(there.parameters(), here.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


@pytest.fixture
def memory_as_it_comes():
    """New memory is full of NaN, so that none passes for zeros."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("fused", [True, False])
def test_momentum_begins_at_rest_where_the_scaler_skips_the_first_steps(memory_as_it_comes, fused):
    model = torch.nn.Linear(3, 2)
    optimizer = build_optimizer(model, Options(learning_rate=1e-30))
    for group in optimizer.param_groups:
        group.update(fused=fused or None, foreach=None if fused else True)
    optimizer._step_supports_amp_scaling = fused  # as torch does of one that is made so
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor in (float("inf"), 1.0):
        optimizer.zero_grad()
        (scaler.scale(model(torch.ones(1, 3)).sum()) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    kept = [optimizer.state[p]["momentum_buffer"] for p in model.parameters()]
    assert all(torch.equal(momentum, torch.ones_like(momentum)) for momentum in kept)


@pytest.mark.parametrize("way", ["foreach", "fused", "neither"])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_sgd_takes_the_steps_of_torchs_own_to_the_bit(way, nesterov, momentum):
    how = {"foreach": way == "foreach", "fused": way == "fused"}
    options = Options(width=4, momentum=momentum, nesterov=nesterov, weight_decay=0.01)
    ours = build_model(options, Shape(1, 28, 10))
    theirs = copy.deepcopy(ours)
    mine = build_optimizer(ours, options)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in theirs.parameters() if p.ndim <= 1]},
    ]
    own = torch.optim.SGD(groups, 0.01, momentum, nesterov=nesterov and momentum > 0, **how)
    for group in mine.param_groups:
        group.update(how)
    for _ in range(4):
        images = torch.randn(8, 1, 28, 28)
        stepped(mine, ours, images)
        stepped(own, theirs, images)
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
