"""``explain``: why a trial was proposed, from the ledger and the kept exchanges; ``prompt``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.config import LoadedConfig
from agents.errors import ConfigurationError
from agents.proposers.exchanges import first_trial, read_exchanges
from agents.report.cut import tail
from agents.report.numbers import number, parameters_text, signed
from agents.report.reading import read_run
from agents.report.usage import total, usage_of
from agents.tradeoff import second_value
from agents.trial import StudyView, Trial
from agents.words import count
from scheduler.job import Failure
from scheduler.plain import printable
from scheduler.stages import stage_of

STDERR_CHARACTERS = 2000
STDERR_LINES = 8
SOURCES = {
    "llm": "the LLM",
    "sampler": "the sampler",
    "user": "the user",
    "default": "the default configuration",
}


@dataclass(frozen=True)
class Asked:
    """What the LLM was asked about a trial, in one consultation."""

    endpoint: str
    occasion: str
    exchanges: Sequence[str]
    """Paths of the kept exchanges, in their order."""
    saw: Mapping[str, Any]
    looked_up: Sequence[str]
    answers: int
    accepted: bool
    """Whether this trial is what it proposed."""
    refused: Sequence[str]
    """What was wrong with its proposals, all those of the consultation."""
    model_expects: str | None
    """Of this trial, by the model of the runs so far."""
    error: str | None
    input_tokens: int
    output_tokens: int
    seconds: float
    cost: Mapping[str, float]
    """By currency."""
    replayed_from: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Why there is a trial, and what came of it."""

    trial: int
    iteration: int
    state: str
    metric: str
    proposed_by: str
    parameters: Mapping[str, Any]
    rationale: str
    expected: float | None
    value: float | None
    failure: str | None
    fallback_reason: str | None
    request: str | None
    confirms: int | None
    adopted: bool
    stop_advice: str | None
    asked: Asked | None
    """None where the LLM had no part in it."""
    warnings: Sequence[str] = ()
    """Such as why it was pruned."""
    second: Mapping[str, float] = field(default_factory=dict)
    """The value of the second objective, by its name."""
    stderr: str = ""
    """Of a failed trial, the end of what it wrote there."""
    files: str | None = None
    """Of a failed trial, the directory on this side that holds what it wrote."""


def explain(directory: Path, trial: int | None = None, *, as_json: bool = False) -> str:
    """Why trial number `trial` of the run in `directory` was proposed; that of the best without a number.

    Raises ConfigurationError where there is no such run or trial, LedgerError.
    """
    reading = read_run(directory)
    of = _asked_for(reading.view, trial, directory)
    exchanges = read_exchanges(reading.workspace.exchanges)
    found = explanation(of, reading.view, exchanges)
    if found.failure and of.job is not None and (directory / of.job.directory).is_dir():
        found = replace(found, files=str(directory / of.job.directory))
    if as_json:
        return json.dumps({"schema": 1, **asdict(found)}, indent=2, default=str)
    return "\n".join(_lines(found))


def _asked_for(view: StudyView, number: int | None, directory: Path) -> Trial:
    if number is None:
        if view.best is None:
            raise ConfigurationError(
                f"{directory}: none of its trials is completed, so there is no best one: "
                "give the number of a trial after DIR"
                if view.trials
                else f"{directory}: it has no trials yet"
            )
        return view.best
    if not 0 <= number < len(view.trials):
        known = count(len(view.trials), "trial")
        there = f"it has {known}, from 0 on" if view.trials else "it has no trials yet"
        raise ConfigurationError(f"{directory}: there is no trial {number}; {there}")
    return view.trials[number]


def explanation(
    trial: Trial, view: StudyView, exchanges: Sequence[tuple[Path, Mapping[str, Any]]]
) -> Explanation:
    """What the ledger and the exchanges tell of a trial. Pure."""
    failed = trial.failure
    return Explanation(
        trial.number,
        trial.iteration,
        trial.state.value,
        view.metric,
        trial.origin,
        dict(trial.parameters),
        trial.rationale,
        trial.predicted,
        trial.value,
        _failure_text(failed) if failed is not None else None,
        trial.fallback_reason,
        trial.request,
        trial.confirms,
        trial.adopted,
        trial.stop_advice,
        _asked(trial, exchanges),
        list(trial.warnings),
        _second(trial, view),
        failed.stderr_tail if failed is not None else "",
    )


