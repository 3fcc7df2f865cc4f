"""What the orchestrator costs: 100 trials that sleep 1 s, 4 at once, against the ideal makespan.

Three ways to run them: with four more waiting than run (`steady`, eight in flight on four slots: a
slot never waits for a proposal), with just as many as there are slots (`steady`), and in iterations
(`batch`). What the last two lose is the time from a job's end to the next one's start, which no search
that looks at each result before it proposes can avoid altogether.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS, SLOTS, SECONDS = 100, 4, 1.0
CONFIG = """\
experiment: {{id: overhead}}
search_space:
  x: {{type: float, low: 0, high: 1}}
  y: {{type: float, low: 0, high: 1}}
loop: {{max_iterations: 1000, max_trials: {trials}, jobs_per_iteration: {jobs}, schedule: {schedule}}}
stop: {{failures_in_a_row: null}}
proposer: {{kind: sampler}}
training: {{command: [sh, {program}, "{{job_dir}}"]}}
cluster:
  batch_system: {{kind: local, slots: {slots}}}
  poll: {{floor: 0.05s}}
directories: {{local_base: {base}}}
"""
PROGRAM = """\
sleep {seconds}
cd "$1" && echo '{result}' > results.json.tmp && mv results.json.tmp results.json
"""
RESULT = {
    "schema": 1,
    "status": "completed",
    "metrics": {"accuracy_auc": 0.5},
    "curve": {"step": [0], "accuracy": [0.5]},
    "seconds": SECONDS,
}


def measure() -> list[tuple[str, str, str, str]]:
    startup = _empty()
    ideal = TRIALS / SLOTS * SECONDS
    rows = []
    for schedule, jobs in (("steady", 2 * SLOTS), ("steady", SLOTS), ("batch", SLOTS)):
        wall, processor = _run(schedule, jobs)
        ratio = f"{(wall - startup) / ideal:.3f} x ideal ({ideal:.0f} s) after {startup:.1f} s"
        name = f"{schedule}, {jobs} in flight"
        rows.append((f"makespan, {name}", f"{wall:.2f} s", f"{ratio} of start", "1.05 x"))
        rows.append((f"CPU, {name}", f"{processor / TRIALS:.3f} s a trial", "polls included", "-"))
    return rows


def _run(schedule: str, jobs: int) -> tuple[float, float]:
    """Wall-clock and CPU seconds of the orchestrator, its polls included, the jobs not."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = _write(directory, schedule, TRIALS, jobs, SECONDS)
        wall, processor = _timed(config)
        summary = json.loads(next(directory.glob("results/*/summary.json")).read_text())
        assert summary["counts"]["completed"] == TRIALS, summary
    return wall, processor


def _empty() -> float:
    """Seconds for a run of one trial that takes no time: imports, databases, the last report."""
    with tempfile.TemporaryDirectory() as name:
        config = _write(Path(name), "batch", 1, 1, 0)
        return _timed(config)[0]


def _write(directory: Path, schedule: str, trials: int, jobs: int, seconds: float) -> Path:
    program = directory / "program.sh"
    program.write_text(PROGRAM.format(seconds=seconds, result=json.dumps(RESULT)))
    config = directory / "config.yaml"
    config.write_text(
        CONFIG.format(
            trials=trials,
            jobs=jobs,
            slots=SLOTS,
            schedule=schedule,
            program=program,
            base=directory / "results",
        )
    )
    return config


def _timed(config: Path) -> tuple[float, float]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.run", "--config", str(config)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"exit status {status}"
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime
