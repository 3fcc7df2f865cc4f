"""Whole run directories on disk, made without running anything."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from report_samples import START, facts, study

from agents.config import load
from agents.journal import Journal
from agents.ledger import Ledger
from agents.outcome import Outcome
from agents.report import write_iteration, write_summary
from agents.space import SearchSpace
from agents.trial import Job, PastAttempt, Proposal
from agents.workspace import create
from scheduler.job import Cause, Failure, Resources
from training.contract import Task, accuracy_auc, to_json_bytes

CONFIG = f"""\
experiment: {{id: fashion_cnn, description: "A small CNN.", seed: 7}}
search_space:
  learning_rate: {{type: float, low: 1e-5, high: 1e-1, scale: log, default: 1e-3}}
  batch_size: {{type: int, low: 16, high: 512, scale: log}}
  optimizer: {{type: categorical, choices: [adamw, sgd, lion]}}
  momentum: {{type: float, low: 0.5, high: 0.99, when: {{optimizer: sgd}}}}
  dropout: {{type: float, low: 0, high: 0.6}}
  nesterov: {{type: categorical, choices: [true, false]}}
  epochs: {{type: fixed, value: 12}}
training: {{command: ["{sys.executable}", "train.py", "{{hyperparameters}}"]}}
proposer: {{kind: sampler}}
loop: {{max_iterations: 10, jobs_per_iteration: 4}}
"""


def make_run(base, count=24, *, finished=True, config=CONFIG, view=None, **attributes):
    """A run of `count` trials below `base`, as an orchestrator leaves it. Returns its directory."""
    base.mkdir(parents=True, exist_ok=True)
    file = base / "given.yaml"
    file.write_text(config, encoding="utf-8")
    loaded = load(file, [f"directories.local_base={base / 'results'}"])
    settings = loaded.settings
    workspace = create(settings.directories, settings.experiment.id, loaded.resolved, START)
    view = study(count) if view is None else view
    view = replace(view, trials=[with_job(trial) for trial in view.trials])
    space = SearchSpace.build(settings.search_space, settings.constraints)
    url = f"sqlite:///{workspace.study_file}"
    ledger = Ledger.open(url, workspace.name, settings.objective.direction, space)
    journal = Journal(workspace.log_file)
    kept = {"started_at": START.isoformat(), "token": "abc123", "environment": {"host": "login1"}}
    for name, value in {**kept, **attributes}.items():
        ledger.set_attribute(name, value)
    for trial in view.trials:
        _enter(ledger, journal, workspace, trial)
    ledger.close()
    journal.close()
    run = facts(parameters=settings.search_space, run_directory=str(workspace.directory))
    for iteration in {trial.iteration for trial in view.trials}:
        if all(t.state.is_finished for t in view.trials if t.iteration == iteration):
            write_iteration(view, run, workspace.reports, iteration)
    if finished:
        write_summary(view, run, workspace.summary_file)
    return workspace.directory


def with_job(trial):
    """The trial with a job that has waited and run, in a second attempt for every ninth."""
    attempt = 2 if trial.number % 9 == 4 else 1
    began = START + timedelta(seconds=90 * (trial.number // 4 * 4))
    job = Job(
        f"job_fashion_cnn_iter_{trial.iteration:03d}_trial_{trial.number:04d}-abc123-{trial.number}.{attempt}",
        f"job_fashion_cnn_iter_{trial.iteration:03d}_trial_{trial.number:04d}",
        attempt,
        job_id=str(1000 + trial.number),
        submitted_at=began + timedelta(seconds=30 * (attempt - 1)),
        started_at=None,
        resources=Resources(nodes=2, gpus=4),
    )
    took = trial.seconds or 60.0
    ended = job.submitted_at + timedelta(seconds=20 + 7 * (trial.number % 4) + took)
    if trial.state.is_finished:
        job = replace(job, started_at=ended - timedelta(seconds=took), ended_at=ended)
    past = ()
    if attempt == 2:
        first = replace(job, attempt=1, job_id=str(900 + trial.number), submitted_at=began,
                        started_at=began + timedelta(seconds=8),
                        ended_at=began + timedelta(seconds=25))  # fmt: skip
        past = (PastAttempt(first, Failure(Cause.NODE_FAILURE, "the node went down")),)
    finished = job.ended_at if trial.state.is_finished else None
    trial = replace(trial, job=job, attempts=past, finished_at=finished)
    if trial.value is None:
        return trial
    value = accuracy_auc(trial.curve.accuracy, trial.curve.step)
    return replace(trial, value=value, metrics={**trial.metrics, "accuracy_auc": value})


def _enter(ledger, journal, workspace, trial):
    proposal = Proposal(
        trial.parameters, trial.origin, trial.rationale, trial.predicted, trial.fallback_reason
    )
    ledger.add(proposal, trial.iteration, trial.seed)
    journal.event(
        "proposed", trial=trial.number, iteration=trial.iteration, origin=trial.origin,
        parameters=dict(trial.parameters), fallback_reason=trial.fallback_reason,
    )  # fmt: skip
    ledger.record_job(trial.number, trial.job, trial.attempts)
    directory = workspace.directory / trial.job.directory
    directory.mkdir(parents=True)
    task = Task("fashion_cnn", trial.number, trial.job.name, trial.seed, trial.parameters)
    (directory / "hyperparameters.json").write_bytes(to_json_bytes(task.to_json()))
    if not trial.state.is_finished:
        return
    ended = Outcome(
        trial.state, trial.value, trial.metrics, trial.curve, trial.seconds, trial.environment,
        trial.failure, trial.warnings,
    )  # fmt: skip
    ledger.finish(trial.number, ended, trial.finished_at or datetime.now(UTC), trial.job.started_at)
    failure = None
    if trial.failure:
        failure = {"cause": trial.failure.cause.value, "message": trial.failure.message}
    journal.event(
        "ended", trial=trial.number, state=trial.state.value, value=trial.value,
        seconds=trial.seconds, failure=failure,
    )  # fmt: skip
    if trial.failure is None:
        _write_result(directory, trial)


def _write_result(directory, trial):
    result = {
        "schema": 1, "status": trial.state.value, "trial": trial.number, "metrics": {},
        "curve": {"step": trial.curve.step, "accuracy": trial.curve.accuracy},
        "seconds": trial.seconds,
    }  # fmt: skip
    (directory / "results.json").write_text(json.dumps(result))
    (directory / "exit_code").write_text("0\n")
