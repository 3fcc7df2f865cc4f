"""Reading what the listing script of `scheduler.batch.slurm` prints: rows in, `Listing`s out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.batch.identity import is_ours
from scheduler.batch.slurm_states import (
    NEVER_STARTS,
    NEVER_WORDS,
    REASON_CAUSES,
    REASON_WORDS,
    STATES,
    SUSPENDED,
)
from scheduler.job import Cause, JobRef, JobState, Listing


@dataclass(frozen=True)
class Row:
    """One line about one job (or one part of a job array, or of a heterogeneous job)."""

    source: str
    """``Q`` squeue, ``A`` sacct, ``C`` scontrol, ``U`` the accounting could not be asked."""
    number: str
    """The job's number, without the part's."""
    cluster: str
    state: str = ""
    name: str = ""
    reason: str = ""
    exit_code: str = ""
    """Slurm's ``CODE:SIGNAL``."""
    place: str = ""
    """The directory in which it lies."""


def read_rows(stdout: str) -> list[Row]:
    """The rows in a listing's output; anything else there is passed over."""
    rows: list[Row] = []
    cluster = ""
    for line in stdout.split("\n"):
        if line.startswith("CLUSTER: "):
            cluster = line.removeprefix("CLUSTER: ").strip()
            continue
        if line.startswith("P|"):
            if rows:
                rows[-1] = _placed(rows[-1], line)
            continue
        row = _read_row(line, cluster)
        if row is not None:
            rows.append(row)
    return rows


def _placed(row: Row, line: str) -> Row:
    """The row with the directory that the line after it gives for its job."""
    said = re.fullmatch(r"P\|(\d+)[^|]*\|(.*)", line)
    return replace(row, place=said[2]) if said and said[1] == row.number else row


def _read_row(line: str, cluster: str) -> Row | None:
    source, _, rest = line.partition("|")
    if source == "C":
        return _from_scontrol(rest, cluster)
    fields = rest.split("|")
    number = re.match(r"\d+", fields[0])
    if number is None:
        return None
    if source == "U":
        return Row("U", number[0], cluster)
    if source == "Q" and len(fields) >= 3:  # a line break in the name takes the reason away
        return Row("Q", number[0], cluster, fields[1], fields[2], "|".join(fields[3:]))
    if source == "A" and len(fields) >= 4:
        state = (fields[1].split() or [""])[0].rstrip("+")
        reason = fields[1] if " " in fields[1] else ""
        name, there = ("|".join(fields[3:-1]), fields[-1]) if fields[4:] else (fields[3], cluster)
        return Row("A", number[0], there, state, name, reason, fields[2])
    return None


def _from_scontrol(line: str, cluster: str) -> Row | None:
    found = dict(re.findall(r"(?:^|\s)(JobId|JobName|JobState|Reason|ExitCode)=(\S*)", line))
    if not found.get("JobId", "").isdigit() or "JobState" not in found:
        return None
    return Row("C", found["JobId"], cluster, found["JobState"], found.get("JobName", ""),
               found.get("Reason", ""), found.get("ExitCode", ""))  # fmt: skip


def read_listing(
    jobs: Sequence[JobRef], rows: Iterable[Row], root: str = ""
) -> Mapping[str, Listing]:
    """What the rows say of `jobs`, whose directories lie below `root`, by job id.

    A row counts only where the job is ours by more than its number: a controller that lost its memory
    gives a number twice.
    """
    by_number: dict[str, list[Row]] = {}
    for row in rows:
        by_number.setdefault(row.number, []).append(row)
    listed = {}
    for job in jobs:
        if job.job_id is None:
            continue
        ours = _ours(job, by_number.get(job.job_id.partition(";")[0], []), root)
        if ours:
            listed[job.job_id] = _merge(job.job_id, ours)
    return listed


def _ours(job: JobRef, rows: Sequence[Row], root: str) -> list[Row]:
    """Those of the rows of its number that are the job's."""
    cluster = (job.job_id or "").partition(";")[2]
    there = [row for row in rows if not cluster or row.cluster in ("", cluster)]
    ours = [
        row
        for row in there
        if row.source == "U"
        # Until the job's start has reached the books, they call it "allocation".
        or (row.source == "A" and row.name == "allocation")
        or is_ours(job, row.name, job.batch_name, row.place, root)
    ]
    if any(row.source == "Q" for row in ours):
        # What scontrol says was asked about the very job of that row.
        ours += [row for row in there if row.source == "C" and row not in ours]
    return ours


def _merge(job_id: str, rows: Sequence[Row]) -> Listing:
    """One listing from all rows of a job: the controller's word before the books'.

    Of several parts, one that runs makes the job run, and one that waits makes it wait; only when
    all have ended the job has, by its worst part.
    """
    failed = [row for row in rows if row.source == "C"]
    queue = [
        row for row in rows if row.source == "Q" and not (failed and row.state == "FAILED")
    ] + failed
    said = queue or [row for row in rows if row.source == "A"]
    if not said:
        reason = "not in the queue; Slurm's accounting does not answer"
        return Listing(job_id, JobState.UNKNOWN, reason=reason, is_forgotten=True)
    parts = [_listing(job_id, row) for row in said]
    worst = min(parts, key=_rank)
    if queue or worst.state is JobState.ENDED:
        return worst
    reason = f"not in the queue; Slurm's accounting still has it as {worst.raw_state}"
    return replace(worst, reason=reason, is_forgotten=True)


_ORDER = {JobState.RUNNING: 0, JobState.QUEUED: 1, JobState.UNKNOWN: 2, JobState.ENDED: 3}


def _rank(listing: Listing) -> tuple[int, bool, bool]:
    return _ORDER[listing.state], listing.cause is None, not listing.exit_code


def _listing(job_id: str, row: Row) -> Listing:
    state, cause = STATES.get(row.state, (JobState.UNKNOWN, None))
    reason = "" if row.reason in ("None", "(null)") else row.reason
    if row.state in SUSPENDED:
        reason = "suspended" if not reason else f"suspended: {reason}"
    code = exit_code(row.exit_code) if row.state in ("COMPLETED", "FAILED") else None
    if cause is None and row.state in ("FAILED", "COMPLETING"):
        cause = REASON_CAUSES.get(reason)
    if cause is Cause.CANNOT_START and code == 137:
        # A job that started and was killed: what jobacct_gather's OverMemoryKill leaves behind.
        cause = Cause.OUT_OF_MEMORY
    never = state is JobState.QUEUED and bool(NEVER_STARTS.fullmatch(reason.split(",")[0]))
    return Listing(
        job_id=job_id,
        state=state,
        raw_state=row.state,
        reason=_in_words(reason, NEVER_WORDS if never else ""),
        exit_code=code,
        cause=cause,
        never_starts=never,
    )


def _in_words(reason: str, otherwise: str) -> str:
    words = REASON_WORDS.get(reason.split(",")[0], otherwise)
    return f"{reason}: {words}" if words else reason


def exit_code(text: str) -> int | None:
    """``CODE:SIGNAL`` as a shell's exit code, signals as 128+n; None where it says neither."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        return None
    code, signal = int(match[1]), int(match[2])
    if 0 < signal <= 64:
        return 128 + signal
    return code if signal == 0 and code <= 255 else None
