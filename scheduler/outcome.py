"""What became of a job: pure judgement over what a poll saw. Absence alone proves nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.job import Cause, Failure, JobState, Observation
from scheduler.plain import printable
from scheduler.sentinel import FAULTS, WALLTIME
from scheduler.unfound import unfound
from training.contract import ContractError, Result, parse_result


@dataclass(frozen=True)
class Unfinished:
    """Queued, running, or gone for less than the grace period."""

    state: JobState
    reason: str = ""
    never_starts: bool = False
    """By the batch system's word."""


@dataclass(frozen=True)
class Finished:
    """The program ended with a result that counts."""

    result: Result
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Failed:
    """The job ended without a result that counts; `result` holds what it did leave."""

    failure: Failure
    result: Result | None = None


Verdict = Unfinished | Finished | Failed


@dataclass(frozen=True)
class Circumstances:
    """What the orchestrator knows beside the observation."""

    trial: int
    gone_for: float | None
    """Seconds since the job was first seen neither queued nor running; None: it is one of them."""
    grace: float
    """Seconds that a job may be gone without a sentinel before it counts as lost."""
    unread_for: float | None = None
    """Seconds since its result was first seen to be there and not to be readable."""
    cancelled: bool = False
    """We cancelled it ourselves."""
    walltime_seconds: float | None = None
    ran_for: float | None = None
    """Seconds that polls have seen it running: never more than it ran."""
    shares_job: bool = False
    """Other trials run in the same job: how the job ended is not how this one did."""


FORGOTTEN_SECONDS = 3600.0
"""For so long at least a job may be in no queue before it counts as ended, where the books of ended
jobs do not say so: they may lag behind, or have missed its end."""


def is_gone(observation: Observation) -> bool:
    """Whether the batch system has no such job, or one that ended, and no sentinel tells how."""
    listing = observation.listing
    if observation.exit_code is not None and not (
        observation.exit_code in _STOPPED and listing is not None and listing.is_forgotten
    ):
        return False
    return listing is None or listing.is_forgotten or listing.state is JobState.ENDED


def _is_over(observation: Observation, known: Circumstances) -> bool:
    """Whether a job that is gone has been so for long enough."""
    listing = observation.listing
    forgotten = listing is not None and listing.is_forgotten
    if known.cancelled and _never_began(observation):
        return True
    grace = max(known.grace, FORGOTTEN_SECONDS) if forgotten else known.grace
    return known.gone_for is not None and known.gone_for >= grace


def _never_began(observation: Observation) -> bool:
    """Whether a job has ended, by the batch system's word, that has no files to wait for."""
    listing = observation.listing
    return (
        listing is not None
        and listing.state is JobState.ENDED
        and not listing.is_forgotten
        and not observation.started
    )


def judge(observation: Observation, known: Circumstances) -> Verdict:
    """What became of the job, from its sentinel, its result, and the batch system's word."""
    if observation.exit_code is None:
        if not is_gone(observation) and (listing := observation.listing) is not None:
            return Unfinished(listing.state, listing.reason, listing.never_starts)
        if not _is_over(observation, known):
            return Unfinished(JobState.UNKNOWN, _waiting_for(observation))
    if observation.is_result_unread and (known.unread_for or 0.0) < max(
        known.grace, UNREAD_SECONDS
    ):
        return Unfinished(JobState.UNKNOWN, "its results.json cannot be read yet")
    if observation.result is None:
        return _not_yet(observation, known) or Failed(_failure_without_result(observation, known))
    try:
        result = parse_result(observation.result)
        _check_identity(result, known)
    except ContractError as error:
        return Failed(_failure(Cause.CONTRACT, str(error), observation))
    if result.status == "preempted" and (unfinished := _not_yet(observation, known, stopped=True)):
        return unfinished
    if result.status in ("completed", "pruned"):
        return Finished(result, _warnings(observation))
    return Failed(_failure_in_result(result, observation, known), result)


UNREAD_SECONDS = 600.0
"""For so long at least a result that is there and cannot be read is waited for (a server of the file
system is away)."""

NEARLY = 0.9
"""Of its walltime: a job that was seen running for so long and then stopped has reached it."""

_STOPPED = frozenset({128 + 9, 128 + 10, 128 + 15})


def _waiting_for(observation: Observation) -> str:
    listing = observation.listing
    if listing is not None and listing.is_forgotten:
        return listing.reason
    return "left the queue; waiting for its files"


