"""What `render` shows of a job that trials share is what would be submitted."""

import pytest
from test_submit import write_config

from agents.commands.dry_run import dry_run, rendered
from agents.config import load

PACK = (
    "batch_system: {kind: pbs}, resources: {walltime: 1h, nodes: 1}, "
    'pack: {trials: 2, pin: MY_GPU, launch: [mpiexec, -n, "1"]}'
)


def test_a_packed_job_is_shown_whole(tmp_path):
    text = rendered(load(write_config(tmp_path, PACK)))
    assert "Its job, pack_0000/job.pbs:" in text
    assert "  #PBS -l walltime=01:00:00" in text
    assert "pack.sh, which starts 2 trials:" in text
    assert 'MY_GPU=$(ph_device 1 "$given") mpiexec -n 1 sh ' in text
    assert "ph_left=$((3480 - " in text
    assert '"$ph_timeout" -s TERM -k 90 ' in text
    assert "hyperparameters.json of trial 0:" in text


def test_a_job_of_its_own_is_shown_as_ever(tmp_path):
    text = rendered(load(write_config(tmp_path, "batch_system: {kind: pbs}")))
    assert "pack" not in text
    assert "trial_0000/job.pbs:" in text


@pytest.mark.parametrize(
    ("schedule", "cost"),
    [
        ("batch", "at most 15 trials (3 iterations of 5) in 9 jobs"),
        ("steady", "at most 15 trials (3 iterations of 5), "),
    ],
)
def test_the_cost_counts_jobs(tmp_path, schedule, cost):
    loop = ["loop.max_iterations=3", "loop.jobs_per_iteration=5", f"loop.schedule={schedule}"]
    loaded = load(write_config(tmp_path, PACK), [*loop, "confirm.trials=0"])
    text = dry_run(loaded)
    assert cost in text
    assert ("9.00 node-hours" in text) is (schedule == "batch")
