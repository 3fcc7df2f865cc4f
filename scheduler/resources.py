"""What a job asks for: the defaults, and what its hyperparameters change about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.job import Container, Resources
from scheduler.settings import (
    ClusterSettings,
    ContainerSettings,
    ParameterChoice,
    ResourceOverride,
    ResourceSettings,
)


def resources_for(cluster: ClusterSettings, parameters: Mapping[str, object]) -> Resources:
    """The resources of a trial with these hyperparameters; of several overrides the last wins."""
    asked = Resources(**_values(cluster.resources))
    for override in cluster.overrides:
        if _applies(override, parameters):
            changes = _values(override)
            directives = {**asked.directives, **changes.pop("directives")}
            asked = replace(asked, **changes, directives=directives)
    return asked


WARN_SECONDS = 120
WARN_FROM_SECONDS = 600
"""Unless it is said: the warning, where the walltime is at least so long."""


def warning(asked: Resources) -> int:
    """How many seconds before its walltime a job's program is asked to end; 0 for not at all."""
    limit = asked.walltime_seconds
    if limit is None:
        return 0
    if asked.warn_seconds is not None:
        return min(asked.warn_seconds, limit // 2)
    return WARN_SECONDS if limit >= WARN_FROM_SECONDS else 0


def container_of(settings: ContainerSettings | None) -> Container | None:
    """The container of a job, in the words of `scheduler.job`."""
    if settings is None:
        return None
    return Container(**settings.model_dump())


def _values(settings: ResourceSettings | ResourceOverride) -> dict[str, Any]:
    """What is set, by the names of `Resources`."""
    values = settings.model_dump(exclude={"when"}, exclude_none=True)
    if "memory" in values:
        values["memory_mb"] = values.pop("memory")
    if "walltime" in values:
        values["walltime_seconds"] = round(values.pop("walltime"))
    if "warn_before" in values:
        values["warn_seconds"] = round(values.pop("warn_before"))
    # Here None is a value: a flag without one.
    values["directives"] = dict(settings.directives)
    return values


def _applies(override: ResourceOverride, parameters: Mapping[str, object]) -> bool:
    return all(
        name in parameters and _is_one_of(parameters[name], wanted)
        for name, wanted in override.when.items()
    )


def _is_one_of(value: object, wanted: ParameterChoice | list[ParameterChoice]) -> bool:
    choices = wanted if isinstance(wanted, list) else [wanted]
    # In Python True is 1; among hyperparameters it is not.
    return any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool)
        for choice in choices
    )
