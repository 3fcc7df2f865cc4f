"""A real one-node Slurm behind a real sshd, all on loopback: polls, submissions, a whole search.

The machine has two cores, so that Slurm's own work on a job counts in the makespans; both searches
pay for it. Needs the system packages of the tests; submitit for its own row.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path[:0] = [str(TESTS / name) for name in ("slurm_lab", "sshd")]

from loopback_sshd import LoopbackSshd  # noqa: E402
from slurm_lab import SlurmLab  # noqa: E402

from scheduler.batch import build_batch_system  # noqa: E402
from scheduler.cluster import Cluster  # noqa: E402
from scheduler.job import JobRef, JobRequest, JobScript, Resources, Submitted  # noqa: E402
from scheduler.settings import SlurmBatchSettings  # noqa: E402
from scheduler.transports import open_transport  # noqa: E402

POLLS, FLIGHTS = 15, (1, 10, 100)
SUBMISSIONS, ROUND_TRIP_SECONDS = 50, 0.05
TRIALS, SLOTS, SECONDS = 60, 8, 10.0
LINES = b'{"step": 1, "accuracy": 0.5, "loss": 1.25, "seconds": 3.5}\n' * 4
Row = tuple[str, str, str, str]


def measure() -> list[Row]:
    with _site() as (lab, sshd, socket, base):
        transport = open_transport(sshd.ssh(control_path=socket))
        batch = build_batch_system(SlurmBatchSettings(kind="slurm"))
        cluster = Cluster(transport, batch, str(base / "far"), "run")
        cluster.prepare()
        rows = [*_polls(cluster), *_submissions(lab, sshd, base)]
        time.sleep(5)
        return [*rows, *_searches(lab, sshd, socket, base)]


@contextlib.contextmanager
def _site() -> Iterator[tuple[SlurmLab, LoopbackSshd, Path, Path]]:
    lab = SlurmLab(accounting=True)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as close:
        base = Path(name)
        close.callback(lab.stop)
        lab.start()
        sshd = LoopbackSshd(base / "sshd", environment=lab.environment)
        sshd.start()
        close.callback(sshd.close)
        socket = close.enter_context(_master(["ssh", "-F", str(sshd.config)], base / "master"))
        yield lab, sshd, socket, base


def _requests(label: str, count: int) -> list[JobRequest]:
    script = JobScript(["sleep", "600"])
    asked = Resources(cpus=1, walltime_seconds=600)
    return [JobRequest(f"{label}-{n}", f"{label}_{n}", script, asked, {}) for n in range(count)]


def _polls(cluster: Cluster) -> list[Row]:
    jobs = _requests("poll", max(FLIGHTS))
    answers = cluster.submit(jobs)
    ids = {name: a.job_id for name, a in answers.items() if isinstance(a, Submitted)}
    for job in jobs:
        (Path(cluster.root) / job.directory / "metrics.jsonl").write_bytes(LINES)
    rows = []
    for what, offset in (("no news", len(LINES)), ("news of each", 0)):
        taken: dict[int, list[float]] = {count: [] for count in FLIGHTS}
        for _ in range(POLLS):  # interleaved: what else the machine does meets all alike
            for count in FLIGHTS:
                refs = [JobRef(j.name, j.directory, ids[j.name], offset) for j in jobs[:count]]
                taken[count].append(_timed(lambda refs=refs: cluster.poll(refs)))
        base = statistics.median(taken[1])
        for count in FLIGHTS:
            value = statistics.median(taken[count])
            ratio = f"{value / base:.2f} x one job" if count > 1 else "-"
            aim = "2 x" if count == 100 else "-"
            rows.append((f"a poll, {count} in flight, {what}", f"{value * 1e3:.0f} ms", ratio, aim))
    cluster.cancel([JobRef(job.name, job.directory, ids[job.name]) for job in jobs])
    return rows


def _submissions(lab: SlurmLab, sshd: LoopbackSshd, base: Path) -> list[Row]:
    """In one go, against a call for each job: over the same master, and each with its own login."""
    rows = []
    script = base / "single.sh"
    script.write_text("#!/bin/sh\nsleep 600\n")
    for delay in (0.0, ROUND_TRIP_SECONDS / 2):
        line = f"{sys.executable} {Path(__file__).with_name('slow_line.py')} %h %p {delay}"
        ssh = ["ssh", "-F", str(sshd.config), *(["-o", f"ProxyCommand={line}"] if delay else [])]
        with _master(ssh, base / f"master{delay}") as socket:
            transport = open_transport(sshd.ssh(control_path=socket))
            batch = build_batch_system(SlurmBatchSettings(kind="slurm"))
            cluster = Cluster(transport, batch, str(base / f"far{delay}"), "run")
            cluster.prepare()
            jobs = _requests(f"all{delay:.3f}".replace(".", ""), SUBMISSIONS)
            ours = _timed(lambda cluster=cluster, jobs=jobs: cluster.submit(jobs))
            lab.client("scancel", "--me")
            for name, options in (("that master", ["-S", str(socket)]), ("no master", [])):
                command = [*ssh, *options, "plain", "sbatch", "--parsable", "-o", "/dev/null"]
                single = _timed(lambda command=command: _singly([*command, str(script)]))
                lab.client("scancel", "--me")
                what = f"submission of {SUBMISSIONS} jobs, round trip {2000 * delay:.0f} ms"
                ratio = f"{single / ours:.1f} x faster than single calls over {name}"
                rows.append((what, f"{ours:.2f} s", f"{ratio} ({single:.1f} s)", "5 x"))
    return rows


@contextlib.contextmanager
def _master(ssh: list[str], socket: Path) -> Iterator[Path]:
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*ssh, "-S", str(socket), "-MNf", "plain"], **quiet)
    yield socket
    subprocess.run([*ssh, "-S", str(socket), "-O", "exit", "plain"], **quiet)


def _singly(command: list[str]) -> None:
    for _ in range(SUBMISSIONS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _searches(lab: SlurmLab, sshd: LoopbackSshd, socket: Path, base: Path) -> list[Row]:
    ideal = TRIALS / SLOTS * SECONDS
    rows = []
    found = [
        ("bare sbatch, all at once", _bare(lab, base), "-"),
        ("ours, 16 submitted ahead", _ours(base, sshd, socket, 2 * SLOTS), "1.10 x"),
        ("ours, 8 in flight", _ours(base, sshd, socket, SLOTS), "-"),
        ("Optuna + submitit, n_jobs=8", _submitit(lab, base), "-"),
    ]
    for name, seconds, aim in found:
        ratio = f"{seconds / ideal:.3f} x ideal ({ideal:.0f} s)"
        rows.append((f"{TRIALS} trials of {SECONDS:.0f} s, {name}", f"{seconds:.1f} s", ratio, aim))
    return rows


def _bare(lab: SlurmLab, base: Path) -> float:
    """What this Slurm itself takes, nobody waiting for anything."""
    script = base / "bare.sh"
    script.write_text(f"#!/bin/sh\nsleep {SECONDS}\n")
    begun = time.perf_counter()
    for _ in range(TRIALS):
        lab.client("sbatch", "-c", "2", "-o", "/dev/null", str(script), check=True)
    while lab.client("squeue", "-h").stdout.strip():
        time.sleep(0.2)
    return time.perf_counter() - begun


CONFIG = """\
experiment: {{id: makespan}}
search_space: {{x: {{type: float, low: 0, high: 1}}}}
loop: {{max_iterations: 1000, max_trials: {trials}, jobs_per_iteration: {jobs}, schedule: steady}}
proposer: {{kind: sampler}}
training: {{command: [sh, {program}, "{{job_dir}}"]}}
cluster:
  transport: {{kind: ssh, host: plain, config_file: {config}, control_path: {socket}}}
  batch_system: {{kind: slurm}}
  remote_base: {base}/far
  resources: {{cpus: 2, walltime: 5m}}
  poll: {{floor: 2s}}
