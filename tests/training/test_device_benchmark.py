"""The benchmark that a person starts on a GPU node, here on a CPU with next to nothing to do."""

import functools
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks.training import accelerator, attempts, utilization
from benchmarks.training.accelerator import Timed
from benchmarks.training.cases import MADE_UP, Case, Run
from benchmarks.training.utilization import Watch
from training import learner
from training.contract import Curve, ErrorReport, Result

ROOT = Path(__file__).parents[2]
TINY = [
    "--model", "cnn", "--images", "450", "--batch-sizes", "32", "600", "--epochs", "2", "--repeats", "1",
    "--target", "0", "--variants", "as it comes", "--memory-models", "cnn", "--workers", "1",
]  # fmt: skip


def bench(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.training", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip


@pytest.mark.slow
def test_one_command_prints_all_figures_as_a_table():
    done = bench(*TINY)  # one batch has more images than there are
    assert done.returncode == 0, done.stderr
    head, _, table = done.stdout.partition(
        "| figure | value | baseline | aim |\n|---|--:|--:|--:|\n"
    )
    assert "synthetic, CIFAR-100's shape, 450 images" in " ".join(head.split())
    assert "one device (cpu)" in " ".join(head.split())
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert all(len(row) == 4 for row in rows), table
    plain, recipe = "cnn, batch 32, as it comes", "cnn, batch 32, torchvision's recipe"
    figures = [
        "", ", to validation accuracy 0%", ", device busy", ", import to first step", ", peak memory"
    ]  # fmt: skip
    expected = [what + figure for what in (plain, recipe) for figure in figures]
    # What fails costs its own rows only.
    expected.insert(len(figures), "cnn, batch 600, as it comes")
    expected += [f"peak memory, cnn, batch {size}, two steps" for size in (32, 600)]
    assert [row[0] for row in rows] == expected, done.stderr
    assert [row[1] == "failed" for row in rows] == ["batch 600" in row[0] for row in rows]
    assert "600 is more than the 450 training images" in done.stderr
    values = {row[0]: row for row in rows}
    assert values[plain][1].endswith(" samples/s")
    assert " x plain loop: " in values[plain][2]
    assert values[plain][3] == "3 x"
    assert values[f"{plain}, device busy"][1:] == [
        "not sampled",
        "plain loop: not sampled",
        "> 90%",
    ]


def test_a_device_that_is_not_there_is_one_message():
    done = bench("--device", "cuda")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: --device: there is no cuda here; there is cpu (1). torch "
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("visible", "asked"), [("", "1"), ("4,7", "7"), ("GPU-a,GPU-b", "GPU-b")])
def test_the_driver_is_asked_for_the_device_that_torch_means(tmp_path, monkeypatch, visible, asked):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\necho "$2" >> {tmp_path}/asked\nwc -l < {tmp_path}/asked\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(utilization, "EVERY", 0.01)
    with Watch("cuda:1") as watch:
        while len(watch._samples) < 3:
            pass
    assert set((tmp_path / "asked").read_text().split()) == {asked}
    times = [when for when, _ in watch._samples]
    assert watch.mean(times[0], times[2]) == pytest.approx(2.0)
    assert watch.mean(times[1], times[1]) == pytest.approx(2.0)
    assert watch.mean(0.0, 1e-9) is None


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (None, "nvidia-smi is not there"),
        ("echo [N/A]", "nvidia-smi: [N/A]"),
        ("echo 'No devices were found' >&2; exit 6", "nvidia-smi: No devices were found"),
        ("exec sleep 60", "nvidia-smi: TimeoutExpired"),
    ],
)
def test_where_nobody_answers_the_table_says_why(tmp_path, monkeypatch, tool, why):
    if tool is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin" if tool else str(tmp_path))
    monkeypatch.setattr(utilization, "EVERY", 0.01)
    monkeypatch.setattr(utilization, "PATIENCE", 0.2 if tool == "exec sleep 60" else 60)
    with Watch("cuda:0") as watch:
        while tool and not watch.why:
            pass
    assert watch.mean(0.0, 1e12) is None
    assert accelerator._busy(Timed([], [None], [watch.why])) == f"not sampled: {why}"


