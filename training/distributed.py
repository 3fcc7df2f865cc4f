"""Several processes that train one network: who they are, and what they tell each other.

Started by torchrun, srun, mpiexec (PALS, MPICH, Open MPI); each leaves its ranks in variables of its
own. One process alone needs none of this.
"""

from __future__ import annotations

import os
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
from torch import distributed

from training.contract import PilothouseError

# rank, number of ranks, rank on this node. SLURM_NTASKS is set in a batch script too, where nobody
# else runs: only what a step sets counts. MPI_LOCALRANKID is Hydra's (MPICH, Intel MPI).
_VARIABLES = (
    ("RANK", "WORLD_SIZE", ("LOCAL_RANK",)),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", ("SLURM_LOCALID",)),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ("OMPI_COMM_WORLD_LOCAL_RANK",)),
    ("PALS_RANKID", "PMI_SIZE", ("PALS_LOCAL_RANKID",)),
    ("PMI_RANK", "PMI_SIZE", ("PMI_LOCAL_RANK", "MPI_LOCALRANKID")),
)
# How many of the ranks are on this node.
_ON_THIS_NODE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "PMI_LOCAL_SIZE", "MPI_LOCALNRANKS")
# What tells this launch from others that may run on the same node.
_LAUNCH = ("SLURM_JOB_ID", "SLURM_STEP_ID", "PBS_JOBID", "PALS_APID", "PMIX_NAMESPACE")


MEETING, PATIENCE = timedelta(minutes=10), timedelta(minutes=30)
"""How long a process waits for the others to start, and later for one that has more to do than the others: it
compiles, or writes a checkpoint onto a slow file system. NCCL's own patience is ten minutes, and what ends it
takes the process down without a result."""


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
    """The ranks that the launcher left in the environment; alone where there are none.

    Raises BadRanks.
    """
    for own, world, locals_ in _VARIABLES:
        if own in environment and world in environment:
            rank = _number(environment, own)
            # A launcher that tells no local rank fills one node after the other: counted on over its
            # devices, the rank itself gives each a device of its own.
            told = next((name for name in locals_ if name in environment), own)
            return Ranks(rank, _number(environment, world), _number(environment, told))
    return Ranks()


def _number(environment: Mapping[str, str], name: str) -> int:
    if not environment[name].isdecimal():
        raise BadRanks(f"{name} is {environment[name]!r} in the environment: it must be a number")
    return int(environment[name])


def join(ranks: Ranks, device: torch.device) -> None:
    """Meet the other processes. Raises BadRanks."""
    if ranks.is_alone or distributed.is_initialized():
        return
    address = first_host(os.environ, ranks.world)
    if address is None:
        raise BadRanks(
            f"rank {ranks.rank} of {ranks.world} does not know where the first one is: set "
            "MASTER_ADDR to its host (and MASTER_PORT), for instance in cluster.setup"
        )
    os.environ["MASTER_ADDR"] = address
    os.environ.setdefault("MASTER_PORT", str(port(os.environ)))
    backend = {"cuda": "nccl", "xpu": "xccl"}.get(device.type, "gloo")
    distributed.init_process_group(
        backend,
        store=_meet(ranks),
        rank=ranks.rank,
        world_size=ranks.world,
        timeout=PATIENCE,
        # NCCL connects at once, and where it cannot, says so before anything else is done.
        device_id=None if backend == "gloo" else device,
    )


def _meet(ranks: Ranks) -> distributed.Store:
    """What all processes write into and read from, once all are there. Raises BadRanks."""
    try:
        meeting = distributed.rendezvous("env://", ranks.rank, ranks.world, timeout=MEETING)
        store, _, _ = next(meeting)
    except distributed.DistError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise BadRanks(
            f"rank {ranks.rank} of {ranks.world} did not meet the others at {where}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    store.set_timeout(PATIENCE)
    return distributed.PrefixStore("default_pg", store)  # torchrun's own keys are in it too


def first_host(environment: Mapping[str, str], world: int) -> str | None:
    """Where rank 0 listens; None where the environment does not tell."""
    if "MASTER_ADDR" in environment:
        return environment["MASTER_ADDR"]
    if any(environment.get(name) == str(world) for name in _ON_THIS_NODE):
        return "127.0.0.1"
    # The step's first node, not the one that launched it: srun may be called on a login node.
    nodes = re.match(r"(?:[^,\[]|\[[^\]]*\])+", environment.get("SLURM_STEP_NODELIST", ""))
    if nodes is not None:
        return re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes[0])
    return environment.get("SLURM_LAUNCH_NODE_IPADDR")


def port(environment: Mapping[str, str]) -> int:
    """The same for all ranks of a launch, and hardly that of another one on the same node."""
    launch = " ".join(environment.get(name, "") for name in _LAUNCH)
    # Below those that Linux hands out to anyone, from 32,768 on.
    return 20000 + zlib.crc32(launch.encode()) % 12000


def leave() -> None:
    """Part from the others."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def end(code: int) -> NoReturn:
    """End this process at once: for who fails.

    Objects that belong to several processes wait for each other when they are taken down: for ever
    where one has failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def summed(value: torch.Tensor) -> torch.Tensor:
    """The sum over all processes."""
    if distributed.is_initialized():
        distributed.all_reduce(value)
    return value


def take_from_first(values: Iterable[torch.Tensor]) -> None:
    """Give all processes the first one's values, in place."""
    if distributed.is_initialized():
        for value in values:
            distributed.broadcast(value, 0)
