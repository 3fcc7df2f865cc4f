"""What can only be said of a configuration as a whole: parts that contradict each other. Pure but
for looking whether a named file exists."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence

from agents.config.adapted import adapter_problems, split
from agents.config.cluster_checks import Problem, cluster_problems, path_problems, place_problems
from agents.config.model import Settings, TrainingSettings
from agents.config.patterns import job_pattern_faults, run_pattern_faults
from agents.errors import ConfigurationError
from agents.metrics import FRACTIONS
from scheduler.script import VARIABLE_NAME

PLACEHOLDERS = ("python", "hyperparameters", "job_dir", "trial", "seed", "job", "code", "adapt")
_SCHEDULED = ("auto", "tpe", "gp", "cmaes")
_OWN_TRIALS_ALONE = ("grid", "qmc", "random", "cmaes")


_OURS = {
    "model": "use llm.model",
    "max_tokens": "use llm.max_tokens",
    "max_completion_tokens": "use llm.max_tokens",
    "temperature": "use llm.temperature",
    "messages": "use llm.prompt",
    "response_format": "the way of asking is found out",
    "tools": "the way of asking is found out",
    "tool_choice": "the way of asking is found out",
    "stream": "whole answers are taken",
    "n": "one answer is taken",
}
"""Fields of a request that are not for `llm.extra_body`, and what is for them."""


def problems_of(settings: Settings) -> list[Problem]:
    """All contradictions of settings whose parts are valid each on its own."""
    return [
        *_space_problems(settings),
        *_stop_problems(settings),
        *_second_problems(settings),
        *_pruner_problems(settings),
        *_proposer_problems(settings),
        *_training_problems(settings),
        *cluster_problems(settings),
        *_directory_problems(settings),
        *path_problems(settings),
    ]


def _space_problems(settings: Settings) -> Iterator[Problem]:
    # The space knows the settings models: an import from above would go round in a circle.
    from agents.proposers.starters import starters
    from agents.space import SearchSpace

    try:
        space = SearchSpace.build(settings.search_space, settings.constraints)
        starters(space, settings.initial_trials)
    except ConfigurationError as error:
        yield from ((text.partition(": ")[0], text) for text in error.problems)
        return
    yield from _override_problems(settings)
    kind = settings.proposer.sampler.kind
    no_llm = settings.proposer.kind == "sampler" or settings.llm.base_url is None
    if kind in _OWN_TRIALS_ALONE and no_llm and settings.warm_start:
        key = "warm_start"
        yield (
            key,
            f"{key} means nothing to the sampler {kind}, which learns nothing from other searches: "
            "remove it, or use auto, tpe or gp",
        )
    if kind == "grid" and space.cardinality() is None:
        key = "proposer.sampler.kind"
        yield (
            key,
            f"{key} is grid, and the search space has floats without a step: give each float a "
            "step, or choose another sampler",
        )


def _override_problems(settings: Settings) -> Iterator[Problem]:
    from agents.space.values import NotAllowed, checked

    for position, override in enumerate(settings.cluster.overrides):
        for name, wanted in override.when.items():
            key = f"cluster.overrides[{position}].when.{name}"
            if name not in settings.search_space:
                yield key, f"{key}: there is no parameter {name}; {_nearest(name, settings)}"
                continue
            for value in wanted if isinstance(wanted, list) else [wanted]:
                try:
                    checked(settings.search_space[name], value)
                except NotAllowed as error:
                    yield key, f"{key}: {name} never has this value: {error}"


def _nearest(name: str, settings: Settings) -> str:
    near = difflib.get_close_matches(name, list(settings.search_space), n=1)
    known = ", ".join(settings.search_space)
    return f"did you mean {near[0]}?" if near else f"there are {known}"


def _stop_problems(settings: Settings) -> Iterator[Problem]:
    loop, stop, metric = settings.loop, settings.stop, settings.objective.metric
    starters = len(settings.initial_trials)
    if loop.max_trials is not None and loop.max_trials < starters:
        key = "loop.max_trials"
        yield (
            key,
            f"{key} is {loop.max_trials}, and there are {starters} initial_trials: raise it, or "
            "remove some of them",
        )
    if metric not in FRACTIONS:
        return
    if stop.target is not None and not 0 <= stop.target <= 1:
        key = "stop.target"
        yield key, f"{key} is {stop.target:g}, and {metric} lies between 0 and 1: 95% is 0.95"
    if stop.minimum_improvement >= 1:
        key = "stop.minimum_improvement"
        yield (
            key,
            f"{key} is {stop.minimum_improvement:g}, and {metric} lies between 0 and 1: no trial "
            "could improve by so much",
        )


def _second_problems(settings: Settings) -> Iterator[Problem]:
    second, report = settings.objective.second, settings.report
    if second is None:
        return
    if second.metric == settings.objective.metric:
        key = "objective.second.metric"
        yield key, f"{key} is {second.metric}, like objective.metric: name another, or remove it"
    for name in sorted(report.model_fields_set):
        if getattr(report, name) != type(report).model_fields[name].default:
            key = f"report.{name}"
            yield (
                key,
                f"{key} means nothing beside objective.second, which the report shows: remove it",
            )
    if settings.pruner.kind != "none":
        yield (
            "pruner.kind",
            f"pruner.kind is {settings.pruner.kind}, which judges by objective.metric alone, and "
            f"with objective.second a weak trial may be the best in {second.metric}: use none",
        )
    if settings.proposer.sampler.kind == "cmaes":
        yield (
            "proposer.sampler.kind",
            "proposer.sampler.kind is cmaes, which knows one objective: use auto, tpe, gp, qmc, "
            "random or grid with objective.second",
        )


def _pruner_problems(settings: Settings) -> Iterator[Problem]:
    pruner = settings.pruner
    for name in sorted(pruner.model_fields_set - {"kind"}):
        kinds = ("halving",) if name == "reduction_factor" else ("median", "halving")
        unchanged = getattr(pruner, name) == type(pruner).model_fields[name].default
        if pruner.kind in kinds or unchanged:
            continue
        key, wanted = f"pruner.{name}", " or ".join(f"`kind: {kind}`" for kind in kinds)
        yield (
            key,
            f"{key} means nothing while pruner.kind is {pruner.kind}: add {wanted}, or remove it",
        )


def _proposer_problems(settings: Settings) -> Iterator[Problem]:
    llm, proposer = settings.llm, settings.proposer
    if proposer.sampler.startup_trials is not None and proposer.sampler.kind not in _SCHEDULED:
        key = "proposer.sampler.startup_trials"
        yield (
            key,
            f"{key} means nothing to the sampler {proposer.sampler.kind}: remove it (it is for "
            f"{', '.join(_SCHEDULED)})",
        )
    if llm.base_url is not None and llm.model is None:
        yield "llm.base_url", "llm.model is missing: name the model that llm.base_url shall use"
    if llm.base_url is not None and not re.match(r"https?://[^/\s]", llm.base_url):
        key = "llm.base_url"
        yield key, f"{key} must begin with http:// or https://, such as http://localhost:8000/v1"
    if llm.base_url is None and llm.model is not None:
        yield "llm.model", "llm.base_url is missing: say where llm.model is served, or remove both"
    if llm.api_key_env is not None and not VARIABLE_NAME.fullmatch(llm.api_key_env):
        key = "llm.api_key_env"
        yield (
            key,
            f"{key} must be the name of an environment variable, such as OPENAI_API_KEY; the key "
            "itself does not belong in a file",
        )
    yield from _globus_problems(settings)
    yield from _prompt_problems(settings)
    for name in llm.extra_body:
        if name in _OURS:
            key = f"llm.extra_body.{name}"
            yield key, f"{key} is set by Pilothouse itself: {_OURS[name]}"
    if llm.replay is not None and not os.path.isdir(llm.replay):
        yield "llm.replay", f"llm.replay: there is no run directory {llm.replay}"


def _globus_problems(settings: Settings) -> Iterator[Problem]:
    llm, key = settings.llm, "llm.globus"
    if llm.globus is None:
        return
    if llm.api_key_env is not None:
        yield key, f"{key} and llm.api_key_env exclude one another: remove one"
    known = llm.globus.preset is not None or (llm.globus.client_id and llm.globus.scope)
    if not known:
        yield key, f"{key}: give `preset: alcf`, or client_id and scope of your own service"


def _prompt_problems(settings: Settings) -> Iterator[Problem]:
    if settings.llm.prompt is None:
        return
    from agents.proposers.template import prompt_template

    try:
        prompt_template(settings.llm.prompt)
    except ConfigurationError as error:
        yield from (("llm.prompt", text) for text in error.problems)


def _training_problems(settings: Settings) -> Iterator[Problem]:
    training = settings.training
    for position, argument in enumerate(split(training.command)[0]):
        key = f"training.command[{position}]"
        for name in re.findall(r"\{([A-Za-z_]\w*)\}", argument):
            if name not in PLACEHOLDERS:
                yield key, f"{key}: {{{name}}} is not filled in; {_meant(name, settings)}"
    found = [n for text in training.command for n in re.findall(r"\{([A-Za-z_]\w*)\}", text)]
    yield from adapter_problems(settings, PLACEHOLDERS)
    if not training.command[0].strip():
        yield "training.command[0]", "training.command[0] is empty: name the program"
    yield from _stage_problems(training, found)
    if training.directory is None and not training.stage:
        return
    if not {"hyperparameters", "job_dir", "adapt"} & set(found):
        key = "training.directory" if training.directory is not None else "training.stage"
        yield (
            "training.command",
            f"training.command does not say where the job is: with {key}, one "
            "argument must hold {hyperparameters} or {job_dir}",
        )
    if training.directory is None:
        return
    if settings.cluster.transport.kind != "local":
        if not training.directory.is_absolute():
            yield (
                "training.directory",
                f"training.directory is {str(training.directory)!r}, and jobs run on another "
                "machine: give the absolute path there",
            )
    elif not os.path.isdir(training.directory):
        key = "training.directory"
        yield key, f"{key}: there is no directory {training.directory}"


def _meant(name: str, settings: Settings) -> str:
    if name in {*settings.search_space, *settings.training.budget}:
        return (
            "{adapt} does that, for a program that takes its values as arguments (docs/training.md)"
        )
    near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
    known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
    return f"did you mean {{{near[0]}}}?" if near else f"there are {known}"


def _stage_problems(training: TrainingSettings, placeholders: Sequence[str]) -> Iterator[Problem]:
    names = [path.name for path in training.stage]
    for position, path in enumerate(training.stage):
        key = f"training.stage[{position}]"
        if not os.path.exists(path):  # a name that is too long raises with Path.exists
            yield key, f"{key}: there is no file or directory {path}"
        elif names.index(path.name) < position:
            yield key, f"{key}: two things of the name {path.name} cannot be in one snapshot"
    if "code" in placeholders and not training.stage:
        yield (
            "training.command",
            "training.command holds {code}, the path of the snapshot, and training.stage names "
            "nothing to make one of",
        )


def _directory_problems(settings: Settings) -> Iterator[Problem]:
    directories, experiment = settings.directories, settings.experiment.id
    faults = list(run_pattern_faults(directories.run_pattern, experiment))
    if not faults:
        yield from place_problems(settings)
    for fault in faults:
        key = "directories.run_pattern"
        yield key, f"{key} {fault}, and it is {directories.run_pattern!r}"
    for fault in job_pattern_faults(directories.job_pattern, experiment):
        key = "directories.job_pattern"
        yield key, f"{key} {fault}, and it is {directories.job_pattern!r}"
