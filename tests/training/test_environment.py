import sys
from datetime import datetime, timedelta

import pytest
import torch

from training import devices
from training.contract import parse_metrics, parse_result
from training.devices import describe, prepare
from training.environment import environment
from training.learner import Learner
from training.train import main


def test_the_job_and_its_allocation_are_told(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURM_JOB_PARTITION", "gpu")
    monkeypatch.delenv("PBS_QUEUE", raising=False)
    facts = environment(describe(torch.device("cpu")))
    assert facts["scheduler_job"] == "42"
    assert facts["allocation"]["SLURM_JOB_PARTITION"] == "gpu"
    assert "PBS_QUEUE" not in facts["allocation"]


def train(directory, *more):
    flags = ["--width", "2", "--hidden", "4", "--batch-size", "1000", "--epochs", "2", *more]
    code = main(["--output-dir", str(directory), *flags])
    return code, parse_result((directory / "results.json").read_bytes())


def test_a_result_tells_when_and_where_it_ran_and_what_it_took(tmp_path):
    code, found = train(tmp_path)
    assert code == 0
    times = [datetime.fromisoformat(found.environment[name]) for name in ("started", "ended")]
    assert times[0] < times[1]
    assert all(time.utcoffset() == timedelta(0) for time in times)
    assert found.environment["first_step_seconds"] > 0
    assert found.environment["device_name"]
    # A process with torch in it is hundreds of MiB, and not terabytes.
    assert 50 < found.metrics["peak_memory_mb"] < 1e6
    assert 50 < found.environment["peak_process_memory_mb"] < 1e6


def test_the_gap_between_training_and_validation_can_be_told(tmp_path):
    _, found = train(tmp_path)
    lines, _ = parse_metrics((tmp_path / "metrics.jsonl").read_bytes())
    assert found.metrics["train_accuracy"] == lines[-1].values["train_accuracy"]
    assert found.metrics["train_loss"] == lines[-1].values["loss"]
    assert all(line.values["peak_memory_mb"] for line in lines)
    # Nothing is left to train: what is told comes from the checkpoint.
    _, again = train(tmp_path, "--resume")
    for name in ("train_accuracy", "train_loss", "accuracy_auc"):
        assert again.metrics[name] == found.metrics[name]


def test_a_training_that_never_began_tells_its_times_too(tmp_path):
    code, found = train(tmp_path, "--data", "cifar10")
    assert code == 2
    assert found.environment["started"] <= found.environment["ended"]
    assert found.environment["first_step_seconds"] is None


@pytest.mark.parametrize(("kind", "name"), [("cuda", "NVIDIA X"), ("xpu", "Intel Max")])
def test_accelerators_are_named(monkeypatch, kind, name):
    module = getattr(torch, kind)
    monkeypatch.setattr(module, "get_device_name", lambda device: name)
    monkeypatch.setattr(module, "device_count", lambda: 6)
    facts = environment(describe(torch.device(kind, 2)))
    assert (facts["device"], facts["device_name"], facts["device_count"]) == (f"{kind}:2", name, 6)


def test_apples_gpu_is_named():
    assert environment(describe(torch.device("mps")))["device_name"].startswith("Apple GPU")


@pytest.mark.parametrize("seed", [7, -7, 10**30])
def test_the_seed_covers_python_numpy_and_torch(seed):
    import random

    numpy = sys.modules["numpy"]
    drawn = []
    for _ in range(2):
        prepare(torch.device("cpu"), seed, deterministic=False)
        drawn.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]


def test_a_device_that_answers_nothing_any_more_still_gets_a_result(tmp_path, monkeypatch):
    """After a fault of its own, CUDA refuses every call."""

    def refuse(*given):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def fail(learner, *given):
        monkeypatch.setattr(devices, "_processor", refuse)
        refuse()

    monkeypatch.setattr(Learner, "step", fail)
    code, found = train(tmp_path)
    assert (code, found.status) == (1, "failed")
    assert "illegal memory access" in found.error.message
    assert found.environment["device_name"]
