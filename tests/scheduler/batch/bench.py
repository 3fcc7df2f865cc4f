"""Jobs of any batch system over the local transport, for tests."""

import os
import sys
import time

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
WAITS = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.05)\n"
"""Before another program: it runs until `Bench.let_go`, however slow those are who look at it."""
PARTIAL = f"""
import signal, sys, time
def stop(number, frame):
    open('results.json', 'w').write('''{RESULT.replace("STATUS", "preempted")}''')
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
time.sleep(300)
"""


BATCH_SYSTEMS = ("local", "slurm", "pbs-replay", "pbs")
TRANSPORTS = ("local", "ssh", "paramiko")
SETTINGS = {"local": LocalBatchSettings, "slurm": SlurmBatchSettings, "pbs": PbsBatchSettings}


def open_bench(request, tmp_path, monkeypatch):
    """A bench of the pair that `request.param` names, such as ``slurm`` or ``slurm over ssh``."""
    name, _, over = request.param.partition(" over ")
    site = request.getfixturevalue("sites")(name)
    kind = name.removesuffix("-replay")
    settings = SETTINGS[kind](kind=kind, **({"slots": 4} if kind == "local" else {}))
    if not over:
        for key, value in site.environment.items():
            monkeypatch.setenv(key, value)
    transport = site.transport(over) if over else LocalTransport()
    bench = Bench(settings, tmp_path, transport, token=site.token())
    bench.path = site.environment.get("PATH", os.environ["PATH"])
    yield bench
    bench.cancel_all()
    transport.close()


class Bench:
    """One cluster in one directory; jobs are named, submitted, awaited."""

    def __init__(self, settings, base, transport=None, walltime=600, token=""):
        self.settings, self.transport = settings, transport or LocalTransport()
        self.batch = build_batch_system(settings)
        self.cluster = Cluster(self.transport, self.batch, str(base), "run")
        self.cluster.prepare()
        self.base = base
        self.root = base / "run"
        self.walltime = walltime
        self.token = token
        """Ends every job's name; empty where the batch system remembers no other test."""
        self.ids = {}

    def with_commands_in(self, directory):
        """The same cluster, but its commands are first looked for in `directory`."""
        batch = build_batch_system(self.settings.model_copy(update={"bin_directory": directory}))
        return Cluster(self.transport, batch, str(self.base), "run")

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

    def withdraw(self, job):
        """What became of its submission; none is made."""
        return self.cluster.withdraw([job])[job.name]

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

    def wait_for(self, what, seconds=180.0):
        """Poll until `what` is true; it has to come true well before `seconds`."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            value = what()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"it never came true; {self.what_the_scheduler_says()}")

    def what_the_scheduler_says(self):
        """Its queue and what is wrong with its nodes, for whoever reads why a test failed."""
        looks = {"slurm": "squeue -l -t all; sinfo -N -l; sinfo -R", "pbs": "qstat -x; pbsnodes -a"}
        if self.batch.name not in looks:
            return "the local batch system has no queue to show"
        shown = self.transport.run(looks[self.batch.name], timeout=60)
        return (shown.stdout + shown.stderr).decode(errors="replace")

    def wait_for_state(self, job, state):
        def look():
            listing = self.see(job).listing
            return listing if listing is not None and listing.state is state else None

        return self.wait_for(look)

    def wait_until_started(self, job):
        self.wait_for(lambda: self.see(job).started)
        if self.batch.name != "local":
            self.wait_for_state(job, JobState.RUNNING)

    def let_go(self, job):
        """Let a job go on that `WAITS`."""
        (self.root / job.directory / "go").touch()

    def cancel(self, *jobs):
        self.cluster.cancel([self.ref(job) for job in jobs])

    def known_jobs(self, job):
        """Ids of all jobs of that name, whatever became of them."""
        script = f'PH_ROOT={self.root}\n{self.batch.find_shell()}\nph_find "{job.name}"\n'
        done = self.cluster.transport.run(script, timeout=180)
        assert done.code == 0, done.stderr
        return self.batch.parse_found(done.stdout.decode())

    def cancel_all(self):
        if self.batch.name == "local" or not self.ids:
            return
        self.cluster.cancel(
            [
                JobRef(f"{name}{self.token}", f"dir_{name}", job_id)
                for name, job_id in self.ids.items()
            ]
        )

    def verdict(self, job, *, cancelled=False, grace=2.0, seconds=180.0):
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
