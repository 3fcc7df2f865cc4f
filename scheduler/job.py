"""The words for jobs: what is asked for, what was seen, what came of it. Data only."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.sentinel import PROGRAM


class JobState(enum.Enum):
    """Where a job stands, in one vocabulary for all batch systems."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    """Left the batch system's care; how it ended is in the other fields of `Listing`."""
    UNKNOWN = "unknown"
    """The batch system said something not in its table. Not terminal."""


class Cause(enum.Enum):
    """Why a trial failed, as far as can be told. Each asks for something else of a person."""

    OUT_OF_MEMORY = "out of memory"
    OUT_OF_DEVICE_MEMORY = "out of device memory"
    """Of a GPU: more memory on the node does not help."""
    WALLTIME = "walltime"
    NO_ROOM = "no room on disk"
    """A disk was full there, or a quota used up: the site's state, whatever was to be written."""
    NODE_FAILURE = "node failure"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    DIVERGED = "diverged"
    BAD_CONFIGURATION = "bad configuration"
    CANNOT_START = "cannot start"
    CONTRACT = "contract broken"
    PROGRAM_ERROR = "program error"
    REFUSED = "refused by the scheduler"
    LOST = "lost"


@dataclass(frozen=True)
class Resources:
    """What one job asks of a batch system. None leaves the site's default.

    `walltime_seconds` in seconds; `memory_mb` in MiB per node. `directives` are further
    options by their scheduler name without dashes (``{"exclude": "n01", "requeue": None}``;
    None is a flag without a value).
    """

    nodes: int = 1
    tasks: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    gpus: int | None = None
    gpu_type: str | None = None
    walltime_seconds: int | None = None
    warn_seconds: int | None = None
    """How long before its walltime the program is asked to end (`scheduler.resources.warning`)."""
    queue: str | None = None
    """Partition (SLURM) or queue (PBS)."""
    account: str | None = None
    directives: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """An image that the training command runs in. `before` lines are the person's own shell."""

    runtime: str
    """``apptainer`` or ``singularity``."""
    image: str
    gpu: str | None = None
    """``nvidia``, ``amd``, or None."""
    binds: Sequence[str] = ()
    overlays: Sequence[str] = ()
    options: Sequence[str] = ()
    before: Sequence[str] = ()


@dataclass(frozen=True)
class JobScript:
    """What the job script does around and with the training command. No field is shell.

    `setup` lines are the exception: they are the person's own shell lines from the configuration
    (``module load …``), never data.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[str] = ()
    setup: Sequence[str] = ()
    working_directory: str | None = None
    """Absolute path on the cluster; None is the job's own directory."""
    container: Container | None = None


@dataclass(frozen=True)
class JobRequest:
    """One attempt at one trial, ready to be submitted.

    `name` is unique in the experiment and among all runs (it ends in a token of the run and
    attempt) and at most 230 characters of ``[A-Za-z0-9._+-]``. `directory` is the attempt's own
    directory, relative to the cluster's run directory; `files` go in there before submission.
    """

    name: str
    directory: str
    script: JobScript
    resources: Resources
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class JobRef:
    """Enough to find a submitted job again."""

    name: str
    directory: str
    job_id: str | None
    """None while the outcome of a submission is unknown: it is looked for by name."""
    metrics_offset: int = 0
    """Bytes of ``metrics.jsonl`` already read."""
    shared_job: str | None = None
    """The name of the batch system's job, where the trial shares it with others."""

    @property
    def batch_name(self) -> str:
        """The name under which the batch system has it."""
        return self.shared_job or self.name

    @property
    def batch_directory(self) -> str:
        """The directory of the batch system's job; trials that share it lie below."""
        return self.directory if self.shared_job is None else self.directory.partition("/")[0]


@dataclass(frozen=True)
class Submitted:
    """The batch system took the job."""

    name: str
    job_id: str


@dataclass(frozen=True)
class Refused:
    """The batch system did not take the job.

    `backpressure` is true where a limit on jobs was hit: submit again later.
    """

    name: str
    message: str
    backpressure: bool = False


@dataclass(frozen=True)
class Unwritable:
    """The job's directory cannot be reached or filled; nothing was asked of the batch system now.

    Whether an earlier submission took it is not known.
    """

    name: str
    message: str


@dataclass(frozen=True)
class NeverSubmitted:
    """The batch system never had the job, and an earlier submission that is still on its way makes none."""

    name: str


@dataclass(frozen=True)
class Listing:
    """What the batch system says of one job."""

    job_id: str
    state: JobState
    raw_state: str = ""
    reason: str = ""
    """In the batch system's words: why it waits or how it ended."""
    exit_code: int | None = None
    """The script's exit code, 0-255, where the batch system tells; signals as 128+n."""
    cause: Cause | None = None
    """Set where the batch system itself names how the job ended badly."""
    never_starts: bool = False
    """It waits, and the batch system says that as things are it will never start."""
    is_forgotten: bool = False
    """The queue does not have it, and the books of ended jobs do not say that it ended: they lag, cannot
    be asked, or missed its end."""


@dataclass(frozen=True)
class Observation:
    """All that one poll saw of one job: the batch system's word and the job's own files."""

    name: str
    listing: Listing | None
    """None: the batch system does not list it. That alone proves nothing."""
    started: bool
    """The job has taken its lock: it ran, or runs."""
    exit_code: int | None
    """From the sentinel file, written last by the job script."""
    result: bytes | None
    """``results.json`` as it lies there, at most `MAX_RESULT_BYTES` + 1 bytes."""
    new_metrics: bytes = b""
    """Bytes of ``metrics.jsonl`` from the offset asked for."""
    stderr_tail: str = ""
    """The end of the job's stderr; only once the job has ended."""
    holder: str | None = None
    """The id of the job that took the lock, as the job itself knows it."""
    is_sentinel_empty: bool = False
    """The job's script came to its end, and the file for its exit code took no byte."""
    is_result_unread: bool = False
    """``results.json`` is there, and could not be read this time."""
    ended_by: str = PROGRAM
    """From the sentinel, too: who ended the job with that code (`scheduler.sentinel`)."""


@dataclass(frozen=True)
class Failure:
    """Why a trial failed: a cause that can be counted, and a sentence that can be read."""

    cause: Cause
    message: str
    exit_code: int | None = None
    scheduler_state: str = ""
    stderr_tail: str = ""


@dataclass(frozen=True)
class InDoubt:
    """An earlier submission of this job was cut off; the batch system does not list it (yet)."""

    name: str
    seconds: float
    """How long ago the submission began, by the cluster's clock."""
    accepted: bool = False
    """The batch system said that it took the job, but not under which id: never submit it anew."""
    did_not_happen: bool = False
    """It is so long ago that the job would have shown by now."""
    why: str = field(default="", compare=False)
    """In the words of the command that broke off, where it said any."""
