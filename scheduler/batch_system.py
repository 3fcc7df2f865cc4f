"""The seam to a batch system: a table and pure functions. No I/O here; that is the transport's.

A batch system contributes text to three POSIX sh scripts (submit, poll, cancel) which
`scheduler.submission`, `scheduler.polling` and `scheduler.cancellation` assemble, and parses what
comes back. Shell fragments receive data in positional parameters or already quoted, never spliced
from raw strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.job import JobRef, Listing, Resources

CUT_OFF = frozenset({124, *range(129, 152)})
"""Exit codes of a command that was ended before it answered: by our time limit, by a signal. PBS's own
codes begin above them (15001 modulo 256)."""


@dataclass(frozen=True)
class SubmitAnswer:
    """How one submission command ended: exit code and both streams."""

    code: int
    stdout: str
    stderr: str


class BatchSystem(Protocol):
    name: str
    """``slurm``, ``pbs``, ``local``."""
    script_name: str
    """The job script's file name in the job's directory: ``job.slurm``, ``job.pbs``, ``job.sh``."""
    job_id_variable: str
    """Shell text that gives the job its own id inside a job: ``"${SLURM_JOB_ID:-}"``."""
    close_descriptors: str
    """Redirections that keep the batch system's own descriptors from the training program."""
    files_lag: bool
    """Whether a job's files may appear after the job has left the listing (network file systems)."""
    enforces_walltime: bool
    """False: the job script itself ends the program when its time is up."""
    inside_a_job: bool
    """Whether its jobs run in one of another; only the trials of a packed job do."""

    def directives(self, name: str, resources: Resources) -> list[str]:
        """Header lines of the job script (``#SBATCH …``), without the shebang.

        Raises SchedulerError for a request that this batch system cannot express.
        """
        ...

    def submit_shell(self) -> str:
        """Defines ``ph_submit SCRIPT NAME``: submits, job id (or noise around it) on stdout.

        Runs with the job's directory as working directory. Exit code 0 means taken.
        """
        ...

    def find_shell(self) -> str:
        """Defines ``ph_find NAME``: prints the listing lines of jobs with that name, if any.

        Exit code 2 means that the queue was asked and the books of ended jobs could not be, any
        other but 0 that the batch system could not be asked.
        """
        ...

    def list_shell(self, jobs: Sequence[JobRef]) -> str:
        """Shell text whose stdout is the listing of these jobs; `parse_listing` reads it."""
        ...

    def cancel_shell(self, jobs: Sequence[JobRef]) -> str:
        """Shell text that cancels these jobs, whatever state they are in. Idempotent.

        Exit code not 0 means that the batch system could not be asked about all of them.
        """
        ...

    def parse_submit(self, answer: SubmitAnswer) -> str | None:
        """The job id in a submission's answer; None where none can be made out."""
        ...

    def is_backpressure(self, answer: SubmitAnswer) -> bool:
        """Whether a refused submission hit a limit on jobs: submit again later."""
        ...

    def is_away(self, answer: SubmitAnswer) -> bool:
        """Whether the batch system could not be reached: the outcome is unknown."""
        ...

    def parse_found(self, stdout: str) -> list[str]:
        """Job ids in the output of ``ph_find``, oldest first."""
        ...

    def parse_listing(
        self, jobs: Sequence[JobRef], code: int, stdout: str, stderr: str
    ) -> Mapping[str, Listing]:
        """What the listing says, by job id. Jobs it does not mention are not in the mapping.

        Raises SchedulerAway where the listing is that of a batch system in trouble.
        """
        ...
