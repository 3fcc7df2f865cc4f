"""Several runs side by side, as one HTML page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.config.node import Node, walk
from agents.config.yaml_text import parse
from agents.errors import ConfigurationError
from agents.report.charts.comparison import comparison_chart, line_sample
from agents.report.charts.frame import NARROW, WIDE
from agents.report.cost import cost
from agents.report.cut import shortened
from agents.report.facts import RunFacts
from agents.report.numbers import MISSING, duration, measure, number, parameter_text
from agents.report.page import policy, presentable, verbatim
from agents.report.progression import Progression, progression
from agents.report.study import finite
from agents.report.templates import environment, text
from agents.trial import StudyView, TrialState, sign

if TYPE_CHECKING:
    from markupsafe import Markup

Words = tuple[str, ...]
LONGEST = 70
"""Characters of a setting's value."""
_OF_THE_PLACE = ("directories.",)
"""Settings that say where results lie, not what was searched."""
_OF_THE_TASK = ("objective", "training", "experiment.id")
"""Settings after which a value no longer means the same."""


@dataclass(frozen=True)
class Contender:
    """One of the runs that are compared."""

    name: str
    view: StudyView
    facts: RunFacts


def comparison_page(runs: Sequence[Contender]) -> str:
    """The page: self-contained, without script.

    Raises ConfigurationError where the runs have no common objective.
    """
    _check(runs)
    runs = [Contender(run.name, finite(run.view), run.facts) for run in _named(runs)]
    lines = [progression(letter(i), run.view, run.facts) for i, run in enumerate(runs)]
    settings = settings_that_differ([run.facts.configuration for run in runs])
    style = text("report.css")
    template = environment(finalize=presentable).get_template("comparison.html.j2")
    return template.render(
        style=verbatim(style),
        policy=policy(style, None),
        metric=runs[0].view.metric,
        better="more" if runs[0].view.direction == "maximize" else "less",
        runs=[_row(index, run) for index, run in enumerate(runs)],
        winner=_winner(runs),
        charts=_charts(lines, runs[0].view),
        parameters=_parameters(runs),
        settings=settings,
        other_task=sorted({n.split(".")[0] for n, _ in settings if n.startswith(_OF_THE_TASK)}),
    )


def letter(place: int) -> str:
    """What the page calls the run in this place: A, B, … Z, AA."""
    above, own = divmod(place, 26)
    return (letter(above - 1) if above else "") + chr(ord("A") + own)


def _check(runs: Sequence[Contender]) -> None:
    first = runs[0].view
    for run in runs[1:]:
        if (run.view.metric, run.view.direction) != (first.metric, first.direction):
            raise ConfigurationError(
                f"{run.name} was to {run.view.direction} {run.view.metric}, and {runs[0].name} to "
                f"{first.direction} {first.metric}: runs of one objective can be compared"
            )


def _named(runs: Sequence[Contender]) -> list[Contender]:
    """The runs, each with a name of its own."""
    named: list[Contender] = []
    for run in runs:
        taken = {one.name for one in named}
        name = next(
            name
            for number in range(1, len(runs) + 2)
            if (name := run.name if number == 1 else f"{run.name} ({number})") not in taken
        )
        named.append(Contender(name, run.view, run.facts))
    return named


def _row(index: int, run: Contender) -> dict[str, Any]:
    best, spent = run.view.best, cost(run.view, run.facts)
    failed = sum(trial.state is TrialState.FAILED for trial in run.view.trials)
    return {
        "sample": line_sample(index),
        "letter": letter(index),
        "name": run.name,
        "best": measure(best.value if best else None),
        "trial": str(best.number) if best else MISSING,
        "trials": str(len(run.view.trials)),
        "failed": str(failed),
        "node_hours": number(spent.node_hours, 3),
        "elapsed": duration(run.facts.elapsed_seconds),
        "stop": run.facts.stop_reason or "not at its end",
    }


