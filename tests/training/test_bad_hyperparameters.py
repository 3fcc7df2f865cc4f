"""What cannot be trained: exit code 2, a result with the error, one line on stderr."""

import gzip
import json
import tarfile

import pytest
import torch

from training.contract import Task, parse_result, write_task
from training.models.cnn import Cnn
from training.train import main

TINY = {"width": 2, "hidden": 4, "batch_size": 500}


def run(directory, hyperparameters, budget=None, *flags):
    path = directory / "hyperparameters.json"
    write_task(
        path, Task("test", 3, "job", 1, {**TINY, **hyperparameters}, budget or {"epochs": 1})
    )
    code = main(["--hyperparameters", str(path), *flags])
    return code, parse_result((directory / "results.json").read_bytes())


def assert_refused(code, found, stderr, words):
    assert (code, found.status, found.curve.step) == (2, "failed", ())
    assert words in found.error.message
    assert stderr.startswith("error: ") and stderr.count("\n") == 1
    assert words in stderr


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({"model": "resnet19"}, "'resnet19' is none of cnn, resnet18"),
        ({"batch_size": 5001}, "5001 is more than the 5000 training images of fashion-subset"),
        ({"learning_rate": -0.1}, "hyperparameters.learning_rate: -0.1 cannot be used"),
        ({"learning_rate": 0}, "hyperparameters.learning_rate: 0.0 cannot be used"),
        ({"weight_decay": -1e-4}, "hyperparameters.weight_decay: -0.0001 cannot be used"),
        ({"dropout": 1.0}, "hyperparameters.dropout: 1.0 cannot be used"),
        ({"warmup_epochs": -1}, "hyperparameters.warmup_epochs: -1.0 cannot be used"),
        ({"loss_limit": 0}, "hyperparameters.loss_limit: 0.0 cannot be used"),
        ({"batch_size": 0}, "hyperparameters.batch_size: 0 cannot be used"),
        ({"batch_size": "64"}, "hyperparameters.batch_size: '64' is not of type int"),
        ({"learning_rat": 0.1}, "did you mean learning_rate?"),
        ({"temperature": 1.0}, "hyperparameters.temperature: there is no such one"),
    ],
)
def test_hyperparameters(tmp_path, capsys, hyperparameters, words):
    code, found = run(tmp_path, hyperparameters)
    assert_refused(code, found, capsys.readouterr().err, words)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('"hyperparameters": {"learning_rate": %s}', "hyperparameters.learning_rate: "),
        ('"hyperparameters": {}, "budget": {"epochs": %s}', "epochs is "),
    ],
)
def test_numbers_that_are_none(tmp_path, capsys, number, given, words):
    path = tmp_path / "hyperparameters.json"
    path.write_text('{"schema": 1, "trial": 3, "seed": 1, ' + given % number + "}")
    code = main(["--hyperparameters", str(path)])
    found = parse_result((tmp_path / "results.json").read_bytes())
    assert_refused(code, found, capsys.readouterr().err, words)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"epochs": 0}, "epochs is 0: train for one whole epoch or more"),
        ({"epochs": -3}, "epochs is -3"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"epochs": "ten"}, "epochs is 'ten'"),
        ({"epochs": 1, "seconds": 0}, "seconds is 0: it must be a number above 0"),
        ({"epochs": 1, "seconds": "60"}, "seconds is '60'"),
    ],
)
def test_budgets(tmp_path, capsys, budget, words):
    code, found = run(tmp_path, {}, budget)
    assert_refused(code, found, capsys.readouterr().err, words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--data", "imagenet"], "--data: 'imagenet' is none of fashion"),
        (["--data", "cifar10"], "give --data-dir"),
        (["--device", "cuda:99"], "--device: there is no cuda:99 here"),
        (["--workers", "-1"], "--workers: -1 cannot be used"),
        (["--checkpoint-every", "-1"], "--checkpoint-every: -1 cannot be used"),
    ],
)
def test_flags(tmp_path, capsys, flags, words):
    code, found = run(tmp_path, {}, None, *flags)
    assert_refused(code, found, capsys.readouterr().err, words)


