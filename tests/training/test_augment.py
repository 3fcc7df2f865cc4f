import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.augment import _beta, augmented, mixed
from training.options import Options


def images(count=6, size=8):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_options_nothing_changes():
    batch = images()
    assert torch.equal(augmented(batch, Options(), chance()), batch)


def test_a_crop_is_a_window_of_the_padded_image():
    batch = images(count=20)
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    cropped = augmented(batch, Options(crop=2), chance())
    for index in range(20):
        windows = [
            padded[index, :, top : top + 8, left : left + 8]
            for top in range(5)
            for left in range(5)
        ]
        assert any(torch.equal(cropped[index], window) for window in windows)
    assert not torch.equal(cropped, batch)


def test_about_half_of_the_images_are_mirrored():
    batch = images(count=400)
    flipped = augmented(batch, Options(flip=True), chance())
    same = [torch.equal(one, other) for one, other in zip(flipped, batch, strict=True)]
    mirrored = [torch.equal(one, other.flip(2)) for one, other in zip(flipped, batch, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 150 < sum(mirrored) < 250


def test_cropped_and_mirrored_at_once_is_one_after_the_other():
    batch, drawn = images(count=50), chance()
    apart = augmented(augmented(batch, Options(crop=3), drawn), Options(flip=True), drawn)
    assert torch.equal(augmented(batch, Options(crop=3, flip=True), chance()), apart)


def test_cutout_blanks_a_square_of_at_most_its_side():
    batch = images(count=50) + 1.0
    cut = augmented(batch, Options(cutout=4), chance())
    for image in cut:
        blank = (image == 0).all(0)
        rows, columns = blank.any(1).sum().item(), blank.any(0).sum().item()
        assert blank.sum().item() == rows * columns
        assert 1 <= rows <= 4
        assert 1 <= columns <= 4


@given(st.integers(0, 1000), st.floats(0.05, 5))
def test_mixup_stays_between_the_two_images(seed, alpha):
    batch = images()
    found, others, share = mixed(batch, alpha, chance(seed))
    assert 0 <= share <= 1
    low, high = torch.minimum(batch, batch[others]), torch.maximum(batch, batch[others])
    assert bool(((found >= low - 1e-6) & (found <= high + 1e-6)).all())
    assert sorted(others.tolist()) == list(range(6))


@pytest.mark.parametrize("alpha", [1e-4, 1e-3, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0, 4.0])
def test_shares_of_mixup_are_a_beta_distributions(alpha):
    drawn = chance(7)
    found = np.array([_beta(alpha, drawn) for _ in range(4000)])
    assert found.min() >= 0
    assert found.max() <= 1
    places = np.array([1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.4, 0.49, 0.51, 0.6, 0.9, 0.99, 0.999])
    expected = stats.beta(alpha, alpha).cdf(places)
    below = (found[:, None] < places).mean(0)
    spread = np.sqrt(expected * (1 - expected) / len(found))
    assert (abs(below - expected) <= 4 * spread + 1 / len(found)).all()


def test_an_ordinary_share_is_the_quotient_of_two_draws_and_takes_no_more():
    ours, plain = chance(3), chance(3)
    for _ in range(200):
        first, second = torch._standard_gamma(torch.tensor([0.2, 0.2]), generator=plain).tolist()
        assert _beta(0.2, ours) == first / (first + second)
    assert torch.equal(ours.get_state(), plain.get_state())


@pytest.mark.parametrize("alpha", [1e-300, 1e-40, 1e30])
def test_no_alpha_gives_a_share_that_is_none(alpha):
    drawn = chance()
    assert all(0 <= _beta(alpha, drawn) <= 1 for _ in range(50))


def test_the_same_seed_gives_the_same_batch():
    options = Options(crop=2, flip=True, cutout=3)
    assert torch.equal(
        augmented(images(), options, chance(3)), augmented(images(), options, chance(3))
    )
