"""A newer version comes under a running search: the search goes on with what it began with."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.aboard import take_aboard
from scheduler.script import data_text

ROOT = Path(__file__).parents[3]
PROGRAM = """\
while [ ! -e "BASE/go" ]; do sleep 0.1; done
echo '{"schema": 1, "status": "completed", "metrics": {"accuracy_auc": 0.5}}' > "$1/r"
mv "$1/r" "$1/results.json"
"""
CONFIG = """\
experiment: {id: small}
search_space: {x: {type: float, low: 0, high: 1}, y: {type: int, low: 1, high: 9}}
loop: {max_iterations: 4, jobs_per_iteration: 3}
proposer: {kind: sampler}
training: {command: [sh, "BASE/program.sh", "{job_dir}"]}
cluster: {poll: {floor: 0.05s}}
directories: {local_base: "BASE/results", run_pattern: "{experiment}"}
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the program, which may be changed."""
    place = tmp_path / "checkout"
    for name in ("agents", "scheduler", "training", "jobs"):
        shutil.copytree(
            ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    (tmp_path / "program.sh").write_text(PROGRAM.replace("BASE", str(tmp_path)))
    (tmp_path / "config.yaml").write_text(CONFIG.replace("BASE", str(tmp_path)))
    return place


def started(checkout):
    return subprocess.Popen(
        [sys.executable, "-m", "agents.run", "--config", checkout.parent / "config.yaml",
         "--log-level", "debug"],
        cwd=checkout, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env={**os.environ, "PYTHONPATH": str(checkout), "NO_COLOR": "1"},
    )  # fmt: skip


def wait_for_event(directory, event, process):
    log = directory / "small" / "logs" / "run.jsonl"
    limit = time.monotonic() + 180
    while not (log.exists() and f'"{event}"' in log.read_text()):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < limit, f"{event} never came"
        time.sleep(0.1)


def changed(checkout, suffixes):
    """Every file of these kinds is one that the old code cannot live with."""
    for file in checkout.rglob("*"):
        if file.suffix in suffixes:
            text = "raise RuntimeError('of a newer version')\n"
            file.write_text(text if file.suffix == ".py" else "{{ of.a_newer.version }}\n")


def test_a_search_whose_files_all_change_comes_to_its_end(checkout):
    process = started(checkout)
    wait_for_event(checkout.parent / "results", "aboard", process)
    changed(checkout, (".py", ".j2", ".sh", ".css", ".js"))
    (checkout.parent / "go").touch()
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    page = (checkout.parent / "results" / "small" / "reports" / "report.html").read_text()
    assert "newer" not in page


def test_where_new_files_end_it_all_the_same_that_is_said(checkout):
    leave = (
        "def take_aboard() -> None:"  # an error of the old code stands for one that nobody foresaw
    )
    aboard = checkout / "agents" / "aboard.py"
    aboard.write_text(aboard.read_text().replace(leave, f"{leave}\n    return"))
    process = started(checkout)
    wait_for_event(checkout.parent / "results", "aboard", process)
    changed(checkout, (".py", ".j2"))
    (checkout.parent / "go").touch()
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1, said
    assert "Files of Pilothouse itself have changed since it was started" in said
    assert "to go on: python -m agents.run --resume" in said


def test_every_file_of_a_job_is_taken_aboard():
    """One that is wanted for the first time after a pull would be the newer version's."""
    places = [*(ROOT / "scheduler").rglob("*.py"), *(ROOT / "agents").glob("*.py")]
    found = {
        name
        for place in places
        for name in re.findall(r'"((?:local|templates)/[\w.]+)"', place.read_text())
        if (ROOT / "jobs" / name).is_file()
    }
    data_text.cache_clear()
    take_aboard()
    read = data_text.cache_info().currsize
    for name in found:
        data_text(name)
    assert data_text.cache_info().currsize == read, found
