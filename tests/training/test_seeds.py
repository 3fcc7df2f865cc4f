"""What several processes draw: each its own, and one alone what it always drew."""

import pytest
import torch

from training import trainer
from training.data.synthetic import load
from training.devices import derived_seed, seed_of_rank
from training.distributed import Ranks
from training.learner import Learner
from training.options import read_options
from training.settings import Settings


@pytest.fixture
def met():
    """A group of one, for which each rank passes: nobody has to wait for the others."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class Seen(Exception):
    """The first step has been seen."""


def drawn(directory, monkeypatch, ranks):
    """What a rank's first batch of an epoch draws: for augmentation, for dropout, in its workers."""

    def look(learner, images, labels, whole, chance):
        raise Seen(torch.rand(1, generator=chance).item(), torch.rand(1).item())

    monkeypatch.setattr(trainer, "load_data", lambda name, folder: load(64, 32))
    monkeypatch.setattr(Learner, "step", look)
    options, settings = read_options({"batch_size": 32}), Settings(directory, device="cpu")
    made = trainer.Trainer(options, settings, 1234567, trainer.Found(), lambda: False, ranks)
    seeds = []
    whole = made._train.epoch
    made._train.epoch = lambda batches, seed: (seeds.append(seed), whole(batches, seed))[1]
    with pytest.raises(Seen) as seen:
        made._epoch(5)
    return *seen.value.args, seeds[0] % 2**32


def test_each_of_several_processes_draws_its_own(tmp_path, monkeypatch, met):
    found = [drawn(tmp_path, monkeypatch, Ranks(rank, 4)) for rank in range(4)]
    assert found[0] == drawn(tmp_path, monkeypatch, Ranks())
    for values in zip(*found, strict=True):  # of one kind, by rank
        assert len(set(values)) == 4


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**40 + 7, 2**61 - 1])
def test_seeds_of_ranks_and_epochs_differ_in_the_bits_that_a_cpu_looks_at(seed):
    seeds = [
        seed_of_rank(derived_seed(seed, epoch), rank)
        for epoch in range(1, 101)
        for rank in range(64)
    ]
    assert len({one % 2**32 for one in seeds}) == len(seeds)
