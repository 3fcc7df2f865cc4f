"""``doctor --job``: the rehearsal as a real job, from submission to its last file, and away again."""

from __future__ import annotations

import time
from collections.abc import Callable

from agents.config.model import Settings
from agents.doctor.check import Check, Doing, failed, ok, warning
from agents.doctor.rehearsal import COMMAND, Rehearsal, found_checks
from agents.doctor.words import one_line
from agents.interrupts import Interrupts
from scheduler.cluster import Cluster
from scheduler.errors import Away, SchedulerError
from scheduler.job import JobRef, JobState, Observation, Refused, Submitted
from scheduler.outcome import is_gone
from scheduler.shell import quote

JOB = "job"
DEPARTURE_SECONDS = 15.0
"""Until the files of a job that has ended are removed at the latest."""


def job_checks(
    cluster: Cluster,
    rehearsal: Rehearsal,
    settings: Settings,
    near: str,
    seconds: float,
    doing: Doing,
) -> list[Check]:
    """Submit the rehearsal, wait for its end for so many seconds, and remove all of it.

    A job that has not ended by then, or when a signal asks to leave, is cancelled. Raises Interrupted.
    """
    with Interrupts() as interrupts:
        return _submitted(cluster, rehearsal, settings, near, seconds, doing, interrupts.sleep)


def _submitted(
    cluster: Cluster,
    rehearsal: Rehearsal,
    settings: Settings,
    near: str,
    seconds: float,
    doing: Doing,
    sleep: Callable[[float], None],
) -> list[Check]:
    base = cluster.root.rpartition("/")[0]
    try:
        cluster.prepare()
        answer = cluster.submit([rehearsal.request])[rehearsal.request.name]
        if isinstance(answer, Refused):
            return [failed(JOB, f"refused: {one_line(answer.message)}", "mend cluster.resources")]
        job_id = answer.job_id if isinstance(answer, Submitted) else None
        job = JobRef(rehearsal.request.name, rehearsal.request.directory, job_id)
        return _followed(cluster, job, rehearsal, settings, seconds, doing, sleep)
    except (Away, SchedulerError) as error:
        return [failed(JOB, one_line(str(error)), getattr(error, "remedy", "") or "try again")]
    finally:
        _remove(cluster, base, near, doing)


def _followed(
    cluster: Cluster,
    job: JobRef,
    rehearsal: Rehearsal,
    settings: Settings,
    seconds: float,
    doing: Doing,
    sleep: Callable[[float], None],
) -> list[Check]:
    began = time.monotonic()
    gone_since: float | None = None
    ended = False
    try:
        while True:
            seen = cluster.poll([job])[job.name]
            now = time.monotonic()
            if seen.exit_code is not None:
                ended = True
                return _judged(seen, rehearsal, now - began)
            gone_since = (gone_since or now) if is_gone(seen) else None
            if gone_since is not None and now - gone_since > settings.cluster.poll.grace:
                ended = True
                return [_lost(seen, settings.cluster.poll.grace)]
            if now - began > seconds:
                return [_late(seen, seconds)]
            state = seen.listing.state.value if seen.listing else "gone"
            doing(f"job {job.job_id or job.name}: {state}")
            sleep(max(settings.cluster.poll.floor, min(10.0, (now - began) / 10)))
    finally:
        if not ended:
            cluster.cancel([job])
        doing(f"job {job.job_id or job.name}: leaving the queue")
        _await_departure(cluster, job, settings.cluster.poll.floor)


def _await_departure(cluster: Cluster, job: JobRef, floor: float) -> None:
    """Wait, not for long, until the batch system has nothing more to do for the job: PBS copies its
    log when it ends. Where the directory is gone by then, the job holds its cores and its place
    under the site's limits for half a minute more, and its owner gets mail."""
    until = time.monotonic() + DEPARTURE_SECONDS
    while time.monotonic() < until:
        try:
            listing = cluster.poll([job])[job.name].listing
        except (Away, SchedulerError):
            return
        if listing is None or listing.state is JobState.ENDED:
            return
        time.sleep(min(floor, 1.0))


def _judged(seen: Observation, rehearsal: Rehearsal, seconds: float) -> list[Check]:
    if seen.result is None:
        last = one_line(seen.stderr_tail.splitlines()[-1]) if seen.stderr_tail.strip() else ""
        return [
            failed(
                JOB,
                f"it ended with exit code {seen.exit_code} before the command: {last}",
                "mend cluster.modules, cluster.setup or the container; `render` prints the script",
            )
        ]
    text = seen.result.decode(errors="replace")
    host = next((row[5:] for row in text.splitlines() if row.startswith("host ")), "?")
    command = next(check for check in found_checks(text, rehearsal) if check.name == COMMAND)
    seen_there = f"ran on {host} and was back after {seconds:.0f} s"
    if command.remedy:
        return [failed(JOB, f"{seen_there}: {command.seen}", command.remedy)]
    return [ok(JOB, f"{seen_there}; {command.seen}")]


def _lost(seen: Observation, grace: float) -> Check:
    said = f": {seen.listing.raw_state} {seen.listing.reason}" if seen.listing else ""
    return failed(
        JOB,
        f"it left the queue {grace:.0f} s ago and left no file{said}".rstrip(),
        "see whether compute nodes write to the same directory; raise cluster.poll.grace for slow "
        "file systems",
    )


def _late(seen: Observation, seconds: float) -> Check:
    listing = seen.listing
    why = f" ({listing.reason})" if listing and listing.reason else ""
    what = "runs" if listing and listing.state is JobState.RUNNING else f"waits{why}"
    return warning(
        JOB,
        f"it still {what} after {seconds:.0f} s, and was cancelled",
        "try again with a longer --job-limit, or a queue for short jobs",
    )


def _remove(cluster: Cluster, base: str, near: str, doing: Doing) -> None:
    """Remove what the job left; directories above it that were made for it too, if empty."""
    doing("removing the job's files")
    rest = base[len(near) :].strip("/") if base.startswith(near) else ""
    up = f"cd {quote(near)} && rmdir -p {quote(rest)} 2>/dev/null\n" if rest else ""
    root = quote(cluster.root)
    # A worker of the local batch system, or a slow file system, may still write for a moment.
    script = f"for ph_try in 1 2 3; do rm -rf {root}; sleep 0.2; [ -e {root} ] || break; done\n{up}"
    try:
        cluster.transport.run(script, timeout=60.0)
    except Away:
        doing(f"{cluster.root} is left behind")
