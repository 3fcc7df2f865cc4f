"""Batch systems: a table of states and a few pure functions each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scheduler.settings import BatchSettings, LocalBatchSettings, SlurmBatchSettings

if TYPE_CHECKING:
    from scheduler.batch_system import BatchSystem


def build_batch_system(settings: BatchSettings) -> BatchSystem:
    """The batch system that `settings` names."""
    if isinstance(settings, LocalBatchSettings):
        from scheduler.batch.local import LocalBatch

        return LocalBatch(settings)
    if isinstance(settings, SlurmBatchSettings):
        from scheduler.batch.slurm import SlurmBatch

        return SlurmBatch(settings)
    from scheduler.batch.pbs import PbsBatch

    return PbsBatch(settings)
