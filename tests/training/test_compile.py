"""What `--compile` asks of the compiler, and where its files go."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training import compilation
from training.compilation import compiled
from training.contract import parse_result
from training.norms import share_statistics
from training.settings import BadSetting
from training.train import main

ROOT = Path(__file__).parents[2]
TINY = ["--width", "2", "--hidden", "4", "--batch-size", "1500", "--epochs", "2", "--seed", "3"]


@pytest.fixture(autouse=True)
def no_places(monkeypatch):
    headers = "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", headers):
        monkeypatch.setenv(name, "")  # so that it is set back, whatever the test sets
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch):
    """What is asked of a compiler that leaves the network as it is, and the sizes it runs on."""
    found = {"modes": [], "sizes": []}

    def instead(network, **how):
        found["modes"].append(how)

        def run(images):
            found["sizes"].append(len(images))
            return network(images)

        return run

    monkeypatch.setattr(torch, "compile", instead)
    return found


def test_a_last_batch_of_another_size_is_not_compiled(tmp_path, asked):
    assert main(["--output-dir", str(tmp_path), *TINY, "--compile"]) == 0
    assert asked["modes"] == [{"mode": "default", "dynamic": False}]
    assert asked["sizes"] == [1500, 1500, 1500] * 2  # and 500 more in each epoch
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled" / "0")


def test_a_place_that_somebody_named_is_kept(tmp_path, asked, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/shared")
    assert main(["--output-dir", str(tmp_path), *TINY, "--compile", "default"]) == 0
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/shared"


@pytest.mark.parametrize(
    ("kind", "may_record", "is_fine"),
    [("cuda", True, True), ("cuda", False, False), ("xpu", True, False), ("cpu", True, False)],
)
def test_graphs_are_recorded_only_where_each_step_is_the_same(asked, kind, may_record, is_fine):
    def make(mode):
        return compiled(torch.nn.Identity(), mode, torch.device(kind), may_record=may_record)

    make("default")
    if is_fine:
        make("reduce-overhead")
    else:
        with pytest.raises(BadSetting, match="one process on CUDA with the data on the device"):
            make("reduce-overhead")
    assert [how["mode"] for how in asked["modes"]] == ["default", *["reduce-overhead"] * is_fine]


def test_graphs_on_a_cpu_are_bad_input(tmp_path, capsys):
    assert main(["--output-dir", str(tmp_path), *TINY, "--compile", "reduce-overhead"]) == 2
    assert capsys.readouterr().err.startswith("error: --compile reduce-overhead: ")


def test_each_step_says_that_the_one_before_may_be_overwritten(monkeypatch):
    steps = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: steps.append(1))
    for mode in (None, "default", compilation.GRAPHS):
        compilation.begin_step(mode)
    assert steps == [1]


def test_statistics_over_all_processes_are_compiled_with_the_network():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        share_statistics(network)
        images = torch.rand(5, 3, 8, 8)
        found = []
        # A part that cannot be compiled is an error with `fullgraph`; without, all layers run one by one.
        for run in (network, torch.compile(network, backend="aot_eager", fullgraph=True)):
            network.zero_grad()
            run(images).square().sum().backward()
            found.append(torch.cat([value.grad.flatten() for value in network.parameters()]))
    finally:
        torch.distributed.destroy_process_group()
    assert torch.allclose(*found, atol=1e-4)


def run_elsewhere(tmp_path, *more):
    """The program in a process whose home and temporary directory are empty; all that it leaves there."""
    home, temporary, out = (tmp_path / name for name in ("home", "tmp", "out"))
    home.mkdir()
    temporary.mkdir()
    places = {"HOME": str(home), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "training.train", "--output-dir", str(out), *TINY, *more]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert parse_result((out / "results.json").read_bytes()).status == "completed"
    return [*home.rglob("*"), *temporary.rglob("*")]


def test_nothing_is_left_elsewhere_not_even_an_empty_directory(tmp_path):
    assert run_elsewhere(tmp_path) == []
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"checkpoints", "metrics.jsonl", "results.json"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler for CPUs needs g++")
def test_the_compiler_writes_into_the_directory_only(tmp_path):
    assert run_elsewhere(tmp_path, "--compile") == []
    assert list((tmp_path / "out" / "compiled" / "0").rglob("*.so"))