def _winner(runs: Sequence[Contender]) -> dict[str, str] | None:
    """The run with the best value, and by how much it leads."""
    valued = [(run, run.view.best) for run in runs if run.view.best is not None]
    if not valued:
        return None
    up = sign(runs[0].view.direction)
    ranked = sorted(valued, key=lambda pair: -up * (pair[1].value or 0.0) if pair[1] else 0.0)
    values = [best.value for _, best in ranked if best is not None and best.value is not None]
    lead = ""
    if values[1:] and values[0] == values[1]:
        lead = f"as good as that of {ranked[1][0].name}"
    elif values[1:]:
        lead = f"{number(abs(values[0] - values[1]), 3)} better than the next"
    return {"name": ranked[0][0].name, "value": measure(values[0]), "lead": lead}


def _charts(lines: Sequence[Progression], view: StudyView) -> list[dict[str, Any]]:
    made = []
    for key, title in (("trials", "trials"), ("node_hours", "node-hours"), ("time", "wall time")):
        pair = {
            kind: comparison_chart(lines, key, view, f"{key}-{kind}", width)
            for kind, width in (("wide", WIDE), ("narrow", NARROW))
        }
        made.append({"title": title, "id": f"over-{key}", "chart": _both(pair)})
    return made


def _both(pair: Mapping[str, Markup | None]) -> Mapping[str, Markup | None] | None:
    return None if any(chart is None for chart in pair.values()) else pair


def _parameters(runs: Sequence[Contender]) -> list[dict[str, Any]]:
    """The best trials' parameters: a row for each, marked where they are not the same."""
    bests = [run.view.best for run in runs]
    names = dict.fromkeys(name for best in bests if best for name in best.parameters)
    rows = []
    for name in names:
        values = [
            parameter_text(best.parameters[name]) if best and name in best.parameters else MISSING
            for best in bests
        ]
        rows.append({"name": name, "cells": values, "differs": len(set(values)) > 1})
    return rows


def settings_that_differ(configurations: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Keys of the resolved configurations with their values, where these are not all the same; of lists
    what not all have, for one word more in a command moves all behind it.

    Secrets are references there, and stay so.
    """
    flat = [_flat(configuration) for configuration in configurations]
    names = dict.fromkeys(name for one in flat for name in one)
    found = []
    for name in names:
        values = [one.get(name) for one in flat]
        if len(set(values)) > 1 and not name.startswith(_OF_THE_PLACE):
            found.append((name, [shortened(text, LONGEST) for text in _cells(values)]))
    return found


def _cells(values: Sequence[str | Words | None]) -> list[str]:
    lists = [value for value in values if isinstance(value, tuple)]
    common: Sequence[str] = lists[0] if lists else ()
    for each in lists[1:]:
        matched = SequenceMatcher(None, common, each, autojunk=False).get_matching_blocks()
        common = [word for block in matched for word in common[block.a : block.a + block.size]]
    cells = [_beside(common, value) if isinstance(value, tuple) else value for value in values]
    return [cell or MISSING for cell in cells]


def _beside(common: Sequence[str], words: Words) -> str:
    """What a list has that not all have, an ellipsis for what lies between."""
    opcodes = SequenceMatcher(None, common, words, autojunk=False).get_opcodes()
    own = [" ".join(words[begin:end]) for tag, _, _, begin, end in opcodes if tag != "equal"]
    return " … ".join(text for text in own if text)


def _flat(configuration: str) -> dict[str, str | Words]:
    try:
        root = parse(configuration, Path("config.yaml"))
    except ConfigurationError:
        return {}
    flat: dict[str, str | Words] = {}
    for path, node in walk(root):
        if not path or isinstance(flat.get(path.rpartition("[")[0]), tuple):
            continue  # a word of a list that stands there as a whole
        words = _list_of_words(node)
        if words:
            flat[path] = words
        elif _is_leaf(node):
            flat[path] = _word(node.value)
    return flat


def _is_leaf(node: Node) -> bool:
    return not isinstance(node.value, (dict, list)) or not node.value


def _list_of_words(node: Node) -> Words:
    """The list of plain values that this is; nothing where it is none."""
    parts = node.value if isinstance(node.value, list) else []
    return tuple(_word(each.value) for each in parts) if all(map(_is_leaf, parts)) else ()


def _word(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "none"
    return parameter_text(value) if not isinstance(value, str) else value
