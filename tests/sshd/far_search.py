"""The main command on a cluster behind ssh, for tests: its configuration, its process, its files."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loopback_sshd import PASSPHRASE, LoopbackSshd
from terminal import converse

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """\
import json, os, sys, time
here = os.path.dirname(os.path.abspath(sys.argv[0]))
os.chdir(os.path.dirname(sys.argv[1]))
open("runs", "a").write("x")
print("hello")
open("best.pt", "w").write("best")
open("last.pt", "w").write("last")
task = json.load(open("hyperparameters.json"))
time.sleep(1.5)
while os.path.exists(f"{here}/hold_{task['trial']}"):
    time.sleep(0.05)
x = task["hyperparameters"]["x"]
result = json.dumps({"schema": 1, "status": "completed", "trial": task["trial"], "metrics": {},
                     "curve": {"step": [1, 2], "accuracy": [x / 2, x]}, "seconds": 1.5})
"""
WRITE_RESULT = """\
open("results.tmp", "w").write(result)
os.rename("results.tmp", "results.json")
"""


@dataclass(frozen=True)
class Site:
    """A login node with a batch system behind it."""

    sshd: LoopbackSshd
    batch: str
    """As in `cluster.batch_system.kind`."""


def write_config(
    directory: Path, site: Site, login: str, program: str = PROGRAM + WRITE_RESULT
) -> Path:
    (directory / "program.py").write_text(program)
    config = directory / "config.yaml"
    config.write_text(
        textwrap.dedent(
            f"""\
            experiment: {{id: remote, seed: 3}}
            search_space:
              x: {{type: float, low: 0, high: 1}}
            loop: {{max_iterations: 2, jobs_per_iteration: 2}}
            proposer: {{kind: sampler}}
            training:
              command: ["{{python}}", -S, "{directory}/program.py", "{{hyperparameters}}"]
            cluster:
              transport: {{kind: ssh, host: {login}, config_file: {site.sshd.config}}}
              batch_system: {{kind: {site.batch}}}
              remote_base: {directory}/remote
              python: {sys.executable}
              resources: {{cpus: 1, walltime: 2m}}
              poll: {{floor: 0.2s, ceiling: 1s}}
              bring_back: {{files: [job.out, "best.*"]}}
            directories: {{local_base: {directory}/local}}
            """
        )
    )
    return config


def hold(directory: Path, *trials: int) -> None:
    """The jobs of these trials run until `let_go`, however slow those are who look at them."""
    for trial in trials:
        (directory / f"hold_{trial}").touch()


def let_go(directory: Path) -> None:
    """Let all jobs go on that are held."""
    for path in directory.glob("hold_*"):
        path.unlink()


def pilothouse(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "agents.run", *map(str, arguments)]


def start(config: Path, *more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        pilothouse("--config", config, "--log-level", "debug", *more),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def connect(config: Path) -> str:
    code, screen = converse(pilothouse("connect", "--config", config), {"passphrase": PASSPHRASE})
    assert code == 0, screen
    return screen


def disconnect(config: Path) -> None:
    subprocess.run(pilothouse("disconnect", "--config", config), cwd=ROOT, check=True)


def progress(config: Path) -> dict[str, object]:
    for path in config.parent.glob("local/*/progress.json"):
        found: dict[str, object] = json.loads(path.read_text())
        return found
    return {}


def until(what: Callable[[], object], process: subprocess.Popen[str], seconds: float = 180) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if what():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"it never came true\n{process.communicate()[0]}")


def ended_well(search: subprocess.Popen[str]) -> str:
    """Wait for the search's end. Returns what it said."""
    screen = search.communicate(timeout=600)[0]
    assert search.returncode == 0, screen
    return screen


def counts(directory: Path) -> dict[str, int]:
    """Trials by their state, from the summary."""
    (summary,) = directory.glob("local/*/summary.json")
    found: dict[str, int] = json.loads(summary.read_text())["counts"]
    return found


def runs(directory: Path, jobs: str = "job_*") -> list[str]:
    """How often each job's program ran, an ``x`` each."""
    return [path.read_text() for path in directory.glob(f"remote/*/{jobs}/runs")]