def _second(trial: Trial, view: StudyView) -> Mapping[str, float]:
    if view.second is None:
        return {}
    value = second_value(trial, view.second.metric)
    return {} if value is None else {view.second.metric: value}


def _failure_text(failed: Failure) -> str:
    return f"{failed.cause.value} ({stage_of(failed).value}): {failed.message}"


def _asked(trial: Trial, exchanges: Sequence[tuple[Path, Mapping[str, Any]]]) -> Asked | None:
    talk = _consultation(trial, exchanges)
    if not talk:
        return None
    documents = [document for _, document in talk]
    answers = [one for one in documents if one.get("kind", "answer") == "answer"]
    used = total([usage_of(one) for one in documents])
    taken = _taken(trial, answers)
    last = answers[-1] if answers else documents[-1]
    return Asked(
        endpoint=str(last.get("endpoint", "")),
        occasion=str(last.get("occasion") or ""),
        exchanges=[str(path) for path, _ in talk],
        saw=last.get("saw") or {},
        looked_up=[
            f"{call.get('name')}({call.get('arguments')})"
            for one in documents
            for call in one.get("calls") or ()
        ],
        answers=sum("answer" in one for one in answers),
        accepted=taken is not None,
        refused=[str(fault) for one in answers for fault in one.get("refused") or ()],
        model_expects=taken,
        error=next((str(one["error"]) for one in reversed(documents) if one.get("error")), None),
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        seconds=round(used.seconds, 3),
        cost=used.money,
        replayed_from=last.get("replayed_from"),
    )


def _consultation(
    trial: Trial, exchanges: Sequence[tuple[Path, Mapping[str, Any]]]
) -> list[tuple[Path, Mapping[str, Any]]]:
    """The exchanges about this trial's slot; of a question that was asked again after a crash, the
    last time."""
    if trial.origin != "llm" and trial.fallback_reason is None:
        return []
    about = [
        (path, document)
        for path, document in exchanges
        if first_trial(path) <= trial.number < first_trial(path) + _slots(document)
    ]
    if not about:
        return []
    first = max(first_trial(path) for path, _ in about)
    talk = [(path, document) for path, document in about if first_trial(path) == first]
    return talk[_beginning(talk) :]


def _slots(document: Mapping[str, Any]) -> int:
    slots = document.get("slots", document.get("asked_for", 1))
    return slots if isinstance(slots, int) else 1


def _beginning(talk: Sequence[tuple[Path, Mapping[str, Any]]]) -> int:
    """Where the last consultation begins: at the last first question, or what was looked up for
    it."""
    opening = [
        place
        for place, (_, document) in enumerate(talk)
        if document.get("kind", "answer") == "answer" and len(document.get("messages") or ()) < 2
    ]
    start = opening[-1] if opening else 0
    while start > 0 and talk[start - 1][1].get("kind") == "look_up":
        start -= 1
    return start


def _taken(trial: Trial, answers: Sequence[Mapping[str, Any]]) -> str | None:
    """What the model of the runs expected where the trial is among those accepted (it may have had
    none to expect: then an empty text); None where it is not."""
    for one in reversed(answers):
        accepted = list(one.get("accepted") or ())
        if dict(trial.parameters) in accepted:
            expects = list(one.get("model_expects") or ())
            place = accepted.index(dict(trial.parameters))
            return str(expects[place] or "") if place < len(expects) else ""
    return None


# -- in words ------------------------------------------------------------------------------------


def _lines(one: Explanation) -> list[str]:
    values = parameters_text(one.parameters)
    return [
        f"trial {one.trial} of iteration {one.iteration}: {_result(one)}",
        f"  parameters:   {values}",
        *_wrote(one),
        f"  proposed by:  {_source(one)}",
        *_said("rationale", one.rationale),
        *_said("expected", _expectation(one)),
        *_said("fallback", one.fallback_reason or ""),
        *_said("recommended", f'to end the search: "{one.stop_advice}"' if one.stop_advice else ""),
        *(line for text in one.warnings for line in _said("noted", text)),
        *(_asked_lines(one.asked) if one.asked is not None else _unasked(one)),
    ]


