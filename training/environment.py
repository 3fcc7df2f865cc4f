"""Where a training ran: for the result, so that odd numbers can be explained later."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

import torch

from training.devices import peak_process_memory_mb

_JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID")
_ACCOUNT_VARIABLES = ("SLURM_JOB_ACCOUNT", "PBS_ACCOUNT")
_ALLOCATION_VARIABLES = (
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_NODELIST",
    "SLURM_CPUS_ON_NODE",
    "SLURM_GPUS_ON_NODE",
    "PBS_QUEUE",
    "NCPUS",
)


def environment(device: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, host, scheduler's job, the state of the code, and what is known of the device.

    `device` comes from `describe`, which is asked while the device is well: after a fault of its own a
    device may answer no question, and the result has to be written then too.
    """
    facts: dict[str, Any] = {
        "host": platform.node(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "peak_process_memory_mb": peak_process_memory_mb(),
        "scheduler_job": _first(_JOB_VARIABLES),
        "account": _first(_ACCOUNT_VARIABLES),
        "allocation": {
            name: os.environ[name] for name in _ALLOCATION_VARIABLES if name in os.environ
        },
        **_git(),
    }
    return facts | dict(device)


def _first(names: tuple[str, ...]) -> str | None:
    return next((os.environ[name] for name in names if name in os.environ), None)


def _git() -> dict[str, Any]:
    commit = _ask("rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"git_commit": commit, "git_changed": bool(_ask("status", "--porcelain", "-uno"))}


def _ask(*arguments: str) -> str | None:
    directory = os.path.dirname(os.path.abspath(__file__))
    try:
        done = subprocess.run(
            ["git", "-C", directory, *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
