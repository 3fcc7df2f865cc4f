"""What an LLM wrote, read with distrust: proposals dug out of text, and words made harmless. Pure.

Servers differ in what they enforce, and models in what they add: thinking, prose, code fences, an
answer cut off in its middle. What is found here is still unchecked; `SearchSpace.validate` decides.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import LlmError

MAX_ANSWER = 100_000
"""Characters of an answer that are looked at."""
MAX_STARTS = 2_000
"""Opening braces at which an object is looked for: bounds the time that a hostile answer costs."""
MAX_RATIONALE = 500
MAX_REFUSAL = 100
"""Characters of an answer without a proposal that a person sees."""
_NO_REASON = ("", "null", "none", "no", "false", "n/a")
"""What a model writes where it means null."""

_WITHHELD = {
    "length": "; it was cut off: be brief (a person can raise llm.max_tokens)",
    "content_filter": (
        "; the provider's filter held it back (a person can reword llm.prompt and the descriptions)"
    ),
}
"""By the reason for which an answer ended."""

_THINKING = re.compile(
    r"<(think|thinking|reasoning|thought)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE
)
_THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)


@dataclass(frozen=True)
class Suggestion:
    """One proposal as the LLM wrote it, unchecked."""

    parameters: Mapping[str, Any]
    rationale: str = ""
    """Plain text: one line, bounded, without control characters."""
    predicted: float | None = None


def read_answer(text: str, names: Collection[str]) -> list[Suggestion]:
    """The suggestions in an answer, in their order.

    `names`: of the parameters, for answers that give them without anything around. An answer that
    was cut off gives the suggestions that are complete. Raises LlmError where there are none; its
    message is meant for the LLM.
    """
    text = without_thinking(text[:MAX_ANSWER])
    if not text.strip():
        raise LlmError("the answer was empty")
    objects = list(_objects(text))
    for found in reversed(objects):
        proposals = _unpacked(found.get("proposals"))
        if isinstance(proposals, list):
            ones = [_unpacked(one) for one in proposals]
            return _suggestions([one for one in ones if isinstance(one, dict)], names)
    return _suggestions(objects, names, _fault(text))


def read_stop(text: str) -> str | None:
    """Why the LLM recommends to end the search, in one plain line, or None where it does not."""
    objects = list(_objects(without_thinking(text[:MAX_ANSWER])))
    for found in reversed(objects):
        if isinstance(_unpacked(found.get("proposals")), list):
            said = found.get("stop")
            reason = plain_text(said, MAX_RATIONALE) if isinstance(said, str) else ""
            return reason if reason.lower().rstrip(".") not in _NO_REASON else None
    return None


def withheld(text: str, finish_reason: str | None) -> str:
    """Why an answer may hold no proposal, and what it held instead, as the end of a sentence."""
    why = _WITHHELD.get(finish_reason or "", "")
    words = plain_text(without_thinking(text[:MAX_ANSWER]), MAX_REFUSAL)
    return f'{why}; it said "{words}"' if words else why


def calls_in(text: str, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """The tool calls that a model wrote into its text, as ``{"name": …, "arguments": {…}}``.

    Servers that do not know a model's own form of a call hand it on like that. `names`: of the
    tools there are; what names none of them is no call.
    """
    objects = _objects(without_thinking(text[:MAX_ANSWER]))
    return [
        (name, arguments)
        for name, arguments in ((one.get("name"), one.get("arguments")) for one in objects)
        if isinstance(name, str) and name in names and isinstance(arguments, dict)
    ]


def without_thinking(text: str) -> str:
    """The text without what a reasoning model thought aloud, closed or not."""
    *_, text = _THOUGHT_END.split(_THINKING.sub("", text))
    return text


def _suggestions(
    objects: list[dict[str, Any]], names: Collection[str], fault: str = ""
) -> list[Suggestion]:
    suggestions = [one for one in (_suggestion(found, names) for found in objects) if one]
    if not suggestions:
        raise LlmError(
            f"the answer held no proposal{fault}: answer with JSON only, "
            '{"proposals": [{"rationale": …, "parameters": {…}}]}'
        )
    return suggestions


def _fault(text: str) -> str:
    """What is wrong with the JSON of an answer that is meant to be some, for who wrote it to mend."""
    begin = text.find("{")
    if begin < 0:
        return ""
    try:
        json.JSONDecoder(parse_constant=lambda _: None).raw_decode(text, begin)
    except json.JSONDecodeError as error:
        near = plain_text(text[max(0, error.pos - 20) : error.pos + 20], 40)
        return f" (its JSON cannot be read at …{near}…: {error.msg})"
    except (ValueError, RecursionError):
        return ""
    return ""


def _suggestion(found: Mapping[str, Any], names: Collection[str]) -> Suggestion | None:
    parameters = _unpacked(found.get("parameters"))
    if isinstance(parameters, dict) and "parameters" not in names:
        rationale = found.get("rationale")
        words = plain_text(rationale, MAX_RATIONALE) if isinstance(rationale, str) else ""
        return Suggestion(parameters, words, _number(found.get("expected")))
    if any(name in names for name in found):
        return Suggestion(found)
    return None


def _unpacked(value: object) -> object:
    """The list or object in a string: models often put the inner parts of a tool call into one."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in a text. Where one is cut off, those inside it."""
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    position = 0
    for _ in range(MAX_STARTS):
        position = text.find("{", position)
        if position < 0:
            return
        try:
            found, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            position += 1
            continue
        yield found


def plain_text(text: str, limit: int) -> str:
    """One line of at most `limit` characters without control, format or surrogate characters.

    So that what an LLM or a job wrote can neither steer a terminal nor hide something.
    """
    bounded = text[: 4 * limit]
    spaced = "".join(
        " " if character.isspace() else character
        for character in bounded
        if character.isspace() or not unicodedata.category(character).startswith("C")
    )
    line = " ".join(spaced.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