def broken_gzip(folder):
    whole = gzip.compress(bytes(range(256)) * 64)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(whole[:20] + b"\xff" * 20 + whole[40:])


def empty_idx(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03"))


def half_a_cifar(folder):
    (folder / "cifar-100-python").mkdir()
    (folder / "cifar-100-python" / "test").write_bytes(b"")


def another_cifar(folder):
    half_a_cifar(folder)
    (folder / "cifar-100-python" / "train").write_bytes(b"not the one")


def no_archive(folder):
    (folder / "cifar-100-python.tar.gz").write_bytes(b"not gzip")


def archive_of_something_else(folder):
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(__file__, "cifar-100-python/readme")


@pytest.mark.parametrize(
    ("name", "prepare", "words"),
    [
        ("fashion", lambda folder: None, "cannot read"),
        ("fashion", broken_gzip, "cannot read"),
        ("fashion", empty_idx, "is cut off"),
        ("cifar100", lambda folder: None, "holds neither cifar-100-python/"),
        ("cifar100", half_a_cifar, "cannot read"),
        ("cifar100", another_cifar, "is not the cifar100 of https://"),
        ("cifar100", no_archive, "cannot read cifar-100-python/train from"),
        ("cifar100", archive_of_something_else, "cannot read cifar-100-python/train from"),
    ],
)
def test_data_that_cannot_be_read_or_are_others(tmp_path, capsys, name, prepare, words):
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    code, found = run(tmp_path, {}, None, "--data", name, "--data-dir", str(folder))
    assert_refused(code, found, capsys.readouterr().err, words)


def test_what_has_no_effect_is_warned_of_by_name_and_trained(tmp_path, capsys):
    code, found = run(tmp_path, {"optimizer": "adam", "momentum": 0.5})
    assert (code, found.status) == (0, "completed")
    warning = "warning: hyperparameters.momentum has no effect here\n"
    assert capsys.readouterr().err == warning


def test_a_task_that_cannot_be_read_leaves_a_result_too(tmp_path, capsys):
    path = tmp_path / "hyperparameters.json"
    path.write_text(json.dumps({"trial": 3, "seed": 1}))
    code = main(["--hyperparameters", str(path)])
    found = parse_result((tmp_path / "results.json").read_bytes())
    assert_refused(code, found, capsys.readouterr().err, "hyperparameters must be an object")


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it."),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_in_a_step_tells_the_batch_size(tmp_path, capsys, monkeypatch, error):
    def forward(model, images):
        if model.training and len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1:
            raise error
        return model.layers(images)

    monkeypatch.setattr(Cnn, "forward", forward)
    code, found = run(tmp_path, {"batch_size": 250}, {"epochs": 3})
    assert (code, found.status, found.error.type) == (1, "failed", "OutOfMemoryError")
    assert found.error.message.startswith("out of memory with batch_size 250: ")
    assert found.curve.step == (1.0,)  # what was found before it is not lost
    assert found.metrics["peak_memory_mb"] > 0
    stderr = capsys.readouterr().err
    assert stderr == f"error: {found.error.message}\n"


def test_more_than_any_machine_has_is_out_of_memory(tmp_path, capsys):
    code, found = run(tmp_path, {"hidden": 10**12})
    assert (code, found.error.type) == (1, "OutOfMemoryError")
    assert "allocate" in found.error.message
    assert capsys.readouterr().err.count("\n") == 1


def test_another_error_is_no_lack_of_memory(tmp_path, monkeypatch, capsys):
    def forward(model, images):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(Cnn, "forward", forward)
    code, found = run(tmp_path, {})
    assert (code, found.status, found.error.type) == (1, "failed", "RuntimeError")
    assert "sizes do not match" in found.error.traceback
