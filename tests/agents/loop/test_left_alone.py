"""A search that was killed while jobs were in flight, and taken up again long after they had ended."""

import os

from loop_run import resume, write_config
from test_finished import aged
from test_loop import ended, killed_with_two_jobs, summary, wait_until


def test_only_the_time_until_its_last_job_ended_counts(tmp_path):
    config = write_config(tmp_path, "loop: {max_iterations: 2, jobs_per_iteration: 2}\n")
    run = killed_with_two_jobs(config)
    wait_until(lambda: len(list(run.glob("job_*/exit_code"))) == 2)
    aged(run, days=7)
    for path in run.glob("job_*/*"):
        moment = path.stat().st_mtime - 7 * 86400
        os.utime(path, (moment, moment))
    ended(config, "--set", "stop.wall_clock=1d", begin=resume)
    assert summary(config)["stop_reason"] == "2 of 2 iterations are done"
    assert summary(config)["run"]["elapsed_seconds"] < 86400
