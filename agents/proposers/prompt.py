"""The question to the LLM: the task, the space and the history, rendered into one message.

The length is bounded however long the history is: only a few runs of each sort are shown, and
where the text is still longer than `MAX_PROMPT`, fewer, by the steps of `SHOWN`. The task and the
space are always there in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from agents.proposers.answer import plain_text
from agents.proposers.curve import condensed
from agents.report.numbers import number, parameter_text
from agents.space import SearchSpace
from agents.trial import Direction, StudyView, Trial, TrialState

if TYPE_CHECKING:
    from jinja2 import Template

MAX_PROMPT = 16_000
"""Characters, about 4,000 to 5,000 tokens: beyond that models get worse, and servers refuse."""

MAX_MESSAGE = 160
"""Characters of a failed run's own words that are shown."""


MATTERING = 8
"""Parameters whose importance is shown."""


@dataclass(frozen=True)
class Shown:
    """How many runs of each sort the prompt shows."""

    best: int
    recent: int
    running: int
    failures: int


SHOWN = (Shown(10, 8, 16, 6), Shown(6, 5, 8, 4), Shown(4, 3, 4, 2), Shown(2, 1, 2, 1))
"""From the most to the least; the first that fits is taken."""


@dataclass(frozen=True)
class TaskCard:
    """What there is to know about the task before the first run."""

    description: str
    metric: str
    direction: Direction
    names: Sequence[str]
    """Of the parameters that are to be proposed."""
    space: str
    """In words."""
    planned: int
    """Runs in the whole search, at most."""
    budget: Mapping[str, float | int] = field(default_factory=dict)


def render_prompt(
    card: TaskCard,
    view: StudyView,
    count: int,
    hints: Sequence[str] = (),
    importances: Sequence[tuple[str, float]] = (),
) -> str:
    """The question for `count` proposals.

    `hints`: lines about an optimizer's candidates. `importances`: each parameter's share in what
    made runs good, the largest first.
    """
    matters = [f"{name} {share:.0%}" for name, share in importances[:MATTERING]]
    for shown in SHOWN:
        text = _rendered(card, view, count, shown, {"hints": list(hints), "matters": matters})
        if len(text) <= MAX_PROMPT:
            break
    return text


def _rendered(
    card: TaskCard, view: StudyView, count: int, shown: Shown, advice: Mapping[str, list[str]]
) -> str:
    states = [trial.state for trial in view.trials]
    best = ranked(view)[: shown.best]
    known = {trial.number for trial in best}
    measured = [t for t in view.trials if t.state in (TrialState.COMPLETED, TrialState.PRUNED)]
    latest = [trial for trial in measured[-shown.recent :] if trial.number not in known]
    failures = [t for t in view.trials if t.state is TrialState.FAILED][-shown.failures :]
    running = [t for t in view.trials if t.state is TrialState.RUNNING][-shown.running :]
    text: str = _template().render(
        task={
            "description": card.description.strip(),
            "metric": card.metric,
            "direction": card.direction,
            "budget": ", ".join(f"{name} = {value}" for name, value in card.budget.items()),
            "space": card.space,
            "names": list(card.names),
        },
        history={
            "total": len(states),
            "left": max(0, card.planned - len(states)),
            **{state.value: states.count(state) for state in TrialState},
        },
        best=[run_line(trial) for trial in best],
        recent=[run_line(trial) for trial in latest],
        running=[run_line(trial) for trial in running],
        failures=[run_line(trial) for trial in failures],
        count=count,
        **advice,
    )
    return text


def ranked(view: StudyView) -> list[Trial]:
    """The completed trials, best first; of equals the earlier."""
    sign = -1.0 if view.direction == "maximize" else 1.0
    valued = [(t.value, t) for t in view.completed if t.value is not None]
    return [t for value, t in sorted(valued, key=lambda pair: (sign * pair[0], pair[1].number))]


def run_line(trial: Trial) -> str:
    """One run in one line: number, result or failure, parameters, curve."""
    values = ", ".join(f"{n}={parameter_text(v)}" for n, v in trial.parameters.items())
    parts = [f"run {trial.number}: {_result(trial)}", plain_text(values, 1000)]
    curve = condensed(trial.curve)
    if curve:
        parts.append(f"curve {curve}")
    if trial.seconds is not None:
        parts.append(f"{number(trial.seconds, 3)} s")
    return "; ".join(parts)


def _result(trial: Trial) -> str:
    match trial.state:
        case TrialState.COMPLETED:
            return number(trial.value)
        case TrialState.FAILED if trial.failure is not None:
            words = plain_text(trial.failure.message, MAX_MESSAGE).replace('"', "'")
            return f'FAILED, {trial.failure.cause.value}: "{words}"'
        case _:
            return str(trial.state.value)


def task_card(
    space: SearchSpace,
    metric: str,
    direction: Direction,
    planned: int,
    description: str = "",
    budget: Mapping[str, float | int] | None = None,
) -> TaskCard:
    """The card of a task over a space."""
    names = list(space.json_schema()["properties"])
    return TaskCard(description, metric, direction, names, space.describe(), planned, budget or {})


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
            }
        },
        "required": ["proposals"],
        "additionalProperties": False,
    }


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("agents.proposers", "prompts"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the answer is text for a model; nothing renders it as a page
        keep_trailing_newline=True,
    )
    return environment.get_template("propose.md.j2")
