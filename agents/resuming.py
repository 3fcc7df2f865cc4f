"""What may not change when a run is taken up again: what its trials rest on, and where its jobs are.

A job that was submitted in one place is looked for by name in that place. Looked for in another it
counts as lost, and its trial would run a second time there.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents import requests
from agents.config import LoadedConfig, load
from agents.config.faults import NO_SUCH_KEY
from agents.config.model import Settings
from agents.errors import ConfigurationError
from agents.helm import history_of
from agents.report.reading import read_run
from agents.steering import steered
from agents.words import named
from agents.workspace import Workspace

_RESTED_ON = ("experiment.id", "experiment.seed", "objective", "search_space", "constraints")
_PROGRAM = ("training.command", "training.budget")
_PLACE = ("cluster.remote_base", "cluster.batch_system.kind")
"""Which machine of a cluster is asked is not among them: another login node is no other place."""


def own_configuration(workspace: Workspace, overrides: Sequence[str] = ()) -> LoadedConfig:
    """The configuration that is kept with a run. Raises ConfigurationError, which tells of versions
    where it has a key that there is not: nobody has mistyped it there."""
    try:
        return load(workspace.config_file, overrides)
    except ConfigurationError as error:
        own = f"{workspace.config_file}:"
        if not any(p.startswith(own) and NO_SUCH_KEY in p for p in error.problems):
            raise
        raise ConfigurationError(
            [
                *error.problems,
                "  this is the run's own copy: where nobody has edited it, another version of "
                "Pilothouse made the run; go on with that one",
            ]
        ) from error


def refuse_changes(workspace: Workspace, loaded: LoadedConfig) -> None:
    """Raises ConfigurationError, with each key, where `loaded` cannot go on with the run."""
    before, now, source = own_configuration(workspace).settings, loaded.settings, loaded.path
    changed = _changes(before, now, _RESTED_ON)
    if changed:
        raise ConfigurationError(
            f"{source}: {'; '.join(changed)} when this run was left, and its trials rest on that "
            f"({workspace.config_file}): undo the change, or start a new run with --new"
        )
    moved = _changes(before, now, _PLACE)
    left = _left_behind(workspace) if moved else []
    if left:
        has = "has its job" if len(left) == 1 else "have their jobs"
        raise ConfigurationError(
            f"{source}: {'; '.join(moved)} when this run was left, and {named(left)} {has} there, "
            "which would run a second time:\n"
            "  undo the change until then, or, where that place is gone, give up the jobs there first:\n"
            f"  python -m agents.run cancel {shlex.quote(str(workspace.directory))} "
            f"{' '.join(map(str, left))}"
        )


def note_of_changes(workspace: Workspace, loaded: LoadedConfig) -> str | None:
    """What is said of a change that is allowed, and that values of trials may depend on."""
    if not workspace.log_file.exists():
        return None  # nobody has opened the run: its configuration is the one that is loaded
    before = own_configuration(workspace).settings
    changed = _changes(before, loaded.settings, _PROGRAM)
    if not changed:
        return None
    return (
        f"note: {'; '.join(changed)} when this run began: the values of trials before and after may "
        "not be comparable"
    )


def _changes(before: Settings, now: Settings, keys: Sequence[str]) -> list[str]:
    old, new = dict(_flat(before, keys)), dict(_flat(now, keys))
    return [
        f"{key} is {_shown(new, key)}, and was {_shown(old, key)}"
        for key in dict.fromkeys([*old, *new])
        if _shown(old, key) != _shown(new, key)
    ]


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if values.get(key) is not None else "not set"


def _flat(settings: Settings, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """All that is below `keys`, each value under its whole name."""
    for key in keys:
        value: Any = settings.model_dump(mode="json")
        for part in key.split("."):
            value = value[part]
        yield from _leaves(key, value)


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, below in value.items():
            yield from _leaves(f"{key}.{name}", below)
    else:
        yield key, value


def _left_behind(workspace: Workspace) -> list[int]:
    """The trials that have, or may have, a job, and that nobody has given up."""
    reading = read_run(workspace.directory)
    given_up = set(steered(history_of(reading.facts.steering)).cancelled)
    for trials in _asked_to_cancel(workspace):
        if trials == "all":
            return []
        if isinstance(trials, list):
            given_up.update(trials)
    running = [trial for trial in reading.view.trials if not trial.state.is_finished]
    return [t.number for t in running if t.job is not None and t.number not in given_up]


def _asked_to_cancel(workspace: Workspace) -> Iterator[object]:
    """What the requests to cancel name that wait to be taken."""
    for path in requests.waiting(workspace.directory):
        try:
            request = requests.read(path)
        except (OSError, requests.Unreadable):
            continue  # whoever takes them says what is wrong
        if request.verb == "cancel":
            yield request.arguments.get("trials")