def _not_yet(
    observation: Observation, known: Circumstances, *, stopped: bool = False
) -> Unfinished | None:
    """A job that was stopped from outside, while the batch system has not said yet why.

    Between the job's end and its last word (walltime, memory, preemption) lie seconds; and one that
    waits again has been requeued: its sentinel is that of the earlier run.
    """
    listing = observation.listing
    if listing is None or listing.state is JobState.ENDED or _is_over(observation, known):
        return None
    if listing.state is JobState.QUEUED:
        return Unfinished(listing.state, listing.reason or "requeued")
    if stopped or observation.exit_code in _STOPPED:
        return Unfinished(listing.state, "stopped; the batch system has not said why yet")
    return None


def _check_identity(result: Result, known: Circumstances) -> None:
    if result.trial is not None and result.trial != known.trial:
        raise ContractError(
            f"results.json is of trial {result.trial}, in the directory of trial {known.trial}"
        )


def _warnings(observation: Observation) -> list[str]:
    if observation.exit_code is None:
        return ["the job left no exit code: its script was killed after the result was written"]
    if observation.exit_code != 0:
        return [f"the program wrote a result and then ended with {_code(observation.exit_code)}"]
    return []


def _failure_in_result(result: Result, observation: Observation, known: Circumstances) -> Failure:
    said = printable(f"{result.error.type}: {result.error.message}") if result.error else ""
    if result.status == "diverged":
        return _failure(Cause.DIVERGED, said or "training diverged", observation)
    if result.status == "preempted":
        return _failure(_stopped_by(observation, known), said or "stopped by a signal", observation)
    cause = _cause_in_text(said) or _cause_in_text(observation.stderr_tail) or Cause.PROGRAM_ERROR
    return _failure(cause, said or "the program reported a failure", observation)


def _failure_without_result(observation: Observation, known: Circumstances) -> Failure:
    code = observation.exit_code
    listing = observation.listing
    if known.cancelled:
        return _failure(Cause.CANCELLED, "cancelled", observation)
    said = listing.cause if listing is not None else None
    if known.shares_job and code is not None and code not in _STOPPED:
        said = None
    # A node that failed writes no exit code: with one, the listing was a moment too early.
    if (
        listing is not None
        and said is not None
        and not (said is Cause.NODE_FAILURE and (code is not None or observation.is_sentinel_empty))
    ):
        message = f"{listing.raw_state}: {listing.reason}".rstrip(": ")
        return _failure(said, message, observation)
    if code is None and observation.is_sentinel_empty:
        return _failure(
            Cause.NO_ROOM, f"its exit code could not be written: {_NO_ROOM}", observation
        )
    if code is None:
        return _failure(
            Cause.LOST,
            f"the job left the queue {known.grace:.0f} s ago without a result or an exit code"
            f"{_last_trace(observation, known)}",
            observation,
        )
    if code == 0:
        return _failure(
            Cause.CONTRACT,
            "the program ended with exit code 0 and wrote no results.json beside its "
            "hyperparameters.json: give it {job_dir} to write there, or {adapt} writes it for a program "
            "that knows of none",
            observation,
        )
    if observation.ended_by == WALLTIME and known.walltime_seconds is not None:
        return _failure(Cause.WALLTIME, _limit(known), observation)
    if fault := FAULTS.get(observation.ended_by) or _NO_COMMAND.get(code):
        return _failure(Cause.CANNOT_START, _cannot_start(fault, observation), observation)
    if code in (128 + 15, 128 + 10):
        return _failure(_stopped_by(observation, known), f"ended by {_code(code)}", observation)
    cause = _cause_in_text(observation.stderr_tail)
    if cause is None and code == 137:
        return _failure(
            Cause.OUT_OF_MEMORY,
            "killed by signal 9, as the kernel does when memory is short",
            observation,
        )
    why = f" ({_NO_ROOM})" if cause is Cause.NO_ROOM else ""
    return _failure(
        cause or Cause.PROGRAM_ERROR,
        f"the program ended with {_code(code)}{why}{_last_line(observation)}",
        observation,
    )


_NO_ROOM = "the disk there is full, or a quota is used up"


def _stopped_by(observation: Observation, known: Circumstances) -> Cause:
    if known.cancelled:
        return Cause.CANCELLED
    if observation.listing is not None and observation.listing.cause is not None:
        return observation.listing.cause
    # A PBS server without a history never says why: one that had (nearly) all its time used it up.
    limit = known.walltime_seconds
    is_over = limit is not None and known.ran_for is not None and known.ran_for >= NEARLY * limit
    return Cause.WALLTIME if is_over or observation.ended_by == WALLTIME else Cause.PREEMPTED


