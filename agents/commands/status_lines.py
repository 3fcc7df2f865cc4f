"""Where a run stands in lines for a person: ``status`` and ``watch``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.commands.status import MOST_REQUESTS, RunState, moment, resume_command
from agents.report.numbers import measure
from agents.screen import duration_text
from agents.thinning import spread
from agents.words import count
from agents.workspace import Workspace

MOST_JOBS = 12
MOST_OF_FRONT = 6


@dataclass(frozen=True)
class Line:
    """One line of what a person sees."""

    name: str
    text: str
    style: str = ""


def status_lines(state: RunState) -> list[Line]:
    """Where the run stands, the same for `status` and `watch`. Changes only when the run does."""
    parts = (_headline, _results, _failures, _budgets, _jobs, _people)
    return [line for part in parts for line in part(state)]


def _headline(state: RunState) -> Iterator[Line]:
    style = {"waiting": "bold yellow", "paused": "bold yellow", "stopped": "bold red"}
    yield Line("state", state.state, style.get(state.state, "bold"))
    if state.waiting is not None and state.is_attended:
        what, why = state.waiting["what"], state.waiting["why"]
        yield Line("waits for", f"{what}{since(state.waiting.get('since'))}: {why}", "yellow")
        if state.waiting.get("remedy"):
            yield Line("to go on", state.waiting["remedy"], "bold yellow")
    elif state.doing and state.state == "running":
        yield Line("doing", f"{_DOING.get(state.doing, state.doing)}{since(state.doing_since)}")
    yield from _in_vain(state)
    if state.paused is not None:
        text = f"by {state.paused['by']}{since(state.paused.get('taken_at'))}"
        yield Line("paused", text, "yellow")
    if state.state in ("stopped", "submitted"):
        yield Line("to go on", resume_command(Workspace(Path(state.directory))), "bold")
    if state.iteration is not None:
        counts = ", ".join(f"{amount} {name}" for name, amount in _counts(state).items())
        if state.state == "submitted":
            yield Line("trials", counts or "none")
            return
        of = f"{state.iteration} of {state.max_iterations}"
        yield Line("iteration", f"{of}; trials: {counts or 'none'}")


def _counts(state: RunState) -> dict[str, int]:
    """Trials by state; of those in flight, by how their jobs were seen last."""
    flying = Counter(str(job["state"]) for job in state.jobs) if _shows_jobs(state) else Counter()
    running = state.trials.get("running", 0)
    untold = {"running": running - flying.total() + flying.pop("running", 0)}
    ended = {name: amount for name, amount in state.trials.items() if name != "running"}
    return {name: n for name, n in {**untold, **flying, **ended}.items() if n > 0}


def _shows_jobs(state: RunState) -> bool:
    """Whether its jobs are worth a line: of a stopped search nobody has asked about them."""
    return state.is_attended or state.state == "submitted"


_DOING = {
    "propose": "propose: choosing the next trials",
    "submit": "submit: handing jobs to the cluster",
    "wait": "wait: for jobs to end",
    "confirm": "confirm: the best trials run again",
}


def _results(state: RunState) -> Iterator[Line]:
    if state.best_value is not None:
        curve = sparkline(state.best_so_far, 24)
        yield Line(
            "best",
            f"{state.metric} {measure(state.best_value)} (trial {state.best_trial})  {curve}",
        )
    if state.best_parameters:
        yield Line("with", ", ".join(f"{n}={_number(v)}" for n, v in state.best_parameters.items()))
    if state.front:
        pairs = ", ".join(
            f"trial {one['trial']} ({measure(one['value'])}, {measure(one['second'])})"
            for one in spread(state.front, MOST_OF_FRONT)
        )
        yield Line("front", f"{state.metric}, {state.second_metric}: {pairs}")
    for again in state.confirmed:
        noise = f" +- {measure(again['deviation'])}" if again.get("deviation") is not None else ""
        text = f"trial {again['trial']}: {measure(again['mean'])}{noise} with {again['runs']} fresh seeds"
        yield Line("confirmed", text)
    rivals = [
        (name, source) for name, source in state.sources.items() if source.get("best") is not None
    ]
    if rivals:
        sign = -1 if state.direction != "minimize" else 1
        rivals.sort(key=lambda rival: sign * rival[1]["best"])
        parts = [
            f"{name} {measure(source['best'])} in {count(source['trials'], 'trial')}"
            for name, source in rivals
        ]
        yield Line("ahead", ", ".join(parts))


def _failures(state: RunState) -> Iterator[Line]:
    if not state.failures:
        return
    causes = ", ".join(f"{name} {amount}" for name, amount in state.failures.items())
    yield Line("failed", f"{causes}; the last: {state.last_failure}", "yellow")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _in_vain(state: RunState) -> Iterator[Line]:
    """Jobs that will never start, by reason."""
    stuck = [job for job in state.jobs if job.get("never_starts")] if state.is_attended else []
    for reason, amount in Counter(str(job.get("reason", "")) for job in stuck).items():
        jobs = f"{count(amount, 'job')} {'waits' if amount == 1 else 'wait'}"
        yield Line("in vain", f"{jobs}: {reason}", "bold red")


def _budgets(state: RunState) -> Iterator[Line]:
    for budget in state.budgets:
        used, limit = budget["used"], budget["limit"]
        is_time = budget["name"] == "time"
        of = (_coarse(used), _coarse(limit)) if is_time else (f"{used:.3g}", f"{limit:.6g}")
        unit = "" if is_time else f" {budget['name']}"
        # A budget that was made smaller meanwhile.
        text = f"{of[0]} used, the limit is {of[1]}" if used > limit else f"{of[0]} of {of[1]}"
        yield Line("budget", f"{_bar(used / limit if limit else 1.0)} {text}{unit}")


def _jobs(state: RunState) -> Iterator[Line]:
    if not _shows_jobs(state):
        return
    for job in state.jobs[:MOST_JOBS]:
        parts = [str(job["state"])]
        if job.get("reason"):
            parts[0] += f" ({job['reason']})"
        if job.get("job_id"):
            parts.append(f"job {job['job_id']}")
        if job.get("step") is not None:
            parts.append(f"epoch {job['step']}")
        if job.get("accuracy") is not None:
            parts.append(measure(job["accuracy"]))
        curve = sparkline(job.get("curve") or (), 16)
        text = f"{', '.join(parts)}  {curve}".rstrip()
        yield Line(f"trial {job['trial']}", f"{job.get('origin') or ''}: {text}".lstrip(": "))
    if len(state.jobs) > MOST_JOBS:
        yield Line("…", f"{count(len(state.jobs) - MOST_JOBS, 'more trial')} in flight")


def _in_force_or_late(steering: Sequence[dict[str, Any]], most: int) -> Sequence[dict[str, Any]]:
    """The last requests, and whatever forbids a region: it holds however long ago it was asked."""
    late = len(steering) - most
    return [
        taken
        for place, taken in enumerate(steering)
        if place >= late or (taken.get("verb") == "forbid" and not taken["refused"])
    ]


def _people(state: RunState) -> Iterator[Line]:
    for taken in _in_force_or_late(state.steering, MOST_REQUESTS):
        verdict = "refused: " if taken["refused"] else ""
        text = f"{taken['what']} ({taken['by']}, {_clock(taken['asked_at'])}): {verdict}"
        yield Line("asked", f"{text}{taken['effect']}", "dim")
    for request in state.requests:
        text = f"{request['what']} ({request['by']}, {_clock(request['asked_at'])}): not taken yet"
        yield Line("asked", text, "yellow")


def since(text: object) -> str:
    """`` since 14:03:10``, or with the day where it was another; nothing where it is not known."""
    clock = _clock(text)
    return f" since {clock}" if clock else ""


def ago(text: object) -> str:
    """`` since 14:03:10 (2 min 3 s)``."""
    when = moment(text)
    if when is None:
        return ""
    return f"{since(text)} ({duration_text((datetime.now(UTC) - when).total_seconds())})"


def _clock(text: object) -> str:
    when = moment(text)
    if when is None:
        return ""
    local = when.astimezone()
    is_today = local.date() == datetime.now(UTC).astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"


def _coarse(seconds: float) -> str:
    """A duration that does not change every second."""
    text = duration_text(seconds if seconds < 60 else seconds // 60 * 60)
    return text.removesuffix(" 0 s").removesuffix(" 0 min").removesuffix(" 0 h")


_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-=+*#@"


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line of at most `width` characters, from its least to its greatest value."""
    from agents.standing import thinned

    shown = thinned([value for value in values if value is not None], width)
    if len(shown) < 2:
        return ""
    marks = _BLOCKS if _shows(_BLOCKS) else _PLAIN
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    return "".join(marks[min(7, int((value - low) / span * 8))] for value in shown)


def _bar(share: float, width: int = 10) -> str:
    full, empty = "█░" if _shows("█░") else "#-"
    filled = round(max(0.0, min(1.0, share)) * width)
    return full * filled + empty * (width - filled)


def _shows(text: str) -> bool:
    """Whether the terminal's encoding has these characters."""
    # Not sys.stdout, for which rich puts a stand-in while it draws.
    encoding = sys.__stdout__.encoding if sys.__stdout__ is not None else "ascii"
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def status_text(state: RunState) -> str:
    """For a person who asks once."""
    lines = [f"{state.directory}: {state.state}"]
    lines += [f"  {line.name:<10} {line.text}".rstrip() for line in status_lines(state)[1:]]
    if state.seconds_since_sign_of_life is not None:
        age = duration_text(state.seconds_since_sign_of_life)
        if state.state == "submitted":
            lines.append(f"  {'asked':<10} the cluster, {age} ago; `harvest` asks again")
        else:
            lines.append(f"  {'alive':<10} last sign of life {age} ago")
    return "\n".join(lines)
