"""The question to the LLM: the task, the space and the history, rendered into one message.

The length is bounded however long the history is, by a budget of tokens (`llm.prompt_tokens`). What
is dropped, in this order, until the text fits (`SHOWN`): first fewer of the latest, the running and
the failed runs, of the neighbours of the best, of the optimizer's candidates and of what was looked
up, then fewer of the best runs, then the user's notes from the oldest on. The task, the space and
the form of the answer are always there in full; a budget that does not hold them is refused.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agents.cost import node_hours
from agents.errors import ConfigurationError
from agents.metrics import as_float
from agents.proposers.answer import plain_text
from agents.proposers.curve import condensed
from agents.proposers.template import prompt_template
from agents.proposers.tokens import token_estimate
from agents.report.numbers import duration, number, parameters_text
from agents.space import SearchSpace
from agents.tradeoff import SECONDS, ranked, second_value
from agents.trial import Direction, Second, StudyView, Trial, TrialState

if TYPE_CHECKING:
    from jinja2 import Template

PROMPT_TOKENS = 6000
"""Beyond a few thousand models get worse, and servers for small ones refuse."""

MAX_MESSAGE = 160
"""Characters of a failed run's own words that are shown."""
MAX_NOTE = 1000
"""Characters of one of the user's notes."""
MAX_VALUES = 1000
"""Characters of one run's parameters."""

MAX_FOUND = 1800
"""Characters of one answer to the LLM's own questions."""

FEWEST_FREE = 100
"""Tokens that must be left for the history."""

_QUOTES = str.maketrans(
    dict.fromkeys('"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d\u301e\uff02', "'")
)
"""Whatever looks like a quotation mark: those around a run's words are ours alone."""


_MARKS = re.compile(r"[<>]|\[(?=/?[A-Z_]+\])")
"""Where the marks of chat templates begin and end: ``<|im_end|>``, ``</s>``, ``[/INST]``. Some servers
read them in the text of a message as well."""


@dataclass(frozen=True)
class Shown:
    """How much of each sort the prompt shows, at most."""

    best: int
    recent: int
    running: int
    failures: int
    near: int
    hints: int
    looked_up: int
    matters: int
    notes: int
    earlier: int


