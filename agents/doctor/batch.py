"""Which prober examines which batch system."""

from __future__ import annotations

from agents.doctor.local import LocalProber
from agents.doctor.pbs import PbsProber
from agents.doctor.prober import Prober
from agents.doctor.slurm import SlurmProber
from scheduler.settings import BatchSettings, LocalBatchSettings, SlurmBatchSettings


def build_prober(settings: BatchSettings) -> Prober:
    """The prober of the batch system that `settings` names."""
    if isinstance(settings, LocalBatchSettings):
        return LocalProber(settings)
    if isinstance(settings, SlurmBatchSettings):
        return SlurmProber(settings)
    return PbsProber(settings)
