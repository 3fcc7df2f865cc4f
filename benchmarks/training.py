"""Samples a second of the reference program, against the plainest PyTorch loop with a DataLoader."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EPOCHS, BATCH, WIDTH = 4, 64, 16

PLAIN = """\
import sys, time, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from training.data import load_data
from training.models import Shape, build_model
from training.options import Options
torch.manual_seed(0)
data = load_data("fashion")
images = (data.train.images.float() / 255 - 0.286) / 0.353
loader = DataLoader(TensorDataset(images, data.train.labels), batch_size=%d, shuffle=True)
model = build_model(Options(width=%d), data.shape)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
for epoch in range(%d):
    began = time.perf_counter()
    for batch, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()
        loss.item()
    print(len(images) / (time.perf_counter() - began))
"""


def measure() -> list[tuple[str, str, str, str]]:
    rows = []
    for threads in ("1", "2"):
        ours, plain = [], []
        for _ in range(3):
            ours.append(_ours(threads))
            plain.append(_plain(threads))
        ratio = statistics.median(ours) / statistics.median(plain)
        rows.append(
            (
                f"small CNN, {threads} thread(s)",
                f"{statistics.median(ours):.0f} samples/s",
                f"{ratio:.2f} x plain loop ({statistics.median(plain):.0f} samples/s)",
                "1.5 x",
            )
        )
    rows.append(
        ("import to first step", f"{_first_step():.2f} s", "process start to first line", "-")
    )
    return rows


def _environment(threads: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": threads}


def _ours(threads: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = ["-m", "training.train", "--output-dir", directory, "--epochs", str(EPOCHS)]
        more = ["--batch-size", str(BATCH), "--width", str(WIDTH), "--checkpoint-every", "0"]
        subprocess.run([sys.executable, *command, *more], env=_environment(threads), check=True)
        lines = (Path(directory) / "metrics.jsonl").read_text().splitlines()
    return statistics.median(json.loads(line)["samples_per_second"] for line in lines[1:])


def _plain(threads: str) -> float:
    program = PLAIN % (BATCH, WIDTH, EPOCHS)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(threads),
        capture_output=True,
        text=True,
        check=True,
    )
    return statistics.median(float(line) for line in done.stdout.splitlines()[1:])


def _first_step() -> float:
    """Seconds from the process's start to the end of a training of one batch."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["-m", "training.train", "--output-dir", directory, "--epochs", "1"]
        more = ["--batch-size", "5000", "--width", "1", "--hidden", "1", "--checkpoint-every", "0"]
        began = time.perf_counter()
        subprocess.run([sys.executable, *command, *more], env=_environment("2"), check=True)
        return time.perf_counter() - began