def _last_trace(observation: Observation, known: Circumstances) -> str:
    """What the batch system says of a job that left no sentinel, and whether it ever began."""
    listing = observation.listing
    if known.shares_job and not observation.started and observation.stderr_tail:
        return f", and this trial of it never began{_last_line(observation)}"
    if listing is None:
        # At ALCF such a job is in no history either.
        return (
            ""
            if observation.started
            else (
                ", and never began; a routing queue drops a job that none of its queues takes: compare "
                "nodes and walltime with the site's limits"
            )
        )
    code = "" if listing.exit_code is None else f", {_code(listing.exit_code)}"
    said = f"; the batch system says {listing.raw_state}{code}"
    if observation.started:
        return said
    if observation.stderr_tail:
        return f"{said}, and never began{_last_line(observation)}"
    if known.shares_job:
        return (
            f"{said}, and this trial of it never began: see job.err one directory above the trial's "
            "on the cluster (cluster.pack.launch?)"
        )
    return (
        f"{said}, and the job's script wrote nothing to its directory: do the compute nodes see it "
        "(cluster.remote_base)?"
    )


def _limit(known: Circumstances) -> str:
    return f"the job reached its walltime of {known.walltime_seconds:.0f} s"


_NO_COMMAND = {
    126: "the training command is not executable",
    127: "the training command was not found",
}
"""A shell's codes, also of one in which the program is started."""


def _cannot_start(fault: str, observation: Observation) -> str:
    return f"{fault}{_last_line(observation)}{_missed_before(observation)}"


def _missed_before(observation: Observation) -> str:
    """What a line of the setup did not find: an environment that is not there leaves no program either."""
    missed = unfound(observation.stderr_tail.rstrip().rpartition("\n")[0])
    return f"; before that: {missed[-1][:500]}" if missed else ""


def _last_line(observation: Observation) -> str:
    lines = [line.strip() for line in observation.stderr_tail.splitlines() if line.strip()]
    return f": {lines[-1][:500]}" if lines else ""


def _code(code: int) -> str:
    return f"signal {code - 128}" if 128 < code < 160 else f"exit code {code}"


# A line of noise may hold these words (a warning, a banner): only the last lines say what ended it.
_LAST_LINES = 3
_LAST_CAUSES = frozenset({Cause.CANNOT_START, Cause.BAD_CONFIGURATION, Cause.NO_ROOM})
_TEXT_CAUSES = (
    (
        Cause.NO_ROOM,
        # The last ones are NumPy's words and torch's, of a write that was cut short.
        re.compile(
            r"No space left on device|Disk quota exceeded|Not enough free space to write"
            r"|\d+ requested and \d+ written|PytorchStreamWriter failed writing"
            r"|inline_container\.cc:\d+\]\W*unexpected pos \d+ vs \d+"
        ),
    ),
    (
        Cause.OUT_OF_DEVICE_MEMORY,
        re.compile(
            r"(?:CUDA|HIP|XPU|MPS backend)(?: error:)? out of memory|OUT_OF_DEVICE_MEMORY"
            r"|CUDA_ERROR_OUT_OF_MEMORY|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED"
            r"|RESOURCE_EXHAUSTED: Out of memory",
            re.IGNORECASE,
        ),
    ),
    (
        Cause.OUT_OF_MEMORY,
        re.compile(
            r"out of memory|OutOfMemory|MemoryError|oom[-_ ]?kill|Cannot allocate memory",
            re.IGNORECASE,
        ),
    ),
    (Cause.CANNOT_START, re.compile(r"ModuleNotFoundError|No module named|ImportError")),
    (Cause.BAD_CONFIGURATION, re.compile(r"configuration|unrecognized arguments", re.IGNORECASE)),
)


def _cause_in_text(text: str) -> Cause | None:
    last = "\n".join([line for line in text.splitlines() if line.strip()][-_LAST_LINES:])
    return next(
        (
            cause
            for cause, pattern in _TEXT_CAUSES
            if pattern.search(last if cause in _LAST_CAUSES else text)
        ),
        None,
    )


def _failure(cause: Cause, message: str, observation: Observation) -> Failure:
    listing = observation.listing
    return Failure(
        cause=cause,
        message=message[:2000],
        exit_code=observation.exit_code,
        scheduler_state=listing.raw_state if listing else "",
        stderr_tail=observation.stderr_tail,
    )
