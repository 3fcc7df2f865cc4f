"""Reading ``qstat -f -F dsv``, cut down to the attributes that count: rows in, `Listing`s out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.batch import pbs_states
from scheduler.batch.identity import is_ours
from scheduler.job import Cause, JobRef, JobState, Listing

ATTRIBUTES = (
    "Job_Name",
    "job_state",
    "substate",
    "Exit_status",
    "Hold_Types",
    "run_count",
    "comment",
    "Output_Path",
)
LOG = "pbs.log"
"""What PBS itself writes of a job, in the job's directory: by that path the job is known, whatever its name."""


@dataclass(frozen=True)
class Row:
    """One job as qstat tells it."""

    job_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


def read_rows(stdout: str) -> list[Row]:
    """The rows in a listing's output; anything else there is passed over."""
    rows = []
    for line in stdout.split("\n"):
        head, *fields = fields_of(line)
        match = re.fullmatch(r"Job Id: (\d+(?:\[\d*\])?(?:\.[\w.-]+)?)", head)
        if match is None:
            continue
        attributes = dict(part.partition("=")[::2] for part in fields if "=" in part)
        rows.append(
            Row(match[1], {key: value for key, value in attributes.items() if key in ATTRIBUTES})
        )
    return rows


def fields_of(line: str) -> list[str]:
    """The fields of a line: ``|`` separates, a backslash takes the next character as it is."""
    fields = re.findall(r"(?:^|\|)((?:\\.|[^\\|])*)", line)
    return [re.sub(r"\\(.)", _unescaped, part) for part in fields] or [""]


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "f": "\f"}.get(match[1], match[1])


def number(job_id: str) -> str:
    """What identifies a job on its server, whichever name of the server follows."""
    return job_id.partition(".")[0]


def read_listing(
    jobs: Sequence[JobRef], rows: Iterable[Row], names: Mapping[str, str], root: str = ""
) -> Mapping[str, Listing]:
    """What the rows say of `jobs`, by job id; `names` are PBS's names of the jobs by ours, `root` is above
    their directories.

    A row counts only where the job is ours by more than its number: a server that was set up anew counts
    from one.
    """
    by_number = {number(row.job_id): row for row in rows}
    listed = {}
    for job in jobs:
        row = by_number.get(number(job.job_id)) if job.job_id is not None else None
        if job.job_id is None or row is None:
            continue
        name = row.attributes.get("Job_Name", "")
        if is_ours(job, name, names[job.name], _place(row), root):
            listed[job.job_id] = _listing(job.job_id, row.attributes)
    return listed


def _place(row: Row) -> str:
    """The directory of the job's log (``host:/…/pbs.log``); empty where it is another's log."""
    path = row.attributes.get("Output_Path", "").partition(":")[2]
    return path.removesuffix(f"/{LOG}") if path.endswith(f"/{LOG}") else ""


def _listing(job_id: str, row: Mapping[str, str]) -> Listing:
    letter = row.get("job_state", "")
    state = pbs_states.STATES.get(letter, JobState.UNKNOWN)
    if state is JobState.ENDED:
        return _ended(job_id, letter, row)
    never = state is JobState.QUEUED and pbs_states.NEVER_STARTS in row.get("comment", "")
    reason = why_it_waits(letter, row)
    return Listing(job_id, state, raw_state=letter, reason=reason, never_starts=never)


def why_it_waits(letter: str, row: Mapping[str, str]) -> str:
    """Why a job in that state does not run, in words; empty for one that does."""
    comment = row.get("comment", "")
    if letter in pbs_states.SUSPENDED:
        # What is left of its start tells nothing.
        comment = "" if comment.startswith(pbs_states.STARTED) else comment
        return f"suspended: {comment}".rstrip(": ")
    if letter == "H" and not comment:
        return "; ".join(
            words for hold, words in pbs_states.HOLD_WORDS.items() if hold in row["Hold_Types"]
        ) if "Hold_Types" in row else "held"  # fmt: skip
    for text, words in pbs_states.COMMENT_WORDS:
        if text in comment:
            return f"{comment}: {words}"
    return comment if pbs_states.STATES.get(letter) is JobState.QUEUED else ""


def _ended(job_id: str, letter: str, row: Mapping[str, str]) -> Listing:
    status = _integer(row.get("Exit_status", ""))
    comment = row.get("comment", "")
    cause, reason = _cause(status, comment, row.get("substate", ""))
    return Listing(
        job_id=job_id,
        state=JobState.ENDED,
        raw_state=letter if status is None else f"{letter} (Exit_status {status})",
        reason=reason or comment,
        exit_code=exit_code(status),
        cause=cause,
    )


def _cause(status: int | None, comment: str, substate: str) -> tuple[Cause | None, str]:
    if status is not None and status < 0:
        known = pbs_states.EXIT_CAUSES.get(status)
        return known or (Cause.NODE_FAILURE, f"PBS ended the job with its own status {status}")
    # The comment of a job that ended well holds no cause; its words are PBS's own.
    for pattern, cause in pbs_states.COMMENT_CAUSES:
        if pattern.search(comment):
            return cause, comment
    if substate == pbs_states.TERMINATED:
        return Cause.CANCELLED, "deleted"
    if status is None:
        return Cause.CANCELLED, "never ran (a job it depends on failed?)"
    return None, ""


def exit_code(status: int | None) -> int | None:
    """A shell's exit code of PBS's Exit_status: the script's own, signals (256+n) as 128+n."""
    if status is None or status < 0:
        return None
    return 128 + (status - 256) % 128 if status >= 256 else status


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,6}", text) else None
