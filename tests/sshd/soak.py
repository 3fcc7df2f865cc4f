"""One search over ssh on a real Slurm while all around it fails at random, for as long as you like.

    python tests/sshd/soak.py --seed 3 --minutes 20

Each kind of fault has a test of its own; here they meet. The seed decides which faults come when, and what
sort of search it is: in batches or steady, with or without the accounting, packed, with an LLM that lies. At
the end stands what was promised and not kept, and where the files are. Exit code 1 where that is anything.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
sys.path[:0] = [str(ROOT), *(str(TESTS / name) for name in ("slurm_lab", "agents/proposers"))]

from far_search import pilothouse, progress  # noqa: E402
from loopback_sshd import PASSPHRASE, LoopbackSshd  # noqa: E402
from openai_server import MODEL, OpenAiServer, error, html, proposals, reset, says, slow  # noqa: E402
from slurm_lab import SlurmLab  # noqa: E402
from terminal import converse  # noqa: E402

from agents.report.reading import read_run  # noqa: E402

PROGRAM = """\
import json, os, random, signal, sys, time
os.chdir(os.path.dirname(sys.argv[1]))
task, terms = json.load(open("hyperparameters.json")), []
signal.signal(signal.SIGTERM, lambda *_: terms.append(1))
with open("runs", "a") as runs:
    runs.write(os.environ["SLURM_JOB_ID"] + "\\n")
x = task["hyperparameters"]["x"]
chance, curve, started = random.Random(str(x)), [], time.time()
fails = chance.random() < 0.06
for step in range(1, 6):
    time.sleep(chance.uniform(0.4, 3))
    curve.append(x * step / 5)
    with open("metrics.jsonl", "a") as metrics:
        metrics.write(json.dumps({"step": step, "accuracy": curve[-1]}) + "\\n")
    if fails and step == 3:
        sys.exit(7)
    if terms or os.path.exists("STOP"):
        break
status = "completed" if step == 5 else "pruned" if os.path.exists("STOP") else "preempted"
result = {"schema": 1, "status": status, "trial": task["trial"], "metrics": {}, "seconds": time.time() - started,
          "curve": {"step": list(range(1, step + 1)), "accuracy": curve}}
if status == "preempted":
    result["error"] = {"type": "Preempted", "message": "SIGTERM"}
json.dump(result, open("results.tmp", "w"))
os.rename("results.tmp", "results.json")
sys.exit(status == "preempted")
"""
PATIENCE = 600.0
"""Seconds that a search has to come to its end once nothing fails any more."""
MOST_EXITS = 15
"""So often may a search end by itself with an error, and be taken up again."""


class Soak:
    """The search, and what happens to it."""

    def __init__(self, base: Path, seed: int) -> None:
        self.base, self.seed = base, seed
        self.chance = random.Random(seed)
        self.broken: list[str] = []
        (base / "program.py").write_text(PROGRAM)
        self.lab = SlurmLab(accounting=bool(seed % 2)).start()
        self.sshd = LoopbackSshd(base / "site", environment=self.lab.environment)
        self.sshd.start()
        self.llm = OpenAiServer(self._liar())
        self.config = base / "config.yaml"
        self._screens = 0

    def write_config(self, iterations: int) -> None:
        llm = f"{{base_url: '{self.llm.url}', model: {MODEL}, timeout: 4s, max_retries: 1}}"
        with_llm = f"proposer: {{kind: hybrid}}\nllm: {llm}"
        self.config.write_text(
            f"""\
experiment: {{id: soak, seed: {self.seed}}}
search_space: {{x: {{type: float, low: 0, high: 1}}, y: {{type: categorical, choices: [a, b]}}}}
loop: {{max_iterations: {iterations}, jobs_per_iteration: 4{", schedule: steady" * (self.seed % 4 == 1)}}}
stop: {{failures_in_a_row: null}}
{with_llm if self.seed % 3 == 0 else "proposer: {kind: sampler}"}
training: {{command: ["{{python}}", -S, "{self.base}/program.py", "{{hyperparameters}}"]}}
cluster:
  transport: {{kind: ssh, host: plain, config_file: {self.sshd.config}}}
  batch_system: {{kind: slurm}}
  remote_base: {self.base}/remote
  python: {sys.executable}
  resources: {{cpus: 1, walltime: 2m}}
  poll: {{floor: 0.2s, ceiling: 2s}}
  {"pack: {trials: 2}" if self.seed % 5 == 2 else "max_in_flight: 4"}
