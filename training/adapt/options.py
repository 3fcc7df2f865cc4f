"""The words between `{adapt}` and ``--``."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

OPTIONS = ("--metric", "--accuracy", "--percent", "--step", "--from", "--fill", "--in-job")
ONCE = ("--step", "--from")


class Wanted(NamedTuple):
    """What the options ask for."""

    metrics: "Mapping[str, str]"
    """The metrics by name, each with the regular expression that finds it; the text finds the name."""
    step: "tuple[str, str] | None"
    accuracy: "str | None"
    """The metric whose curve is that of accuracies."""
    is_percent: bool
    source: "str | None"
    """The file with the numbers; None: what the program prints."""
    fill: "Sequence[str]"
    """Files to fill in."""
    in_job: bool


def wanted_of(options: "Sequence[str]") -> "tuple[Wanted, list[str]]":
    """What the words before ``--`` ask for, and what is wrong with them."""
    given, faults = _given(options)
    judged = [_named(text) for text in given["--accuracy"] + given["--percent"]]
    if len(judged) > 1:
        faults.append("{adapt} takes one accuracy: --accuracy (a fraction) or --percent")
    steps = [_named(text) for text in given["--step"]]
    faults += [f"{{adapt}} takes one {name}" for name in ONCE if len(given[name]) > 1]
    metrics = dict([*(_named(text) for text in given["--metric"]), *judged])
    if not metrics and not faults:
        faults.append(
            "{adapt} needs --metric, --accuracy or --percent: the name of a number to read"
        )
    for name, pattern in [*metrics.items(), *steps]:
        faults += _pattern_faults(name, pattern)
    wanted = Wanted(
        metrics=metrics,
        step=steps[0] if steps else None,
        accuracy=judged[0][0] if judged else None,
        is_percent=bool(given["--percent"]),
        source=given["--from"][0] if given["--from"] else None,
        fill=given["--fill"],
        in_job=bool(given["--in-job"]),
    )
    return wanted, faults


def _given(options: "Sequence[str]") -> "tuple[dict[str, list[str]], list[str]]":
    """The values of each option, in their order; an option and its value are two words, or tied by =."""
    given = {name: [] for name in OPTIONS}  # type: dict[str, list[str]]
    faults = []  # type: list[str]
    words = list(options)
    while words:
        name, tied, value = words.pop(0).partition("=")
        if name not in given:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(OPTIONS)}"
            faults.append(f"{{adapt}} has no option {name}; {meant}")
        elif name == "--in-job":
            given[name].append("")
        elif tied or words:
            given[name].append(value if tied else words.pop(0))
        else:
            faults.append(f"{{adapt}}: {name} needs a value")
    return given, faults


def _named(text: str) -> "tuple[str, str]":
    name, _, pattern = text.partition("=")
    return name.strip(), pattern


def _pattern_faults(name: str, pattern: str) -> "list[str]":
    if not name:
        return ["{adapt}: a name is empty: NAME, or NAME=REGULAR EXPRESSION"]
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        return [f"{{adapt}}: the regular expression of {name} cannot be read: {error}"]
    if pattern and groups != 1:
        return [
            f"{{adapt}}: the regular expression of {name} has {groups} groups: put one pair of "
            "parentheses around the number, and write (?:…) for others"
        ]
    return []
