"""What a scheduler directive may look like, whatever the scheduler."""

from __future__ import annotations

import re
from collections.abc import Collection

from scheduler.errors import SchedulerError

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_NAME_WITH_CAPITALS = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_directive(
    name: str,
    value: str | int | None,
    *,
    reserved: Collection[str] = frozenset(),
    capitals: bool = False,
) -> None:
    """Raise SchedulerError unless ``name=value`` stays one line with one meaning.

    `reserved` names are set by Pilothouse itself. With `capitals` a name may have some.
    """
    pattern, form = (_NAME_WITH_CAPITALS, "") if capitals else (_NAME, "in lower case ")
    if not pattern.fullmatch(name):
        raise SchedulerError(
            f"{name!r} is no name of a scheduler directive; write it {form}without dashes "
            "in front (cluster.resources.directives)"
        )
    if name.lower() in reserved:
        raise SchedulerError(
            f"the directive {name!r} is set by Pilothouse itself; "
            "take it out of cluster.resources.directives"
        )
    if isinstance(value, str) and (not value or not value.isprintable()):
        raise SchedulerError(
            f"the directive {name!r} cannot have the value {value!r}: "
            "it is empty or has a line break or control character in it"
        )