directories: {{local_base: {self.base}/local}}
"""
        )

    def _liar(self) -> Callable[[Mapping[str, object]], object]:
        chance = random.Random(self.seed)

        def good(body: Mapping[str, object]) -> object:
            points = [{"x": chance.random(), "y": one} for one in "ab"]
            return says(proposals(*points))(body)

        answers = [good] * 4 + [error(500), error(503), html, reset, slow(6), says(""), says("no")]
        answers.append(says(proposals({"x": 7})))
        return lambda body: chance.choice(answers)(body)

    # -- the search ------------------------------------------------------------------------------

    @property
    def run(self) -> Path | None:
        """Its run directory, once there is one."""
        return next((card.parent for card in self.base.glob("local/*/run.json")), None)

    def start(self) -> None:
        self._screens += 1
        words = ["--resume", str(self.run)] if self.run else ["--config", str(self.config)]
        with open(self.screen, "w") as screen:
            self.search = subprocess.Popen(
                pilothouse(*words, "--log-level", "debug"), cwd=self.base, stdout=screen,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    @property
    def screen(self) -> Path:
        return self.base / f"screen_{self._screens:03}.txt"

    def says(self, *words: object) -> str:
        """What another command says meanwhile."""
        done = subprocess.run(
            pilothouse(*words), cwd=self.base, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        if "Traceback" in done.stdout + done.stderr:
            self.broken.append(f"{words[0]}: {done.stdout}{done.stderr}")
        return (done.stdout + done.stderr).strip()

    def connect(self) -> None:
        code, screen = converse(
            pilothouse("connect", "--config", self.config), {"passphrase": PASSPHRASE}
        )
        if code:
            say("  connect:", screen.strip()[-200:])

    def wait(self, least: float, most: float) -> None:
        time.sleep(self.chance.uniform(least, most))

    # -- what fails ------------------------------------------------------------------------------

    def killed(self) -> None:
        self.search.kill()
        self.search.wait()
        self.wait(0, 4)
        self.start()

    def left(self) -> None:
        self.search.terminate()
        self.search.wait(PATIENCE)
        self.start()

    def frozen(self) -> None:
        self.search.send_signal(signal.SIGSTOP)
        self.wait(2, 10)
        self.search.send_signal(signal.SIGCONT)

    def started_twice(self) -> None:
        if self.run and self.search.poll() is None:
            self.says("--resume", self.run)

    def line_cut(self) -> None:
        self.sshd.cut()
        self.wait(0, 3)
        self.connect()

    def line_stalled(self) -> None:
        for number, least, most in ((signal.SIGSTOP, 2, 15), (signal.SIGCONT, 0, 0)):
            for pid in self.sshd.connections():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            self.wait(least, most)

    def login_node_down(self) -> None:
        self.sshd.cut()
        self.sshd.stop()
        self.wait(1, 6)
        self.sshd.start()
        self.connect()

    def disconnected(self) -> None:
        self.says("disconnect", "--config", self.config)
        self.wait(0, 3)
        self.connect()

    def controller_down(self) -> None:
        self.lab.stop_controller(self.chance.choice([signal.SIGTERM, signal.SIGKILL]))
        self.wait(1, 6)
        self.lab.start_controller(forget=self.chance.random() < 0.2)

    def controller_frozen(self) -> None:
        self.lab.signal_controller(signal.SIGSTOP)
        self.wait(2, 8)
        self.lab.signal_controller(signal.SIGCONT)

    def munge_down(self) -> None:
        self.lab.stop_munge()
        self.wait(1, 5)
        self.lab.start_munge()

    def job_cancelled(self) -> None:
        self._to_a_job("scancel")

    def job_suspended(self) -> None:
        self._to_a_job("scontrol suspend", "scontrol resume")

    def job_held(self) -> None:
        self._to_a_job("scontrol hold", "scontrol release")

    def _to_a_job(self, *commands: str) -> None:
        jobs = self.lab.client("squeue", "-h", "-o", "%i").stdout.split()
        job = self.chance.choice(jobs) if jobs else None
        for words in commands if job else ():
            self.lab.client(*words.split(), str(job))
            self.wait(0, 2)

    def program_killed(self) -> None:
        words = ["pgrep", "-f", f"{self.base}/program.py"]
        pids = subprocess.run(words, capture_output=True, text=True).stdout.split()
        for pid in self.chance.sample(pids, min(1, len(pids))):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    # -- what people do --------------------------------------------------------------------------

    def paused(self) -> None:
        for verb in ("pause", "continue"):
            self._steer(verb)
            self.wait(0, 4)

    def trial_cancelled(self) -> None:
        jobs = progress(self.config).get("jobs")
        if isinstance(jobs, list) and jobs:
            self._steer("cancel", self.chance.choice(jobs)["trial"])

    def trial_added(self) -> None:
        self._steer("add", f"x={self.chance.random():.3f}", "y=a")

    def _steer(self, verb: str, *words: object) -> None:
        if self.run:
            say(" ", self.says(verb, self.run, *words, "--wait", "1"))

    def looked_at(self) -> None:
        if self.run is None:
            return
        for verb in ("status", "export", "explain"):
            self.says(verb, self.run)
        self.says("report", self.run, "--output", self.base / "report.html")
        for verb in ("queue", "resources"):
            self.says(verb, "--config", self.config)

    # -- all of it -------------------------------------------------------------------------------

    def fail(self, until: float) -> None:
        """One thing after another, until that time or the search's end."""
        often = [self.killed] * 4 + [self.left, self.frozen, self.line_cut, self.line_stalled] * 2
        seldom = [
            self.started_twice, self.login_node_down, self.disconnected, self.controller_down,
            self.controller_frozen, self.munge_down, self.job_cancelled, self.job_suspended,
            self.job_held, self.program_killed, self.paused, self.trial_cancelled, self.trial_added,
            self.looked_at,
        ]  # fmt: skip
        while time.monotonic() < until and self.goes_on():
            self.wait(0.3, 4)
            what = self.chance.choice([*often, *seldom])
            say(what.__name__.replace("_", " "))
            what()

    def goes_on(self) -> bool:
        """Whether the search has not come to its end; one that broke off is taken up again."""
        if self.search.poll() is None:
            return True
        if self.search.returncode == 0:
            return False
        self.broken.append(
            f"it ended with {self.search.returncode}: {self.screen.read_text()[-800:]}"
        )
        if len(self.broken) > MOST_EXITS:
            return False
        self.start()
        return True

    def come_to_an_end(self) -> None:
        """Nothing fails any more; what waits for a person gets one."""
        until = time.monotonic() + PATIENCE
        while self.goes_on():
            if time.monotonic() > until:
                self.broken.append(f"no end: {json.dumps(progress(self.config))[:2000]}")
                self.search.kill()
                return
            waiting = progress(self.config).get("waiting")
            if isinstance(waiting, dict) and "login" in str(waiting.get("what")):
                self.connect()
            time.sleep(1)

    def look_back(self) -> None:
        """Note what was promised and is not so."""
        for screen in sorted(self.base.glob("screen_*.txt")):
            if "Traceback" in screen.read_text():
                self.broken.append(f"a traceback in {screen}")
        for runs in self.base.glob("remote/*/job_*/runs"):
            jobs = runs.read_text().split()
            if len(jobs) > 1:
                self.broken.append(f"{runs.parent.name} ran in {len(jobs)} jobs: {jobs}")
        left = self.lab.client("squeue", "-h").stdout.strip()
        if left:
            self.broken.append(f"still in the queue: {left}")
        assert self.run is not None
        for trial in read_run(self.run).view.trials:
            told = trial.failure.message if trial.failure else f"{trial.value}"
            causes = [past.failure.cause.value for past in trial.attempts]
            say(f"trial {trial.number}: {trial.state.value}, {told}", *causes)
            if not trial.state.is_finished:
                self.broken.append(f"trial {trial.number} is {trial.state.value}")
            accuracy, x = trial.metrics.get("final_accuracy"), trial.parameters["x"]
            if trial.value is not None and (
                accuracy is None or not math.isclose(accuracy, float(x))
            ):
                self.broken.append(f"trial {trial.number} has another's result: {accuracy}")

    def close(self) -> None:
        self.search.kill()
        self.says("disconnect", "--config", self.config)
        self.sshd.close()
        self.lab.stop()


def say(*words: object) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument(
        "--iterations", type=int, default=12, help="of four trials; ends earlier if done"
    )
    given = options.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    base = Path(tempfile.mkdtemp(prefix="soak"))
    soak = Soak(base, given.seed)
    with soak.llm:
        soak.write_config(given.iterations)
        soak.connect()
        soak.start()
        try:
            soak.fail(time.monotonic() + 60 * given.minutes)
            soak.come_to_an_end()
            soak.look_back()
        finally:
            soak.close()
    for line in soak.broken:
        say("BROKEN:", line)
    say(f"{len(soak.broken)} promises broken; the files: {base}")
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main())
