"""The orchestrator's side of steering: takes requests, enters them in the ledger, keeps what is in force."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents import asking, requests
from agents.config import LoadedConfig
from agents.config.model import Settings
from agents.elapsed import elapsed_seconds
from agents.errors import ConfigurationError, LedgerError
from agents.journal import Journal
from agents.ledger import Ledger
from agents.space import SearchSpace
from agents.steering import (
    ATTRIBUTE,
    SETTABLE,
    Request,
    Taken,
    settled,
    steered,
    stops_done,
    taken_from_json,
    too_late,
)
from agents.stopping import reasons_now
from agents.trial import StudyView, Trial
from agents.words import count, named
from agents.workspace import Workspace
from training.contract import write_atomically

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Circumstances:
    """Where the search stands when a request is taken."""

    trials: Sequence[Trial]
    ending: str | None = None
    """Why the search stops; None while it goes on."""
    ended: bool = False
    """Nothing comes any more."""


class Helm:
    """What people asked for, and what is in force after it.

    Taking a request enters it in the ledger, then acts, then removes the file. A crash in between
    neither loses it nor does it twice: it is known by its id, and what is in force is read from the
    ledger again.
    """

    def __init__(
        self, loaded: LoadedConfig, workspace: Workspace, ledger: Ledger, journal: Journal
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._journal = journal
        self.history = history_of(ledger.attributes().get(ATTRIBUTE, []))
        """All that was ever asked for, in the order of taking."""
        self.now = steered(self.history)
        """What is in force."""
        self.loaded = loaded
        """The configuration with what was set while the search ran."""
        self.space = SearchSpace.build(loaded.settings.search_space, loaded.settings.constraints)
        self.allowed = self.space
        """The space without the regions that were forbidden."""
        self.tried: Callable[[SearchSpace], object] = lambda left: None
        """Called with what a region to be forbidden would leave of the space. Raises
        ConfigurationError where nobody could propose from that."""
        self._checked: LoadedConfig | None = None
        """The configuration with what is being set."""
        write_atomically(workspace.config_file, loaded.resolved.encode())
        self._prefer_command_line()
        if self.now.overrides:
            self._adopt(asking.with_overrides(workspace.config_file, self.now.overrides))
        self.allowed = asking.without(self.space, self.now.forbidden)

    @property
    def settings(self) -> Settings:
        """The configuration that is in force."""
        return self.loaded.settings

    # -- taking ----------------------------------------------------------------------------------

    def is_asked(self) -> bool:
        """Whether a request waits."""
        return bool(requests.waiting(self._workspace.directory))

    def take(self, here: Circumstances) -> list[Taken]:
        """Take all requests that wait, in their order. Returns those that are new."""
        found = (self._take(path, here) for path in requests.waiting(self._workspace.directory))
        return [taken for taken in found if taken is not None]

    def _take(self, path: Path, here: Circumstances) -> Taken | None:
        if any(taken.id == requests.identity(path) for taken in self.history):
            requests.withdraw(path)  # a crash came between the ledger and the file
            return None
        try:
            request = requests.read(path)
        except OSError as error:  # withdrawn, or a file system that lags: look again later
            self._journal.event("request_unread", "warning", file=path.name, why=str(error))
            return None
        except requests.Unreadable as error:
            self._journal.event("request_unreadable", "warning", file=path.name, why=str(error))
            os.replace(path, path.with_name(f"{path.name}.unreadable"))
            return None
        taken = self._judged(request, here)
        self._enter([*self.history, taken])
        if not taken.refused:
            self._apply(request)
        requests.withdraw(path)
        self._journal.event("steering", **taken.to_json())
        return taken

    def _judged(self, request: Request, here: Circumstances) -> Taken:
        taken = Taken(request, datetime.now(UTC), "")
        try:
            return self._effect(taken, here)
        except (ConfigurationError, KeyError, TypeError, ValueError, AttributeError) as error:
            # A request may have been written by another version, or by hand.
            said = (
                str(error) if isinstance(error, ConfigurationError) else f"not understood: {error}"
            )
            return replace(taken, effect=said, refused=True)

    def _enter(self, history: Sequence[Taken]) -> None:
        self._ledger.set_attribute(ATTRIBUTE, [taken.to_json() for taken in history])
        self.history = list(history)
        self.now = steered(self.history)

    # -- what each does --------------------------------------------------------------------------

    def _effect(self, taken: Taken, here: Circumstances) -> Taken:
        verb = taken.request.verb
        if here.ended or (here.ending is not None and self._is_too_late(taken.request)):
            raise ConfigurationError(
                f"the search is at its end ({here.ending}); it goes on with: python -m agents.run "
                f"resume {shlex.quote(str(self._workspace.directory))} --set loop.max_iterations=N"
            )
        effects: dict[str, Callable[[Taken, Circumstances], Taken]] = {
            "pause": self._pause,
            "continue": self._continue,
            "stop": self._stop,
            "cancel": self._cancel,
            "set": self._set,
            "add": self._add,
            "forbid": self._forbid,
            "note": self._note,
        }
        return effects[verb](taken, here)

    def _is_too_late(self, request: Request) -> bool:
        if request.verb == "set":
            return str(request.arguments.get("key")).startswith(("loop.", "stop."))
        return request.verb in ("add", "forbid")

    def _pause(self, taken: Taken, here: Circumstances) -> Taken:
        if self.now.paused is not None:
            return replace(taken, effect=f"was paused already by {self.now.paused.request.by}")
        running = sum(not trial.state.is_finished for trial in here.trials)
        return replace(taken, effect=f"no new jobs; in flight: {count(running, 'trial')}")

    def _continue(self, taken: Taken, here: Circumstances) -> Taken:
        lifted = [
            name
            for name, there in (("the pause", self.now.paused), ("the stop", self.now.stop))
            if there is not None
        ]
        if here.ending is not None and self.now.paused is None:
            raise ConfigurationError(f"the search is ending already ({here.ending})")
        text = f"{' and '.join(lifted)} is lifted" if lifted else "nothing was paused"
        return replace(taken, effect=text)

    def _stop(self, taken: Taken, here: Circumstances) -> Taken:
        if here.ending is not None:
            return replace(taken, effect=f"was ending already ({here.ending})", done=True)
        return replace(taken, effect="what runs is completed, nothing new is proposed")

    def _cancel(self, taken: Taken, here: Circumstances) -> Taken:
        asked = taken.request.arguments["trials"]
        running = [
            trial.number
            for trial in here.trials
            if not trial.state.is_finished and trial.number not in self.now.cancelled
        ]
        numbers = running if asked == "all" else [int(number) for number in asked]
        meant = [number for number in numbers if number in running]
        others = [_why_not(number, here.trials) for number in numbers if number not in running]
        if not meant:
            raise ConfigurationError("; ".join(others) or "no trial is in flight")
        text = "; ".join([f"{named(meant)} cancelled, unless ended already", *others])
        return replace(taken, effect=text, trials=tuple(meant))

    def _set(self, taken: Taken, here: Circumstances) -> Taken:
        key, value = taken.request.arguments["key"], taken.request.arguments["value"]
        loaded = asking.checked_setting(self._workspace.config_file, key, value)
        self._checked = loaded
        before, after = asking.value_of(self.settings, key), asking.value_of(loaded.settings, key)
        end = self._end_with(loaded.settings, here)
        return replace(taken, effect=f"{_shown(before)} before, {_shown(after)} now{end}")

    def _end_with(self, settings: Settings, here: Circumstances) -> str:
        """What there is to say where the search has used up what it is given now."""
        if here.ending is not None or self.now.stop is not None:
            return ""
        kept = self._ledger.attributes()
        view = StudyView.of(settings, here.trials)
        started = datetime.fromisoformat(kept["started_at"])
        elapsed = elapsed_seconds(kept, started, datetime.now(UTC))
        reasons = reasons_now(view, settings, elapsed, self.now.cancelled)
        if not reasons:
            return ""
        return f"; the search ends once what runs has ended: {reasons[0].sentence}"

    def _add(self, taken: Taken, here: Circumstances) -> Taken:
        asking.checked_point(self.space, taken.request.arguments["parameters"])
        return replace(taken, effect="proposed next")

    def _forbid(self, taken: Taken, here: Circumstances) -> Taken:
        expression = taken.request.arguments["expression"]
        region = asking.checked_region(self.allowed, expression)
        try:
            self.tried(asking.without(self.space, [*self.now.forbidden, expression]))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"forbid `{expression}`: nobody could propose any more ({error})"
            ) from error
        return replace(taken, effect=f"about {region.share:.0%} of the space")

    def _note(self, taken: Taken, here: Circumstances) -> Taken:
        asking.checked_note(taken.request.arguments["text"])
        llm = self.settings.llm
        if self.settings.proposer.kind == "sampler" or (llm.base_url is None and not llm.replay):
            return replace(
                taken, effect="kept; no LLM takes part in this search, so nobody reads it"
            )
        return replace(taken, effect="part of every prompt from now on")

    # -- what is in force ------------------------------------------------------------------------

    def _apply(self, request: Request) -> None:
        """Bring configuration and space up to what was asked.

        Nothing is read here: what the configuration names may have been moved since the search
        began, and that must not end it.
        """
        if request.verb == "set" and self._checked is not None:
            self._adopt(self._checked)
        self.allowed = asking.without(self.space, self.now.forbidden)

    def _adopt(self, found: LoadedConfig) -> None:
        self.loaded = replace(found, path=self.loaded.path)
        write_atomically(self._workspace.config_file, found.resolved.encode())

    def _prefer_command_line(self) -> None:
        """What is set on the command line of a resumed run is newer than what was set before."""
        for key in SETTABLE:
            given = self.loaded.sources.get(key) == COMMAND_LINE and key in self.now.overrides
            value = _shown(asking.value_of(self.settings, key))
            if given and self.now.overrides[key] != value:
                request = requests.new_request("set", {"key": key, "value": value})
                taken = Taken(request, request.asked_at, "on the command line")
                self._enter([*self.history, taken])

    # -- what has come about since ---------------------------------------------------------------

    def settle(self, trials: Sequence[Trial]) -> None:
        """Enter which trials the wishes became."""
        history = settled(self.history, trials)
        if history != self.history:
            self._enter(history)

    def stopped(self, trials: Sequence[Trial]) -> None:
        """The search has come to its end: what stopped it does not do so again."""
        history = too_late(stops_done(self.history), trials)
        if history != self.history:
            self._enter(history)


def history_of(entries: Iterable[Mapping[str, Any]]) -> list[Taken]:
    """What was asked for, from what the ledger keeps. Raises LedgerError."""
    try:
        return [taken_from_json(entry) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(
            f"the ledger's list of what people asked for (study attribute {ATTRIBUTE}) cannot be "
            f"understood ({type(error).__name__}: {error}): go on with the version of Pilothouse "
            "that wrote it"
        ) from error


def _why_not(number: int, trials: Sequence[Trial]) -> str:
    if not 0 <= number < len(trials):
        return f"there is no trial {number}"
    if not trials[number].state.is_finished:
        return f"trial {number} is being cancelled already"
    return f"trial {number} has ended ({trials[number].state.value})"


def _shown(value: object) -> str:
    return "null" if value is None else str(value)
