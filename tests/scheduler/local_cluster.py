"""A cluster of real child processes for tests: local transport, local batch system."""

import sys
import time

from scheduler.batch.local import LocalBatch
from scheduler.cluster import Cluster
from scheduler.job import JobRef, JobRequest, JobScript, Resources
from scheduler.outcome import Circumstances, Unfinished, is_gone, judge
from scheduler.settings import LocalBatchSettings
from scheduler.transports.local import LocalTransport

GOOD = (
    '{"schema": 1, "status": "completed", "metrics": {"accuracy_auc": 0.5}, '
    '"curve": {"step": [0], "accuracy": [0.5]}, "seconds": 0.1}'
)
WRITE_GOOD = f"open('results.json', 'w').write('''{GOOD}''')\n"


def make_cluster(base, slots=2):
    cluster = Cluster(
        LocalTransport(), LocalBatch(LocalBatchSettings(slots=slots)), str(base), "run"
    )
    cluster.prepare()
    return cluster


def request(name, program, **resources):
    """A job that runs the Python text `program`."""
    command = [sys.executable, "-c", program]
    return JobRequest(name, f"dir_{name}", JobScript(command), Resources(**resources), {})


def ref(job, job_id="known"):
    return JobRef(job.name, job.directory, job.name if job_id == "known" else job_id)


def wait_for(what, seconds=180.0):
    """Poll `what` until it is true; it has to come true well before `seconds`."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it never came true")


def verdict(cluster, job, *, walltime=None, cancelled=False, grace=1.0, seconds=180.0):
    """What becomes of one submitted job."""
    gone_since = None

    def look():
        nonlocal gone_since
        seen = cluster.poll([ref(job)])[job.name]
        now = time.monotonic()
        gone_since = (gone_since or now) if is_gone(seen) else None
        gone_for = None if gone_since is None else now - gone_since
        found = judge(
            seen, Circumstances(0, gone_for, grace, cancelled=cancelled, walltime_seconds=walltime)
        )
        return None if isinstance(found, Unfinished) else found

    return wait_for(look, seconds)
