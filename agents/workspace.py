"""The run directory: its layout, how it is found again, and the lock that keeps a second away."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from agents.config.model import DirectorySettings
from agents.errors import ConfigurationError, RunLocked
from training.contract import to_json_bytes, write_atomically

CARD_FILE = "run.json"
SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class Workspace:
    """Paths of one run directory on the orchestrator's side."""

    directory: Path
    """Absolute."""

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def config_file(self) -> Path:
        return self.directory / "config.yaml"

    @property
    def study_file(self) -> Path:
        return self.directory / "study.db"

    @property
    def graph_file(self) -> Path:
        return self.directory / "graph.db"

    @property
    def log_file(self) -> Path:
        return self.directory / "logs" / "run.jsonl"

    @property
    def progress_file(self) -> Path:
        return self.directory / "progress.json"

    @property
    def summary_file(self) -> Path:
        return self.directory / SUMMARY_FILE

    @property
    def reports(self) -> Path:
        return self.directory / "reports"

    @property
    def exchanges(self) -> Path:
        return self.directory / "logs" / "llm"

    @property
    def experiment(self) -> str | None:
        """The experiment's id; None where this is no run directory."""
        try:
            return str(json.loads((self.directory / CARD_FILE).read_bytes())["experiment"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def is_experiment(self) -> bool:
        """Whether this is of single experiments (`submit`) and no search has gone on from them."""
        try:
            card = json.loads((self.directory / CARD_FILE).read_bytes())
            return card["kind"] == "experiment" and not self.graph_file.exists()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    @property
    def is_finished(self) -> bool:
        """Whether the search has come to its end (`summary.json` is written last)."""
        return self.summary_file.exists()

    def lock(self) -> RunLock:
        """Take the run for this process. Raises RunLocked, which names who has it."""
        return RunLock(self.directory / "run.lock")


Kind = Literal["search", "experiment", "pool"]
"""What a run directory was made for: a search, an experiment, or experiments put together."""


def create(
    settings: DirectorySettings,
    experiment: str,
    config: str,
    now: datetime,
    kind: Kind = "search",
) -> Workspace:
    """Make a new run directory with its layout. Raises ConfigurationError where it cannot."""
    base = settings.local_base.expanduser().absolute()
    timestamp = now.strftime("%Y%m%d_%H%M%S")
    name = settings.run_pattern.format(timestamp=timestamp, experiment=experiment)
    try:
        workspace = lay_out(_new_directory(base, name), experiment, config, now, kind)
    except OSError as error:
        raise ConfigurationError(
            f"directories.local_base: cannot write to {base}: {error.strerror}; choose a "
            "directory that you can write"
        ) from error
    return workspace


def lay_out(
    directory: Path, experiment: str, config: str, now: datetime, kind: Kind = "search"
) -> Workspace:
    """Make an empty directory (absolute) one of a run. Raises OSError."""
    for part in ("logs", "reports", "checkpoints", "tensorboard"):
        (directory / part).mkdir(exist_ok=True)
    workspace = Workspace(directory)
    write_atomically(workspace.config_file, config.encode())
    # The card comes last: a directory without one is not taken for a run.
    card = {"schema": 1, "kind": kind, "experiment": experiment, "created_at": now.isoformat()}
    write_atomically(directory / CARD_FILE, to_json_bytes(card))
    return workspace


def _new_directory(base: Path, name: str) -> Path:
    for number in range(1, 1000):
        directory = base / (name if number == 1 else f"{name}_{number}")
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError:
            # The base may be a file; only a directory of that name is somebody else's run.
            if not directory.is_dir():
                raise
    raise ConfigurationError(f"directories.run_pattern: {base}/{name} is taken a thousand times")


def existing(directory: Path, option: str = "--resume") -> Workspace:
    """The run in `directory`, as `option` named it. Raises ConfigurationError where there is none."""
    workspace = Workspace(directory.expanduser().absolute())
    if workspace.experiment is None:
        why = "it has no run.json" if workspace.directory.is_dir() else "no such directory"
        raise ConfigurationError(
            f"{option} {directory}: this is not a run directory ({why}); give the directory that "
            f"holds config.yaml and study.db{', or `latest`' if option == '--resume' else ''}"
        )
    return workspace


def unfinished(base: Path, experiment: str) -> list[Workspace]:
    """Runs of `experiment` under `base` that have not come to their end, the newest last."""
    return [
        run
        for run in runs(base)
        if run.experiment == experiment and not run.is_finished and not run.is_experiment
    ]


def runs(base: Path) -> Iterator[Workspace]:
    """All run directories under `base`, the oldest first."""
    root = base.expanduser().absolute()
    if not root.is_dir():
        return
    for card in sorted(root.glob(f"*/{CARD_FILE}"), key=_created_at):
        yield Workspace(card.parent)


def _created_at(card: Path) -> tuple[str, str]:
    try:
        return str(json.loads(card.read_bytes()).get("created_at", "")), card.parent.name
    except (OSError, ValueError, AttributeError):
        return "", card.parent.name


class RunLock:
    """An exclusive hold on a run, until `release` or the process's end, however it comes.

    Raises RunLocked with the holder's host and process number.
    """

    def __init__(self, path: Path) -> None:
        self._stream: IO[str] = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            _lock(self._stream)
        except OSError as error:
            holder = _holder(self._stream)
            self._stream.close()
            raise RunLocked(
                f"{path.parent} is being worked on by process {holder.get('pid', '?')} on "
                f"{holder.get('host', '?')} since {holder.get('since', '?')}; wait for it, or stop "
                "it there (its jobs go on) and resume here"
            ) from error
        self._refuse_other_host(path)
        self._stream.seek(0)
        self._stream.truncate()
        json.dump(_myself(), self._stream)
        self._stream.flush()

    def _refuse_other_host(self, path: Path) -> None:
        """Some network file systems keep locks on one host only: believe the card then."""
        holder = _holder(self._stream)
        if not holder or holder.get("host") == socket.gethostname():
            return
        age = datetime.now(UTC).timestamp() - _beat(path.parent)
        if age < HEARTBEAT_TIMEOUT_SECONDS:
            self._stream.close()
            raise RunLocked(
                f"{path.parent} was worked on {age:.0f} s ago by process {holder.get('pid')} on "
                f"{holder.get('host')}; stop it there, or wait {HEARTBEAT_TIMEOUT_SECONDS} s "
                "after its last sign of life"
            )

    def release(self) -> None:
        """Let go; the card is emptied, so that nobody is taken for the holder."""
        if self._stream.closed:
            return
        self._stream.seek(0)
        self._stream.truncate()
        self._stream.close()


LOCK_ATTEMPTS = 5
LOCK_PAUSE_SECONDS = 0.1


def _lock(stream: IO[str]) -> None:
    """Lock the file. Tried again for half a second: who only looks at a run holds it for a moment."""
    for attempt in range(LOCK_ATTEMPTS):
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if attempt == LOCK_ATTEMPTS - 1:
                raise
            time.sleep(LOCK_PAUSE_SECONDS)


HEARTBEAT_TIMEOUT_SECONDS = 300
"""After so long without a sign of life, an orchestrator on another host is taken for dead."""


def _beat(directory: Path) -> float:
    try:
        return (directory / "progress.json").stat().st_mtime
    except OSError:
        return 0.0


def _myself() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(stream: IO[str]) -> dict[str, Any]:
    stream.seek(0)
    try:
        holder = json.loads(stream.read() or "{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}
