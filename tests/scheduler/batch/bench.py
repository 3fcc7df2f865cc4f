"""Jobs of any batch system over the local transport, for tests."""

import sys
import time

import pytest
from pbs_lab import RealPbs, ReplayedPbs

from scheduler.batch import build_batch_system
from scheduler.cluster import Cluster
from scheduler.job import JobRef, JobRequest, JobScript, JobState, Resources, Submitted
from scheduler.outcome import Circumstances, Unfinished, is_gone, judge
from scheduler.settings import LocalBatchSettings, PbsBatchSettings, SlurmBatchSettings
from scheduler.transports.local import LocalTransport

RESULT = (
    '{"schema": 1, "status": "STATUS", "metrics": {"accuracy_auc": 0.5}, '
    '"curve": {"step": [0], "accuracy": [0.5]}, "seconds": 0.1}'
)
GOOD = f"open('results.json', 'w').write('''{RESULT.replace('STATUS', 'completed')}''')\n"
SLEEP = "import time\ntime.sleep(300)\n"
PARTIAL = f"""
import signal, sys, time
def stop(number, frame):
    open('results.json', 'w').write('''{RESULT.replace("STATUS", "preempted")}''')
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
time.sleep(300)
"""


BATCH_SYSTEMS = ("local", "slurm", "pbs-replay", "pbs")


def open_bench(request, tmp_path, monkeypatch):
    """A bench of the batch system that `request.param` names, started where it has to be."""
    name = request.param
    if name == "local":
        yield Bench(build_batch_system(LocalBatchSettings(slots=4)), tmp_path)
        return
    if name.startswith("pbs"):
        if name == "pbs" and not RealPbs.is_there():
            pytest.skip(RealPbs.how)
        pbs = RealPbs() if name == "pbs" else ReplayedPbs(tmp_path)
        for key, value in pbs.environment.items():
            monkeypatch.setenv(key, value)
        batch = build_batch_system(PbsBatchSettings(kind="pbs"))
        bench = Bench(batch, tmp_path, token=pbs.token)
        yield bench
        bench.cancel_all()
        return
    lab = request.getfixturevalue("plain_slurm")
    for key, value in lab.environment.items():
        monkeypatch.setenv(key, value)
    yield Bench(build_batch_system(SlurmBatchSettings(kind="slurm")), tmp_path)
    lab.client("scancel", "--me")


class Bench:
    """One cluster in one directory; jobs are named, submitted, awaited."""

    def __init__(self, batch, base, walltime=600, token=""):
        self.batch = batch
        self.cluster = Cluster(LocalTransport(), batch, str(base), "run")
        self.cluster.prepare()
        self.root = base / "run"
        self.walltime = walltime
        self.token = token
        """Ends every job's name; empty where the batch system remembers no other test."""
        self.ids = {}

    def request(self, name, program, **resources):
        resources = {"walltime_seconds": self.walltime, "cpus": 1, **resources}
        command = [sys.executable, "-c", program]
        full = f"{name}{self.token}"
        return JobRequest(full, f"dir_{name}", JobScript(command), Resources(**resources), {})

    def submit(self, *jobs, again=frozenset()):
        """Answers by the names that the test gave."""
        answers = self.cluster.submit(jobs, frozenset(f"{name}{self.token}" for name in again))
        found = {self.label(full): answer for full, answer in answers.items()}
        for name, answer in found.items():
            if isinstance(answer, Submitted):
                self.ids[name] = answer.job_id
        return found

    def label(self, full):
        return full.removesuffix(self.token)

    def run(self, name, program, **resources):
        job = self.request(name, program, **resources)
        answer = self.submit(job)[name]
        assert isinstance(answer, Submitted), answer
        return job

    def run_blocked(self, name, program):
        """A job that waits."""
        if self.batch.name == "local":
            for number in range(4):
                self.run(f"blocker-{number}", SLEEP)
            return self.run(name, program)
        return self.run(name, program, directives={"hold": None})

    def unknown_id(self):
        """An id that the batch system has not given to anybody."""
        return {"local": "nobody", "slurm": "67000000", "pbs": "999999"}[self.batch.name]

    def ref(self, job):
        return JobRef(job.name, job.directory, self.ids[self.label(job.name)])

    def see(self, job):
        return self.cluster.poll([self.ref(job)])[job.name]

    def wait_for(self, what, seconds=60.0):
        """Poll until `what` is true; it has to come true well before `seconds`."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            value = what()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError("it never came true")

    def wait_for_state(self, job, state):
        def look():
            listing = self.see(job).listing
            return listing if listing is not None and listing.state is state else None

        return self.wait_for(look)

    def wait_until_started(self, job):
        self.wait_for(lambda: self.see(job).started)
        if self.batch.name != "local":
            self.wait_for_state(job, JobState.RUNNING)

    def cancel(self, *jobs):
        self.cluster.cancel([self.ref(job) for job in jobs])

    def known_jobs(self, job):
        """Ids of all jobs of that name, whatever became of them."""
        script = f'PH_ROOT={self.root}\n{self.batch.find_shell()}\nph_find "{job.name}"\n'
        done = self.cluster.transport.run(script, timeout=60)
        assert done.code == 0, done.stderr
        return self.batch.parse_found(done.stdout.decode())

    def cancel_all(self):
        self.cluster.cancel(
            [
                JobRef(f"{name}{self.token}", f"dir_{name}", job_id)
                for name, job_id in self.ids.items()
            ]
        )

    def verdict(self, job, *, cancelled=False, grace=2.0, seconds=60.0):
        """What becomes of one submitted job."""
        gone_since = None

        def look():
            nonlocal gone_since
            seen = self.see(job)
            now = time.monotonic()
            gone_since = (gone_since or now) if is_gone(seen) else None
            found = judge(
                seen,
                Circumstances(
                    0,
                    None if gone_since is None else now - gone_since,
                    grace,
                    cancelled=cancelled,
                    walltime_seconds=job.resources.walltime_seconds,
                ),
            )
            return None if isinstance(found, Unfinished) else found

        return self.wait_for(look, seconds)
