"""Several processes that train one network: who they are, and what they tell each other.

Started by torchrun, srun, mpiexec (PALS, MPICH, Open MPI); each leaves its ranks in variables of its
own. One process alone needs none of this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import distributed

from training.contract import PilothouseError

# rank, number of ranks, rank on this node. SLURM_NTASKS is set in a batch script too, where nobody
# else runs: only what a step sets counts.
_VARIABLES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("PALS_RANKID", "PMI_SIZE", "PALS_LOCAL_RANKID"),
    ("PMI_RANK", "PMI_SIZE", "PMI_LOCAL_RANK"),
)


class BadRanks(PilothouseError):
    """Processes that cannot find each other."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1
    local: int = 0
    """Which of this node's: its device."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        return self.world == 1


def discover(environment: Mapping[str, str]) -> Ranks:
    """The ranks that the launcher left in the environment; alone where there are none."""
    for rank, world, local in _VARIABLES:
        if rank in environment and world in environment:
            return Ranks(
                int(environment[rank]), int(environment[world]), int(environment.get(local, 0))
            )
    return Ranks()


def join(ranks: Ranks, device: torch.device) -> None:
    """Meet the other processes. Raises BadRanks."""
    if ranks.is_alone or distributed.is_initialized():
        return
    if "MASTER_ADDR" not in os.environ:
        address = os.environ.get("SLURM_LAUNCH_NODE_IPADDR")
        if address is None:
            raise BadRanks(
                f"rank {ranks.rank} of {ranks.world} does not know where the first one is: set "
                "MASTER_ADDR to its host (and MASTER_PORT), for instance in cluster.setup"
            )
        os.environ["MASTER_ADDR"] = address
    job = int(os.environ.get("SLURM_JOB_ID", "0") or 0)
    os.environ.setdefault("MASTER_PORT", str(20000 + job % 20000))
    backend = {"cuda": "nccl", "xpu": "xccl"}.get(device.type, "gloo")
    distributed.init_process_group(backend, rank=ranks.rank, world_size=ranks.world)


def leave() -> None:
    """Part from the others."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def summed(value: torch.Tensor) -> torch.Tensor:
    """The sum over all processes."""
    if distributed.is_initialized():
        distributed.all_reduce(value)
    return value
