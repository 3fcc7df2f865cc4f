"""Whole searches over real child processes, in a process of their own that may be killed anywhere."""

import json
import os
import re
import signal
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import forked

PROGRAM = """\
import json, os, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
open("runs", "a").write("x")
task = json.load(open("hyperparameters.json"))
h = task["hyperparameters"]
time.sleep(h["pause"])
final = 1 - (h["x"] - 0.3) ** 2 - (h["y"] - 4) ** 2 / 100
steps = [1, 2, 3]
curve = [final * 0.5, final * 0.8, final]
with open("metrics.jsonl", "a") as stream:
    for step, accuracy in zip(steps, curve):
        stream.write(json.dumps({"step": step, "time": 0.1 * step, "accuracy": accuracy}) + "\\n")
result = {"schema": 1, "status": "completed", "trial": task["trial"], "metrics": {},
          "curve": {"step": steps, "accuracy": curve}, "seconds": 0.3}
open("results.tmp", "w").write(json.dumps(result))
os.rename("results.tmp", "results.json")
"""


def write_config(directory: Path, extra: str = "") -> Path:
    """A configuration of two iterations of two quick jobs."""
    program = directory / "program.py"
    program.write_text(PROGRAM)
    config = directory / "config.yaml"
    text = f"""\
        experiment: {{id: crash, seed: 7}}
        search_space:
          x: {{type: float, low: 0, high: 1, description: position}}
          y: {{type: int, low: 1, high: 8}}
          pause: {{type: fixed, value: 0.15}}
        training: {{command: ["{sys.executable}", "-S", "{program}", "{{hyperparameters}}"]}}
        proposer: {{kind: sampler}}
        cluster:
          batch_system: {{kind: local, slots: 2}}
          poll: {{floor: 0.05s, ceiling: 0.5s}}
        directories: {{local_base: {directory / "results"}}}
        """
    config.write_text(
        textwrap.dedent(text) + (extra or "loop: {max_iterations: 2, jobs_per_iteration: 2}\n")
    )
    return config


def hold(config: Path) -> None:
    """The jobs of this search run until `let_go`: what shall happen meanwhile has the time it takes."""
    program = config.parent / "program.py"
    wait = f"while not os.path.exists({str(config.parent / 'go')!r}): time.sleep(0.05)\n"
    program.write_text(program.read_text().replace("time.sleep(h[", f"{wait}time.sleep(h["))


def let_go(config: Path) -> None:
    """Let the jobs of a search go on that are held, and all that follow."""
    (config.parent / "go").touch()


@dataclass(frozen=True)
class Crash:
    """Die by SIGKILL before or after the `count`-th call of a method, or have it raise."""

    target: str
    """``agents.nodes.SearchNodes.submit``"""
    when: str
    count: int = 1

    def __str__(self):
        return f"{self.when}-{self.target.rsplit('.', 2)[-2]}.{self.target.rsplit('.', 1)[-1]}-{self.count}"


def arm(crash: Crash) -> None:
    import importlib

    module, kind, method = crash.target.rsplit(".", 2)
    owner = getattr(importlib.import_module(module), kind)
    original = getattr(owner, method)
    calls = 0

    def dying(*arguments, **named):
        nonlocal calls
        calls += 1
        if crash.when == "raise" and calls == crash.count:
            raise OSError(28, "No space left on device")
        if crash.when == "before" and calls == crash.count:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*arguments, **named)
        if crash.when == "after" and calls == crash.count:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, method, dying)


def main(arguments, crash, output, environment):
    """In the forked process: the command line, with its standard streams in a file."""
    forked.become(arguments, environment, output, output)
    os.setsid()
    if crash is not None:
        arm(crash)
    from agents import run

    run.main()


class Orchestrator:
    """One process of the orchestrator."""

    def __init__(self, directory: Path, *arguments: str, crash: Crash | None = None):
        self._output = directory / f"screen_{len(list(directory.glob('screen_*')))}.txt"
        self._process = forked.process(
            main, list(arguments), crash, str(self._output), dict(os.environ)
        )
        self._process.start()

    @property
    def pid(self):
        return self._process.pid

    @property
    def screen(self):
        return self._output.read_text()

    def kill(self, number=signal.SIGKILL):
        if self._process.is_alive():
            os.kill(self._process.pid, number)

    def wait(self, seconds=300):
        """The exit code; negative for a signal."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"still running:\n{self.screen}"
        return self._process.exitcode


def start(config, *more, crash=None):
    return Orchestrator(config.parent, "--config", str(config), *more, crash=crash)


def resume(config, *more, crash=None):
    """Go on with the run as it was configured, overrides included."""
    directory = str(run_directory(config))
    return Orchestrator(config.parent, "--resume", directory, *more, crash=crash)


def has_begun(config):
    """Whether there is a run to resume: its card is written last of all that makes a new one."""
    return bool(list(config.parent.glob("results/*/run.json")))


def run_directory(config):
    (card,) = config.parent.glob("results/*/run.json")
    return card.parent


TIMES = {
    "asked_at",
    "taken_at",
    "started_at",
    "updated_at",
    "elapsed_seconds",
    "created_at",
    "finished_at",
    "ended_at",
    "submitted_at",
    "run_directory",
    "cost",
    "directory",
}


def _without_times(value, directory):
    if isinstance(value, dict):
        return {k: _without_times(v, directory) for k, v in value.items() if k not in TIMES}
    if isinstance(value, list):
        return [_without_times(item, directory) for item in value]
    if isinstance(value, str):
        text = value.replace(directory.name, "RUN").replace(str(directory.parent.parent), "BASE")
        return re.sub(r"-[0-9a-f]{6}-(\d+\.\d+)", r"-TOKEN-\1", text)
    return value


def documents(config):
    """What a run leaves for programs, times and names of its own taken out."""
    directory = run_directory(config)
    files = [directory / "summary.json", *sorted((directory / "reports").glob("*.json"))]
    found = {path.name: _without_times(json.loads(path.read_text()), directory) for path in files}
    page = (directory / "reports" / "report.html").read_text()
    page = re.sub(r"<!--times-->.*?<!--/times-->", "TIMES", page, flags=re.DOTALL)
    page = re.sub(r"<time\b.*?</time>", "TIME", page, flags=re.DOTALL)
    return {**found, "report.html": _without_times(page, directory)}


def jobs_run(config):
    """How often each trial's program was started."""
    directory = run_directory(config)
    return {
        path.parent.name: len(path.read_text()) for path in sorted(directory.glob("job_*/runs"))
    }
