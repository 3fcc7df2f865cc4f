"""From hyperparameters to the program's words."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

PLACE = re.compile(r"(?<!\$)\{([A-Za-z_]\w*)(\.\.\.)?\}")
"""``{name}`` is one value; ``{name...}`` a text that becomes as many words as it has."""


def text_of(value: object) -> str:
    """A value as programs read it. A float has a point (1.0e-05): YAML 1.1 takes 1e-05 for text."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        mantissa, exponent, power = repr(value).partition("e")
        return mantissa + ("" if "." in mantissa or not exponent else ".0") + exponent + power
    return str(value)


def words_of(words: "Sequence[str]", values: "Mapping[str, object]") -> "list[str]":
    """The program's words with the values in them, each in one word.

    What is not there (a parameter whose condition does not hold) leaves its word out, and the option
    before it: ``--momentum {momentum}``. So does null in an option, and a flag that is false; one that
    is true leaves the option alone: ``--nesterov={nesterov}`` becomes ``--nesterov``.
    """
    found = []  # type: list[str]
    for place, word in enumerate(words):
        names = [match.group(1) for match in PLACE.finditer(word)]
        whole = PLACE.fullmatch(word)
        before = words[place - 1] if place else ""
        apart = whole is not None and before.startswith("-") and "=" not in before
        switch = _switch(word) if not apart else before
        value = values.get(names[-1]) if names else ""
        is_off = switch is not None and (value is None or value is False)
        if is_off or any(name not in values for name in names):
            if apart and found and found[-1] == before:
                found.pop()
        elif switch is not None and value is True:
            found += [] if apart else [switch]
        elif whole is not None and whole.group(2):
            found += text_of(value).split()
        else:
            found.append(filled(word, values))
    return found


def _switch(word: str) -> "str | None":
    """``--nesterov`` of ``--nesterov={nesterov}``."""
    option, equals, value = word.partition("=")
    return option if word.startswith("-") and equals and PLACE.fullmatch(value) else None


def filled(text: str, values: "Mapping[str, object]") -> str:
    """The text with the values in it."""
    return PLACE.sub(lambda match: text_of(values[match.group(1)]), text)


def filled_file(text: str, values: "Mapping[str, object]") -> str:
    """The same of a file: a line that holds what is not there is left out."""
    lines = text.splitlines(True)
    kept = [line for line in lines if all(m.group(1) in values for m in PLACE.finditer(line))]
    return "".join(filled(line, values) for line in kept)


def unused(names: "Iterable[str]", texts: "Iterable[str]") -> "str | None":
    """What to say of parameters that are filled in nowhere."""
    places = [match.group(1) for text in texts for match in PLACE.finditer(text)]
    lost = [name for name in names if name not in places]
    if not lost:
        return None
    return (
        f"{', '.join(lost)} would have no effect: nothing of the program's words holds "
        f"{{{lost[0]}}}, nor does a file of --fill"
    )
