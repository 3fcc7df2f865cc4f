"""What an LLM wrote, read with distrust: proposals dug out of text, and words made harmless. Pure.

Servers differ in what they enforce, and models in what they add: thinking, prose, code fences, an
answer cut off in its middle. What is found here is still unchecked; `SearchSpace.validate` decides.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import LlmError
from agents.proposers.json_text import fault_of, objects, unpacked

MAX_ANSWER = 100_000
"""Characters of an answer that are looked at."""
MAX_DEPTH = 4
"""Objects and lists around a proposal at most."""
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
    "error": "; the provider broke it off with an error",
}
"""By the reason for which an answer ended."""
_ALL_THOUGHT = (
    "; its thoughts took all of its tokens: think less (a person can raise llm.max_tokens, or have the "
    "server make it think less with llm.extra_body)"
)

_THINKING = re.compile(
    r"<(think|thinking|reasoning|thought)>.*?(</\1>|\Z)"
    r"|\[THINK\].*?(\[/THINK\]|\Z)"
    r"|<\|channel\|>analysis\b.*?(<\|end\|>|(?=<\|channel\|>)|\Z)",
    re.DOTALL | re.IGNORECASE,
)
"""Of most models; of Mistral's; of gpt-oss, where the server leaves its channels in the text."""
_THOUGHT_END = re.compile(r"</(?:think|thinking|reasoning|thought)>|\[/THINK\]", re.IGNORECASE)


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
    found = objects(text)
    for one in reversed(found):
        proposals = _proposals_of(one)
        if proposals is not None:
            return _some(_suggestions(proposals, names), "")
    return _some([two for one in found for two in _suggestions(one, names)], _fault(text))


def read_stop(text: str) -> str | None:
    """Why the LLM recommends to end the search, in one plain line, or None where it does not."""
    for found in reversed(objects(without_thinking(text[:MAX_ANSWER]))):
        holder = _holder(found)
        if holder is not None:
            said = holder.get("stop")
            reason = plain_text(said, MAX_RATIONALE) if isinstance(said, str) else ""
            return reason if reason.lower().rstrip(".") not in _NO_REASON else None
    return None


def withheld(text: str, finish_reason: str | None) -> str:
    """Why an answer may hold no proposal, and what it held instead, as the end of a sentence."""
    why = _WITHHELD.get(finish_reason or "", "")
    words = plain_text(without_thinking(text[:MAX_ANSWER]), MAX_REFUSAL)
    if not words and finish_reason == "length":
        return _ALL_THOUGHT
    return f'{why}; it said "{words}"' if words else why


def calls_in(text: str, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """The tool calls that a model wrote into its text, as ``{"name": …, "arguments": {…}}``.

    Servers that do not know a model's own form of a call hand it on like that. `names`: of the
    tools there are; what names none of them is no call.
    """
    found = objects(without_thinking(text[:MAX_ANSWER]))
    return [
        (name, arguments)
        for name, arguments in ((one.get("name"), one.get("arguments")) for one in found)
        if isinstance(name, str) and name in names and isinstance(arguments, dict)
    ]


def without_thinking(text: str) -> str:
    """The text without what a reasoning model thought aloud, closed or not."""
    *_, text = _THOUGHT_END.split(_THINKING.sub("", text))
    return text


def _some(suggestions: list[Suggestion], fault: str) -> list[Suggestion]:
    if not suggestions:
        raise LlmError(
            f"the answer held no proposal{fault}: answer with JSON only, "
            '{"proposals": [{"rationale": …, "parameters": {…}}]}'
        )
    return suggestions


def _fault(text: str) -> str:
    """What is wrong with the JSON of an answer that is meant to be some, for who wrote it to mend."""
    fault = fault_of(text)
    if fault is None:
        return ""
    position, reason = fault
    near = plain_text(text[max(0, position - 20) : position + 20], 40)
    return f" (its JSON cannot be read at …{near}…: {reason})"


def _holder(found: object, depth: int = MAX_DEPTH) -> Mapping[str, Any] | None:
    """The object with the proposals, which may stand in another one."""
    found = unpacked(found)
    if not isinstance(found, dict) or depth == 0:
        return None
    if isinstance(unpacked(found.get("proposals")), (list, dict)):
        return found
    inner = (_holder(value, depth - 1) for value in found.values())
    return next((one for one in inner if one is not None), None)


def _proposals_of(found: object) -> object:
    holder = _holder(found)
    return None if holder is None else unpacked(holder["proposals"])


def _suggestions(value: object, names: Collection[str], depth: int = MAX_DEPTH) -> list[Suggestion]:
    """The suggestions in a value: one, a list of them, or an object that has them by some name."""
    value = unpacked(value)
    if isinstance(value, dict):
        suggestion = _suggestion(value, names)
        if suggestion is not None:
            return [suggestion]
        value = list(value.values())
    if not isinstance(value, list) or depth == 0:
        return []
    return [one for inner in value for one in _suggestions(inner, names, depth - 1)]


def _suggestion(found: Mapping[str, Any], names: Collection[str]) -> Suggestion | None:
    parameters = unpacked(found.get("parameters"))
    if isinstance(parameters, dict) and "parameters" not in names:
        rationale = found.get("rationale")
        words = plain_text(rationale, MAX_RATIONALE) if isinstance(rationale, str) else ""
        return Suggestion(parameters, words, _number(found.get("expected")))
    if any(name in names for name in found):
        return Suggestion(found)
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


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
