"""``--dry-run``: what a run would begin with, and what it could cost. Nothing is made or sent."""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path

import yaml

from agents.bell import bell_url
from agents.config import LoadedConfig
from agents.config.model import Settings
from agents.jobs import job_request, new_job, trial_seed
from agents.proposers.build import build_proposer
from agents.schedule import quota
from agents.screen import duration_text
from agents.search import open_cluster
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView, Trial, TrialState
from agents.workspace import Workspace
from scheduler.resources import resources_for


def dry_run(loaded: LoadedConfig) -> str:
    """The first proposals, the first job as it would be submitted, and the cost, as text."""
    settings = loaded.settings
    proposals, notices = _first_proposals(settings)
    trials = [_trial(settings, number, proposal) for number, proposal in enumerate(proposals)]
    parts = [
        f"{loaded.path}: valid. Nothing was started.",
        *(f"note: {notice}" for notice in notices),
        _proposals_text(trials),
        _job_text(loaded, trials[0]),
        _cost_text(settings),
    ]
    return "\n\n".join(parts)


def rendered(loaded: LoadedConfig) -> str:
    """The first job as it would be submitted."""
    proposals, _ = _first_proposals(loaded.settings)
    return _job_text(loaded, _trial(loaded.settings, 0, proposals[0]))


def _first_proposals(settings: Settings) -> tuple[list[Proposal], list[str]]:
    space = SearchSpace.build(settings.search_space, settings.constraints)
    objective = settings.objective
    empty = StudyView(settings.experiment.id, objective.metric, objective.direction, [])
    with tempfile.TemporaryDirectory() as exchanges:
        proposer = build_proposer(settings, space, Path(exchanges))
        proposed = proposer.propose(empty, settings.loop.jobs_per_iteration)
    return list(proposed.proposals), list(proposed.notices)


def _trial(settings: Settings, number: int, proposal: Proposal) -> Trial:
    return Trial(
        number=number,
        iteration=1,
        state=TrialState.RUNNING,
        parameters=proposal.parameters,
        origin=proposal.origin,
        seed=trial_seed(settings.experiment.seed, number),
        rationale=proposal.rationale,
    )


def _proposals_text(trials: list[Trial]) -> str:
    lines = ["The first proposals:"]
    for trial in trials:
        values = ", ".join(f"{name}={value}" for name, value in trial.parameters.items())
        lines.append(f"  trial {trial.number} ({trial.origin}: {trial.rationale}): {values}")
    return "\n".join(lines)


def _job_text(loaded: LoadedConfig, trial: Trial) -> str:
    settings = loaded.settings
    base = settings.directories.local_base.expanduser().absolute()
    run = settings.directories.run_pattern.format(
        timestamp="TIMESTAMP", experiment=settings.experiment.id
    )
    cluster = open_cluster(loaded, Workspace(base / run))
    job = new_job(trial, settings, "TOKEN")
    wanted = settings.cluster.poll.bell
    bell = bell_url(wanted, "TOKEN") if wanted is not None else None
    known = Trial(**{**trial.__dict__, "job": job})
    code = f"{posixpath.dirname(cluster.root)}/code/SNAPSHOT" if settings.training.stage else None
    request = job_request(known, _without_secrets(loaded), cluster.root, code, bell)
    lines = [f"Its job, {job.directory}/{cluster.batch.script_name}:"]
    lines += [f"  {line}" for line in cluster.render(request).splitlines()]
    lines += [f"hyperparameters.json of trial {trial.number}:"]
    for content in request.files.values():
        lines += [f"  {line}" for line in content.decode().splitlines()]
    return "\n".join(lines)


def _without_secrets(loaded: LoadedConfig) -> Settings:
    """The settings with references in place of the environment's secrets: what is shown is sent on."""
    cluster = loaded.settings.cluster
    shown = yaml.safe_load(loaded.resolved).get("cluster", {}).get("environment") or {}
    environment = {name: str(shown.get(name, value)) for name, value in cluster.environment.items()}
    masked = cluster.model_copy(update={"environment": environment})
    return loaded.settings.model_copy(update={"cluster": masked})


def _cost_text(settings: Settings) -> str:
    confirming = settings.confirm.trials * settings.confirm.seeds
    jobs = quota(settings.loop) + confirming
    asked = resources_for(settings.cluster, {})
    again = f", and {confirming} to confirm the best" if confirming else ""
    lines = [
        f"The cost: at most {jobs} jobs ({settings.loop.max_iterations} iterations of "
        f"{settings.loop.jobs_per_iteration}{again}), {asked.nodes} node(s) each"
    ]
    if asked.walltime_seconds is None:
        lines.append("  no walltime is set (cluster.resources.walltime): no bound can be given")
    else:
        hours = jobs * asked.nodes * asked.walltime_seconds / 3600
        each = duration_text(asked.walltime_seconds)
        lines.append(f"  at most {each} each: {hours:.2f} node-hours in all")
    return "\n".join(lines)
