"""``queue JOB`` and ``queue --cancel``: one job in full, and an end to jobs of mine."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from agents.commands.consent import must_be_asked, says_yes
from agents.commands.resources import job_lines, look, reached
from agents.config import LoadedConfig
from agents.doctor.heard import Word
from agents.errors import ConfigurationError
from agents.inventory import QueuedJob
from agents.words import count
from scheduler.batch.pbs_states import NO_HISTORY
from scheduler.plain import printable
from scheduler.shell import quote

_JOB_ID = re.compile(r"[0-9][A-Za-z0-9_.+\[\]-]*")
_ACCOUNTING = "JobID,JobName,State,ExitCode,Start,End,Elapsed,Timelimit,NodeList,ReqTRES"
_READ_ACCOUNTING = (
    f'sacct -X -P -j "$1" -o {_ACCOUNTING} | awk -F "|" '
    '"NR==1 {split(\\$0, name)} NR>1 {for (i=1; i<=NF; i++) print name[i] \\"=\\" \\$i; seen=1} '
    'END {exit !seen}"'
)
DETAIL = {
    "slurm": f"ph_hear KEY scontrol show job JOB || ph_hear KEY sh -c {quote(_READ_ACCOUNTING)} sh JOB\n",
    # With -x first, a PBS without a history answers nothing of a job that it has, and exit code 0.
    "pbs": "ph_hear KEY qstat -f JOB || ph_hear KEY qstat -x -f JOB\n",
}
CANCEL = {"slurm": "ph_hear KEY scancel JOB\n", "pbs": "ph_hear KEY qdel JOB\n"}


def tell_jobs(loaded: LoadedConfig, jobs: Sequence[str]) -> int:
    """Print what the scheduler tells of each. Returns 1 where it knows one of them not."""
    words = _asked(loaded, DETAIL, _checked(jobs))
    for job in jobs:
        said = printable(words[job].text)
        if _is_told(words[job]):
            print(said)
        elif NO_HISTORY in said:
            said = "not in the queue, and this PBS keeps no history of jobs that have left it"
            print(f"error: {job}: {said}", file=sys.stderr)
        else:
            print(f"error: {job}: {said or 'not known'}", file=sys.stderr)
    return 0 if all(map(_is_told, words.values())) else 1


def _is_told(word: Word) -> bool:
    return word.code == 0 and bool(word.text) and NO_HISTORY not in word.text


def cancel_jobs(loaded: LoadedConfig, jobs: Sequence[str], yes: bool) -> int:
    """Cancel `jobs`, or all of mine. Returns 1 where one could not be."""
    named = _checked(jobs)
    inventory, _ = look(loaded, with_starts=False)
    mine = [job for job in inventory.jobs if job.mine]
    meant = [job for job in mine if _is_named(job, named)] if named else mine
    strangers = [name for name in named if not any(_is_named(job, [name]) for job in mine)]
    if strangers:
        raise ConfigurationError(
            f"queue --cancel: no job of yours is queued or runs as {', '.join(strangers)}"
        )
    if not meant:
        print("no jobs of mine")
        return 0
    if not named and not yes and not _agreed(meant):
        return 0
    words = _asked(loaded, CANCEL, [job.job_id for job in meant])
    for job in meant:
        word = words[job.job_id]
        if word.code == 0:
            print(f"cancelled: {job.job_id} ({job.name})")
        else:
            why = printable(word.text) or f"exit code {word.code}"
            print(f"error: {job.job_id}: {why}", file=sys.stderr)
    return 1 if any(word.code for word in words.values()) else 0


def _checked(jobs: Sequence[str]) -> list[str]:
    for job in jobs:
        if not _JOB_ID.fullmatch(job):
            raise ConfigurationError(f"queue {job}: give a job's id, as `queue` lists it")
    return list(dict.fromkeys(jobs))


def _is_named(job: QueuedJob, names: Sequence[str]) -> bool:
    """Whether one of `names` is its id, with or without the server (PBS)."""
    return job.job_id in names or job.job_id.partition(".")[0] in names


def _asked(loaded: LoadedConfig, how: dict[str, str], jobs: Sequence[str]) -> dict[str, Word]:
    from agents.inventory.survey import tell

    batch = loaded.settings.cluster.batch_system
    keys = {job: f"job{place}" for place, job in enumerate(jobs)}
    with reached(loaded) as transport:
        questions = "".join(
            how[batch.kind].replace("KEY", key).replace("JOB", quote(job))
            for job, key in keys.items()
        )
        heard = tell(transport, batch, questions)
    return {job: heard.get(key, Word(1, "no answer")) for job, key in keys.items()}


def _agreed(jobs: Sequence[QueuedJob]) -> bool:
    what = count(len(jobs), "job")
    must_be_asked(
        f"queue --cancel: {what} of yours, and nobody can be asked here; name them, or give --yes"
    )
    for job in jobs:
        print("\n".join(job_lines(job)))
    return says_yes(f"Cancel {what}", "nothing was cancelled")
