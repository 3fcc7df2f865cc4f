"""PBS's words as data: job states, exit statuses, comments, refusals.

Sources: qstat(1B) of OpenPBS 23.06, its ``job.h`` (``JOB_EXEC_*``, ``JOB_SUBSTATE_*``) and
``pbs_messages.c``, and calls of a real server (tests/recordings/openpbs).
"""

from __future__ import annotations

import re

from scheduler.job import Cause, JobState

STATES: dict[str, JobState] = {
    "Q": JobState.QUEUED,
    "W": JobState.QUEUED,
    "T": JobState.QUEUED,
    "H": JobState.QUEUED,
    "R": JobState.RUNNING,
    "B": JobState.RUNNING,
    "E": JobState.RUNNING,
    "S": JobState.RUNNING,
    "U": JobState.RUNNING,
    "F": JobState.ENDED,
    "X": JobState.ENDED,
    # Gone to another server, which knows how it is.
    "M": JobState.UNKNOWN,
}

SUSPENDED = frozenset("SU")
"""It has its place and does not go on: another goes first, or its workstation's owner is there."""

TERMINATED = "91"
"""Substate of a job that was deleted, before it ran or while it did."""

EXIT_CAUSES: dict[int, tuple[Cause, str]] = {
    -1: (Cause.CANNOT_START, "the job could not be started (before its files were there)"),
    -2: (Cause.CANNOT_START, "the job could not be started (a prologue of the site failed?)"),
    -3: (Cause.NODE_FAILURE, "the job could not be started; PBS would have tried again"),
    -4: (Cause.NODE_FAILURE, "PBS restarted on the job's node"),
    -5: (Cause.NODE_FAILURE, "PBS restarted on the job's node"),
    -6: (Cause.NODE_FAILURE, "PBS restarted on the job's node"),
    -7: (Cause.NODE_FAILURE, "the job could not be restarted from its checkpoint"),
    -10: (Cause.CANNOT_START, "the user or group is not valid on the node"),
    -11: (Cause.PREEMPTED, "the job was to be run again"),
    -12: (Cause.PREEMPTED, "the job was checkpointed and killed"),
    -13: (Cause.CANNOT_START, "the job's credentials were refused"),
    -14: (Cause.NODE_FAILURE, "one of the job's nodes failed"),
    -15: (Cause.PREEMPTED, "the job was requeued from its checkpoint"),
    -16: (Cause.CANNOT_START, "a hook of the site rejected the job"),
    -17: (Cause.CANNOT_START, "a hook of the site rejected the job"),
    -18: (Cause.PREEMPTED, "a hook of the site had the job requeued"),
    -19: (Cause.CANCELLED, "a hook of the site had the job deleted"),
    -20: (Cause.NODE_FAILURE, "the job's first node was lost"),
    -21: (Cause.CANNOT_START, "the node refused the job for its security"),
    -22: (Cause.CANNOT_START, "a hook of the site failed"),
    -23: (Cause.CANNOT_START, "the job had no Kerberos credentials"),
    -24: (Cause.CANCELLED, "the job used more CPUs than it asked for"),
    -25: (Cause.CANCELLED, "the job used more CPUs than it asked for"),
    -26: (Cause.OUT_OF_MEMORY, "the job used more virtual memory than it asked for"),
    -27: (Cause.OUT_OF_MEMORY, "the job used more memory than it asked for"),
    -28: (Cause.WALLTIME, "the job used more CPU time than it asked for"),
    -29: (Cause.WALLTIME, "the job reached its walltime"),
    -30: (Cause.NODE_FAILURE, "the job's nodes could not join"),
}
"""Exit statuses that PBS sets itself, in its own words made plain."""

COMMENT_CAUSES: tuple[tuple[re.Pattern[str], Cause], ...] = (
    (re.compile(r"exceeded resource (?:walltime|cput)"), Cause.WALLTIME),
    (re.compile(r"exceeded resource v?mem"), Cause.OUT_OF_MEMORY),
    (re.compile(r"preempted", re.IGNORECASE), Cause.PREEMPTED),
    # A job that may not be requeued is preempted by deletion (req_preemptjob.c), in this name.
    (re.compile(r"terminated by Scheduler@"), Cause.PREEMPTED),
    (re.compile(r"terminated by|deleted", re.IGNORECASE), Cause.CANCELLED),
)

NEVER_STARTS = "Can Never Run"
"""In the comment of a waiting job: its scheduler compared the request with all that there is."""

COMMENT_WORDS: tuple[tuple[str, str], ...] = (
    (NEVER_STARTS, "it will never start"),
    ("too many failed attempts to run", "held; it will not start until an administrator looks"),
)
"""Comments on waiting jobs that a person has to act on."""

HOLD_WORDS = {
    "u": "held by its user; `qrls` lets it go",
    "o": "held by an operator",
    "s": "held by the system (a dependency, or too many failed starts)",
    "p": "held for a bad password",
}

NO_HISTORY = "not configured to maintain job history"

AWAY = re.compile(
    r"cannot connect to server|Connection refused|Connection timed out|Connection reset"
    r"|Unknown Host|No route to host|Network is unreachable|End of File|Premature end of message"
    r"|Protocol \(ASN\.1\) error|Server is shutting down|System error|Timeout(?!: )|Expired credential"
    r"|could not connect to (?:authentication|comm)|Invalid credential|Communication failure"
    r"|server busy|Batch protocol error",
    re.IGNORECASE,
)
"""Words of a server that did not answer: what was asked of it may still happen. Not those of our own
``timeout: failed to run command 'qsub'``: there is none to be asked."""

AWAY_CODES = frozenset({162, 255})
"""Exit codes of the same: PBSE_NOSERVER modulo 256, no connection."""

BACKPRESSURE = re.compile(
    r"would exceed .*limit|Maximum number of jobs already|Queue is not enabled|Failed to save job"
    r"|could not create/open tmp file",
    re.IGNORECASE,
)
"""Words of a refusal that time mends: a limit on the number of jobs (or on what they ask for), a
queue that is closed for a maintenance, a full disk of the server or (``/tmp``) of the login node."""

ANSWERED_CODES = frozenset({0, 35, 153})
"""qstat answered: for all, or some of the jobs are finished (35) or unknown (153)."""
