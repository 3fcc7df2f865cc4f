"""Data that lie on the device whole, and data that workers bring: the same batches."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch

from training.batches import Order, Resident, Streamed, divided, fits, loader
from training.contract import parse_result
from training.data import Split, load_data
from training.models import Shape, build_model
from training.norms import fewest_images
from training.options import Options
from training.train import main

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
OPTIONS = ["--width", "2", "--hidden", "4", "--batch-size", "300", "--dropout", "0.2", "--flip"]
RUN = [*OPTIONS, "--seed", "3", "--epochs", "2"]


def train(directory, *more):
    assert main(["--output-dir", str(directory), *RUN, *more]) == 0
    weights = torch.load(directory / "checkpoints" / "last.pt", weights_only=True)["model"]
    return parse_result((directory / "results.json").read_bytes()).curve, weights


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    return train(tmp_path_factory.mktemp("resident"), "--data-on-device", "yes")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_streamed_data_train_to_the_same_bits(tmp_path, resident, workers):
    curve, weights = train(tmp_path, "--data-on-device", "no", "--workers", workers)
    assert curve == resident[0]
    for name, value in resident[1].items():
        assert torch.equal(weights[name], value), name
    assert multiprocessing.active_children() == []


def test_both_give_the_batches_that_are_asked_for_in_their_order():
    images = torch.arange(12, dtype=torch.uint8).reshape(6, 1, 1, 2)
    split = Split(images, torch.arange(6))
    batches = [torch.tensor([5, 0]), torch.tensor([2, 3, 1]), torch.tensor([4])]
    for source in (Resident(split, CPU), Streamed(split, CPU, 2)):
        given = list(source.epoch(batches, seed=1))
        assert [labels.tolist() for _, labels in given] == [[5, 0], [2, 3, 1], [4]]
        assert all(torch.equal(pictures, images[labels]) for pictures, labels in given)


@pytest.mark.parametrize(
    ("model", "world", "is_shared", "sizes"),
    [
        ("cnn", 1, False, [8, 8, 1]),
        ("resnet18", 1, False, [8, 8]),  # over one image there is no variance
        ("cnn", 2, False, [8, 8]),  # nothing to do for one of the two
        ("resnet18", 2, True, [8, 8]),
    ],
)
def test_a_last_batch_that_nobody_can_learn_from_is_left_out(model, world, is_shared, sizes):
    network = build_model(Options(model=model), Shape(3, 8, 10))
    fewest = fewest_images(network, world, is_shared=is_shared)
    assert [len(part) for part in divided(torch.arange(17), 8, fewest)] == sizes


def test_how_many_images_a_process_needs_does_not_forbid_a_small_batch():
    network = build_model(Options(model="resnet18"), Shape(3, 32, 10))
    assert fewest_images(network, 4, is_shared=False) == 8
    assert fewest_images(network, 4, is_shared=True) == 4
    assert [len(part) for part in divided(torch.arange(8), 4, 8)] == [4, 4]


class Draws(torch.utils.data.Dataset):
    """Gives what a worker's generators give."""

    def __getitem__(self, places):
        drawn = [random.random(), float(numpy.random.rand()), torch.rand(1).item()]
        return torch.tensor(drawn, dtype=torch.float64), places


@pytest.mark.parametrize("workers", [1, 2])
def test_what_workers_draw_follows_from_seed_and_batch_alone(workers):
    order = Order()
    order.batches = [torch.tensor([0])] * 4

    def drawn(made, seed):
        order.seed = seed
        before = torch.get_rng_state()
        rows = [row.tolist() for row, _ in made]
        assert torch.equal(before, torch.get_rng_state())  # the training's own is left alone
        return rows

    made = loader(Draws(), order, CPU, workers)
    first, second = drawn(made, 1), drawn(made, 2)
    numbers = {number for rows in (first, second) for row in rows for number in row}
    assert len(numbers) == 2 * 4 * 3  # neither seeds nor batches repeat each other
    assert drawn(made, 1) == first  # whatever was drawn before it, as after a resume
    assert drawn(loader(Draws(), order, CPU, 3 - workers), 1) == first


def test_workers_last_from_one_epoch_to_the_next_and_end_with_the_training():
    split = Split(torch.zeros(6, 1, 1, 2, dtype=torch.uint8), torch.arange(6))
    source = Streamed(split, CPU, 2)
    seen = []
    for seed in range(2):
        list(source.epoch([torch.tensor([seed])] * 3, seed))
        seen.append({one.pid for one in multiprocessing.active_children()})
    assert len(seen[0]) == 2
    assert seen[0] == seen[1]
    source.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("free", "is_whole"), [(10**9, True), (10**6, False)])
def test_data_lie_on_a_device_whose_free_memory_holds_them(monkeypatch, free, is_whole):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**11))
    assert fits(load_data("synthetic"), torch.device("cuda")) is is_whole


def test_a_signal_to_the_whole_job_ends_as_preempted_with_workers_too(tmp_path):
    command = [sys.executable, "-m", "training.train", "--output-dir", str(tmp_path), *OPTIONS]
    process = subprocess.Popen(
        [*command, "--epochs", "500", "--data-on-device", "no"], cwd=ROOT, start_new_session=True
    )
    metrics = tmp_path / "metrics.jsonl"
    limit = time.monotonic() + 180
    while not metrics.exists() or not metrics.read_text():
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(180) == 1
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["status"] == "preempted", found["error"]


INTERRUPTED = """
import signal, sys
from training import train
from training.learner import Learner

# Who runs the tests in the background has left them a keyboard that is not heard.
signal.signal(signal.SIGINT, signal.default_int_handler)
Learner.step = lambda *given: signal.raise_signal(signal.SIGINT)  # in this thread, and at once
train.main(["--output-dir", sys.argv[1], "--data-on-device", "no"])
"""


def test_who_interrupts_by_keyboard_does_not_wait_for_workers_for_ever(tmp_path):
    # Python's own end would send them SIGTERM, which they leave to the first process.
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        assert process.wait(120) == -signal.SIGINT
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
