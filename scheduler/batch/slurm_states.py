"""Slurm's words as data: job states, reasons, refusals.

Sources: squeue(1) "JOB STATE CODES", "JOB REASON CODES" of Slurm 22.05 to 25.05, and calls of a
real 22.05 (tests/recordings/slurm).
"""

from __future__ import annotations

import re

from scheduler.job import Cause, JobState

STATES: dict[str, tuple[JobState, Cause | None]] = {
    "PENDING": (JobState.QUEUED, None),
    "CONFIGURING": (JobState.QUEUED, None),
    "POWER_UP_NODE": (JobState.QUEUED, None),
    "REQUEUED": (JobState.QUEUED, None),
    "REQUEUE_FED": (JobState.QUEUED, None),
    "REQUEUE_HOLD": (JobState.QUEUED, None),
    "RESV_DEL_HOLD": (JobState.QUEUED, None),
    "SPECIAL_EXIT": (JobState.QUEUED, None),
    "RUNNING": (JobState.RUNNING, None),
    "COMPLETING": (JobState.RUNNING, None),
    "SIGNALING": (JobState.RUNNING, None),
    "STAGE_OUT": (JobState.RUNNING, None),
    "RESIZING": (JobState.RUNNING, None),
    "SUSPENDED": (JobState.RUNNING, None),
    "STOPPED": (JobState.RUNNING, None),
    "EXPEDITING": (JobState.RUNNING, None),
    "UPDATE_DB": (JobState.RUNNING, None),
    "COMPLETED": (JobState.ENDED, None),
    "FAILED": (JobState.ENDED, None),
    "NODE_FAIL": (JobState.ENDED, Cause.NODE_FAILURE),
    "BOOT_FAIL": (JobState.ENDED, Cause.NODE_FAILURE),
    "LAUNCH_FAILED": (JobState.ENDED, Cause.CANNOT_START),
    "RECONFIG_FAIL": (JobState.ENDED, Cause.NODE_FAILURE),
    "PREEMPTED": (JobState.ENDED, Cause.PREEMPTED),
    "TIMEOUT": (JobState.ENDED, Cause.WALLTIME),
    "OUT_OF_MEMORY": (JobState.ENDED, Cause.OUT_OF_MEMORY),
    "CANCELLED": (JobState.ENDED, Cause.CANCELLED),
    "DEADLINE": (JobState.ENDED, Cause.CANCELLED),
    # Another cluster of the federation runs it; this one only keeps its place.
    "REVOKED": (JobState.UNKNOWN, None),
}
"""State and, where the state itself tells, the cause. What is not here is UNKNOWN."""

SUSPENDED = frozenset({"SUSPENDED", "STOPPED"})
"""It has its nodes and does not go on: another goes first, or somebody stopped it."""

REASON_CAUSES: dict[str, Cause] = {
    "TimeLimit": Cause.WALLTIME,
    "OutOfMemory": Cause.OUT_OF_MEMORY,
    "NodeDown": Cause.NODE_FAILURE,
    "NodeFailure": Cause.NODE_FAILURE,
    "SystemFailure": Cause.NODE_FAILURE,
    "Prolog": Cause.NODE_FAILURE,
    "JobLaunchFailure": Cause.CANNOT_START,
    "BadConstraints": Cause.CANNOT_START,
    "InvalidAccount": Cause.CANNOT_START,
    "InvalidQOS": Cause.CANNOT_START,
}
"""How a job that failed, or is completing, came to that, by Slurm's reason."""

REASON_WORDS: dict[str, str] = {
    "JobHeldUser": "held by its user; `scontrol release` lets it go",
    "JobHeldAdmin": "held by an administrator, who has to release it",
    "job requeued in held state": "requeued and held; `scontrol release` lets it go",
    "launch failed requeued held": "could not be launched, requeued and held; see the site's help",
    "BadConstraints": "no node fits the request; it will never start",
    "DependencyNeverSatisfied": "what it depends on failed; it will never start",
    "PartitionTimeLimit": "asks for more time than the partition allows; it will never start",
    "PartitionNodeLimit": "asks for more nodes than the partition allows; it will never start",
    "PartitionConfig": "asks for more than the partition has; it will never start",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is inactive",
    "QOSMaxWallDurationPerJobLimit": "asks for more time than its QOS allows; it will never start",
    "AssocMaxWallDurationPerJobLimit": "asks for more time than the account allows; "
    "it will never start",
    "InvalidAccount": "the account is not valid; it will never start",
    "InvalidQOS": "the QOS is not valid; it will never start",
    "AccountNotAllowed": "the account may not use this partition; it will never start",
    "AssocGrpBillingMinutes": "the account has used up its allocation",
    "AssocGrpCPUMinutesLimit": "the account has used up its allocation",
    "ReqNodeNotAvail": "the nodes are not available (a maintenance?)",
}
"""What a reason means for a person, where Slurm's word alone does not say it."""

NEVER_STARTS = re.compile(
    r"BadConstraints|DependencyNeverSatisfied|Partition(?:TimeLimit|NodeLimit|Config)"
    r"|InvalidAccount|InvalidQOS|AccountNotAllowed|QOSNotAllowed|MaxMemPerLimit"
    r"|(?:Assoc|QOS)Max\w*Per(?:Job|Node)(?:Limit)?|QOSMin\w+"
)
"""Reasons that lie in the request: waiting does not mend them (docs/decisions/017)."""

NEVER_WORDS = "it will never start"

AWAY = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Zero Bytes were transmitted"
    r"|Protocol authentication error|Munge (?:encode|decode) failed|authentication error"
    r"|Connection refused|Connection timed out|Connection reset|Communication connection failure"
    r"|Unable to process configuration file|Could not establish a configuration source"
    r"|in standby mode|Transport endpoint is not connected|Unexpected message received"
    r"|Unable to establish controller machine|Slurmctld is (?:DOWN|not responding)",
    re.IGNORECASE,
)
"""Words of a controller that did not answer: what was asked of it may still happen."""

BACKPRESSURE = re.compile(
    r"(?:Assoc|QOS)\w*Submit\w*Limit|temporarily unable to accept job|MaxSubmitJobs\w* limit"
    r"|I/O error writing script"
    r"|partition not available \(inactive or drain\)|operation is presently disabled"
)
"""Words of a refusal that time mends: a limit on the number of jobs, a maintenance, the controller's full disk."""
