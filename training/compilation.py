"""`--compile`: what may be compiled in which way, and where the compiler keeps its files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from training.settings import BadSetting

GRAPHS = "reduce-overhead"
"""A step's forward and its backward pass are each one launch, a CUDA graph: small networks take longer to
launch than to compute."""
COMPILE_MODES = ("default", GRAPHS)


def compiled(
    network: nn.Module, mode: str, device: torch.device, *, may_record: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network, compiled for batches of one size. Raises BadSetting.

    `may_record`: the data lie on the device and no other process takes part. Only so is each step the
    same work at the same places, which is what a graph repeats.
    """
    if mode == GRAPHS and not (device.type == "cuda" and may_record):
        raise BadSetting(
            f"--compile {GRAPHS}: that is for one process on CUDA with the data on the device; "
            "--compile without a mode is for all"
        )
    return torch.compile(network, mode=mode, dynamic=False)


def begin_step(mode: str | None) -> None:
    """Say that what the step before has given may be overwritten: nothing here reads it any more."""
    if mode == GRAPHS:
        torch.compiler.cudagraph_mark_step_begin()


def keep_files_in(directory: Path, rank: int, *, is_compiling: bool) -> None:
    """Let the compiler write there, and not into /tmp and the home directory. Call it first of all.

    torch asks for the place once, when an optimizer is made, and makes a directory of it, also where
    nothing is compiled: then it is the one that is there already.
    """
    # Each process has files of its own: locks between nodes are not to be relied on.
    own = directory / "compiled" / str(rank) if is_compiling else directory
    # Who names a place has reasons: trials that share one compile once.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(own))
    if is_compiling:
        os.environ.setdefault("TRITON_CACHE_DIR", str(own / "triton"))
        # For CPUs: these go into /tmp whatever is said.
        os.environ.setdefault("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0")
