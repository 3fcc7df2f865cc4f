"""The whole program on a device that is not the CPU, and gives the CPU's numbers: see `standin`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import standin
import torch

from training import trainer
from training.contract import parse_result

if not hasattr(standin.backend_registration, "_setup_privateuseone_for_python_backend"):
    pytest.skip("this torch lets no device be made in Python", allow_module_level=True)

ROOT = Path(__file__).parents[2]
QUICK = ["--batch-size", "32", "--width", "4", "--epochs", "2", "--seed", "3"]
PICTURES = ["--crop", "2", "--flip", "--cutout", "4", "--mixup", "0.4"]
ASKED = {
    "pictures": [*PICTURES, "--gradient-clip", "1", "--dropout", "0.2"],
    "brought": ["--data-on-device", "no", "--policy", "randaugment", "--optimizer", "muon"],
    "deep": ["--model", "resnet18", "--ema", "0.9", "--precision", "bf16"],
    "scaled": ["--precision", "fp16", "--optimizer", "adamw", "--policy", "trivialaugment"],
    "coloured": ["--data", "synthetic", "--schedule", "cosine"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Everything once on each device, and for each the second epoch on the other one."""
    directory = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_data", "choose_device"):
            patch.setattr(trainer, name, getattr(trainer, name))  # given back at the end
        for name in ASKED:
            standin.main(arguments(directory / "here" / name), "cpu")
            resumable(directory, "here", "there", name)
        program = [sys.executable, standin.__file__]
        commands = [arguments(directory / "there" / name) for name in ASKED]
        commands += [
            [*arguments(directory / "there" / f"{name}-resumed"), "--resume"] for name in ASKED
        ]
        path = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*program, json.dumps(commands)], env=path, check=False)
        for name in ASKED:
            resumable(directory, "there", "here", name)
            standin.main([*arguments(directory / "here" / f"{name}-resumed"), "--resume"], "cpu")
    return directory


def arguments(directory):
    return ["--output-dir", str(directory), *QUICK, *ASKED[directory.name.removesuffix("-resumed")]]


def resumable(directory, source, target, name):
    """As if it had been killed in its last epoch."""
    copy = directory / target / f"{name}-resumed"
    shutil.copytree(directory / source / name, copy)
    last, before = (copy / "checkpoints" / file for file in ("last.pt", "before.pt"))
    if before.exists():
        before.rename(last)


def assert_equal(one, other):
    found, wanted = (parse_result((path / "results.json").read_bytes()) for path in (one, other))
    assert (found.status, found.error) == ("completed", None)
    assert found.curve == wanted.curve
    # This process does not know the device: what has trained there can be read anywhere.
    weights, others = (
        torch.load(path / "checkpoints" / "last.pt", weights_only=True)["model"]
        for path in (one, other)
    )
    for name, value in weights.items():
        assert torch.equal(others[name], value), name


@pytest.mark.parametrize("name", ASKED)
def test_another_device_finds_what_the_cpu_finds(trained, name):
    assert_equal(trained / "there" / name, trained / "here" / name)


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("place", ["here", "there"])
def test_a_checkpoint_is_gone_on_from_on_another_device(trained, place, name):
    assert_equal(trained / place / f"{name}-resumed", trained / "here" / name)
