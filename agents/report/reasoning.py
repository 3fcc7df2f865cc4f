"""What the LLM expected of its proposals and what they reached. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.config.model import FixedParameter, Parameter
from agents.metrics import as_float
from agents.report.charts.objective import objective_scale
from agents.report.charts.scales import LinearScale
from agents.report.charts.svg import Drawing, marker
from agents.report.numbers import measure, number, parameter_text, signed
from agents.report.study import is_better, valued
from agents.trial import StudyView, Trial, TrialState
from agents.words import count

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_SHOWN = 40
"""Proposals shown: all that became the best, and the newest others."""
FIRST_SHOWN = 8
"""Of them at once, the newest; the others unfold."""

_WIDTH, _HEIGHT = 200, 22


@dataclass(frozen=True)
class Judged:
    """One proposal of the LLM and what it came to."""

    trial: Trial
    before: float | None
    """The best value of the trials before it."""
    led: bool
    """Whether it was the best when it came."""


def judged(view: StudyView) -> list[Judged]:
    """The LLM's trials in the order of their numbers."""
    values = {trial.number: value for trial, value in valued(view)}
    best: float | None = None
    found = []
    for trial in view.trials:
        value = values.get(trial.number)
        led = value is not None and (best is None or is_better(value, best, view))
        if trial.origin == "llm" and trial.confirms is None:
            found.append(Judged(trial, best, led))
        if led:
            best = value
    return found


def reasoning(view: StudyView, parameters: Mapping[str, Parameter]) -> dict[str, Any] | None:
    """The section on the page, the newest first; None where the LLM proposed nothing."""
    everything = judged(view)
    if not everything:
        return None
    told, scale = _shown(everything), objective_scale(view)
    fixed = {name for name, p in parameters.items() if isinstance(p, FixedParameter)}
    return {
        "summary": _summary(everything),
        "left_out": len(everything) - len(told),
        "all": len(everything),
        "shown": len(told),
        "parts": [
            [_entry(view, one, scale, fixed) for one in told[::-1][:FIRST_SHOWN]],
            [_entry(view, one, scale, fixed) for one in told[::-1][FIRST_SHOWN:]],
        ],
    }


def _shown(everything: Sequence[Judged]) -> list[Judged]:
    leaders = {one.trial.number for one in everything if one.led}
    rest = [one for one in everything if not one.led]
    room = max(0, MOST_SHOWN - len(leaders))
    kept = leaders | {one.trial.number for one in rest[len(rest) - room :]}
    return [one for one in everything if one.trial.number in kept][-2 * MOST_SHOWN :]


def _entry(view: StudyView, one: Judged, scale: LinearScale, fixed: Set[str]) -> dict[str, Any]:
    trial = one.trial
    expected, reached = as_float(trial.predicted), as_float(trial.value)
    return {
        "number": trial.number,
        "iteration": trial.iteration,
        "rationale": _rationale(trial),
        "expected": measure(expected),
        "reached": _reached(trial),
        "failed": trial.state is TrialState.FAILED,
        "led": one.led,
        "verdict": _verdict(view, one),
        "advice": trial.stop_advice or "",
        "picture": _picture(scale, trial.number, expected, reached),
        "parameters": ", ".join(
            f"{n} {parameter_text(v)}" for n, v in trial.parameters.items() if n not in fixed
        ),
    }


def _rationale(trial: Trial) -> str:
    said = trial.rationale or "No reason was given."
    return f"{said} (A candidate of the sampler's.)" if trial.adopted else said


def _reached(trial: Trial) -> str:
    if trial.value is not None:
        return measure(trial.value)
    return trial.failure.cause.value if trial.failure else trial.state.value


def _verdict(view: StudyView, one: Judged) -> str:
    value = as_float(one.trial.value)
    if value is None:
        return ""
    expected = as_float(one.trial.predicted)
    against = [] if expected is None else [f"{signed(value - expected)} against what it expected"]
    if one.before is not None:
        what = f"{signed(value - one.before)} against the best before"
        against.insert(0, f"new best, {what}" if one.led else what)
    return "; ".join(against)


def _summary(everything: Sequence[Judged]) -> str:
    """How many led, and how far expectations were off."""
    ended = [one for one in everything if one.trial.value is not None]
    led = sum(one.led for one in everything)
    said = [
        f"{count(len(everything), 'proposal')}, {len(ended)} with a result; {led} became the best."
    ]
    pairs = [
        (expected, value)
        for one in ended
        if (expected := as_float(one.trial.predicted)) is not None
        and (value := as_float(one.trial.value)) is not None
    ]
    if pairs:
        off = statistics.median(abs(value - expected) for expected, value in pairs)
        high = sum(expected > value for expected, value in pairs)
        said.append(
            f"Its expectations were off by {number(off, 2)} in the median; "
            f"{high} of {len(pairs)} were higher than what was reached."
        )
    return " ".join(said)


def _picture(
    scale: LinearScale, trial: int, expected: float | None, reached: float | None
) -> Markup | None:
    """Expected (hollow) and reached (full) on the objective's scale."""
    points = [(value, scale.place(value)) for value in (expected, reached)]
    if any(place is None for value, place in points if value is not None):
        return None
    drawing = Drawing(f"reason-{trial}", _WIDTH, _HEIGHT)
    middle, inner = _HEIGHT / 2, _WIDTH - 16
    drawing.line((8, middle), (_WIDTH - 8, middle), "grid")
    places = [8 + (place or 0.0) * inner for value, place in points if value is not None]
    if len(places) == 2:
        drawing.line((places[0], middle), (places[1], middle), "gap")
    if expected is not None:
        x = 8 + (scale.place(expected) or 0.0) * inner
        drawing.path(marker("diamond", (x, middle), 4.5), "mark open")
    if reached is not None:
        x = 8 + (scale.place(reached) or 0.0) * inner
        drawing.path(marker("diamond", (x, middle), 4.5), "mark llm", trial=trial)
    if not places:
        return None
    about = f"Expected {measure(expected)}, reached {measure(reached)}."
    return drawing.to_svg(f"Trial {trial}", about)
