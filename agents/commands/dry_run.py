"""``--dry-run``: what a run would begin with, and what it could cost. Nothing is made or sent."""

from __future__ import annotations

import json
import posixpath
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.bell import bell_url
from agents.commands.bound import cost_text
from agents.config import LoadedConfig
from agents.config.model import Settings
from agents.config.resolved import with_references
from agents.earlier import collected
from agents.jobs import in_packs, job_request, new_job, trial_seed
from agents.proposers.build import build_card, build_proposer
from agents.proposers.prompt import require_room
from agents.proposers.template import prompt_template
from agents.report.numbers import parameters_text
from agents.search import open_cluster
from agents.space import SearchSpace
from agents.trial import Proposal, StudyView, Trial, TrialState
from agents.words import count
from agents.workspace import Workspace
from scheduler.cluster import Cluster
from scheduler.job import JobRequest
from scheduler.packing import LAUNCHER, TRIAL_SCRIPT, packed
from training.contract import HYPERPARAMETERS_FILE


def dry_run(loaded: LoadedConfig) -> str:
    """The first proposals, the first job as it would be submitted, and the cost, as text."""
    settings = loaded.settings
    proposals, notices = _first_proposals(settings)
    trials = [_trial(settings, number, proposal) for number, proposal in enumerate(proposals)]
    cost = cost_text(settings)
    parts = [
        f"{loaded.path}: valid. Nothing was started.",
        cost,
        *(f"note: {notice}" for notice in notices),
        _proposals_text(trials),
        _job_text(_first_job(loaded, trials)),
        cost,  # again: a job's script is long, and what came first has left the screen
    ]
    return "\n\n".join(parts)


def rendered(loaded: LoadedConfig) -> str:
    """The first job as it would be submitted."""
    return _job_text(_first_job(loaded, _first_trials(loaded.settings)))


def rendered_json(loaded: LoadedConfig) -> str:
    """The same for scripts."""
    job = _first_job(loaded, _first_trials(loaded.settings))
    document = {
        "directory": job.directory,
        "script": {job.script_name: job.script},
        "files": {LAUNCHER: job.launcher, job.trial_script_name: job.trial_script}
        if job.launcher
        else {},
        "trials": [trial.number for trial in job.trials],
        "hyperparameters": json.loads(job.hyperparameters),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _first_trials(settings: Settings) -> list[Trial]:
    proposals, _ = _first_proposals(settings)
    return [_trial(settings, number, proposal) for number, proposal in enumerate(proposals)]


def _first_proposals(settings: Settings) -> tuple[list[Proposal], list[str]]:
    space = SearchSpace.build(settings.search_space, settings.constraints)
    found = collected(settings, space)
    empty = replace(StudyView.of(settings, []), earlier=found.trials)
    asked, notices = _without_endpoint(settings, space)
    with tempfile.TemporaryDirectory() as exchanges:
        proposer = build_proposer(asked, space, Path(exchanges))
        proposed = proposer.propose(empty, settings.loop.jobs_per_iteration)
    return list(proposed.proposals), [*found.said, *notices, *proposed.notices]


def _without_endpoint(settings: Settings, space: SearchSpace) -> tuple[Settings, list[str]]:
    """The settings with which no endpoint is asked, nor its key needed, and what there is to say."""
    llm = settings.llm
    if settings.proposer.kind == "sampler" or llm.base_url is None or llm.replay is not None:
        return settings, []
    require_room(build_card(settings, space), prompt_template(llm.prompt), llm.prompt_tokens)
    sampler = settings.proposer.model_copy(update={"kind": "sampler"})
    said = f"{llm.model} is not asked: in a search it may propose in place of the sampler."
    return settings.model_copy(update={"proposer": sampler}), [said]


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
        values = parameters_text(trial.parameters)
        lines.append(f"  trial {trial.number} ({trial.origin}: {trial.rationale}): {values}")
    return "\n".join(lines)


@dataclass(frozen=True)
class FirstJob:
    """The first job as it would be submitted: a trial's own, or the one that several share."""

    directory: str
    """On the cluster."""
    script_name: str
    script: str
    trials: Sequence[Trial]
    launcher: str = ""
    """Of a job that trials share: the script that starts them."""
    trial_script_name: str = ""
    trial_script: str = ""
    """Of the first trial."""
    hyperparameters: str = ""
    """Of the first trial: its file."""


def _first_job(loaded: LoadedConfig, trials: Sequence[Trial]) -> FirstJob:
    shown = _without_secrets(loaded)
    settings, cluster = shown.settings, _cluster(shown)
    wanted = settings.cluster.poll.bell
    bell = bell_url(wanted, "TOKEN") if wanted is not None else None
    code = f"{posixpath.dirname(cluster.root)}/code/SNAPSHOT" if settings.training.stage else None
    together = _sharing(settings, trials)
    members = [job_request(trial, settings, cluster.root, code, bell) for trial in together]
    pack = _pack(settings, cluster, together[0], members)
    whole = pack or members[0]
    job = FirstJob(
        whole.directory,
        cluster.batch.script_name,
        cluster.render(whole),
        together,
        hyperparameters=members[0].files[HYPERPARAMETERS_FILE].decode(),
    )
    if pack is None:
        return job
    name = f"{posixpath.relpath(members[0].directory, pack.directory)}/{TRIAL_SCRIPT}"
    launcher, own = pack.files[LAUNCHER].decode(), pack.files[name].decode()
    return replace(job, launcher=launcher, trial_script_name=name, trial_script=own)


def _without_secrets(loaded: LoadedConfig) -> LoadedConfig:
    """The configuration with references in place of secrets: what is shown is sent on."""
    shown = with_references(loaded.settings, loaded.resolved)
    # The template is read.
    template = {"template": loaded.settings.cluster.template}
    cluster = shown.cluster.model_copy(update=template)
    return replace(loaded, settings=shown.model_copy(update={"cluster": cluster}))


def _job_text(job: FirstJob) -> str:
    lines = [f"Its job, {job.directory}/{job.script_name}:", *_indented(job.script)]
    if job.launcher:
        lines += [
            f"{LAUNCHER}, which starts {count(len(job.trials), 'trial')}:",
            *_indented(job.launcher),
        ]
        lines += [f"{job.trial_script_name}:", *_indented(job.trial_script)]
    lines += [f"hyperparameters.json of trial {job.trials[0].number}:"]
    return "\n".join([*lines, *_indented(job.hyperparameters)])


def _cluster(loaded: LoadedConfig) -> Cluster:
    settings = loaded.settings
    base = settings.directories.local_base.expanduser().absolute()
    run = settings.directories.run_pattern.format(
        timestamp="TIMESTAMP", experiment=settings.experiment.id
    )
    return open_cluster(loaded, Workspace(base / run))


def _sharing(settings: Settings, trials: Sequence[Trial]) -> list[Trial]:
    """The trials of the first job."""
    known = [replace(trial, job=new_job(trial, settings, "TOKEN")) for trial in trials]
    pack = settings.cluster.pack
    if pack is None:
        return known[:1]
    known = in_packs(known, pack.trials)
    first = known[0].job
    return [trial for trial in known if trial.job and first and trial.job.pack == first.pack]


def _pack(
    settings: Settings, cluster: Cluster, first: Trial, members: Sequence[JobRequest]
) -> JobRequest | None:
    pack = settings.cluster.pack
    if pack is None or first.job is None or first.job.pack is None:
        return None
    name, template = f"{first.job.pack}-TOKEN", settings.cluster.template
    return packed(members, name, first.job.pack, pack, cluster.batch, cluster.root, template)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]
