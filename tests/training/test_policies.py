import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training import policies
from training.options import BadHyperparameter, read_options, unused
from training.policies import OPERATIONS, Move, applied

STRENGTHS = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])


def images(count=5, channels=3, size=8):
    made = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1))
    return (made * 255).round() / 255


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_strength_nought_changes_nothing_and_images_stay_apart(operation, wide, channels):
    batch = images(channels=channels)
    changed = operation(batch, STRENGTHS, wide)
    assert changed.shape == batch.shape
    assert torch.isfinite(changed).all()
    if operation is not policies._autocontrast:
        tolerance = 1 / 255 if operation is policies._posterize else 1e-5
        same = batch[2] if operation is not policies._solarize else None
        if same is not None:
            assert (changed[2] - same).abs().max() <= tolerance
    for place in range(5):  # each as if it were alone
        alone = operation(batch[place : place + 1], STRENGTHS[place : place + 1], wide)
        assert torch.allclose(alone[0], changed[place], atol=1e-6)


def test_a_shift_by_a_third_moves_the_picture_and_leaves_grey():
    batch = images(count=1, size=9)
    moved = Move(policies._shift_x)(batch, torch.tensor([1.0]), False)
    assert torch.allclose(moved[0, :, :, :6], batch[0, :, :, 3:])
    assert torch.allclose(moved[0, :, :, 6:], torch.full((3, 9, 3), 0.5))


def test_known_pictures_of_single_operations():
    batch = images(count=1)
    one = torch.tensor([1.0])
    assert torch.allclose(policies._solarize(batch, one, False), 1 - batch)
    assert policies._autocontrast(batch, one, False).amax() == 1.0
    grey = policies._colour(batch, torch.tensor([-1.0]), True)
    assert (grey.amax(1) - grey.amin(1)).max() < 0.02
    assert len(policies._posterize(images(1, 1, 40), one, True).unique()) <= 4
    dark = policies._brightness(batch, torch.tensor([-1.0]), False)
    assert torch.allclose(dark, batch * 0.1, atol=1e-6)


@pytest.mark.parametrize("name", ["Brightness", "Contrast", "Color", "Sharpness"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strength", [-1.0, 0.5])
def test_pictures_are_enhanced_as_pil_does_it(name, channels, strength):
    pil = pytest.importorskip("PIL.Image")
    enhance = getattr(pytest.importorskip("PIL.ImageEnhance"), name)
    operation = getattr(policies, f"_{name.lower().replace('color', 'colour')}")
    batch = images(count=1, channels=channels, size=12)
    pixels = (batch[0] * 255).round().to(torch.uint8).permute(1, 2, 0)
    picture = pil.fromarray(pixels.squeeze(2).numpy() if channels == 1 else pixels.numpy())
    wanted = torch.tensor(list(enhance(picture).enhance(1 + 0.9 * strength).tobytes()))
    found = operation(batch, torch.tensor([strength]), False).clamp(0, 1)[0].permute(1, 2, 0) * 255
    assert (found.flatten() - wanted).abs().max() < 2  # which has whole numbers on the way


@given(
    policy=st.sampled_from(["randaugment", "trivialaugment"]),
    number=st.integers(1, 3), magnitude=st.integers(0, 30), seed=st.integers(0, 99),
)  # fmt: skip
def test_pixels_stay_pixels_and_the_same_chance_gives_the_same(policy, number, magnitude, seed):
    batch = images(count=12)
    first = applied(batch, policy, number, magnitude, chance(seed))
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, applied(batch, policy, number, magnitude, chance(seed)))
    assert torch.equal(batch, images(count=12))  # what came in is as it was


def test_images_draw_different_operations():
    same = images(count=1).repeat(200, 1, 1, 1)
    changed = applied(same, "trivialaugment", 1, 0, chance())
    kinds = {tuple(one.flatten().tolist()) for one in changed}
    assert len(kinds) > 100
    assert torch.equal(applied(same, "none", 2, 30, chance()), same)


def test_wrong_and_useless_values_are_told():
    with pytest.raises(BadHyperparameter, match="policy"):
        read_options({"policy": "autoaugment"})
    with pytest.raises(BadHyperparameter, match="policy_magnitude"):
        read_options({"policy": "randaugment", "policy_magnitude": 31})
    given = {"policy_magnitude": 3}
    assert unused(read_options(given), given) == ["policy_magnitude"]


@pytest.mark.parametrize(
    "drawn", [[6, 0, 12, 6, 10, 0], [5, 7, 1, 0, 2, 5], [3, 4, 3, 1, 4, 4], [0] * 6, [11] * 6]
)
@pytest.mark.parametrize("wide", [False, True])
def test_an_image_gets_the_operation_it_drew_wherever_it_stands(drawn, wide):
    batch = images(count=6)
    strengths = torch.linspace(-1, 1, 6)
    changed = policies._each(batch, torch.tensor(drawn), strengths, wide)
    for place, operation in enumerate(drawn):
        alone = slice(place, place + 1)
        wanted = OPERATIONS[operation](batch[alone], strengths[alone], wide).clamp(0, 1)
        assert torch.equal(changed[alone], wanted)
