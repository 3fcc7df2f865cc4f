"""From a trial to the job that runs it: names, directories, command, files. Pure."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from agents import adapter
from agents.config.adapted import ADAPT
from agents.config.checks import PLACEHOLDERS
from agents.config.model import Settings
from agents.screen import duration_text
from agents.trial import Job, Trial
from scheduler.job import Cause, Failure, JobRequest, JobScript, Resources
from scheduler.resources import container_of, resources_for
from scheduler.retry import Attempt, decide
from scheduler.units import memory_text
from training.contract import HYPERPARAMETERS_FILE, Task, to_json_bytes

BELL_VARIABLE = "PILOTHOUSE_BELL"
"""Where a job finds the URL to call; a scheduler's epilog or a program of one's own may call it too."""


EARLIER_VARIABLE = "PILOTHOUSE_EARLIER"
"""Where a job finds the directory of the attempt before, with the checkpoints that it left."""


def trial_seed(seed: int, number: int) -> int:
    """The seed of a trial's training: its own, and the same however often the run is resumed."""
    digest = hashlib.sha256(f"training/{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 2**31


def new_job(
    trial: Trial,
    settings: Settings,
    token: str,
    attempt: int = 1,
    resources: Resources | None = None,
) -> Job:
    """The job of an attempt at `trial`. Its name ends in the run's `token`, trial and attempt.

    Deterministic: made again after a crash, it is the same job. `resources` replace what the
    trial's hyperparameters call for.
    """
    pattern = settings.directories.job_pattern
    directory = pattern.format(
        experiment=settings.experiment.id, iteration=trial.iteration, trial=trial.number
    )
    if attempt > 1:
        directory = f"{directory}_attempt_{attempt}"
    name = f"{posixpath.basename(directory)}-{token}-{trial.number}.{attempt}"
    asked = resources or resources_for(settings.cluster, trial.parameters)
    return Job(name=name, directory=directory, attempt=attempt, resources=asked)


def shared_name(job: Job, token: str) -> str | None:
    """The name of the job that a trial shares with others; None where it has one to itself."""
    return None if job.pack is None else f"{job.pack}-{token}"


def next_attempt(trial: Trial, failure: Failure, settings: Settings, token: str) -> Job | None:
    """The job with which a trial is run again after `failure`; None where it is not."""
    assert trial.job is not None
    causes = [*((past.job, past.failure) for past in trial.attempts), (trial.job, failure)]
    attempts = [Attempt(job.resources, failed.cause) for job, failed in causes]
    resources = decide(attempts, settings.cluster.retry)
    if resources is None:
        return None
    return new_job(trial, settings, token, trial.job.attempt + 1, resources)


def with_more(before: Resources, after: Resources) -> str:
    """What the next attempt has more of: `` with 1 min 30 s of walltime``; nothing where it has the same."""
    if after.memory_mb is not None and after.memory_mb != before.memory_mb:
        return f" with {memory_text(after.memory_mb)} of memory"
    if after.walltime_seconds is not None and after.walltime_seconds != before.walltime_seconds:
        return f" with {duration_text(after.walltime_seconds)} of walltime"
    return ""


def cannot_have_more(failure: Failure, job: Job, settings: Settings) -> str:
    """Why a job that was short of memory does not come back with more where the policy would have it
    so; else nothing. A site's default is often small, and known to nobody here."""
    asked = (
        settings.cluster.batch_system.kind != "local" and settings.cluster.retry.out_of_memory.times
    )
    if failure.cause is not Cause.OUT_OF_MEMORY or job.resources.memory_mb is not None or not asked:
        return ""
    return (
        "Trials ran out of the memory that the site gives where none is asked for, and cannot come back "
        "with more of it: set cluster.resources.memory (it takes a new run, or `resume DIR --set`)"
    )


def job_request(
    trial: Trial,
    settings: Settings,
    root: str,
    code: str | None = None,
    bell: str | None = None,
) -> JobRequest:
    """What the cluster is asked to run for `trial`, whose job is known.

    `root` and `code` (the snapshot of the training code, where there is one) are absolute there;
    `bell` is the URL that the job calls at its end.
    """
    assert trial.job is not None
    directory = posixpath.join(root, trial.job.directory)
    task = Task(
        experiment=settings.experiment.id,
        trial=trial.number,
        job=trial.job.name,
        seed=trial.seed,
        hyperparameters=trial.parameters,
        budget=settings.training.budget,
    )
    values = {
        "python": python_command(settings),
        "hyperparameters": posixpath.join(directory, HYPERPARAMETERS_FILE),
        "job_dir": directory,
        "trial": str(trial.number),
        "seed": str(trial.seed),
        "job": trial.job.name,
        "code": code or "",
        "adapt": posixpath.join(directory, adapter.FILE),
    }
    cluster = settings.cluster
    container = container_of(cluster.container)
    earlier = posixpath.join(root, trial.attempts[-1].job.directory) if trial.attempts else None
    if container is not None:
        binds = [place for place in (code, earlier) if place is not None]
        container = replace(container, binds=[*container.binds, *binds])
    script = JobScript(
        command=[_filled(argument, values) for argument in settings.training.command],
        environment={
            **cluster.environment,
            "PILOTHOUSE_TRIAL": str(trial.number),
            **({EARLIER_VARIABLE: earlier} if earlier is not None else {}),
            **({BELL_VARIABLE: bell} if bell is not None else {}),
        },
        modules=cluster.modules,
        setup=cluster.setup,
        working_directory=_working_directory(settings) or code,
        container=container,
    )
    return JobRequest(
        name=trial.job.name,
        directory=trial.job.directory,
        script=script,
        resources=trial.job.resources,
        files={
            HYPERPARAMETERS_FILE: to_json_bytes(task.to_json()),
            **({adapter.FILE: adapter.archive()} if ADAPT in settings.training.command else {}),
        },
    )


def as_jobs(trials: Sequence[Trial], size: int, settings: Settings) -> list[Sequence[Trial]]:
    """The trials by the jobs that will run them, at most `size` that ask for the same in one.

    A pack that has been named stays whole: its job may have been taken, with all of its trials.
    """
    jobs: list[list[Trial]] = []
    by_pack: dict[str, list[Trial]] = {}
    filling: dict[str, list[Trial]] = {}
    for trial in trials:
        job = trial.job
        if job is not None and job.pack is not None:
            place, key, most = by_pack, job.pack, len(trials)
        else:
            asked = job.resources if job else resources_for(settings.cluster, trial.parameters)
            place, key, most = filling, json.dumps(asdict(asked), sort_keys=True), size
        if key not in place or len(place[key]) == most:
            place[key] = []
            jobs.append(place[key])
        place[key].append(trial)
    return list(jobs)


def in_packs(trials: Sequence[Trial], size: int) -> list[Trial]:
    """The trials, whose jobs are known, each in a pack of at most `size` that ask for the same.

    A trial that has a pack keeps it: it may have been submitted. Deterministic.
    """
    packs: dict[str, list[Trial]] = {}
    found: dict[int, Trial] = {}
    for trial in trials:
        assert trial.job is not None
        if trial.job.pack is not None:
            found[trial.number] = trial
            continue
        asked = json.dumps(asdict(trial.job.resources), sort_keys=True)
        pack = packs.setdefault(asked, [])
        if len(pack) == size:
            pack.clear()
        pack.append(trial)
        first = pack[0]
        assert first.job is not None
        again = f"_attempt_{trial.job.attempt}" if trial.job.attempt > 1 else ""
        name = f"pack_{first.number:04d}{again}"
        job = replace(trial.job, pack=name, directory=posixpath.join(name, trial.job.directory))
        found[trial.number] = replace(trial, job=job)
    return [found[trial.number] for trial in trials]


def lock_holder(known: str | None, holder: str | None) -> str | None:
    """The id of the job that took the lock, in the form of the id that the batch system gave.

    `holder` is what the job itself has for its id: without the cluster's name in Slurm, perhaps with
    another name of the server in PBS. Ids that are no numbers are taken for the known one.
    """
    ours, its = re.match(r"\d+", known or ""), re.match(r"\d+", holder or "")
    if known is None or ours is None or its is None or ours[0] == its[0]:
        return known
    return its[0] + known[ours.end() :]


def is_local(settings: Settings) -> bool:
    """Whether jobs run where the orchestrator does, in its own run directory."""
    return settings.cluster.transport.kind == "local" and settings.cluster.remote_base is None


def python_command(settings: Settings) -> str:
    """What ``{python}`` stands for."""
    if settings.cluster.python is not None:
        return settings.cluster.python
    return sys.executable if settings.cluster.transport.kind == "local" else "python3"


_PLACEHOLDER = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


def _filled(argument: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], argument)


def _working_directory(settings: Settings) -> str | None:
    directory = settings.training.directory
    if directory is None:
        return None
    return str(directory.absolute()) if is_local(settings) else str(directory)
