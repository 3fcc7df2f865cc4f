"""Whether a job that has our number is ours: numbers come twice, names may be changed. Pure.

A batch system that was set up anew counts from one, so a number alone proves nothing. A person may rename a
job (``scontrol update JobName=``, ``qalter -N``), so its name is not needed either: where it lies is not
changed, and nobody else's job lies in the directory of one attempt.
"""

from __future__ import annotations

import re

from scheduler.job import JobRef

SAY_ROOT = "printf 'ROOT: %s\\n' \"$PH_ROOT\"\n"
"""Shell text: first thing in a listing, so that nothing that others wrote comes before it."""


def root_in(stdout: str) -> str:
    """The run's directory (absolute) as the listing says it; empty where it does not."""
    said = re.match(r"ROOT: (.*)\n", stdout)
    return said[1] if said else ""


def is_ours(job: JobRef, name: str, name_there: str, place: str, root: str) -> bool:
    """Whether the batch system's job of our number is `job`, which it was given as `name_there`.

    `name` and `place` are what it now says of the job: its name, and the directory in which it lies.
    """
    if name == name_there:
        return True
    return bool(root) and place == f"{root}/{job.batch_directory}"