def test_of_a_device_that_has_no_such_tool_nothing_is_told():
    with Watch("cpu") as watch:
        pass
    assert watch.mean(0.0, 1e12) is None
    assert accelerator._busy(Timed([], [None], [watch.why])) == "not sampled"


def test_no_run_begins_once_the_minutes_are_over(monkeypatch):
    now, begun = [0.0], []

    def child(what, case, *flags):
        begun.append(what)
        now[0] += 40
        return asdict(Run(1.0, None, 1.0, (0.0, 1.0), 1.0, 0.5))

    monkeypatch.setattr(accelerator, "child", child)
    monkeypatch.setattr(accelerator.time, "monotonic", lambda: now[0])
    plan = accelerator.Plan(Case(), (32, 64), ("as it comes", "fp32"), ("cnn", "vgg16"), 3, 100.0)
    rows = list(accelerator._rows(plan))
    assert begun == ["plain", "ours", "ours"]
    assert rows[-3:] == [
        ("cnn, batch 64, as it comes", "left out", "--minutes were over", "-"),
        ("cnn, batch 64, fp32", "left out", "--minutes were over", "-"),
        ("the rest", "left out", "--minutes are over", "-"),
    ]


@pytest.mark.slow
def test_what_is_tried_on_a_device_works_on_a_cpu():
    names = ["augmented", "resumed", "the CPU's numbers"]
    done = bench("try", "--device", "cpu", "--only", *names)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(" (")[0] for line in lines[:-1]] == [f"{name}: ok" for name in names]
    assert lines[-1] == "0 of 3 failed on cpu"


@pytest.mark.parametrize(
    ("device", "left_out"),
    [
        ("cuda:1", set()),
        ("xpu:0", {"graphs"}),
        ("mps", {"graphs"}),
        ("cpu", {"graphs", "out of memory"}),
    ],
)
def test_what_there_is_nowhere_else_is_not_tried_there(monkeypatch, capsys, device, left_out):
    monkeypatch.setattr(attempts, "child", lambda *given: "")
    with pytest.raises(SystemExit) as ended:
        attempts.main([], lambda name: device)
    assert ended.value.code == 0
    told = {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[:-1]}
    assert set(attempts.ATTEMPTS) - told == left_out


@pytest.mark.parametrize(("device", "more"), [("cuda:1", 1), ("xpu:0", 1), ("mps", 0)])
def test_little_memory_is_asked_for_in_each_kinds_own_words(monkeypatch, tmp_path, device, more):
    asked = []
    kind = getattr(torch, device.partition(":")[0])
    monkeypatch.setattr(kind, "set_per_process_memory_fraction", lambda *given: asked.append(given))
    error = ErrorReport("OutOfMemoryError", "")
    result = Result("failed", {}, Curve(), None, error=error)
    monkeypatch.setattr(attempts, "_train", lambda *given: result)
    assert attempts.WAYS["narrow"](Case(device=device), tmp_path, []) == ""
    assert asked == [(0.005, *[torch.device(device)] * more)]


@pytest.fixture
def tried():
    """What is told of a try with very few images."""
    return functools.partial(
        attempts.attempt, Case(data=MADE_UP, images=50, batch=32, epochs=1, device="cpu")
    )


def test_what_does_not_work_is_told_in_a_line(tried, monkeypatch):
    assert tried("waiting", "--width", "2") == ""
    assert tried("waiting", "--width", "2", "--loss-limit", "1").startswith(
        "diverged: Diverged: the loss"
    )
    assert "width: 0 cannot be used" in tried("waiting", "--width", "0")
    numbers = iter([torch.float32, torch.float16])
    monkeypatch.setattr(learner, "number_type", lambda device, precision: next(numbers))
    monkeypatch.setattr(attempts, "CLOSE", 1e-9)
    assert re.match(r"the loss is [\d.]+, on the CPU [\d.]+$", tried("compared"))


def test_a_step_that_waits_for_the_device_does_not_work(tried, monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    monkeypatch.setattr(learner.Learner, "step", learner.Learner.step)  # given back at the end
    monkeypatch.setattr(attempts, "WARM", 1)
    assert tried("once", "--width", "2") == ""
    assert modes == ["error", "default"]  # the second of two steps