SHOWN = (
    Shown(10, 8, 16, 6, 4, 8, 12, 8, 8, 8),
    Shown(8, 6, 8, 4, 3, 6, 8, 8, 8, 6),
    Shown(6, 4, 4, 2, 2, 4, 4, 6, 8, 4),
    Shown(4, 2, 2, 1, 1, 3, 2, 4, 8, 2),
    Shown(2, 1, 1, 1, 0, 2, 1, 2, 8, 1),
    Shown(1, 0, 0, 0, 0, 0, 0, 0, 4, 0),
    Shown(1, 0, 0, 0, 0, 0, 0, 0, 1, 0),
    Shown(0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
    Shown(0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
)
"""From the most to the least; the first that fits is taken."""


@dataclass(frozen=True)
class TaskCard:
    """What there is to know about the task before the first run."""

    description: str
    metric: str
    direction: Direction
    second: Second | None
    """The second objective, where the search is for two."""
    names: Sequence[str]
    """Of the parameters that are to be proposed."""
    space: str
    """In words."""
    planned: int
    """Runs in the whole search, at most."""
    budget: Mapping[str, float | int] = field(default_factory=dict)
    hardware: str = ""
    """Of one run, in words."""
    node_hours: float | None = None
    """That may be spent in the whole search."""
    schema_tokens: int = 0
    """Of the answer's schema, which goes with each question."""


@dataclass(frozen=True)
class Evidence:
    """What was found out about the runs, beside the runs themselves."""

    hints: Sequence[str] = ()
    """Lines about an optimizer's candidates."""
    importances: Sequence[tuple[str, float]] = ()
    """Each parameter's share in what made runs good, the largest first."""
    near: Sequence[str] = ()
    """Lines about the runs nearest to the best one."""
    looked_up: Sequence[str] = ()
    """Lines that answer the LLM's own questions."""


@dataclass(frozen=True)
class Question:
    """A rendered question, and what is in it."""

    text: str
    saw: Mapping[str, Any]
    """Numbers of the runs shown of each sort, and how much of the rest."""


def render_prompt(
    card: TaskCard,
    view: StudyView,
    count: int,
    hints: Sequence[str] = (),
    importances: Sequence[tuple[str, float]] = (),
) -> str:
    """The question for `count` proposals, by the default prompt and budget."""
    return ask_for(card, view, count, Evidence(hints, importances)).text


def ask_for(
    card: TaskCard,
    view: StudyView,
    count: int,
    evidence: Evidence,
    template: Template | None = None,
    tokens: int = PROMPT_TOKENS,
) -> Question:
    """The question for `count` proposals, with its schema of at most `tokens` tokens (`token_estimate`).

    Where `require_room` found room, it is that short; else it is the shortest that there is.
    """
    template = template or prompt_template()
    last: tuple[int, ...] = ()
    question = Question("", {})
    for shown in SHOWN:
        names, saw = _names(card, view, count, shown, evidence)
        if tuple(map(len, saw.values())) == last:
            continue  # there was no more to leave out
        last = tuple(map(len, saw.values()))
        text: str = template.render(names)
        question = Question(text, {**saw, "tokens": token_estimate(text) + card.schema_tokens})
        if question.saw["tokens"] <= tokens:
            break
    return question


def require_room(card: TaskCard, template: Template | None, tokens: int) -> None:
    """Raise ConfigurationError where the budget holds no more than the task and the space."""
    failed = Trial(0, 1, TrialState.FAILED, {}, "sampler", 0)
    needed = FEWEST_FREE + max(
        ask_for(card, view, 1, Evidence(), template, 0).saw["tokens"]
        for trials in ((), (failed,))
        for view in (StudyView("", card.metric, card.direction, trials, second=card.second),)
    )
    if needed > tokens:
        raise ConfigurationError(
            f"llm.prompt_tokens: the task and the search space alone take about {needed} tokens, "
            f"and the budget is {tokens}: raise it to {needed + 1000} or more, or shorten the "
            "descriptions"
        )


def _names(
    card: TaskCard, view: StudyView, count: int, shown: Shown, evidence: Evidence
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What a template may say, and what of it is shown."""
    best = ranked(view)[: shown.best]
    known = {trial.number for trial in best}
    searched = [trial for trial in view.trials if trial.confirms is None]
    measured = [t for t in searched if t.state in (TrialState.COMPLETED, TrialState.PRUNED)]
    latest = [trial for trial in _last(measured, shown.recent) if trial.number not in known]
    failures = _last([t for t in searched if t.state is TrialState.FAILED], shown.failures)
    running = _last([t for t in searched if t.state is TrialState.RUNNING], shown.running)
    runs = {"best": best, "recent": latest, "running": running, "failures": failures}
    lines: dict[str, list[Any]] = {
        "near": list(evidence.near[: shown.near]),
        "hints": list(evidence.hints[: shown.hints]),
        "looked_up": [
            plain_text(one, MAX_FOUND) for one in _last(evidence.looked_up, shown.looked_up)
        ],
        "matters": [f"{name} {part:.0%}" for name, part in evidence.importances[: shown.matters]],
        "notes": [quoted(note, MAX_NOTE) for note in _last(view.notes, shown.notes)],
        "earlier": [
            _earlier_line(trial, card.second) for trial in _best_earlier(view, shown.earlier)
        ],
    }
    names = {
        "task": _task(card),
        "history": _history(card, view),
        **{
            name: [run_line(trial, card.second) for trial in trials]
            for name, trials in runs.items()
        },
        **lines,
        "count": count,
        "form": answer_form(card.names),
    }
    numbers: dict[str, list[Any]] = {n: [t.number for t in trials] for n, trials in runs.items()}
    return names, {**numbers, **lines}


def _task(card: TaskCard) -> dict[str, Any]:
    return {
        "description": card.description.strip(),
        "metric": card.metric,
        "direction": card.direction,
        "second_metric": card.second.metric if card.second else "",
        "second_direction": card.second.direction if card.second else "",
        "budget": ", ".join(f"{name} = {value}" for name, value in card.budget.items()),
        "hardware": card.hardware,
        "space": card.space,
        "names": list(card.names),
    }


def _history(card: TaskCard, view: StudyView) -> dict[str, Any]:
    states = [trial.state for trial in view.trials if trial.confirms is None]
    seconds = [trial.seconds for trial in view.completed if trial.seconds is not None]
    left = (
        "" if card.node_hours is None else number(max(0.0, card.node_hours - node_hours(view)), 2)
    )
    return {
        "total": len(states),
        "left": max(0, card.planned - len(states)),
        "seconds": f"about {duration(statistics.median(seconds))}" if seconds else "",
        "node_hours_left": left,
        **{state.value: states.count(state) for state in TrialState},
    }


def _last(items: Sequence[Any], count: int) -> list[Any]:
    return list(items[len(items) - count :]) if count < len(items) else list(items)


def _best_earlier(view: StudyView, count: int) -> list[Trial]:
    """The best trials of the searches before this one."""
    return ranked(replace(view, trials=view.earlier))[:count]


def _earlier_line(trial: Trial, second: Second | None) -> str:
    parts = [f"{_result(trial)}{_other(trial, second)}", values_text(trial)]
    if trial.seconds is not None:
        parts.append(f"{number(trial.seconds, 3)} s")
    return "; ".join(parts)


def run_line(trial: Trial, second: Second | None = None) -> str:
    """One run in one line: number, result or failure, parameters, curve."""
    parts = [f"run {trial.number}: {_result(trial)}{_other(trial, second)}", values_text(trial)]
    curve = condensed(trial.curve)
    if curve:
        parts.append(f"curve {curve}{_telling(trial)}")
    if trial.seconds is not None:
        parts.append(f"{number(trial.seconds, 3)} s")
    return "; ".join(parts)


def values_text(trial: Trial) -> str:
    """The parameters of a run: ``lr=0.001, opt=adam``."""
    return plain_text(parameters_text(trial.parameters), MAX_VALUES)


def quoted(words: str, limit: int) -> str:
    """Somebody else's words as data: one line, bounded, between quotation marks that it cannot
    close, without the marks of chat templates."""
    harmless = _MARKS.sub(_harmless, plain_text(words, limit).translate(_QUOTES))
    return f'"{harmless}"'


def _harmless(mark: re.Match[str]) -> str:
    return {"<": "\u2039", ">": "\u203a", "[": "("}[mark[0]]


def _telling(trial: Trial) -> str:
    """What the metrics say of a curve beyond its points."""
    words = ""
    early = as_float(trial.metrics.get("epochs_to_90"))
    if early is not None and len(trial.curve.step) > 2:
        words += f", 90% of its highest at step {number(early)}"
    train = as_float(trial.metrics.get("train_accuracy"))
    final = as_float(trial.metrics.get("final_accuracy"))
    if train is not None and final is not None:
        side = "lower" if train >= final else "higher"
        gap = number(abs(train - final), 2)
        words += f", at its end {gap} {side} than on the training data"
    loss = as_float(trial.metrics.get("train_loss"))
    if loss is not None:
        words += f", training loss {number(loss, 3)}"
    return words


def _result(trial: Trial) -> str:
    match trial.state:
        case TrialState.COMPLETED:
            return number(trial.value)
        case TrialState.FAILED if trial.failure is not None:
            words = quoted(trial.failure.message, MAX_MESSAGE)
            return f"FAILED, {trial.failure.cause.value}: {words}"
        case _:
            return str(trial.state.value)


def _other(trial: Trial, second: Second | None) -> str:
    """The second objective of a completed run; the training time stands in the line anyway."""
    if second is None or trial.state is not TrialState.COMPLETED or second.metric == SECONDS:
        return ""
    return f" ({plain_text(second.metric, 40)} {number(second_value(trial, second.metric), 3)})"


def task_card(
    space: SearchSpace,
    metric: str,
    direction: Direction,
    planned: int,
    description: str = "",
    budget: Mapping[str, float | int] | None = None,
    hardware: str = "",
    node_hours: float | None = None,
    second: Second | None = None,
) -> TaskCard:
    """The card of a task over a space."""
    names = list(space.json_schema()["properties"])
    schema_tokens = token_estimate(json.dumps(answer_schema(space, 1)))
    return TaskCard(
        description, metric, direction, second, names, space.describe(), planned, budget or {},
        hardware, node_hours, schema_tokens,
    )  # fmt: skip


def answer_form(names: Sequence[str]) -> str:
    """The answer that is wanted, as a pattern in words."""
    values = ", ".join(f'"{name}": …' for name in names)
    return (
        '{"proposals": [{"rationale": "why, in one or two sentences", "parameters": {'
        f"{values}"
        '}, "expected": value of the objective that you expect, or null}], "stop": null}'
    )


def answer_schema(space: SearchSpace, count: int) -> dict[str, Any]:
    """JSON schema of an answer with `count` proposals. The reasons come before the numbers."""
    proposal = {
        "type": "object",
        "properties": {
            "rationale": {"type": "string", "description": "why, in one or two sentences"},
            "parameters": space.json_schema(),
            "expected": {
                "type": ["number", "null"],
                "description": "the value of the objective that you expect",
            },
        },
        "required": ["rationale", "parameters", "expected"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "proposals": {
                "type": "array",
                "items": proposal,
                "minItems": count,
                "maxItems": count,
            },
            "stop": {
                "type": ["string", "null"],
                "description": "why the search should end here, or null",
            },
        },
        "required": ["proposals"],
        "additionalProperties": False,
    }
