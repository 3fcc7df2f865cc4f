import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "scheduler" / "batch"))
sys.path.insert(0, str(Path(__file__).parents[1] / "pbs_replay"))

from bench import Bench
from lab_fixtures import accounting_slurm, commands_on_path, plain_slurm  # noqa: F401

from scheduler.settings import SlurmBatchSettings


@pytest.fixture(params=["plain", "accounting"])
def lab(request, monkeypatch):
    """A Slurm whose commands are on PATH: without accounting, and with it."""
    yield from commands_on_path(request.getfixturevalue(f"{request.param}_slurm"), monkeypatch)


@pytest.fixture
def bench(lab, tmp_path):
    return Bench(SlurmBatchSettings(kind="slurm"), tmp_path)