directories: {{local_base: {base}/near{jobs}}}
"""
RESULT = {
    "schema": 1,
    "status": "completed",
    "metrics": {"accuracy_auc": 0.5},
    "curve": {"step": [0], "accuracy": [0.5]},
    "seconds": SECONDS,
}


def _ours(base: Path, sshd: LoopbackSshd, socket: Path, jobs: int) -> float:
    """From the first submission to the last collected result."""
    program = base / "program.sh"
    line = json.dumps(RESULT)
    program.write_text(
        f"sleep {SECONDS}\ncd \"$1\" && echo '{line}' > r.tmp && mv r.tmp results.json\n"
    )
    config = base / f"config{jobs}.yaml"
    config.write_text(
        CONFIG.format(
            trials=TRIALS, jobs=jobs, program=program, config=sshd.config, socket=socket, base=base
        )
    )
    command = [sys.executable, "-m", "agents.run", "--config", str(config)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (log,) = base.glob(f"near{jobs}/*/logs/run.jsonl")
    events = [json.loads(text) for text in log.read_text().splitlines()]
    begun = _moment(next(e for e in events if e["event"] == "submitted"))
    return _moment([e for e in events if e["event"] == "ended"][-1]) - begun


def _moment(event: dict[str, str]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(event["time"]).timestamp()


PLAIN = """\
import sys, time
import optuna, submitit

def train(x):
    time.sleep({seconds})
    return x

executor = submitit.AutoExecutor(folder={folder!r})
executor.update_parameters(timeout_min=5, cpus_per_task=2, slurm_setup=["export PATH=" + {path!r}])

def objective(trial):
    return executor.submit(train, trial.suggest_float("x", 0, 1)).result()

optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize")
begun = time.time()
study.optimize(objective, n_trials={trials}, n_jobs={slots})
print(time.time() - begun)
"""


def _submitit(lab: SlurmLab, base: Path) -> float:
    """The plainest search with Optuna and submitit, which has to run where sbatch is."""
    import os

    program = base / "plain.py"
    text = PLAIN.format(
        seconds=SECONDS, folder=str(base / "submitit"), trials=TRIALS, slots=SLOTS,
        path=os.environ["PATH"],
    )  # fmt: skip
    program.write_text(textwrap.dedent(text))
    environment = {**os.environ, **lab.environment}
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, check=True, stdout=subprocess.PIPE
    )
    return float(done.stdout.split()[-1])


def _timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun
