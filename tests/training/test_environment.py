import torch

from training.environment import environment


def test_the_job_and_its_allocation_are_told(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setenv("SLURM_JOB_PARTITION", "gpu")
    monkeypatch.delenv("PBS_QUEUE", raising=False)
    facts = environment(torch.device("cpu"))
    assert facts["scheduler_job"] == "42"
    assert facts["allocation"]["SLURM_JOB_PARTITION"] == "gpu"
    assert "PBS_QUEUE" not in facts["allocation"]