def _result(one: Explanation) -> str:
    if one.value is not None:
        values = {one.metric: one.value, **one.second}
        return f"{one.state}, {', '.join(f'{name} {number(v)}' for name, v in values.items())}"
    return f"{one.state}, {one.failure}" if one.failure else one.state


def _wrote(one: Explanation) -> list[str]:
    """The last that a failed trial said, and where the rest of it lies."""
    lines = [line for line in tail(one.stderr, STDERR_CHARACTERS).splitlines() if line.strip()]
    return [
        *(f"    stderr:     {printable(line)}" for line in lines[-STDERR_LINES:]),
        *_said("its files", one.files or ""),
    ]


def _source(one: Explanation) -> str:
    if one.confirms is not None:
        return f"nobody: it runs trial {one.confirms} again, to confirm it"
    if one.request is not None:
        return f"a person, while the search ran ({one.request})"
    words = SOURCES.get(one.proposed_by, one.proposed_by)
    if one.adopted:
        return f"{words}, who took it over from the sampler's candidates"
    return f"{words}, in place of the LLM" if one.fallback_reason is not None else words


def _expectation(one: Explanation) -> str:
    if one.expected is None:
        return ""
    if one.value is None:
        return number(one.expected)
    return (
        f"{number(one.expected)}, reached {number(one.value)} ({signed(one.value - one.expected)})"
    )


def _unasked(one: Explanation) -> list[str]:
    if one.fallback_reason is None:
        return []
    return ["  asked:        nobody: the endpoint was left alone for a while, or there is none"]


def _asked_lines(asked: Asked) -> list[str]:
    spent = f"{asked.input_tokens} tokens in, {asked.output_tokens} out, {asked.seconds:g} s"
    money = "".join(f", {number(amount, 3)} {name}" for name, amount in asked.cost.items())
    return [
        f"  gate:         {_verdict(asked)}",
        *(f"    refused:    {fault}" for fault in asked.refused),
        *_said("asked because", asked.occasion),
        f"  asked:        {asked.endpoint}",
        *_said("it saw", _saw(asked.saw)),
        *(f"    looked up:  {call}" for call in asked.looked_up),
        *_said("error", asked.error or ""),
        f"  it took:      {spent}{money}",
        *_said("replayed from", asked.replayed_from or ""),
        *(f"  exchange:     {path}" for path in asked.exchanges),
    ]


def _verdict(asked: Asked) -> str:
    answers = count(asked.answers, "answer")
    if not asked.accepted:
        return f"none of its proposals was taken for this trial, in {answers}"
    if asked.model_expects:
        return f"taken; the model of the runs expected {asked.model_expects}; {answers}"
    return f"taken; there was no model of the runs to hold it against; {answers}"


def _saw(saw: Mapping[str, Any]) -> str:
    words = []
    for name, label in (("best", "best"), ("recent", "latest"), ("running", "running"), ("failures", "failed")):  # fmt: skip
        if saw.get(name):
            words.append(f"{label} {', '.join(map(str, saw[name]))}")
    runs = f"runs {'; '.join(words)}" if words else "no runs"
    more = [
        count(len(saw[name]), noun)
        for name, noun in (
            ("earlier", "earlier run"), ("near", "neighbour"), ("hints", "candidate"), ("looked_up", "look-up"), ("notes", "note"),
        )
        if saw.get(name)
    ]  # fmt: skip
    size = f"about {saw['tokens']} tokens" if "tokens" in saw else ""
    return "; ".join(part for part in (runs, ", ".join(more), size) if part)


def _said(label: str, words: str) -> list[str]:
    return [f"  {label + ':':<13} {words}"] if words else []


# -- prompt --------------------------------------------------------------------------------------


def first_question(loaded: LoadedConfig) -> str:
    """The first question of a search, as the LLM gets it. Raises ConfigurationError."""
    from agents.earlier import collected
    from agents.proposers.build import build_card
    from agents.proposers.prompt import Evidence, ask_for
    from agents.proposers.template import prompt_template
    from agents.space import SearchSpace

    settings = loaded.settings
    space = SearchSpace.build(settings.search_space, settings.constraints)
    nothing = replace(StudyView.of(settings, ()), earlier=collected(settings, space).trials)
    template = prompt_template(settings.llm.prompt)
    count = settings.loop.jobs_per_iteration
    card = build_card(settings, space)
    return ask_for(card, nothing, count, Evidence(), template, settings.llm.prompt_tokens).text
