"""The few words that reports use for what the ledger calls by a key."""

from __future__ import annotations

from agents.trial import Origin

ORIGINS: tuple[Origin, ...] = ("sampler", "llm", "user", "default")
"""In the order in which they are listed."""

_NAMES: dict[Origin, str] = {
    "sampler": "sampler",
    "llm": "LLM",
    "user": "user",
    "default": "default",
}


_PROPOSED: dict[Origin, str] = {
    "sampler": "proposed by the sampler",
    "llm": "proposed by the LLM",
    "user": "given by the user",
    "default": "run with the defaults",
}

SHAPES: dict[Origin, str] = {
    "sampler": "circle",
    "llm": "diamond",
    "user": "square",
    "default": "triangle",
}
"""Markers, so that who proposed a trial can be told without colour."""


def origin_name(origin: Origin) -> str:
    """Who proposed a trial, as a person writes it."""
    return _NAMES[origin]


def proposed(origin: Origin) -> str:
    """How a trial came about, within a sentence."""
    return _PROPOSED[origin]
